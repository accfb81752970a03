package record

import "time"

// Lead is a chance of business that some partner should get.
type Lead struct {
	ID             LeadID     `json:"id"`
	CreatedAt      time.Time  `json:"created_at"`
	Account        AccountID  `json:"account,omitempty"` // key of the customer, the same over its leads
	Company        string     `json:"company,omitempty"`
	Industry       string     `json:"industry,omitempty"`
	SizeBand       string     `json:"size_band,omitempty"`
	Place          Place      `json:"place,omitzero"`
	Language       string     `json:"language,omitempty"`
	Products       []string   `json:"products,omitempty"`
	Need           string     `json:"need,omitempty"` // one of Needs
	Value          Money      `json:"value,omitzero"` // estimated
	Source         string     `json:"source,omitempty"`
	Marketplace    string     `json:"marketplace,omitempty"` // preferred
	CommittedSpend bool       `json:"committed_spend,omitempty"`
	Text           string     `json:"text,omitempty"`
	Attributes     Attributes `json:"attributes,omitempty"`
}

// Needs a lead can have.
var Needs = []string{"resale", "implementation", "managed_service", "support"}
