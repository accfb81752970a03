package routing

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"bellwether/features"
)

// phrase says one feature of a partner to somebody who has never heard of
// features: a whole predicate ("answers offers in 40 hours on average"), and the
// figure alone, to set beside another partner's ("3 hours").
type phrase struct{ text, figure string }

// wording makes the phrase of a feature's value. It may return no text, where
// nothing can be said.
type wording func(p *profile, x float64) phrase

// wordings are the features people are told of, but for the lead's segments and
// the attributes; see wordingOf.
var wordings = worded()

func worded() map[string]wording {
	w := map[string]wording{}
	for _, part := range []map[string]wording{ofRecord, ofPaper, ofWork, ofBusiness, ofFit} {
		maps.Copy(w, part)
	}
	for name, did := range map[string]string{
		"offer": "was last made an offer", "accept": "last accepted an offer", "win": "last won a deal", "order": "last placed an order",
		"business": "last sold something", "first_business": "first sold something", "portal": "last used the portal",
		"activity": "was last heard of", "message": "last wrote to us", "survey": "last answered a survey",
	} {
		w["partner_days_since_"+name] = of(did+" %s", ago)
	}
	for end, when := range windows {
		countedOver(w, end, when)
	}
	return w
}

// countedOver says the features that count over a length of time.
func countedOver(w map[string]wording, end, when string) {
	for name, what := range map[string][2]string{
		"offers": {"was made %s", "offer"}, "accepts": {"accepted %s", "offer"}, "declines": {"declined %s", "offer"}, "expiries": {"let %s expire", "offer"},
		"wins": {"won %s", "deal"}, "losses": {"lost %s", "deal"}, "orders": {"placed %s", "order"}, "business": {"made %s", "sale"},
		"registered": {"registered %s", "deal"}, "portal": {"used the portal %s", "time"}, "trainings": {"finished %s", "training"},
		"support": {"had %s", "support case"}, "surveys": {"answered %s", "survey"}, "messages": {"wrote %s", "message"},
		"touches": {"took part in our deals %s", "time"}, "activity": {"did something with us %s", "time"},
	} {
		w["partner_"+name+end] = counted(what[0]+" "+when, what[1])
	}
	for name, what := range map[string]string{"revenue": "won deals worth %s", "order_revenue": "placed orders worth %s", "business_revenue": "made sales worth %s", "payouts": "was paid %s"} {
		w["partner_"+name+end] = func(p *profile, x float64) phrase { return p.money(what+" "+when, x) }
	}
}

// The parts of wordings that are listed one by one.
var (
	// ofRecord says how often it wins and accepts, and what it is.
	ofRecord = map[string]wording{
		"partner_id": life, featDecided: life, featWinRate: life,
		"partner_win_rate_364d":    wonOf("_364d", "in the last year"),
		"partner_win_rate_91d":     wonOf("_91d", "in the last 3 months"),
		featAcceptRate:             acceptedOf("_life", "so far"),
		"partner_accept_rate_364d": acceptedOf("_364d", "in the last year"),
		"partner_accept_rate_91d":  acceptedOf("_91d", "in the last 3 months"),
		"partner_tier_win_rate":    of("partners of its tier win %s of their leads", percent),
		"partner_tier":             func(p *profile, _ float64) phrase { return named("is tier %s", p.of.partner.Tier) },
		"partner_kind":             func(p *profile, _ float64) phrase { return named("is of the kind %s", p.of.partner.Kind) },
		"partner_parent":           func(p *profile, _ float64) phrase { return named("belongs to %s", string(p.of.partner.Parent)) },
		"partner_region":           func(p *profile, _ float64) phrase { return named("sits in %s", p.of.partner.Home.Region) },
	}

	// ofPaper says what it says of itself, and what papers it holds.
	ofPaper = map[string]wording{
		"partner_competences":      counted("lists %s", "competence"),
		"partner_territories":      territoriesInWords,
		"partner_industries":       counted("lists %s", "industry"),
		"partner_languages":        counted("lists %s", "language"),
		"partner_marketplaces":     counted("sells on %s", "marketplace"),
		"partner_capacity":         of("can take %s leads a day", number),
		"partner_tenure":           of("has been a partner for %s", span),
		"partner_certificates":     counted("holds %s in force", "certificate"),
		"partner_certificate_days": of("its next certificate ends in %s", span),
		"partner_contract_days":    contractInWords,
	}

	// ofWork says how it handles what it is offered.
	ofWork = map[string]wording{
		"partner_response_hours":     of("answers offers in %s on average", hours),
		"partner_response_hours_91d": of("answered offers in %s on average in the last 3 months", hours),
		"partner_waiting":            counted("has %s of the last 4 weeks to answer", "offer"),
		"partner_working":            counted("works on %s now", "lead"),
		"partner_load":               of("has work in hand for %s", span),
		"partner_week_load":          of("was offered %s of what it can take in a week", percent),
	}

	// ofBusiness says how its business goes.
	ofBusiness = map[string]wording{
		"partner_business_gap":      of("sells something every %s on average", span),
		"partner_business_overdue":  of("its last sale is %s its usual pause ago", times),
		"partner_business_trend":    of("sold %s as much in the last 4 weeks as in the months before", factor),
		"partner_revenue_trend":     of("its revenue of the last 3 months is %s its usual", factor),
		"partner_portal_velocity":   of("used the portal %s as much in the last 4 weeks as before", factor),
		"partner_activity_velocity": of("was %s as active in the last 4 weeks as before", factor),
		"partner_deal_size_log":     func(p *profile, x float64) phrase { return p.money("its sales are worth %s on average", math.Expm1(x)) },
		"partner_survey_mean":       of("rates us %s of 10 on average", number),
		"partner_survey_last":       of("last rated us %s of 10", number),
		"partner_sentiment_28d":     of("its messages of the last 4 weeks sound %s", mood),
		"partner_sentiment_91d":     of("its messages of the last 3 months sound %s", mood),
		"partner_support_severity":  of("its support cases have a severity of %s of 5", number),
		"partner_accounts":          counted("has to do with %s", "account"),
		"partner_overlaps":          counted("shares business with %s", "account"),
		"partner_integrations":      counted("has switched on %s", "integration"),
	}

	// ofFit says how it goes with the lead.
	ofFit = map[string]wording{
		"pair_competence_share":  of("is competent in %s of what the lead wants", percent),
		"pair_competence_level":  levelInWords,
		"pair_language_match":    whether("speaks the lead's language", "does not speak the lead's language"),
		"pair_industry_match":    whether("lists the lead's industry", "does not list the lead's industry"),
		"pair_territory_match":   whether("sells in the lead's region", "does not sell in the lead's region"),
		"pair_marketplace_match": whether("sells on the marketplace the customer prefers", "does not sell on the marketplace the customer prefers"),
		"pair_same_region":       whether("is in the customer's region", "is not in the customer's region"),
		"pair_registered":        whether("has registered a deal with this customer", "has registered no deal with this customer"),
		"pair_distance":          of("is %s from the customer", func(x float64) string { return number(math.Round(x)) + " km" }),
		"pair_account_offers":    counted("was offered %s of this customer before", "lead"),
		"pair_account_wins":      counted("won %s with this customer before", "deal"),
		"pair_account_days":      of("last had to do with this customer %s", ago),
		"pair_account_overlap":   counted("shares %s with this customer", "piece of business"),
		featExpected:             of("would win %s of leads like this one going by past win rates alone", percent),
	}
)

// windows are the lengths of time a feature may be counted over.
var windows = map[string]string{"_7d": "in the last 7 days", "_28d": "in the last 4 weeks", "_91d": "in the last 3 months", "_364d": "in the last year", "_life": "so far"}

// wordingOf returns how a feature is said, nil if people are not told of it.
func wordingOf(f *features.Feature) wording {
	if w := wordings[f.Name]; w != nil {
		return w
	}
	if segment, is := strings.CutPrefix(f.Name, "pair_"); is {
		if dimension, is := dimensionOf(segment); is {
			return func(p *profile, _ float64) phrase { return p.segment(dimension) }
		}
	}
	attribute, is := strings.CutPrefix(f.Name, "partner_attr_")
	if !is || f.Kind != 0 {
		return nil
	}
	return of("its "+strings.ReplaceAll(attribute, "_", " ")+" is %s", number)
}

// dimensionOf takes the dimension out of "industry_win_rate" and the like.
func dimensionOf(segment string) (dimension string, ok bool) {
	for _, end := range []string{"_win_rate", "_decided"} {
		if dimension, ok = strings.CutSuffix(segment, end); ok {
			return dimension, true
		}
	}
	return "", false
}

// of says a number by a format, with a figure made by write.
func of(format string, write func(float64) string) wording {
	return func(_ *profile, x float64) phrase {
		figure := write(x)
		return phrase{fmt.Sprintf(format, figure), figure}
	}
}

// counted says how many.
func counted(format, thing string) wording {
	return of(format, func(x float64) string { return count(x, thing) })
}

// whether says a fact that is so or not.
func whether(yes, no string) wording {
	return func(_ *profile, x float64) phrase {
		if x == 0 {
			return phrase{no, "no"}
		}
		return phrase{yes, "yes"}
	}
}

func named(format, name string) phrase {
	if name == "" {
		return phrase{}
	}
	return phrase{fmt.Sprintf(format, name), name}
}

// money says an amount of the base currency.
func (p *profile) money(format string, x float64) phrase {
	figure := strings.TrimSpace(number(math.Round(x)) + " " + p.c.set.Options().Base)
	return phrase{fmt.Sprintf(format, figure), figure}
}

// won says some of so many, between two texts.
func won(before string, wins, all float64, after string) phrase {
	figure := fmt.Sprintf("%.0f of %.0f", wins, all)
	return phrase{before + " " + figure + " " + after, figure}
}

// beside sets a rate of others beside one's own.
func beside(who string, rate float64) string {
	if math.IsNaN(rate) {
		return ""
	}
	return ", " + who + " " + percent(rate)
}

// ofItsTier sets the win rate of the partner's tier beside its own.
func (p *profile) ofItsTier() string {
	who := "partners of its tier"
	if p.of.partner.Tier == "" {
		who = "all partners"
	}
	return beside(who, p.value("partner_tier_win_rate"))
}

// life says the partner's whole record.
func life(p *profile, _ float64) phrase {
	wins, losses := p.value("partner_wins_life"), p.value("partner_losses_life")
	switch {
	case wins+losses > 0:
		return won("won", wins, wins+losses, "deals so far"+p.ofItsTier())
	case math.IsNaN(p.value(featWinRate)):
		return phrase{}
	}
	return phrase{"has no deal decided yet" + p.ofItsTier(), "none decided"}
}

func wonOf(end, when string) wording {
	return func(p *profile, _ float64) phrase {
		wins, losses := p.value("partner_wins"+end), p.value("partner_losses"+end)
		if !(wins+losses > 0) {
			return phrase{"had no deal decided " + when, "none decided"}
		}
		return won("won", wins, wins+losses, "deals "+when+p.ofItsTier())
	}
}

func acceptedOf(end, when string) wording {
	return func(p *profile, _ float64) phrase {
		yes := p.value("partner_accepts" + end)
		all := yes + p.value("partner_declines"+end) + p.value("partner_expiries"+end)
		if !(all > 0) {
			return phrase{"answered no offer " + when, "none answered"}
		}
		return won("accepted", yes, all, "offers "+when)
	}
}

func territoriesInWords(_ *profile, x float64) phrase {
	if x == 0 {
		return phrase{"sells everywhere", "everywhere"}
	}
	return counted("sells in %s", "region")(nil, x)
}

func contractInWords(_ *profile, x float64) phrase {
	if x < 0 {
		return phrase{"its contract ended " + ago(-x), "ended " + ago(-x)}
	}
	return of("its contract ends in %s", span)(nil, x)
}

func levelInWords(_ *profile, x float64) phrase {
	if x < 0 {
		return phrase{"states no competence in what the lead wants", "none"}
	}
	return of("has competence level %s in what the lead wants", func(x float64) string { return fmt.Sprintf("%.0f of 5", x) })(nil, x)
}

// segment says the partner's record with leads like this one.
func (p *profile) segment(dimension string) phrase {
	word := p.c.segmentName(dimension)
	rate, n := p.value("pair_"+dimension+"_win_rate"), p.value("pair_"+dimension+"_decided")
	if word == "" || math.IsNaN(rate) || math.IsNaN(n) {
		return phrase{}
	}
	everybody := p.value("lead_" + dimension + "_win_rate")
	others := beside("all partners", everybody)
	if n == 0 {
		return phrase{"has no lead in " + word + " decided yet" + others, "none decided"}
	}
	wins := features.SegmentWins(n, rate, p.value(featWinRate), everybody, p.value("lead_global_win_rate"))
	if !(wins >= 0 && wins <= n) {
		return phrase{fmt.Sprintf("wins about %s of leads in %s (%s decided)%s", percent(rate), word, count(n, "lead"), others), percent(rate)}
	}
	return won("won", wins, n, "leads in "+word+others)
}

// segmentName is the lead's own segment of a dimension, "" if it is not said.
func (c *Case) segmentName(dimension string) string {
	l := c.lead
	if name, is := strings.CutPrefix(dimension, "attr_"); is {
		return l.Attributes[name].String()
	}
	switch dimension {
	case "industry":
		return l.Industry
	case "product":
		return some(l.Products)
	case "region":
		return l.Place.Region
	case "size_band":
		return prefixed("companies of size ", l.SizeBand)
	case "source":
		return prefixed("leads from ", l.Source)
	}
	return ""
}

func prefixed(before, word string) string {
	if word == "" {
		return ""
	}
	return before + word
}
