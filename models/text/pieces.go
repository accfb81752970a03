package text

const (
	longestText = 1024 // bytes; what comes after is not read
	mostWords   = 2*longestText + 2
	mostChars   = 3 * (longestText + 2)
)

// pieces is a text cut into hashed words and pairs of words, and hashed runs of
// 3 to 5 characters. Letters are lower case, digits are all 0, links are one
// word, a letter repeated is repeated once, marks are words. Characters beyond
// ASCII are taken byte by byte, so an emoji is a run of four.
type pieces struct {
	place        [mostWords + mostChars]uint32
	nWord, nChar int
}

func (p *pieces) words() []uint32 { return p.place[:p.nWord] }
func (p *pieces) chars() []uint32 { return p.place[mostWords : mostWords+p.nChar] }

func (p *pieces) read(text string, shift int) {
	var clean [longestText + 2]byte
	n := tidy(&clean, text)
	p.cutWords(clean[:n], shift)
	p.cutChars(clean[:n], shift)
}

// tidy writes the text between two spaces, runs of spaces taken as one.
func tidy(dst *[longestText + 2]byte, text string) int {
	dst[0] = ' '
	n := 1
	for i := 0; i < len(text) && n < len(dst)-1; i++ {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= '0' && c <= '9':
			c = '0'
		case c <= ' ':
			c = ' '
		}
		if c == 'h' && len(text)-i > 4 && text[i:i+4] == "http" {
			for i+1 < len(text) && text[i+1] > ' ' {
				i++
			}
			c = '~'
		}
		if c == ' ' && dst[n-1] == ' ' || n > 1 && c == dst[n-1] && c == dst[n-2] {
			continue
		}
		dst[n] = c
		n++
	}
	if dst[n-1] != ' ' {
		dst[n] = ' '
		n++
	}
	return n
}

const (
	prime     = 0x01000193 // of 32-bit FNV
	wordSeed  = 0x811c9dc5
	pairSeed  = 0x3c6ef372
	charsSeed = 0x9e3779b9
)

// mix spreads a hash over its upper bits, which choose the place.
func mix(h uint32, shift int) uint32 {
	h ^= h >> 15
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h >> shift
}

func wordy(c byte) bool {
	return c >= 'a' && c <= 'z' || c == '0' || c == '\'' || c == '@' || c == '#' || c >= 0x80
}

func (p *pieces) cutWords(clean []byte, shift int) {
	n := 0
	last := uint32(0)
	add := func(h uint32) {
		p.place[n] = mix(h, shift)
		p.place[n+1] = mix((last^pairSeed)*prime^h, shift)
		n += 2
		last = h
	}
	for i := 0; i < len(clean); {
		if clean[i] == ' ' {
			i++
			continue
		}
		h := uint32(wordSeed)
		h = (h ^ uint32(clean[i])) * prime
		if wordy(clean[i]) {
			for i+1 < len(clean) && wordy(clean[i+1]) {
				i++
				h = (h ^ uint32(clean[i])) * prime
			}
		}
		i++
		add(h)
	}
	p.nWord = n
}

func (p *pieces) cutChars(clean []byte, shift int) {
	n := mostWords
	for i := 0; i+3 <= len(clean); i++ {
		h := uint32(charsSeed)
		h = (h ^ uint32(clean[i])) * prime
		h = (h ^ uint32(clean[i+1])) * prime
		h = (h ^ uint32(clean[i+2])) * prime
		p.place[n] = mix(h, shift)
		n++
		if i+4 <= len(clean) {
			h = (h ^ uint32(clean[i+3])) * prime
			p.place[n] = mix(h, shift)
			n++
		}
		if i+5 <= len(clean) {
			h = (h ^ uint32(clean[i+4])) * prime
			p.place[n] = mix(h, shift)
			n++
		}
	}
	p.nChar = n - mostWords
}
