// Package text reads the mood of short messages: negative, neutral, positive.
//
// Two readers. Sentiment needs no data: a word list with negation, always the
// same, for use as a live input. A Model is learned from labelled texts: hashed
// words (1-2) and characters (3-5) into a sparse logistic regression of three
// classes. Both are made for English; other languages read as near neutral to
// the word list, and as whatever it was taught to the Model.
package text

import (
	"math"
	"unicode/utf8"
)

const (
	longestWord = 24  // of the lexicon, with room to spare
	reach       = 3   // words a negation or a strengthener bears on
	flip        = -.7 // "not good" is less bad than "bad"
	half        = 3.5 // strength at which the answer is one half
)

// Sentiment reads text by the built-in word list and answers in [-1, 1]: below
// 0 is negative, 0 neutral or nothing known. The same text always gets the same
// answer. It does not allocate.
func Sentiment(text string) float64 {
	var r reader
	var word [longestWord]byte
	n := 0
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
			fallthrough
		case c >= 'a' && c <= 'z', c == '\'', c == '-' && n > 0:
			if n < longestWord {
				word[n] = c
			}
			n++
			i++
			continue
		case c == 0xE2 && i+2 < len(text) && text[i+1] == 0x80 && text[i+2] == 0x99: // the curly apostrophe
			if n < longestWord {
				word[n] = '\''
			}
			n++
			i += 3
			continue
		}
		if n > 0 {
			r.word(word[:min(n, longestWord)])
			n = 0
		}
		if c >= utf8.RuneSelf {
			rune, size := utf8.DecodeRuneInString(text[i:])
			r.sum += pictures(rune)
			i += size
			continue
		}
		i += r.mark(text[i:])
	}
	if n > 0 {
		r.word(word[:min(n, longestWord)])
	}
	if r.exclaimed {
		r.sum *= 1.15
	}
	return float64(r.sum / (float32(math.Abs(float64(r.sum))) + half))
}

// reader is what is known between one word and the next.
type reader struct {
	sum       float32
	negated   int // words the last negation still bears on
	factor    float32
	factored  int // words factor still bears on
	exclaimed bool
}

func (r *reader) word(w []byte) {
	e, known := lexicon[string(w)]
	r.negated--
	r.factored--
	if !known {
		return
	}
	switch e.role {
	case negates:
		r.negated = reach + 1
	case strengthens:
		r.factor, r.factored = 1.3, 2
	case softens:
		r.factor, r.factored = .6, 2
	case turns:
		r.sum *= .5
		r.negated = 0
	default:
		r.add(e.strength)
	}
}

func (r *reader) add(strength float32) {
	if strength == 0 {
		return
	}
	if r.factored > 0 {
		strength *= r.factor
	}
	if r.negated > 0 {
		strength *= flip
	}
	r.sum += strength
}

// mark reads a sign that is no letter and says how many bytes it took.
func (r *reader) mark(rest string) int {
	switch rest[0] {
	case '.', ';', '?', '\n':
		r.negated, r.factored = 0, 0
	case '!':
		r.negated, r.factored = 0, 0
		r.exclaimed = true
	case ':', '=':
		i := 1
		if len(rest) > 2 && rest[1] == '-' {
			i = 2
		}
		if len(rest) > i {
			switch rest[i] {
			case ')', 'D':
				r.sum += 2
				return i + 1
			case '(', '/':
				if i == 2 || rest[i] == '(' { // "http:/" is no face
					r.sum -= 2
					return i + 1
				}
			}
		}
	}
	return 1
}

// pictures is the strength of an emoji.
func pictures(r rune) float32 {
	switch {
	case r >= 0x1F600 && r <= 0x1F60F && r != 0x1F60F, r == 0x1F642, r == 0x1F44D, r == 0x1F389, r == 0x1F64F, r == 0x2764, r == 0x1F60D, r == 0x1F44F:
		return 2
	case r >= 0x1F61E && r <= 0x1F62D, r == 0x1F641, r == 0x1F44E, r == 0x1F612, r == 0x1F614, r == 0x1F621, r == 0x1F494:
		return -2
	}
	return 0
}
