package record

import "time"

// Partner is a company that sells, delivers or refers for us. A file may hold
// several versions of one partner; the version in force at a moment is the last
// with KnownAt not after it.
type Partner struct {
	ID             PartnerID       `json:"id"`
	Name           string          `json:"name,omitempty"`
	Kind           string          `json:"kind,omitempty"` // one of PartnerKinds, or any other word
	Tier           string          `json:"tier,omitempty"`
	Parent         PartnerID       `json:"parent,omitempty"` // distributor or group it belongs to
	Home           Place           `json:"home,omitzero"`
	Territories    []string        `json:"territories,omitempty"` // regions it may sell in; empty means all
	Industries     []string        `json:"industries,omitempty"`
	Languages      []string        `json:"languages,omitempty"` // BCP 47
	Competences    []Competence    `json:"competences,omitempty"`
	Certifications []Certification `json:"certifications,omitempty"`
	Contract       Span            `json:"contract,omitzero"` // zero: no contract dates kept
	Marketplaces   []string        `json:"marketplaces,omitempty"`
	Capacity       Capacity        `json:"capacity,omitzero"`
	JoinedAt       time.Time       `json:"joined_at,omitzero"`
	Status         []StatusSpan    `json:"status,omitempty"` // empty means active
	KnownAt        time.Time       `json:"known_at,omitzero"`
	Attributes     Attributes      `json:"attributes,omitempty"`
}

// PartnerKinds are the kinds the field speaks of.
var PartnerKinds = []string{"reseller", "msp", "si", "isv", "distributor", "referral", "agency", "oem", "other"}

// Competence is what a partner can do with a product, at a level (1 basic …
// 5 expert; 0 not said), while it is valid.
type Competence struct {
	Product string `json:"product"`
	Level   int    `json:"level,omitempty"`
	Span
}

// Certification is a named proof with an expiry.
type Certification struct {
	Name string `json:"name"`
	Span
}

// StatusSpan is a partner's standing with us over a time.
type StatusSpan struct {
	Status string `json:"status"` // one of Statuses
	Span
}

// Statuses a partner can have. Only an active partner is offered leads.
var Statuses = []string{"applied", "onboarding", "active", "suspended", "terminated"}

// Capacity is how much a partner says it can take.
type Capacity struct {
	Units    int            `json:"units,omitempty"`    // leads per period; 0 means not limited
	Period   string         `json:"period,omitempty"`   // "day", "week" (default), "month"; UTC calendar periods
	Weekdays []time.Weekday `json:"weekdays,omitempty"` // working days; empty means every day
	Timezone string         `json:"timezone,omitempty"` // IANA name the working days are in; empty means UTC
	Absences []Span         `json:"absences,omitempty"` // holidays and closures
}

// StatusAt returns the partner's status at t: the last listed span that holds
// t, "active" when none is listed, "" when spans are listed and none holds t.
func (p *Partner) StatusAt(t time.Time) string {
	if len(p.Status) == 0 {
		return "active"
	}
	status := ""
	for _, s := range p.Status {
		if s.Contains(t) {
			status = s.Status
		}
	}
	return status
}

// CompetenceLevel returns the highest level valid at t for a product, and
// whether the partner has the competence at all.
func (p *Partner) CompetenceLevel(product string, t time.Time) (level int, ok bool) {
	for _, c := range p.Competences {
		if c.Product == product && c.Contains(t) {
			level, ok = max(level, c.Level), true
		}
	}
	return level, ok
}
