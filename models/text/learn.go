package text

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"bellwether/models"
	"bellwether/models/wire"
)

// The classes of a text.
const (
	Negative = iota
	Neutral
	Positive
	classes
)

// Learner fits Models. The zero value is ready to use.
type Learner struct {
	Bits   int     // 2^Bits places for the hashed pieces; 0 means 18
	Epochs int     // passes over the texts; 0 means 8
	Rate   float64 // AdaGrad's step; 0 means 0.03
	L2     float64 // weight decay per step; 0 means 1e-5, below 0 none
}

func (l Learner) orDefaults() Learner {
	if l.Bits == 0 {
		l.Bits = 18
	}
	if l.Epochs == 0 {
		l.Epochs = 8
	}
	if l.Rate == 0 {
		l.Rate = .03
	}
	switch {
	case l.L2 == 0:
		l.L2 = 1e-5
	case l.L2 < 0:
		l.L2 = 0
	}
	return l
}

// lane is the float32s kept per place: three classes and one unused, so that a
// place never lies across two cache lines.
const lane = 4

// Model is a fitted reader. It never changes and may be used from any number of
// goroutines.
type Model struct {
	bits   int
	bias   [classes]float32
	weight []float32 // lane per place
}

// Fit learns from texts and their classes (Negative, Neutral, Positive), by
// AdaGrad on the log loss in an order drawn from seed. Texts that occur twice
// count twice; whoever splits texts for a test must first drop duplicates.
func (l Learner) Fit(ctx context.Context, texts []string, class []int, seed uint64) (*Model, error) {
	if len(texts) == 0 {
		return nil, fmt.Errorf("text: %w", models.ErrEmpty)
	}
	if len(class) != len(texts) {
		return nil, fmt.Errorf("text: %d texts, %d classes", len(texts), len(class))
	}
	l = l.orDefaults()
	if l.Bits < 8 || l.Bits > 24 {
		return nil, fmt.Errorf("text: %d bits, not 8 to 24", l.Bits)
	}
	var count [classes]float64
	for i, c := range class {
		if c < 0 || c >= classes {
			return nil, fmt.Errorf("text: class of text %d is %d", i, c)
		}
		count[c]++
	}
	if max(count[0], count[1], count[2]) == float64(len(texts)) {
		return nil, fmt.Errorf("text: %w", models.ErrOneClass)
	}
	m := &Model{bits: l.Bits, weight: make([]float32, lane<<l.Bits)}
	for c := range count {
		m.bias[c] = float32(math.Log((count[c] + 1) / float64(len(texts)+classes)))
	}
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	squares := make([]float32, len(m.weight))
	for range l.Epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for k, i := range order {
			if k%256 == 0 {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
			}
			m.step(texts[i], class[i], squares, l)
		}
	}
	return m, nil
}

func (m *Model) step(text string, class int, squares []float32, l Learner) {
	var p pieces
	p.read(text, 32-m.bits)
	chance := m.chances(&p)
	var slope [classes]float32
	for c := range slope {
		slope[c] = float32(chance[c])
	}
	slope[class]--
	rate, decay := float32(l.Rate), float32(l.L2)
	for _, part := range [][]uint32{p.words(), p.chars()} {
		value := norm(len(part))
		for _, place := range part {
			at := int(place) * lane
			w, s := m.weight[at:at+classes], squares[at:at+classes]
			for c := range classes {
				g := slope[c]*value + decay*w[c]
				s[c] += g * g
				if s[c] > 0 {
					w[c] -= rate * g / float32(math.Sqrt(float64(s[c])))
				}
			}
		}
	}
	for c := range slope {
		m.bias[c] -= .002 * slope[c]
	}
}

// norm makes the length of a text no matter of its own.
func norm(n int) float32 {
	if n == 0 {
		return 0
	}
	return float32(1 / math.Sqrt(float64(n)))
}

func (m *Model) chances(p *pieces) (chance [classes]float64) {
	var sum [2][classes]float32
	for k, part := range [2][]uint32{p.words(), p.chars()} {
		var a, b, c float32
		for _, place := range part {
			w := m.weight[int(place)*lane:][:classes:classes]
			a += w[0]
			b += w[1]
			c += w[2]
		}
		value := norm(len(part))
		sum[k] = [classes]float32{a * value, b * value, c * value}
	}
	top, all := math.Inf(-1), 0.0
	for c := range chance {
		chance[c] = float64(m.bias[c] + sum[0][c] + sum[1][c])
		top = max(top, chance[c])
	}
	for c := range chance {
		chance[c] = math.Exp(chance[c] - top)
		all += chance[c]
	}
	for c := range chance {
		chance[c] /= all
	}
	return chance
}

// Chances returns the probabilities of Negative, Neutral and Positive. It does
// not allocate.
func (m *Model) Chances(text string) [classes]float64 {
	var p pieces
	p.read(text, 32-m.bits)
	return m.chances(&p)
}

// Sentiment is the chance of Positive less that of Negative, in [-1, 1].
func (m *Model) Sentiment(text string) float64 {
	chance := m.Chances(text)
	return chance[Positive] - chance[Negative]
}

const magic = "txt1"

// MarshalBinary writes the model.
func (m *Model) MarshalBinary() ([]byte, error) {
	e := wire.NewEncoder(magic)
	e.Int(m.bits)
	e.Float32s(m.bias[:])
	e.Float32s(m.weight)
	return e.Seal(), nil
}

// Load reads what MarshalBinary wrote, or answers models.ErrCorrupt.
func Load(b []byte) (*Model, error) {
	d := wire.NewDecoder(magic, b)
	m := &Model{bits: d.Int()}
	bias := d.Float32s()
	m.weight = d.Float32s()
	if err := d.Close(); err != nil || m.bits < 8 || m.bits > 24 || len(bias) != classes || len(m.weight) != lane<<m.bits {
		return nil, errors.Join(fmt.Errorf("text: %w", models.ErrCorrupt), err)
	}
	copy(m.bias[:], bias)
	return m, nil
}
