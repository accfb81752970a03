package survival_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"bellwether/models/survival"
)

// cdnow reads the sample's purchases up to 1997-09-30, in weeks, those of one
// day taken as one.
func cdnow(t *testing.T) (p survival.Purchases) {
	t.Helper()
	dir := os.Getenv("BELLWETHER_DATA")
	if dir == "" {
		t.Skip("BELLWETHER_DATA is not set: CDNOW is not there")
	}
	f, err := os.Open(filepath.Join(dir, "btyd", "CDNOW_sample.txt.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(1997, 9, 30, 0, 0, 0, 0, time.UTC)
	days := map[int][]time.Time{}
	var ids []int
	for lines := bufio.NewScanner(z); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		sample, err := strconv.Atoi(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		date, err := strconv.Atoi(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		day := time.Date(date/10000, time.Month(date/100%100), date%100, 0, 0, 0, 0, time.UTC)
		if day.After(end) {
			continue
		}
		had := days[sample]
		if had == nil {
			ids = append(ids, sample)
		}
		if len(had) == 0 || !had[len(had)-1].Equal(day) {
			days[sample] = append(had, day)
		}
	}
	// The published summary of this sample has two decimals.
	weeks := func(d time.Duration) float64 { return math.Round(d.Hours()/24/7*100) / 100 }
	for _, id := range ids {
		d := days[id]
		p.Repeats = append(p.Repeats, float64(len(d)-1))
		p.Last = append(p.Last, weeks(d[len(d)-1].Sub(d[0])))
		p.Watched = append(p.Watched, weeks(end.Sub(d[0])))
	}
	return p
}

// The parameters Fader, Hardie and Lee print (r .243, alpha 4.414, a .793,
// b 2.426), to the digits other implementations find.
func TestCDNOW(t *testing.T) {
	p := cdnow(t)
	if len(p.Repeats) != 2357 {
		t.Fatalf("%d customers", len(p.Repeats))
	}
	m, err := survival.FitBGNBD(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "r", m.R, .24259, 1e-5)
	near(t, "alpha", m.Alpha, 4.41353, 1e-4)
	near(t, "a", m.A, .79289, 1e-4)
	near(t, "b", m.B, 2.42575, 3e-4)
	near(t, "log-likelihood", m.LogLik, -9582.4256, 1e-3)
}

// The example of Fader, Hardie and Lee's note on BG/NBD in Excel: 2 repeats,
// the last at week 30.43 of 38.86, 39 weeks ahead: 1.226 purchases; and P(alive)
// for it by the paper's formula.
func TestExpectedAsPublished(t *testing.T) {
	m := &survival.BGNBD{R: .2426, Alpha: 4.4136, A: .7929, B: 2.4259}
	near(t, "expected", m.Expected(39, 2, 30.43, 38.86), 1.226, 5e-4)
	alive := 1 / (1 + .7929/(2.4259+1)*math.Pow((4.4136+38.86)/(4.4136+30.43), 2.2426))
	near(t, "alive", m.Alive(2, 30.43, 38.86), alive, 1e-12)
	near(t, "alive without repeats", m.Alive(0, 0, 10), 1, 0)
	near(t, "nothing in no time", m.Expected(0, 2, 30.43, 38.86), 0, 0)
	if longer := m.Expected(78, 2, 30.43, 38.86); longer <= 1.226 {
		t.Errorf("%v in twice the time", longer)
	}
}

// A world made by the model's own story gives back the story's numbers: how many
// are alive, and how many purchases follow.
func TestTellsItsOwnWorld(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	m := &survival.BGNBD{R: .8, Alpha: 6, A: .9, B: 2.5}
	gamma := func(shape, rate float64) float64 { // Marsaglia and Tsang, boosted below 1
		boost := 1.0
		if shape < 1 {
			boost = math.Pow(rng.Float64(), 1/shape)
			shape++
		}
		d := shape - 1./3
		for {
			x := rng.NormFloat64()
			v := math.Pow(1+x/math.Sqrt(9*d), 3)
			if v > 0 && math.Log(rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
				return boost * d * v / rate
			}
		}
	}
	const n, watched, ahead = 20_000, 40.0, 20.0
	var alive, aliveSaid, bought, boughtSaid float64
	for range n {
		rate := gamma(m.R, m.Alpha)
		a, b := gamma(m.A, 1), gamma(m.B, 1)
		leave := a / (a + b)
		here, at, last, repeats, later := true, 0.0, 0.0, 0.0, 0.0
		aliveAtEnd := true
		for here {
			at += rng.ExpFloat64() / rate
			if at > watched+ahead {
				break
			}
			here = rng.Float64() >= leave
			if at <= watched {
				repeats, last, aliveAtEnd = repeats+1, at, here
			} else {
				later++
			}
		}
		if aliveAtEnd {
			alive++
		}
		aliveSaid += m.Alive(repeats, last, watched)
		bought += later
		boughtSaid += m.Expected(ahead, repeats, last, watched)
	}
	near(t, "share alive", aliveSaid/n, alive/n, .01)
	near(t, "purchases each", boughtSaid/n, bought/n, .05)
}
