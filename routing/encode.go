package routing

import (
	"encoding/json"
	"slices"
	"time"

	"bellwether/datasets/record"
)

// indexFormat is written first; another number is another layout.
const indexFormat = 1

type storedIndex struct {
	Format   int             `json:"format"`
	Policy   string          `json:"policy"` // hash
	Version  uint64          `json:"version,string"`
	Offers   uint64          `json:"offers,string"`
	Partners []storedPartner `json:"partners"`
	Leads    []storedLead    `json:"leads"`
	Deals    []storedAccount `json:"deals"`
}

type storedPartner struct {
	Record    *record.Partner `json:"record"`
	Into      int32           `json:"into"`
	Load      load            `json:"load"`
	LastOffer uint64          `json:"last_offer,string"`
}

// storedLead is the offers of a lead, oldest first: partner, state, Unix
// seconds and place among all offers, four numbers each.
type storedLead struct {
	Key   uint64  `json:"key,string"`
	Links []int64 `json:"links"`
}

type storedAccount struct {
	Account     record.AccountID `json:"account"`
	Protections []protection     `json:"protections"`
}

// MarshalBinary writes the index as the package comment says.
func (ix *Index) MarshalBinary() ([]byte, error) {
	s := storedIndex{Format: indexFormat, Policy: ix.hash, Version: ix.version, Offers: ix.offers}
	for _, e := range ix.entries {
		s.Partners = append(s.Partners, storedPartner{e.partner, e.into, e.load, e.lastOffer})
	}
	for key, head := range ix.chains.heads {
		lead := storedLead{Key: key}
		for i := head; i >= 0; i = ix.chains.links[i].next {
			l := ix.chains.links[i]
			lead.Links = append(lead.Links, int64(i), l.at, int64(l.state), int64(l.partner))
		}
		slices.Reverse(lead.Links)
		s.Leads = append(s.Leads, lead)
	}
	// In the order of each lead's first offer: the order in which they came.
	slices.SortFunc(s.Leads, func(a, b storedLead) int { return int(a.Links[3] - b.Links[3]) })
	for _, account := range sortedAccounts(ix.deals.by) {
		s.Deals = append(s.Deals, storedAccount{account, ix.deals.by[account]})
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, record.Errorf(record.Internal, "encode partner index", "%w", err)
	}
	return b, nil
}

// UnmarshalBinary restores an index written under the same policy, whatever
// this one held. Bytes of another policy or format are Incompatible: fold the
// log again. On an error the index is empty.
func (ix *Index) UnmarshalBinary(b []byte) error {
	ix.reset()
	var s storedIndex
	if err := json.Unmarshal(b, &s); err != nil {
		return record.Errorf(record.Invalid, "read partner index", "%w", err)
	}
	if s.Format != indexFormat || s.Policy != ix.hash {
		return record.Errorf(record.Incompatible, "read partner index", "written in format %d under policy %s, wanted %d and %s", s.Format, s.Policy, indexFormat, ix.hash)
	}
	if err := ix.restore(&s); err != nil {
		ix.reset()
		return err
	}
	return nil
}

func (ix *Index) restore(s *storedIndex) error {
	damaged := func(format string, args ...any) error {
		return record.Errorf(record.Invalid, "read partner index", format, args...)
	}
	for i, p := range s.Partners {
		if p.Record == nil {
			return damaged("partner %d has no record", i)
		}
		// Not Validate: events may have said what a record may not, such as a
		// contract that lapsed before it began.
		if slices.ContainsFunc(p.Record.Capacity.Weekdays, func(d time.Weekday) bool { return d < time.Sunday || d > time.Saturday }) {
			return damaged("partner %d works on a weekday that is none", i)
		}
		if _, twice := ix.number[p.Record.ID]; twice {
			return damaged("partner %s is there twice", p.Record.ID)
		}
		// Each merger points to a partner that itself was not merged then, so
		// following them ends; a circle would not.
		if p.Into < -1 || int(p.Into) >= len(s.Partners) || circular(s.Partners, i) {
			return damaged("partner %d is merged into %d", i, p.Into)
		}
		ix.number[p.Record.ID] = uint32(i)
		e := &entry{number: uint32(i), into: p.Into, load: p.Load, lastOffer: p.LastOffer}
		ix.entries = append(ix.entries, e)
		ix.replace(e, p.Record)
	}
	if err := ix.chains.restore(s, damaged); err != nil {
		return err
	}
	for _, a := range s.Deals {
		for _, p := range a.Protections {
			ix.deals.add(a.Account, p)
		}
	}
	ix.version, ix.offers = s.Version, s.Offers
	return nil
}

func circular(partners []storedPartner, from int) bool {
	steps := 0
	for i := int32(from); i >= 0 && int(i) < len(partners); i = partners[i].Into {
		if steps++; steps > len(partners) {
			return true
		}
	}
	return false
}

func (h *history) restore(s *storedIndex, damaged func(string, ...any) error) error {
	n := 0
	for _, l := range s.Leads {
		n += len(l.Links) / 4
	}
	h.links = make([]link, n)
	seen := make([]bool, n)
	for _, l := range s.Leads {
		if len(l.Links) == 0 || len(l.Links)%4 != 0 {
			return damaged("lead %d has %d numbers", l.Key, len(l.Links))
		}
		next := int32(-1)
		for k := 0; k < len(l.Links); k += 4 {
			partner, state, at, i := l.Links[k], l.Links[k+1], l.Links[k+2], l.Links[k+3]
			if partner < 0 || int(partner) >= len(s.Partners) || state < 0 || state > int64(released) || i < 0 || int(i) >= n || seen[i] {
				return damaged("lead %d, offer %d is out of range", l.Key, k/4)
			}
			seen[i] = true
			h.links[i] = link{next: next, partner: uint32(partner), state: uint8(state), at: at}
			next = int32(i)
		}
		h.heads[l.Key] = next
	}
	return nil
}

func sortedAccounts(m map[record.AccountID][]protection) []record.AccountID {
	out := make([]record.AccountID, 0, len(m))
	for a := range m {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}
