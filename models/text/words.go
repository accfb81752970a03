package text

import "strings"

// The lists below are this project's own: words partners and their managers
// use of deals, products and each other. A list's number is the strength of its
// words, from -3 (a reason to leave) to 3 (a reason to stay).
var lists = []struct {
	strength float32
	words    string
}{
	{3, `amazing awesome brilliant delighted delightful excellent exceptional fantastic incredible
		love loved loves loving magnificent marvelous marvellous outstanding perfect perfectly phenomenal
		superb terrific thrilled unbeatable wonderful wonderfully stellar flawless flawlessly`},
	{2, `appreciate appreciated appreciative best committed congrats congratulations eager easy easily effective efficient
		enjoy enjoyed enjoying enthusiastic excited exciting favorite favourite friendly fun generous glad good grateful
		great happy helpful helped impressed impressive improved improvement kind loyal nice pleasant pleased pleasure
		positive praise productive professional profitable promising proud recommend recommended reliable renew renewed
		renewing rewarding satisfied seamless smooth smoothly solid strong succeed success successful successfully
		thank thankful thanks thx thrive thriving trust trusted valuable valued win winning won works yay`},
	{1, `able accept accepted active agree agreed aligned available better clear clearly closed comfortable confident
		convenient correct expand expanding fair fast faster fine fixed fresh gain gained gains grow growing growth
		help helping helps hope hopeful hoping interested interesting keen like liked likes looking-forward okay ok
		opportunity optimistic progress prompt promptly quick quickly quicker ready resolve resolved responsive right
		safe simple solved stable support supported supportive supports sure timely upgrade upgraded useful welcome
		well worth working yes`},
	{-1, `behind busy careful change complicated concern concerned concerns confused confusing costly decline declined
		decrease decreased defer deferred delay delayed delaying delays difficult difficulty doubt doubts drop dropped
		escalate escalated expensive gap gaps hard hesitant hidden incomplete inconsistent lack lacking lacks late
		later limited long lower mistake mistakes must need outdated overdue pause paused pending postpone postponed
		pressure price pricey problem quiet reduce reduced risk risky rude shortage skip skipped slow slower slowly
		stop stopped stuck struggle struggled struggling tired tough unclear unsure unavailable unexpected wait waited
		waiting weak`},
	{-2, `abandon abandoned against angry annoyed annoying bad badly blame blocked bother broke broken bug bugs buggy
		cancel canceled cancelled cancelling cancels churn complain complained complaining complaint complaints conflict
		crash crashed crashes crashing damage damaged defect defective denied dead disagree disappoint disappointed
		disappointing disappointment dispute error errors excuse excuses fail failed failing fails failure failures
		fault fear flaw flawed forgot frustrated frustrating frustration hate hated ignore ignored ignores ignoring
		impossible inadequate incompetent incorrect issue issues lie lied lose losing loss lost lousy mess messy miss
		missed missing mislead misled misleading negative neglect neglected nobody nonsense nothing outage poor poorly
		problems refuse refused refuses reject rejected rejection ridiculous sad shame sick sorry stole stolen
		terminate terminated termination trouble troubles unable unacceptable unanswered uncertain undercut unfair unhappy unhelpful
		unprofessional unreliable unresponsive unsatisfied unstable untrue upset useless violated vulnerable waste wasted wrong wtf`},
	{-3, `abysmal appalling atrocious awful betrayed catastrophe catastrophic cheated crap deceived dire disaster disastrous
		disgraceful disgusted disgusting dishonest dreadful fraud fraudulent furious hopeless horrendous horrible horribly
		horrific lawsuit liar nightmare outrageous pathetic rubbish scam shameful shocking sucks suck terrible terribly
		toxic unbearable worst worthless worse`},
}

// How a word bears on those after it.
const (
	plain = iota
	negates
	strengthens
	softens
	turns // "but": what comes after it is what is meant
)

var roles = []struct {
	role  uint8
	words string
}{
	{negates, `not no never none cannot cant can't dont don't didnt didn't doesnt doesn't isnt isn't wasnt wasn't arent aren't
		werent weren't wont won't wouldnt wouldn't couldnt couldn't shouldnt shouldn't hasnt hasn't havent haven't hadnt hadn't
		aint ain't neither nor without hardly barely rarely scarcely`},
	{strengthens, `very really extremely so too absolutely completely totally highly hugely incredibly particularly especially
		deeply utterly truly most more constantly always`},
	{softens, `slightly somewhat fairly rather little bit kind-of mildly occasionally sometimes partly almost less`},
	{turns, `but however although though yet nevertheless`},
}

type entry struct {
	strength float32
	role     uint8
}

var lexicon = buildLexicon()

func buildLexicon() map[string]entry {
	m := map[string]entry{}
	for _, l := range lists {
		for w := range strings.FieldsSeq(l.words) {
			m[w] = entry{strength: l.strength}
		}
	}
	for _, l := range roles {
		for w := range strings.FieldsSeq(l.words) {
			m[w] = entry{role: l.role}
		}
	}
	return m
}
