package gbdt

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"bellwether/models"
	"bellwether/models/modeltest"

	"pgregory.net/rapid"
)

// lastingTable turns labels of what is known within a horizon into those of
// lasting: a row of label 0 ended when its label was known.
func lastingTable(t *models.Table, horizon int64) *models.Table {
	if t == nil {
		return nil
	}
	u := *t
	u.Horizon, u.Ended, u.Known = horizon, make([]int64, t.Len()), make([]int64, t.Len())
	for i, at := range t.At {
		u.Ended[i], u.Known[i] = math.MaxInt64, at+horizon
		if t.Y != nil && t.Y[i] == 0 {
			u.Ended[i] = at + 1 + (at/3600*7919)%horizon
		}
	}
	return &u
}

// lasts fits Hazard with a horizon.
type lasts struct{ Learner }

func (l lasts) Fit(ctx context.Context, train, valid *models.Table, seed uint64) (models.Model, error) {
	return l.Learner.Fit(ctx, lastingTable(train, 60), lastingTable(valid, 60), seed)
}

func TestContractOfHazards(t *testing.T) {
	l := Learner{Objective: Hazard{}, Trees: 25, LearningRate: 0.12}
	t.Run("ages of the endings", func(t *testing.T) { modeltest.Check(t, l, loadModel, modeltest.MinAUC(0.87)) })
	t.Run("lasting", func(t *testing.T) { modeltest.Check(t, lasts{l}, loadModel, modeltest.MinAUC(0.86)) })
}

// With one bucket, watched to its end, to last or not is a label like any other:
// the same trees as of log loss, up to the rounding of derivatives.
func TestOneBucketIsLogLoss(t *testing.T) {
	tab := lastingTable(modeltest.Easy(3000, 3), 60)
	l := Learner{Trees: 40, Leaves: 8, EarlyStop: -1}
	binary := predictions(t, fitTable(t, l, tab), tab)
	l.Objective = Hazard{Ages: []int64{60}}
	hazard := predictions(t, fitTable(t, l, tab), tab)
	for i, p := range binary {
		if math.Abs(p-hazard[i]) > 1e-5 {
			t.Fatalf("row %d: %v by log loss, %v by the hazard", i, p, hazard[i])
		}
	}
}

// On a table that says nothing the chances are the estimates of the textbooks,
// which count a row at an age if it was watched so long: Aalen and Johansen's
// with two risks, Kaplan and Meier's with one. All watching ends where an age
// does, so that no bucket is watched in part.
func TestWithoutInputsTheTextbook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const until, buckets = 1000, 4
		risks := rapid.IntRange(1, 2).Draw(t, "risks")
		tab := &models.Table{Until: until}
		var after, how []int
		for range rapid.IntRange(30, 200).Draw(t, "rows") {
			ends := rapid.IntRange(1, buckets+2).Draw(t, "ends after")
			kind := rapid.IntRange(1, risks).Draw(t, "kind")
			watched := int64(rapid.IntRange(0, buckets).Draw(t, "watched"))
			after, how = append(after, ends), append(how, kind)
			at, ended := until-watched*10, until-watched*10+int64(ends)*10
			tab.At, tab.Known, tab.Y = append(tab.At, at), append(tab.Known, ended), append(tab.Y, float64(2-kind))
			if risks == 1 { // nothing is known to have lasted, but for what is open
				tab.Horizon = buckets * 10
				tab.Ended = append(tab.Ended, ended)
				tab.Known[len(tab.Known)-1], tab.Y[len(tab.Y)-1] = math.MaxInt64, 0
			}
		}
		f, err := Hazard{Ages: []int64{10, 20, 30, 40}}.begin(&sample{y: tab.Y, at: tab.At, known: tab.Known, ended: tab.Ended, horizon: tab.Horizon, until: until})
		if err != nil {
			t.Fatal(err)
		}
		open, by := 1.0, [2]float64{}
		score := f.(*ends).start
		for b := range buckets {
			n, ended := 0.0, [2]float64{}
			for i, a := range after {
				if int64(until-10*(b+1)) < tab.At[i] || a <= b {
					continue
				}
				n++
				if a == b+1 {
					ended[how[i]-1]++
				}
			}
			stays := n - ended[0] - ended[1]
			if n == 0 || ended[0] == 0 || risks == 2 && ended[1] == 0 || stays == 0 {
				return // half a case stands for what was not seen
			}
			for c := range risks {
				by[c] += open * ended[c] / n
			}
			open *= stays / n
			want := by[0]
			if risks == 1 {
				want = open
			}
			if got := answerOf(score[:risks*(b+1)], risks); math.Abs(got-want) > 1e-9 {
				t.Fatalf("%d risks, by age %d: %v, want %v", risks, b+1, got, want)
			}
		}
	})
}

// The slopes are those of the log-odds of the answer, found by moving a score.
func TestSlopesAreThoseOfTheAnswer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	logOdds := func(score []float64, causes int) float64 {
		p := answerOf(score, causes)
		return math.Log(p / (1 - p))
	}
	for causes := 1; causes <= maxCauses; causes++ {
		for range 50 {
			score := make([]float64, causes*(1+rng.IntN(6)))
			for k := range score {
				score[k] = rng.NormFloat64() - 2
			}
			slope := slopes(score, causes)
			for k := range score {
				const d = 1e-5
				up, down := append([]float64(nil), score...), append([]float64(nil), score...)
				up[k], down[k] = up[k]+d, down[k]-d
				if want := (logOdds(up, causes) - logOdds(down, causes)) / (2 * d); math.Abs(slope[k]-want) > 1e-6 {
					t.Fatalf("%d causes, scores %v: slope %d is %v, want %v", causes, score, k, slope[k], want)
				}
				if slope[k]*float64(favours(k, causes)) < 0 {
					t.Fatalf("%d causes, scores %v: slope %d is %v, not the way of favours", causes, score, k, slope[k])
				}
			}
		}
	}
}

// What was not known when the table was made moves nothing, whatever the table
// says of it: categories' statistics and the ages of the buckets included.
func TestWhatOpenRowsSayMovesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	open := func(n int) *models.Table { // half of the labels are known later than the table tells
		tab := modeltest.Easy(n, 8)
		for i, at := range tab.At {
			tab.Known[i] = at + 1 + rng.Int64N(200_000)
		}
		tab.Until = tab.At[n/2]
		return tab
	}
	tab := open(2000)
	for _, horizon := range []int64{0, 90_000} {
		said, other := *tab, *tab
		other.Y, other.Known = append([]float64(nil), tab.Y...), append([]int64(nil), tab.Known...)
		if horizon != 0 {
			said, other = *lastingTable(&said, horizon), *lastingTable(&other, horizon)
		}
		changed := 0
		for i := range other.Y {
			if horizon != 0 && other.Ended[i] > tab.Until {
				other.Ended[i] = math.MaxInt64
			}
			if other.Known[i] > tab.Until {
				other.Y[i], other.Known[i] = 1-other.Y[i], math.MaxInt64
				changed++
			}
		}
		l := Learner{Objective: Hazard{}, Trees: 10, Leaves: 7}
		if !bytes.Equal(bytesOfModel(t, fitTable(t, l, &said)), bytesOfModel(t, fitTable(t, l, &other))) || changed < 500 {
			t.Errorf("horizon %d: the labels of %d open rows were listened to", horizon, changed)
		}
	}
}

// Contributions of a model of Hazard sum to its log-odds to first order, and of
// one bucket of one risk to the log-odds themselves.
func TestContributionsOfHazards(t *testing.T) {
	tab, _ := labelled()
	of := func(tab *models.Table, o Hazard) *Model {
		return fitTable(t, Learner{Objective: o, Trees: 15, Leaves: 7}, tab)
	}
	competing, single := of(tab, Hazard{}), of(lastingTable(tab, 60), Hazard{Ages: []int64{60}})
	row, dst, p := make([]float64, tab.Width()), make([]float64, tab.Width()), make([]float64, 1)
	for i := range 50 {
		tab.Row(row, i)
		for _, m := range []*Model{competing, single} {
			h := m.hazards
			score := make([]float64, len(h.base))
			h.scoresOf(score, m.scorer, source{rows: row, width: m.width})
			start := answerOf(h.base, h.causes)
			want := math.Log(start / (1 - start))
			for k, slope := range slopes(h.base, h.causes) {
				want += slope * (score[k] - h.base[k])
			}
			if m == single {
				m.PredictRows(p, row)
				want = math.Log(p[0] / (1 - p[0]))
			}
			got := m.Contributions(dst, row)
			for _, v := range dst {
				got += v
			}
			if math.Abs(got-want) > 1e-9 {
				t.Fatalf("row %d, %d buckets: contributions sum to %v, want %v", i, len(h.ages), got, want)
			}
		}
	}
}

// A last fit keeps the ages of the first, whatever endings its own rows have.
func TestRefitOfHazardsKeepsTheAges(t *testing.T) {
	tab, _ := labelled()
	l := Learner{Objective: Hazard{}, Trees: 5, Leaves: 7}
	m, slow := fitTable(t, l, tab), *tab
	slow.Known = slices.Clone(tab.Known)
	for i := range slow.Known {
		if slow.Known[i] < math.MaxInt64 {
			slow.Known[i] += 2 * (slow.Known[i] - slow.At[i])
		}
	}
	own, again := fitTable(t, l, &slow).Ages(), fitTable(t, m.Refit().(Learner), &slow).Ages()
	if slices.Equal(own, m.Ages()) || !slices.Equal(again, m.Ages()) {
		t.Errorf("ages %v, of other rows %v, refitted to them %v", m.Ages(), own, again)
	}
}

// Statistics count a row of a table with a horizon once that is over, not before,
// when only labels of 1 could be known.
func TestStatisticsWaitForTheHorizon(t *testing.T) {
	const never = math.MaxInt64
	rows := &sample{y: []float64{1, 1, 0, 0}, at: []int64{0, 80, 0, 80}, known: []int64{50, 90, 60, never}, ended: []int64{never, never, 10, 85}, horizon: 60, until: 100}
	f, err := Hazard{}.begin(rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, w := f.told(); !slices.Equal(w, []float64{1, 0, 1, 0}) {
		t.Errorf("weights %v", w)
	}
}
