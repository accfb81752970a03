package text_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models/text"
)

func TestSentimentSide(t *testing.T) {
	for _, c := range []struct {
		text string
		want int
	}{
		{"", 0},
		{"The meeting is on Tuesday at ten.", 0},
		{"Great support, we love working with your team!", 1},
		{"GREAT", 1},
		{"This is terrible. Nobody answers our emails and the deal is lost.", -1},
		{"not good", -1},
		{"The training was not bad at all", 1},
		{"We don't trust the portal", -1},
		{"We don’t trust the portal", -1},
		{"Never had a problem with them", 1},
		{"It was good. Not any more", 1},
		{"Nice product, but support is awful", -1},
		{"Support was awful, but the new team is excellent", 1},
		{"not cheap but excellent", 1},
		{"👍", 1},
		{"😡", -1},
		{"see you then :)", 1},
		{"again no answer :-(", -1},
		{"see http://example.com/a", 0},
		{strings.Repeat("x", 10_000), 0},
		{"\xff\xfe broken \x80 bytes", -1},
	} {
		if got := text.Sentiment(c.text); sign(got) != c.want {
			t.Errorf("Sentiment(%.40q) = %.3f, want sign %d", c.text, got, c.want)
		}
	}
}

func TestSentimentDegree(t *testing.T) {
	for _, c := range [][2]string{
		{"good", "very good"},
		{"good", "excellent"},
		{"slightly good", "good"},
		{"good", "good!"},
		{"terrible", "not good"},
	} {
		if a, b := text.Sentiment(c[0]), text.Sentiment(c[1]); !(a < b) {
			t.Errorf("%q %.3f is not below %q %.3f", c[0], a, c[1], b)
		}
	}
}

func TestSentimentBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.SampledFrom(strings.Fields("good bad not very but excellent worst ! . :) x"))).Draw(t, "words")
		s := strings.Join(words, " ") + rapid.String().Draw(t, "tail")
		a := text.Sentiment(s)
		if !(a >= -1 && a <= 1) {
			t.Fatalf("Sentiment(%q) = %v", s, a)
		}
		if b := text.Sentiment(s); math.Float64bits(a) != math.Float64bits(b) {
			t.Fatalf("Sentiment(%q) = %v, then %v", s, a, b)
		}
	})
}

func TestSentimentDoesNotAllocate(t *testing.T) {
	s := "We don't love the new portal, but support is EXCELLENT!"
	if n := testing.AllocsPerRun(100, func() { text.Sentiment(s) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func sign(x float64) int {
	switch {
	case x > 0.02:
		return 1
	case x < -0.02:
		return -1
	}
	return 0
}

func BenchmarkSentiment(b *testing.B) {
	s := "Thanks for the quick call, the demo went well, but we still have an open issue with the deal registration."
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		text.Sentiment(s)
	}
}
