package routing

import (
	"slices"

	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/models/trial"
)

// parts is a model split by the sides of its inputs: what the lead says is made
// once per decision, what a partner says is kept with its block, and only the
// pair's inputs are left per candidate.
type parts struct {
	set  *features.Set
	each []*trial.Factored // win, and accept where there is one
}

// split returns the model in parts for a set, nil where there is none or one of
// its predictors cannot be split.
func (m *Model) split(set *features.Set) *parts {
	if m == nil {
		return nil
	}
	m.splitting.Do(func() {
		p := &parts{set: set}
		for _, predictor := range []*trial.Predictor{m.Win, m.Accept} {
			if predictor == nil {
				continue
			}
			f, ok := predictor.Factor(sidesOf(set))
			if !ok {
				return
			}
			p.each = append(p.each, f)
		}
		m.parts.Store(p)
	})
	return m.partsOf(set)
}

// partsOf is split if that was done before, else nil: it never takes long.
func (m *Model) partsOf(set *features.Set) *parts {
	if m == nil {
		return nil
	}
	if p := m.parts.Load(); p != nil && p.set == set {
		return p
	}
	return nil
}

func sidesOf(set *features.Set) []uint8 {
	side := make([]uint8, set.Width())
	for i, f := range set.Features() {
		side[i] = uint8(f.Side)
	}
	return side
}

// says is what one side says to each predictor.
type says [2][]uint64

// reach writes what the columns of one side say.
func (p *parts) reach(dst *says, side features.Side, own []float64) {
	for i, f := range p.each {
		dst[i] = slices.Grow(dst[i][:0], f.Words())[:f.Words()]
		f.Reach(dst[i], uint8(side), own)
	}
}

// reach is what a partner's block says to a model.
type reach struct {
	parts *parts
	words says
}

// known returns what a partner's block says, nothing where this model was not
// asked yet or p is nil.
func (p *parts) known(b *block) says {
	if r := b.reach.Load(); r != nil && r.parts == p {
		return r.words
	}
	return says{}
}

// of is known, made where it was not. Two decisions at once may both make it: the
// same bits.
func (p *parts) of(b *block) says {
	if s := p.known(b); s[0] != nil {
		return s
	}
	r := &reach{parts: p}
	p.reach(&r.words, features.Partner, b.values)
	b.reach.Store(r)
	return r.words
}

// ofCase makes what the lead says, once for all candidates.
func (p *parts) ofCase(c *Case) { p.reach(&c.words, features.Lead, c.ofLead) }

// predict writes the probabilities of the candidates from one on.
func (p *parts) predict(out []record.Candidate, c *Case, from int) {
	n := len(out)
	c.others = slices.Grow(c.others[:0], n)[:n]
	pairs := c.pairsOf(from, from+n)
	for k, f := range p.each {
		for i := range c.others {
			o := &c.candidates[from+i]
			if o.says[k] == nil {
				o.says = p.of(o.block)
			}
			c.others[i] = o.says[k]
		}
		f.Probabilities(c.chance[:n], c.words[k], c.others, pairs, &c.trial)
		if k == 0 {
			setWin(out, c.chance)
		} else {
			setAccept(out, c.chance)
		}
	}
}
