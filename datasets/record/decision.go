package record

import "time"

// Decision is the record of one routing: everything needed to defend it and to
// decide it again. Refusals are kept per rule as one compressed bitmap over the
// partner index's numbering, so the record does not grow with the number of
// partners refused.
type Decision struct {
	ID            DecisionID  `json:"id"`
	LeadRef       string      `json:"lead_ref"` // hex SHA-256 of the lead id under the store's salt
	Lead          LeadID      `json:"lead,omitempty"`
	At            time.Time   `json:"at"`
	Position      uint64      `json:"position,string"`      // log position read: events below it were seen
	IndexVersion  uint64      `json:"index_version,string"` // version of the partner index: fixes the numbering below
	Refusals      []Refusal   `json:"refusals,omitempty"`
	Candidates    []Candidate `json:"candidates,omitempty"` // the eligible, in index order
	Model         string      `json:"model,omitempty"`      // name@version:hash of the win model; empty when degraded
	AcceptModel   string      `json:"accept_model,omitempty"`
	Policy        string      `json:"policy"` // id:hash
	Seed          uint64      `json:"seed,string"`
	Fingerprint   uint64      `json:"fingerprint,string"`     // hash of the feature matrix of the candidates
	Ranked        []Ranked    `json:"ranked,omitempty"`       // the best few, with readable values
	Chosen        PartnerID   `json:"chosen,omitempty"`       // empty: nobody was eligible
	Propensity    float64     `json:"propensity,omitempty"`   // probability with which Chosen was drawn
	PlainChoice   PartnerID   `json:"plain_choice,omitempty"` // what the plain rules would have done
	Explored      bool        `json:"explored,omitempty"`     // Chosen is not the candidate of highest value
	Greedy        bool        `json:"greedy,omitempty"`       // the caller switched exploration off
	Degraded      bool        `json:"degraded,omitempty"`     // rules and shrunk rates, no published model
	Reasons       []string    `json:"reasons,omitempty"`
	Previous      DecisionID  `json:"previous,omitempty"` // the decision this one re-offers after
	Offer         OfferID     `json:"offer,omitempty"`
	ExpiresAt     time.Time   `json:"expires_at,omitzero"`
	LatencyMicros int64       `json:"latency_us,omitempty,string"`
}

// Refusal is one rule and everybody it refused; a partner is listed under the
// first rule that refused it.
type Refusal struct {
	Rule     string `json:"rule"`
	Count    int    `json:"count"`
	Partners []byte `json:"partners,omitempty"` // serialized roaring bitmap of index numbers
}

// Candidate is one eligible partner as the decision saw it.
type Candidate struct {
	Partner PartnerID `json:"partner"`
	Win     float64   `json:"win"`    // calibrated P(win | lead, partner)
	WinLo   float64   `json:"win_lo"` // to WinHi: where the rates of nine in ten partners scored like it lie
	WinHi   float64   `json:"win_hi"`
	Accept  float64   `json:"accept"` // P(partner accepts)
	Value   float64   `json:"value"`  // what the choice compares, in minor units of the policy's currency
	Price   float64   `json:"price"`  // what its capacity cost in that comparison, same unit
	Prob    float64   `json:"prob"`   // probability of being chosen
}

// Ranked is a candidate shown to people.
type Ranked struct {
	Candidate
	Enough  bool               `json:"enough"` // enough data to trust Win
	Reasons []string           `json:"reasons,omitempty"`
	Values  map[string]float64 `json:"values,omitempty"` // the readable feature values
}

// Standing is a partner's health at a moment.
type Standing struct {
	Partner     PartnerID          `json:"partner"`
	At          time.Time          `json:"at"`
	Risk        float64            `json:"risk"` // P(leaves within Horizon days)
	RiskLo      float64            `json:"risk_lo"`
	RiskHi      float64            `json:"risk_hi"`
	HorizonDays int                `json:"horizon_days"`
	Alive       float64            `json:"alive"` // P(alive), buy-till-you-die
	Trend       float64            `json:"trend"` // change of Risk over the last 28 days
	Drivers     []Driver           `json:"drivers,omitempty"`
	KPIs        map[string]float64 `json:"kpis,omitempty"`
	ValueAtRisk Money              `json:"value_at_risk,omitzero"` // Risk x value of the trailing year
	Action      string             `json:"action,omitempty"`
	Activity    []float64          `json:"activity,omitempty"` // qualifying activity per week, oldest first, 26 weeks
	Model       string             `json:"model,omitempty"`
}

// Driver is one reason of a standing: a feature, its value, and how much it
// moved the risk (log odds, positive is worse).
type Driver struct {
	Feature string  `json:"feature"`
	Value   float64 `json:"value"`
	Effect  float64 `json:"effect"`
	Text    string  `json:"text"`
}
