package routing

import (
	"encoding/binary"
	"os"

	"bellwether/datasets/record"
)

// LabelSpill labels the offers of a log that is too long for Labels: it keeps
// what it needs in a temporary file, apart by lead, because no lead's labels
// depend on another's, and settles a part of the leads at a time. Memory grows by
// 80 bytes an asked offer, from Settle on. Close it in any case.
type LabelSpill struct {
	file    *os.File
	size    int64
	parts   [labelParts]labelPart
	asked   int32
	states  []offerLabel // of the asked offers, once settled
	answers bool         // whether the data has any
}

// labelPart is what the log says of a part of the leads, in log order.
type labelPart struct {
	open   []byte
	blocks []int64 // where in the file the full blocks begin
}

const (
	// labelParts makes parts of a log of 20 million events so small that each fits
	// into a processor's cache.
	labelParts = 64
	labelBytes = 7 * 8 // of one fact
	labelBlock = 1024 * labelBytes
	// sawAsked is the fact that an offer's labels are wanted; known is its number.
	sawAsked = sawLost + 1
)

// Observe takes the next event of the log.
func (s *LabelSpill) Observe(e *record.Event) error {
	f, ok := labelFactOf(e)
	if !ok {
		return nil
	}
	return s.keep(&f)
}

// Ask wants the labels of an offer_made event of a lead, observed already or
// not. Asked offers are numbered from 0, as they are asked for.
func (s *LabelSpill) Ask(lead record.LeadID, offer record.EventID) error {
	f := labelFact{what: sawAsked, known: int64(s.asked), id: hash(offer), lead: hash(lead)}
	s.asked++
	return s.keep(&f)
}

func (s *LabelSpill) keep(f *labelFact) error {
	p := &s.parts[f.lead%labelParts]
	for _, word := range [...]uint64{uint64(f.what), uint64(f.known), f.id, f.lead, f.partner, f.offer, f.supersedes} {
		p.open = binary.LittleEndian.AppendUint64(p.open, word)
	}
	if len(p.open) < labelBlock {
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "bellwether-labels-*")
		if err != nil {
			return labelFileError(err)
		}
		s.file = f
	}
	if _, err := s.file.WriteAt(p.open, s.size); err != nil {
		return labelFileError(err)
	}
	p.blocks = append(p.blocks, s.size)
	s.size += labelBlock
	p.open = p.open[:0]
	return nil
}

func labelFileError(err error) error {
	return record.Errorf(record.Exhausted, "label", "a temporary file could not be used: %w; free some space, or set TMPDIR", err)
}

// Settle ends the log: from then on the labels can be read.
func (s *LabelSpill) Settle() error {
	s.states = make([]offerLabel, s.asked)
	block := make([]byte, labelBlock)
	for i := range s.parts {
		p := &s.parts[i]
		var labels Labels
		var asked []labelFact
		for _, at := range p.blocks {
			if _, err := s.file.ReadAt(block, at); err != nil {
				return labelFileError(err)
			}
			asked = labels.takeBlock(block, asked)
		}
		for _, f := range labels.takeBlock(p.open, asked) {
			if n, ok := labels.byEvent[f.id]; ok { // else the zero state: no first offer, no row
				s.states[f.known] = labels.offers[n]
			}
		}
		s.answers = s.answers || labels.HasAnswers()
		*p = labelPart{}
	}
	return nil
}

// takeBlock observes the facts of a block and adds those that ask to asked.
func (l *Labels) takeBlock(block []byte, asked []labelFact) []labelFact {
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(block[8*i:]) }
	for ; len(block) > 0; block = block[labelBytes:] {
		f := labelFact{labelEvent(word(0)), int64(word(1)), word(2), word(3), word(4), word(5), word(6)}
		if f.what == sawAsked {
			asked = append(asked, f)
		} else {
			l.observe(&f)
		}
	}
	return asked
}

// First is Labels.First of the n-th asked offer.
func (s *LabelSpill) First(n int) bool { return s.states[n].before < 0 }

// Win is Labels.Win of the n-th asked offer.
func (s *LabelSpill) Win(n int) (y float64, known int64, counts bool) {
	return s.states[n].win(s.answers)
}

// Accept is Labels.Accept of the n-th asked offer.
func (s *LabelSpill) Accept(n int) (y float64, known int64, counts bool) {
	return s.states[n].accept(s.answers)
}

// Close removes the temporary file.
func (s *LabelSpill) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if e := os.Remove(s.file.Name()); err == nil {
		err = e
	}
	s.file = nil
	return err
}
