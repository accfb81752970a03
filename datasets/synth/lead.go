package synth

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"bellwether/datasets/record"
)

// facts are what the truth of a deal looks at in a lead; -1 stands for not
// known and has no effect.
type facts struct {
	account                                    int64
	industry, size, region, need, source, mart int
	products                                   []int
	value                                      float64 // log of the estimate over the size's usual one
	committed                                  bool
	intent                                     int // -1 poor, 0 middling, 1 strong
	language                                   string
}

// quality is what the lead itself adds to the log odds of a win, whoever works it.
func (f *facts) quality() float64 {
	z := 0.75*float64(f.intent) - 0.35*f.value
	z += pick(sourceEffect, f.source) + pick(needEffect, f.need)
	if f.committed {
		z += 0.6
	}
	return z
}

// numAccounts is how many customers the leads come from: a lead in two is from
// a customer seen before.
func (w *World) numAccounts() int64 { return max(int64(w.cfg.Leads)/2, 1) }

// account returns where a customer is and what it does.
func (w *World) account(n int64) (industry, size, region int, company string) {
	r := w.stream('A', n)
	industry, size, region = r.IntN(numIndustries), choose(r, sizeShares[:]), choose(r, regionShares[:])
	return industry, size, region, name(r, companyEnd)
}

// incumbent returns the partner that already serves an account, if one does.
func (w *World) incumbent(account int64) *partner {
	if i := w.incumbentIndex(account); i >= 0 {
		return &w.partners[i]
	}
	return nil
}

func (w *World) incumbentIndex(account int64) int {
	if account < 0 {
		return -1
	}
	h := mix(uint64(account) ^ w.cfg.Seed<<1 ^ 0xACC)
	_, _, region, _ := w.account(account)
	near := w.places[region]
	if h%10 >= 3 || len(near) == 0 { // three customers in ten have one
		return -1
	}
	return int(near[h/10%uint64(len(near))])
}

// leadFacts makes a lead of the world from its number.
func (w *World) leadFacts(n int64) facts {
	f, _ := w.leadStream(n)
	return f
}

func (w *World) leadStream(n int64) (facts, *rand.Rand) {
	r := w.stream('L', n)
	f := facts{account: r.Int64N(w.numAccounts()), mart: -1, intent: choose(r, []float64{0.28, 0.44, 0.28}) - 1}
	f.industry, f.size, f.region, _ = w.account(f.account)
	f.source, f.need = choose(r, sourceShares), choose(r, needShares)
	f.products = []int{r.IntN(numProducts)}
	if r.Float64() < 0.2 {
		if k := r.IntN(numProducts); k != f.products[0] {
			f.products = append(f.products, k)
		}
	}
	f.value = 0.7 * r.NormFloat64()
	if r.Float64() < 0.15 {
		f.mart = r.IntN(len(markets))
		f.committed = r.Float64() < 0.5
	}
	f.language = regions[f.region].language
	if r.Float64() < 0.2 {
		f.language = "en"
	}
	return f, r
}

// usualValue is the middle estimate in whole units of currency, by size band.
var usualValue = [numSizes]float64{6_000, 18_000, 55_000, 160_000, 420_000}

func (f *facts) money() record.Money {
	units := math.Round(usualValue[f.size]*math.Exp(f.value)/100) * 100
	return record.Money{Amount: int64(units) * 100, Currency: regions[f.region].currency}
}

// lead writes a lead down as the company has it, with fields missing.
func (w *World) lead(n int64) *record.Lead {
	f, r := w.leadStream(n)
	_, _, _, company := w.account(f.account)
	at := w.start + int64(w.dayOfLead(n))*day + 6*3600 + r.Int64N(14*3600)
	l := &record.Lead{ID: leadID(n), CreatedAt: time.Unix(at, 0).UTC(), Account: accountID(f.account), Company: company,
		Industry: industries[f.industry], SizeBand: sizes[f.size], Language: f.language, Need: record.Needs[f.need],
		Value: f.money(), Source: sources[f.source], CommittedSpend: f.committed}
	for _, k := range f.products {
		l.Products = append(l.Products, products[k])
	}
	l.Place = near(r, f.region)
	if f.mart >= 0 {
		l.Marketplace = markets[f.mart]
	}
	l.Text = phrase(r, leadTexts[f.intent+1], l.Products[0], l.Industry)
	l.Attributes = record.Attributes{
		"employees": record.Number(math.Round([numSizes]float64{15, 110, 480, 2100, 9000}[f.size] * math.Exp(0.4*r.NormFloat64()))),
		"campaign":  record.Text(fmt.Sprintf("c%d-%d", l.CreatedAt.Year(), (int(l.CreatedAt.Month())-1)/3+1)),
	}
	w.forget(r, l)
	return l
}

// forget leaves fields out as people do.
func (w *World) forget(r *rand.Rand, l *record.Lead) {
	gone := func() bool { return r.Float64() < w.cfg.Missing }
	if gone() {
		l.Industry = ""
	}
	if gone() {
		l.SizeBand = ""
	}
	if gone() {
		l.Value = record.Money{}
	}
	if gone() {
		l.Source = ""
	}
	if gone() {
		l.Place.Lat, l.Place.Lon, l.Place.Located = 0, 0, false
	}
	if gone() {
		l.Text = ""
	}
	if gone() {
		l.Attributes = nil
	}
}

func near(r *rand.Rand, region int) record.Place {
	return record.Place{Region: regions[region].name, Located: true,
		Lat: round4(regions[region].lat + 1.6*r.NormFloat64()), Lon: round4(regions[region].lon + 2.2*r.NormFloat64())}
}

func round4(x float64) float64 { return math.Round(x*1e4) / 1e4 }

func leadID(n int64) record.LeadID { return record.LeadID(fmt.Sprintf("L%07d", n+1)) }

func accountID(n int64) record.AccountID { return record.AccountID(fmt.Sprintf("A%07d", n+1)) }

func number(id, prefix string, limit int64) int64 {
	text, ok := strings.CutPrefix(id, prefix)
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || n < 1 || n > limit {
		return -1
	}
	return n - 1
}

// facts reads a lead: what it says, else what the world knows of it, else
// nothing.
func (w *World) facts(l *record.Lead) facts {
	f := facts{account: number(string(l.Account), "A", w.numAccounts()), industry: -1, size: -1, region: -1, need: -1, source: -1, mart: -1}
	if n := number(string(l.ID), "L", int64(w.cfg.Leads)); n >= 0 {
		if own := w.leadFacts(n); accountID(own.account) == l.Account {
			f = own
		}
	} else if f.account >= 0 {
		f.industry, f.size, f.region, _ = w.account(f.account)
	}
	f.say(l)
	return f
}

// say lets the lead's own words override.
func (f *facts) say(l *record.Lead) {
	override := func(field *int, words []string, word string) {
		if i := slices.Index(words, word); i >= 0 {
			*field = i
		}
	}
	override(&f.industry, industries[:], l.Industry)
	override(&f.size, sizes[:], l.SizeBand)
	override(&f.need, record.Needs, l.Need)
	override(&f.source, sources, l.Source)
	for i := range regions {
		if regions[i].name == l.Place.Region {
			f.region = i
		}
	}
	var wanted []int
	for _, p := range l.Products {
		if k := slices.Index(products[:], p); k >= 0 {
			wanted = append(wanted, k)
		}
	}
	if len(wanted) > 0 {
		f.products = wanted
	}
	f.committed = f.committed || l.CommittedSpend
	if !l.Value.IsZero() && f.size >= 0 && f.region >= 0 && l.Value.Currency == regions[f.region].currency && l.Value.Amount > 0 {
		f.value = math.Log(float64(l.Value.Amount) / 100 / usualValue[f.size])
	}
}
