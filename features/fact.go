package features

import (
	"math"

	"bellwether/datasets/record"
	"bellwether/models/text"
)

// A fact is an event made small: its words hashed, its money in the base
// currency, its lead found. It is what a partner's history folds in, and what
// Replay hands from the reader to the workers.
type fact struct {
	kind       factKind
	inbound    bool // a message from the partner
	day, today day  // on which it happened, and on which it became known
	at         int64
	id, offer  uint64
	lead, deal uint64
	account    uint64
	amount     int64      // hundredths of the base currency; of what is not money, millionths
	view       *leadState // the lead, if it is still known
	*rare                 // nil for most
}

// rare is what few events have.
type rare struct {
	until    int64
	corrects uint64
	text     string // of a message, a new tier, status or certificate
}

var nothingRare rare

// factKind is an event type's place in record.EventTypes, which never changes.
type factKind uint8

var factKinds = func() map[record.EventType]factKind {
	m := map[record.EventType]factKind{}
	for i, t := range record.EventTypes {
		m[t] = factKind(i)
	}
	return m
}()

func kindOf(t record.EventType) factKind {
	k, ok := factKinds[t]
	if !ok {
		panic("features: event type " + string(t) + " is not in record.EventTypes")
	}
	return k
}

var (
	isTrained     = kindOf(record.Trained)
	isCertified   = kindOf(record.Certified)
	isTier        = kindOf(record.TierChanged)
	isStatus      = kindOf(record.StatusChanged)
	isRenewed     = kindOf(record.ContractRenewed)
	isLapsed      = kindOf(record.ContractLapsed)
	isMerged      = kindOf(record.PartnerMerged)
	isLogin       = kindOf(record.PortalLogin)
	isDownload    = kindOf(record.PortalDownload)
	isView        = kindOf(record.TrainingView)
	isOffer       = kindOf(record.OfferMade)
	isAccepted    = kindOf(record.OfferAccepted)
	isDeclined    = kindOf(record.OfferDeclined)
	isExpired     = kindOf(record.OfferExpired)
	isWithdrawn   = kindOf(record.OfferWithdrawn)
	isSuperseded  = kindOf(record.OfferSuperseded)
	isRegistered  = kindOf(record.DealRegistered)
	isOpened      = kindOf(record.DealOpened)
	isStage       = kindOf(record.DealStage)
	isWon         = kindOf(record.DealWon)
	isLost        = kindOf(record.DealLost)
	isOrder       = kindOf(record.OrderPlaced)
	isTouch       = kindOf(record.Touch)
	isMessage     = kindOf(record.Message)
	isSurvey      = kindOf(record.Survey)
	isSupport     = kindOf(record.SupportCase)
	isIntegration = kindOf(record.IntegrationActivated)
	isPayout      = kindOf(record.Payout)
	isOverlap     = kindOf(record.AccountOverlap)
)

// millionths is a number in fixed point.
func millionths(x float64) int64 {
	return int64(math.Round(min(1e12, max(-1e12, x)) * 1e6))
}

// factOf reads an event; what of it depends on a state is filled in by the
// state. Sentiment is left to fold: it is the one costly reading.
func (s *Set) factOf(e *record.Event) fact {
	f := fact{
		kind: factKinds[e.Type], inbound: e.Direction != "out",
		at: e.At.Unix(), rare: &nothingRare,
		id: max(1, hash(e.ID)), offer: hash(e.Offer), lead: hash(e.Lead), deal: hash(e.Deal),
		account: hash(e.Account),
	}
	f.day = dayOf(f.at)
	if e.Supersedes != "" || e.Text != "" || !e.Until.IsZero() {
		f.rare = &rare{corrects: hash(e.Supersedes), text: e.Text}
		if !e.Until.IsZero() {
			f.until = e.Until.Unix()
		}
	}
	if !e.Amount.IsZero() {
		f.amount = s.hundredths(e.Amount)
	}
	switch f.kind {
	case isSurvey:
		f.amount = millionths(e.Numbers["score"])
	case isSupport:
		f.amount = millionths(e.Numbers["severity"])
	case isOverlap:
		f.amount = millionths(1)
		if n, ok := e.Numbers["count"]; ok {
			f.amount = millionths(n)
		}
	case isMessage:
		f.amount = 0
		if mood, ok := e.Numbers["sentiment"]; ok {
			f.amount, f.rare = millionths(mood), &rare{corrects: f.corrects}
		}
	}
	return f
}

// mood is a message's sentiment in millionths: as given, or read from its words.
func (f *fact) mood() int64 {
	if f.text == "" {
		return f.amount
	}
	return millionths(text.Sentiment(f.text))
}

// qualifies says which events are a partner's own activity: what it did, not
// what was done to it.
var qualifies = func() (own [32]bool) {
	for _, k := range []factKind{isTrained, isCertified, isLogin, isDownload, isView, isAccepted, isDeclined,
		isRegistered, isOpened, isStage, isWon, isLost, isOrder, isTouch, isSurvey, isSupport, isIntegration} {
		own[k] = true
	}
	return own
}()

// seriesOf lists the series a kind of event is most often counted in.
var seriesOf = func() (of [32][]uint8) {
	for kind, list := range map[factKind][]uint8{
		isOffer: {offers, waiting}, isAccepted: {accepts, waiting, working, answers, responses},
		isDeclined: {declines, waiting, answers, responses, decided}, isExpired: {expiries, waiting, answers, decided},
		isWon: {wins, business, working, decided}, isLost: {losses, working, decided}, isOrder: {orders, business},
		isRegistered: {registered}, isOpened: {steps}, isStage: {steps}, isIntegration: {steps}, isTouch: {touches}, isMessage: {messages},
		isSurvey: {surveys}, isSupport: {support}, isPayout: {payouts}, isLogin: {portal}, isDownload: {portal}, isView: {portal},
		isTrained: {trainings}, isCertified: {trainings},
	} {
		of[kind] = list
	}
	return of
}()
