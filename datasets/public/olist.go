package public

import (
	"context"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

const (
	olistTime = time.DateTime
	olistDate = time.DateOnly
)

// olistEnd is where the activity of the set ends for good: the few rows dated
// later are mistakes.
var olistEnd = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// dealAttributes are what the funnel knows of a seller once it has signed.
var dealAttributes = []string{"business_segment", "lead_type", "business_type"}

// Olist reads the marketplace's files into w. A seller is a partner, its state
// the region; each order item is an order_placed of its seller, dated by
// shipping_limit_date, with the English name of the product's category; a
// marketing qualified lead is a lead, and the sellers that came of one have
// applied at its first contact, which is known from the day it was won, and
// onboarded that day. Sellers of the funnel that never sold are partners too.
func Olist(ctx context.Context, in string, w *datasets.Writer, o Options) (*datasets.Report, error) {
	im := &olist{ctx: ctx, dir: in, options: o, intake: datasets.NewIntake(w, "olist")}
	defer im.intake.Drop()
	for _, step := range []func() error{im.categories, im.products, im.leads, im.sellers, im.deals, im.items} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return im.intake.Finish()
}

type olist struct {
	ctx      context.Context
	dir      string
	options  Options
	intake   *datasets.Intake
	english  map[string]string // category → its English name
	category map[string]string // product → English category
	contact  map[string]time.Time
	state    map[string]string // seller → state
}

// rows reads one of the files.
func (im *olist) rows(name string, columns []string, f func(s *sheet) error) error {
	s, err := openSheet(find(im.dir, name), columns...)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.each(im.ctx, im.intake, im.options, func() error { return f(s) })
}

// row hands the records of a row in, or sets it aside.
func (im *olist) row(s *sheet, err error, records ...any) error {
	if err != nil {
		im.intake.Reject(err, s.placeOf(err))
		return nil
	}
	return im.intake.Row(records, s.Place())
}

func (im *olist) categories() error {
	im.english = map[string]string{}
	return im.rows("product_category_name_translation.csv", []string{"product_category_name", "product_category_name_english"}, func(s *sheet) error {
		im.english[strings.Clone(s.get("product_category_name"))] = strings.Clone(s.get("product_category_name_english"))
		return im.row(s, nil)
	})
}

func (im *olist) products() error {
	im.category = map[string]string{}
	return im.rows("olist_products_dataset.csv", []string{"product_id", "product_category_name"}, func(s *sheet) error {
		c := strings.Clone(s.get("product_category_name"))
		if e := im.english[c]; e != "" {
			c = e
		}
		im.category[strings.Clone(s.get("product_id"))] = c
		return im.row(s, nil)
	})
}

func (im *olist) leads() error {
	im.contact = map[string]time.Time{}
	return im.rows("olist_marketing_qualified_leads_dataset.csv", []string{"mql_id", "first_contact_date", "landing_page_id", "origin"}, func(s *sheet) error {
		at, err := when("first_contact_date", olistDate, s.get("first_contact_date"))
		l := &record.Lead{ID: record.LeadID(s.get("mql_id")), CreatedAt: at, Source: s.get("origin")}
		if page := s.get("landing_page_id"); page != "" {
			l.Attributes = record.Attributes{"landing_page_id": record.Text(page)}
		}
		im.contact[string(l.ID)] = at
		return im.row(s, err, l)
	})
}

func (im *olist) sellers() error {
	im.state = map[string]string{}
	return im.rows("olist_sellers_dataset.csv", []string{"seller_id", "seller_state"}, func(s *sheet) error {
		p := im.partner(strings.Clone(s.get("seller_id")), strings.Clone(s.get("seller_state")))
		im.state[string(p.ID)] = p.Home.Region
		return im.row(s, nil, p)
	})
}

func (im *olist) partner(id, state string) *record.Partner {
	return &record.Partner{ID: record.PartnerID(id), Kind: "reseller", Home: record.Place{Region: state}}
}

func (im *olist) deals() error {
	columns := append([]string{"mql_id", "seller_id", "won_date"}, dealAttributes...)
	return im.rows("olist_closed_deals_dataset.csv", columns, func(s *sheet) error {
		won, err := when("won_date", olistTime, s.get("won_date"))
		lead, seller := s.get("mql_id"), s.get("seller_id")
		contact, known := im.contact[lead]
		if err == nil && !known {
			err = record.FieldErrorf("mql_id", "%q is not among the marketing qualified leads", lead)
		}
		if err == nil && won.Before(contact) {
			contact = won
		}
		p := im.partner(seller, im.state[seller])
		p.JoinedAt, p.KnownAt, p.Attributes = won, won, record.Attributes{}
		for _, name := range dealAttributes {
			if v := s.get(name); v != "" {
				p.Attributes[name] = record.Text(v)
			}
		}
		event := func(kind record.EventType, at time.Time) *record.Event {
			return &record.Event{ID: record.EventID(string(kind) + "-" + lead), Type: kind, At: at, KnownAt: won, Partner: p.ID, Lead: record.LeadID(lead)}
		}
		return im.row(s, err, p, event(record.Applied, contact), event(record.Onboarded, won))
	})
}

func (im *olist) items() error {
	columns := []string{"order_id", "order_item_id", "product_id", "seller_id", "shipping_limit_date", "price"}
	return im.rows("olist_order_items_dataset.csv", columns, func(s *sheet) error {
		at, err := when("shipping_limit_date", olistTime, s.get("shipping_limit_date"))
		if err == nil && !at.Before(olistEnd) {
			err = record.FieldErrorf("shipping_limit_date", "%s is after the activity of the set has ended: left out", at.Format(olistDate))
		}
		cents, e := datasets.MinorUnits(s.get("price"), "BRL")
		if err == nil && e != nil {
			err = record.FieldErrorf("price", "%v", e)
		}
		ev := &record.Event{ID: record.EventID(s.get("order_id") + "-" + s.get("order_item_id")), Type: record.OrderPlaced, At: at,
			Partner: record.PartnerID(s.get("seller_id")), Amount: record.Money{Amount: cents, Currency: "BRL"}}
		if c := im.category[s.get("product_id")]; c != "" {
			ev.Products = []string{c}
		}
		return im.row(s, err, ev)
	})
}
