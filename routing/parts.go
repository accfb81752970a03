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

// split returns the model in parts for a set, nil where one of its predictors
// cannot be split.
func (m *Model) split(set *features.Set) *parts {
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
		m.parts = p
	})
	if m.parts == nil || m.parts.set != set {
		return nil
	}
	return m.parts
}

func sidesOf(set *features.Set) []uint8 {
	side := make([]uint8, set.Width())
	for i, f := range set.Features() {
		side[i] = uint8(f.Side)
	}
	return side
}

// words makes room for what one side says to each predictor.
func (p *parts) words(dst [][]uint64) [][]uint64 {
	dst = slices.Grow(dst[:0], len(p.each))[:len(p.each)]
	for i, f := range p.each {
		dst[i] = slices.Grow(dst[i][:0], f.Words())[:f.Words()]
	}
	return dst
}

// reach is what a partner's block says to a model.
type reach struct {
	parts *parts
	words [][]uint64
}

// of returns what a partner's block says, made anew for another model. Two
// decisions at once may both make it: the same bits.
func (p *parts) of(b *block, row []float64) [][]uint64 {
	if r := b.reach.Load(); r != nil && r.parts == p {
		return r.words
	}
	r := &reach{parts: p, words: p.words(nil)}
	for i, f := range p.each {
		f.Reach(r.words[i], uint8(features.Partner), row)
	}
	b.reach.Store(r)
	return r.words
}

// ofCase makes what the lead says, once for all candidates.
func (p *parts) ofCase(s *Scratch, row []float64) {
	s.ofLead = p.words(s.ofLead)
	most := 0
	for i, f := range p.each {
		f.Reach(s.ofLead[i], uint8(features.Lead), row)
		most = max(most, f.Words())
	}
	s.words = slices.Grow(s.words[:0], most)[:most]
}

// predict writes a candidate's probabilities.
func (p *parts) predict(out *record.Candidate, s *Scratch, b *block, row []float64) {
	partner := p.of(b, row)
	win := p.each[0].Probability(s.words, s.ofLead[0], partner[0], row)
	out.Win, out.WinLo, out.WinHi, out.Accept = win.P, win.Lo, win.Hi, 1
	if len(p.each) > 1 {
		out.Accept = p.each[1].Probability(s.words, s.ofLead[1], partner[1], row).P
	}
}
