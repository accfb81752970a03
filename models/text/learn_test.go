package text_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/text"
)

// tweets are the airline tweets, each text once, in an order drawn from seed.
func tweets(t interface {
	Helper()
	Skip(...any)
	Fatal(...any)
}, seed uint64) (texts []string, class []int) {
	t.Helper()
	dir := os.Getenv("BELLWETHER_DATA")
	if dir == "" {
		t.Skip("BELLWETHER_DATA is not set: the tweets are not there")
	}
	f, err := os.Open(filepath.Join(dir, "sentiment", "Tweets.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for j, name := range rows[0] {
		at[name] = j
	}
	names := map[string]int{"negative": text.Negative, "neutral": text.Neutral, "positive": text.Positive}
	seen := map[string]bool{}
	for _, row := range rows[1:] {
		s := row[at["text"]]
		if seen[s] {
			continue
		}
		seen[s] = true
		texts, class = append(texts, s), append(class, names[row[at["airline_sentiment"]]])
	}
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(texts), func(i, j int) {
		texts[i], texts[j] = texts[j], texts[i]
		class[i], class[j] = class[j], class[i]
	})
	return texts, class
}

// score is accuracy and macro-F1 of a reader.
func score(texts []string, class []int, read func(string) int) (accuracy, f1 float64) {
	var seen [3][3]float64
	for i, s := range texts {
		seen[class[i]][read(s)]++
	}
	for c := range 3 {
		accuracy += seen[c][c] / float64(len(texts))
		var is, said float64
		for k := range 3 {
			is += seen[c][k]
			said += seen[k][c]
		}
		f1 += 2 * seen[c][c] / (is + said) / 3
	}
	return accuracy, f1
}

func likeliest(chance [3]float64) int {
	best := 0
	for c := range chance {
		if chance[c] > chance[best] {
			best = c
		}
	}
	return best
}

// The marks for hashed words and characters are accuracy 0.81 and macro-F1 0.74;
// BenchmarkTweets prints the means over five splits.
func TestTweets(t *testing.T) {
	a, f := split(t, 0)
	t.Logf("accuracy %.4f, macro-F1 %.4f", a, f)
	if a < .81 || f < .74 {
		t.Errorf("accuracy %.4f, macro-F1 %.4f; want 0.81, 0.74", a, f)
	}
}

// split learns from four fifths of the tweets and scores on the rest.
func split(t interface {
	Helper()
	Skip(...any)
	Fatal(...any)
}, seed uint64) (accuracy, f1 float64) {
	t.Helper()
	texts, class := tweets(t, seed)
	cut := len(texts) * 4 / 5
	m, err := text.Learner{}.Fit(context.Background(), texts[:cut], class[:cut], seed)
	if err != nil {
		t.Fatal(err)
	}
	return score(texts[cut:], class[cut:], func(s string) int { return likeliest(m.Chances(s)) })
}

// The word list has seen no tweet; it must at least beat VADER's 0.472 and 0.435.
func TestWordListOnTweets(t *testing.T) {
	texts, class := tweets(t, 0)
	a, f := score(texts, class, func(s string) int {
		switch v := text.Sentiment(s); {
		case v > .1:
			return text.Positive
		case v < -.02:
			return text.Negative
		}
		return text.Neutral
	})
	t.Logf("accuracy %.4f, macro-F1 %.4f", a, f)
	if a < .472 || f < .435 {
		t.Errorf("accuracy %.4f, macro-F1 %.4f", a, f)
	}
}

// made is a small language: the class is in one word, the rest is noise.
func made(n int, seed uint64) (texts []string, class []int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	moods := [3][]string{{"awful", "late", "lost"}, {"tuesday", "gate", "seat"}, {"lovely", "thanks", "smooth"}}
	noise := strings.Fields("the flight to boston was with my bag and crew again today from here")
	for range n {
		c := rng.IntN(3)
		words := []string{moods[c][rng.IntN(3)]}
		for range 3 + rng.IntN(6) {
			words = append(words, noise[rng.IntN(len(noise))])
		}
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		texts, class = append(texts, strings.Join(words, " ")), append(class, c)
	}
	return texts, class
}

func learned(t interface {
	Helper()
	Fatal(...any)
}) *text.Model {
	t.Helper()
	texts, class := made(400, 1)
	m, err := text.Learner{Bits: 12, Epochs: 5, Rate: .1}.Fit(context.Background(), texts, class, 1)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLearnsMadeLanguage(t *testing.T) {
	m := learned(t)
	texts, class := made(300, 2)
	if a, _ := score(texts, class, func(s string) int { return likeliest(m.Chances(s)) }); a < .97 {
		t.Errorf("accuracy %.3f", a)
	}
	if bad, good := m.Sentiment("awful bag"), m.Sentiment("lovely bag"); bad > -.5 || good < .5 {
		t.Errorf("sentiment of bad %.3f, of good %.3f", bad, good)
	}
}

func TestAnyTextGetsChances(t *testing.T) {
	m := learned(t)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		s = strings.Repeat(s, rapid.SampledFrom([]int{1, 2, 500}).Draw(t, "times"))
		sum := 0.0
		for _, p := range m.Chances(s) {
			if !(p >= 0 && p <= 1) {
				t.Fatalf("chance %v", p)
			}
			sum += p
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("chances sum to %v", sum)
		}
	})
}

func TestSameSeedSameBytesAndBack(t *testing.T) {
	a, err := learned(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	b, err := learned(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Fatal("the same texts and seed gave other bytes")
	}
	m, err := text.Load(a)
	if err != nil {
		t.Fatal(err)
	}
	first := learned(t)
	texts, _ := made(50, 3)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for _, s := range texts {
				if m.Chances(s) != first.Chances(s) {
					t.Errorf("loaded: %v, was %v", m.Chances(s), first.Chances(s))
				}
			}
		})
	}
	wait.Wait()
	for _, bit := range []int{0, 40, 333, len(a)*8 - 1} {
		bad := bytes.Clone(a)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := text.Load(bad); !errors.Is(err, models.ErrCorrupt) {
			t.Errorf("bit %d flipped: %v", bit, err)
		}
	}
	if _, err := text.Load(a[:len(a)/2]); !errors.Is(err, models.ErrCorrupt) {
		t.Errorf("cut in half: %v", err)
	}
}

func TestFitRefuses(t *testing.T) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	two := []string{"a", "b"}
	for _, c := range []struct {
		name  string
		ctx   context.Context
		texts []string
		class []int
		want  error
	}{
		{"no texts", context.Background(), nil, nil, models.ErrEmpty},
		{"one class", context.Background(), two, []int{1, 1}, models.ErrOneClass},
		{"class of 3", context.Background(), two, []int{0, 3}, nil},
		{"lengths", context.Background(), two, []int{0}, nil},
		{"cancelled", done, two, []int{0, 1}, context.Canceled},
	} {
		if m, err := (text.Learner{Bits: 8}).Fit(c.ctx, c.texts, c.class, 1); m != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestChancesDoNotAllocate(t *testing.T) {
	m := learned(t)
	if n := testing.AllocsPerRun(100, func() { m.Chances("the flight was late, again!") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLoad(f *testing.F) {
	b, err := learned(f).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := text.Load(b); err == nil {
			m.Chances("any text")
		}
	})
}

func BenchmarkChances(b *testing.B) {
	texts, class := tweets(b, 1)
	m, err := text.Learner{Epochs: 1}.Fit(context.Background(), texts, class, 1)
	if err != nil {
		b.Fatal(err)
	}
	i := 0
	for b.Loop() {
		m.Chances(texts[i%len(texts)])
		i++
	}
}

func BenchmarkTweets(b *testing.B) {
	const splits = 5
	for b.Loop() {
		var accuracy, f1 float64
		for seed := range uint64(splits) {
			a, f := split(b, seed)
			accuracy += a / splits
			f1 += f / splits
		}
		b.ReportMetric(accuracy, "accuracy")
		b.ReportMetric(f1, "macroF1")
	}
}
