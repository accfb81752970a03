package serving

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bellwether/datasets/record"
	"bellwether/serving/store"
)

// PartnerView is a partner as the engine holds it: the record put last, with the
// changes of tier, status, certificates and contract that events told since.
type PartnerView struct {
	Partner record.Partner
	Version uint64 // changes with the record; the ETag. Never 0
}

// PartnerPage is one page of partners in id order.
type PartnerPage struct {
	Partners []PartnerView
	Next     record.PartnerID // cursor of the next page; empty at the end
	Total    int
}

// MaxPage is the most partners of one page, and what a limit of 0 means.
const MaxPage = 500

// UpsertPartner writes a new version of a partner; the engine sets its KnownAt.
// ifVersion, if not nil, must be its current version (0: it must not exist),
// else the answer is Precondition. A record that says nothing new writes nothing.
func (e *Engine) UpsertPartner(ctx context.Context, p *record.Partner, ifVersion *uint64) (*PartnerView, error) {
	clean := *p
	clean.KnownAt = time.Time{}
	if err := clean.Validate(); err != nil {
		return nil, err
	}
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ticket, err := e.write(func(now time.Time, batch *store.Batch) error {
		old := e.book.view(p.ID)
		if err := matches(old, p.ID, ifVersion); err != nil {
			return err
		}
		if old != nil {
			clean.KnownAt = old.Partner.KnownAt
			if string(record.AppendPartner(nil, &old.Partner)) == string(record.AppendPartner(nil, &clean)) {
				return nil
			}
		}
		clean.KnownAt = now
		batch.Append(store.Partner, func(dst []byte) []byte { return record.AppendPartner(dst, &clean) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := e.disk.wait(ctx, ticket); err != nil {
		return nil, err
	}
	return e.Partner(ctx, p.ID)
}

func matches(old *PartnerView, id record.PartnerID, ifVersion *uint64) error {
	switch {
	case ifVersion == nil:
		return nil
	case old == nil && *ifVersion != 0:
		return record.Errorf(record.Precondition, "", "there is no partner %q yet: it has no version %d", shorten(string(id)), *ifVersion)
	case old != nil && *ifVersion != old.Version:
		return record.Errorf(record.Precondition, "", "partner %q is at version %d, not %d: read it again and apply your change to that", shorten(string(id)), old.Version, *ifVersion)
	}
	return nil
}

// Partner returns one partner.
func (e *Engine) Partner(ctx context.Context, id record.PartnerID) (*PartnerView, error) {
	var out *PartnerView
	err := e.read(ctx, func(b *book, _ time.Time) error {
		if out = b.view(id); out == nil {
			return noPartner(id)
		}
		return nil
	})
	return out, err
}

func noPartner(id record.PartnerID) error {
	return record.Errorf(record.NotFound, "", "there is no partner %q", shorten(string(id)))
}

// Partners returns up to limit partners with ids after the cursor.
func (e *Engine) Partners(ctx context.Context, after record.PartnerID, limit int) (*PartnerPage, error) {
	if limit < 0 || limit > MaxPage {
		return nil, &record.Error{Kind: record.Invalid, Field: "limit", Msg: fmt.Sprintf("%d is not between 1 and %d", limit, MaxPage)}
	}
	if limit == 0 {
		limit = MaxPage
	}
	page := new(PartnerPage)
	err := e.read(ctx, func(b *book, _ time.Time) error {
		page.Total = len(b.ids)
		from, found := slices.BinarySearch(b.ids, after)
		if found {
			from++
		}
		to := min(len(b.ids), from+limit)
		for _, id := range b.ids[from:to] {
			page.Partners = append(page.Partners, *b.view(id))
		}
		if to < len(b.ids) {
			page.Next = b.ids[to-1]
		}
		return nil
	})
	return page, err
}
