package record

import "time"

// EventType says what happened. The list of types is EventTypes.
type EventType string

// Lifecycle of a partner.
const (
	Applied         EventType = "applied"
	Onboarded       EventType = "onboarded"
	Trained         EventType = "trained"
	Certified       EventType = "certified"        // Text names the certification, Until its expiry
	TierChanged     EventType = "tier_changed"     // Text is the new tier
	StatusChanged   EventType = "status_changed"   // Text is one of Statuses
	ContractRenewed EventType = "contract_renewed" // Until is the new end
	ContractLapsed  EventType = "contract_lapsed"
	PartnerMerged   EventType = "partner_merged" // Other is the partner absorbed into Partner
)

// What a partner does on the portal.
const (
	PortalLogin    EventType = "portal_login"
	PortalDownload EventType = "portal_download"
	TrainingView   EventType = "training_view"
)

// The life of an offer: one lead, one chain.
const (
	OfferMade       EventType = "offer_made" // Numbers["propensity"] when known
	OfferAccepted   EventType = "offer_accepted"
	OfferDeclined   EventType = "offer_declined" // Reason is one of DeclineReasons
	OfferExpired    EventType = "offer_expired"
	OfferWithdrawn  EventType = "offer_withdrawn"
	OfferSuperseded EventType = "offer_superseded"
)

// Deals.
const (
	DealRegistered EventType = "deal_registered" // protection of Account until Until
	DealOpened     EventType = "deal_opened"
	DealStage      EventType = "deal_stage"   // Text is the stage
	DealWon        EventType = "deal_won"     // Amount, Products
	DealLost       EventType = "deal_lost"    // Reason
	OrderPlaced    EventType = "order_placed" // Amount, Products: business without a lead
)

// What surrounds a deal.
const (
	Touch                EventType = "touch"        // Role on a deal
	Message              EventType = "message"      // Text, Direction ("in" from the partner, "out" to it)
	Survey               EventType = "survey"       // Numbers["score"] 0-10 (NPS)
	SupportCase          EventType = "support_case" // Numbers["severity"] 1-5 if known
	IntegrationActivated EventType = "integration_activated"
	Payout               EventType = "payout"          // Amount
	AccountOverlap       EventType = "account_overlap" // Partner and Account share business; Numbers["count"]
)

// EventTypes lists every type, in the order of this file. The list may only
// grow at its end: its positions are stored.
var EventTypes = []EventType{
	Applied, Onboarded, Trained, Certified, TierChanged, StatusChanged, ContractRenewed, ContractLapsed, PartnerMerged,
	PortalLogin, PortalDownload, TrainingView,
	OfferMade, OfferAccepted, OfferDeclined, OfferExpired, OfferWithdrawn, OfferSuperseded,
	DealRegistered, DealOpened, DealStage, DealWon, DealLost, OrderPlaced,
	Touch, Message, Survey, SupportCase, IntegrationActivated, Payout, AccountOverlap,
}

// DeclineReasons are the codes an offer may be declined with.
var DeclineReasons = []string{"no_capacity", "wrong_territory", "wrong_skill", "already_working_account", "duplicate",
	"lead_quality", "customer_unreachable", "conflict_of_interest", "commercial_terms", "spam", "other"}

// Event is something that happened. Events are append-only: a mistake is
// corrected by a later event that names what it Supersedes.
type Event struct {
	ID         EventID            `json:"id"`
	Type       EventType          `json:"type"`
	At         time.Time          `json:"at"`                // when it happened
	KnownAt    time.Time          `json:"known_at,omitzero"` // when we learned it; not before At. Zero in a file means At
	Partner    PartnerID          `json:"partner,omitempty"`
	Other      PartnerID          `json:"other,omitempty"`
	Lead       LeadID             `json:"lead,omitempty"`
	Deal       DealID             `json:"deal,omitempty"`
	Account    AccountID          `json:"account,omitempty"`
	Decision   DecisionID         `json:"decision,omitempty"` // the decision an offer or outcome belongs to
	Offer      OfferID            `json:"offer,omitempty"`
	Amount     Money              `json:"amount,omitzero"`
	Products   []string           `json:"products,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	Role       string             `json:"role,omitempty"`
	Direction  string             `json:"direction,omitempty"`
	Text       string             `json:"text,omitempty"`
	Until      time.Time          `json:"until,omitzero"`
	Supersedes EventID            `json:"supersedes,omitempty"`
	Numbers    map[string]float64 `json:"numbers,omitempty"`
}

// Known returns when the event became known: KnownAt, or At where none was
// given.
func (e *Event) Known() time.Time {
	if e.KnownAt.IsZero() {
		return e.At
	}
	return e.KnownAt
}
