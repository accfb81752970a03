package synth

import (
	"math/rand/v2"
	"strings"
)

// The sizes of the tables below.
const (
	numIndustries = 10
	numProducts   = 12
	numSizes      = 5
	numRegions    = 10
)

var (
	industries = [numIndustries]string{"manufacturing", "healthcare", "finance", "retail", "public sector",
		"education", "energy", "logistics", "media", "professional services"}
	products = [numProducts]string{"identity", "backup", "analytics", "data-lake", "endpoint", "network",
		"contact-center", "erp-connect", "iot-suite", "devops", "collaboration", "edge-gateway"}
	sizes        = [numSizes]string{"1-49", "50-249", "250-999", "1000-4999", "5000+"}
	sizeShares   = [numSizes]float64{0.30, 0.32, 0.20, 0.12, 0.06}
	sources      = []string{"web", "referral", "event", "campaign", "outbound", "marketplace", "inside_sales"}
	sourceShares = []float64{0.30, 0.12, 0.12, 0.18, 0.14, 0.06, 0.08}
	sourceEffect = []float64{0, 0.7, 0.1, -0.35, -0.55, 0.3, 0.15}
	needShares   = []float64{0.45, 0.25, 0.2, 0.1} // over record.Needs
	needEffect   = []float64{0, -0.2, 0.25, 0.1}
	markets      = []string{"aws", "azure", "gcp", "own-store"}
	kinds        = []string{"reseller", "msp", "si", "isv", "distributor", "referral"}
	tiers        = []string{"bronze", "silver", "gold", "platinum"}
	lossReasons  = []string{"price", "competitor", "no_budget", "no_decision", "timing", "missing_feature", "poor_follow_up"}
	stages       = []string{"qualified", "proposal", "negotiation"}
)

// regions are where business happens; share is of leads and of partners.
var regions = [numRegions]struct {
	name, language, currency, zone string
	lat, lon, share                float64
}{
	{"DACH", "de", "EUR", "Europe/Berlin", 49.5, 10.0, 0.18},
	{"France", "fr", "EUR", "Europe/Paris", 47.0, 2.5, 0.11},
	{"UK and Ireland", "en", "GBP", "Europe/London", 52.8, -2.0, 0.15},
	{"Nordics", "sv", "SEK", "Europe/Stockholm", 59.8, 16.0, 0.08},
	{"Benelux", "nl", "EUR", "Europe/Amsterdam", 51.6, 4.9, 0.08},
	{"Iberia", "es", "EUR", "Europe/Madrid", 40.2, -4.0, 0.07},
	{"Italy", "it", "EUR", "Europe/Rome", 43.5, 11.5, 0.07},
	{"Central Europe", "pl", "PLN", "Europe/Warsaw", 50.8, 19.0, 0.06},
	{"US East", "en", "USD", "America/New_York", 40.0, -76.0, 0.11},
	{"US West", "en", "USD", "America/Los_Angeles", 38.5, -120.5, 0.09},
}

var regionShares = func() (s [numRegions]float64) {
	for i, r := range regions {
		s[i] = r.share
	}
	return s
}()

var (
	nameHeads  = []string{"Al", "Bel", "Cor", "Dan", "El", "Fer", "Gran", "Hol", "In", "Jor", "Kal", "Lum", "Mar", "Nor", "Or", "Pel", "Quar", "Ros", "Sol", "Tor", "Ur", "Vel", "Wes", "Yar", "Zen"}
	nameTails  = []string{"ano", "bris", "cken", "dova", "ent", "fields", "gard", "holm", "ida", "kastel", "lund", "mont", "nova", "oria", "pex", "quist", "rand", "stad", "tec", "vale", "wick", "ys"}
	companyEnd = []string{"Group", "Industries", "Holdings", "Works", "Logistics", "Care", "Foods", "Partners", "Systems", "Energy", "Retail", "Labs"}
	partnerEnd = []string{"Consulting", "IT Services", "Solutions", "Systems", "Networks", "Digital", "Cloud", "Integration", "Technologies", "Datacom"}
)

func name(r *rand.Rand, ends []string) string {
	return nameHeads[r.IntN(len(nameHeads))] + nameTails[r.IntN(len(nameTails))] + " " + ends[r.IntN(len(ends))]
}

// leadTexts are what a buyer's intent sounds like: poor, middling, strong.
var leadTexts = [3][]string{
	{"Just looking around, no budget yet.", "Student project, wants general information on {p}.", "Asked for a brochure about {p}, no timeline.", "Collecting material on {p} for next year maybe."},
	{"Interested in {p}, wants a call next week.", "Comparing vendors for {p}.", "Would like a demo of {p} for the {i} team.", "Asks what {p} costs for a company in {i}."},
	{"Budget approved for {p}, decision this quarter.", "Current {p} contract ends soon, needs a replacement now.", "Ready to buy {p}, asks for a quote.", "Board has signed off {p}, wants an implementation date."},
}

// messageTexts are what a partner writes: unhappy, neutral, happy.
var messageTexts = [3][]string{
	{"We are disappointed: third week without an answer on {p}.", "The last leads were useless and cost us time.", "Nobody called back about the {p} issue, this is not acceptable.", "Margins on {p} no longer work for us.", "Frustrated with the portal, registration failed again.", "We lost the deal because support on {p} was too slow.", "Honestly we are thinking about working with another vendor."},
	{"Please send the current price list for {p}.", "Our new contact for {p} starts on Monday.", "Could you confirm the date of the {p} training?", "We moved offices, the new address is in the portal.", "Attached is the signed order form for {p}.", "Question about the renewal terms of {p}."},
	{"Great support on {p}, the customer is delighted.", "Thanks for the quick help, we closed it.", "Very happy with the last leads, keep them coming.", "The {p} training was excellent.", "Our team loves the new release of {p}.", "Good collaboration this quarter, we want to do more."},
}

func phrase(r *rand.Rand, texts []string, product, industry string) string {
	s := texts[r.IntN(len(texts))]
	s = strings.ReplaceAll(s, "{p}", product)
	return strings.ReplaceAll(s, "{i}", industry)
}

func choose(r *rand.Rand, shares []float64) int {
	u := r.Float64()
	for i, s := range shares {
		if u -= s; u < 0 {
			return i
		}
	}
	return len(shares) - 1
}
