package record

import "time"

// OfferState says where an offer is in its life.
type OfferState string

// The states. Only an open offer can be answered.
const (
	OfferOpen      OfferState = "offered"
	OfferTaken     OfferState = "accepted"
	OfferRefused   OfferState = "declined"
	OfferLapsed    OfferState = "expired"
	OfferTakenBack OfferState = "withdrawn"
)

// OfferStates lists every state. The list may only grow at its end: its
// positions are stored.
var OfferStates = []OfferState{OfferOpen, OfferTaken, OfferRefused, OfferLapsed, OfferTakenBack}

// Offer is a decision's life: what was offered to whom and what became of it.
// The offers of one lead form a chain through Previous; at most one of them is
// open.
type Offer struct {
	ID        OfferID    `json:"id"`
	Decision  DecisionID `json:"decision"`
	Lead      LeadID     `json:"lead"`
	Partner   PartnerID  `json:"partner"`
	Account   AccountID  `json:"account,omitempty"` // of the lead
	State     OfferState `json:"state"`
	MadeAt    time.Time  `json:"made_at"`
	ExpiresAt time.Time  `json:"expires_at,omitzero"`
	ChangedAt time.Time  `json:"changed_at"` // when State was last set
	Reason    string     `json:"reason,omitempty"`
	Previous  DecisionID `json:"previous,omitempty"` // the decision this one re-offers after
	Next      DecisionID `json:"next,omitempty"`     // the decision that re-offers after this one
	Attempt   int        `json:"attempt"`            // 1 for the first offer of a chain
}
