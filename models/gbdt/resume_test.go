package gbdt

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"bellwether/models"
)

// Fifteen trees are ten and then five more.
func TestGoingOnFromAModel(t *testing.T) {
	tab, objectives := labelled()
	for _, o := range append(objectives, LogLoss{}) {
		if _, ok := o.(Hazard); ok {
			continue // whose trees draw a direction of their own, see below
		}
		l := Learner{Objective: o, Trees: 15, Leaves: 7}
		whole := fitTable(t, l, tab)
		l.Trees = 10
		first := fitTable(t, l, tab)
		before := bytesOfModel(t, first)
		l.Trees, l.From = 5, first
		both := fitTable(t, l, tab)
		if both.Trees() != 15 || both.Refit().(Learner).Trees != 5 {
			t.Fatalf("%T: %d trees, refit with %d", o, both.Trees(), both.Refit().(Learner).Trees)
		}
		if !bytes.Equal(before, bytesOfModel(t, first)) {
			t.Fatalf("%T: the model gone on from was changed", o)
		}
		p, q := predictions(t, whole, tab), predictions(t, both, tab)
		for i := range p {
			if math.Abs(p[i]-q[i]) > 1e-6*max(1, math.Abs(p[i])) {
				t.Fatalf("%T, row %d: %v at once, %v in two parts", o, i, p[i], q[i])
			}
		}
		loaded, err := Load(bytesOfModel(t, both))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range predictions(t, loaded, tab) {
			if v != q[i] {
				t.Fatalf("%T, row %d: %v when loaded, not %v", o, i, v, q[i])
			}
		}
	}
}

func TestGoingOnWithHazards(t *testing.T) {
	tab, _ := labelled()
	tab.X, tab.Columns = tab.X[:4], tab.Columns[:4] // no statistics, which say less of a row while it is learned from
	losses := []float64{}
	l := Learner{Objective: Hazard{Ages: []int64{600, 3600, 7000}}, Trees: 10, Leaves: 7, Progress: func(_ int, loss, _ float64) { losses = append(losses, loss) }}
	first := fitTable(t, l, tab)
	l.From = first
	both := fitTable(t, l, tab)
	if both.Trees() != 20 || len(losses) != 20 {
		t.Fatalf("%d trees, %d losses", both.Trees(), len(losses))
	}
	for i := 1; i < len(losses); i++ {
		if !(losses[i] < losses[i-1]+1e-4) {
			t.Errorf("loss %v after %d trees, %v before", losses[i], i+1, losses[i-1])
		}
	}
	of, err := l.Objective.begin(&sample{y: tab.Y, at: tab.At, known: tab.Known})
	if err != nil {
		t.Fatal(err)
	}
	score := make([]float64, 6*tab.Len())
	both.hazards.scoresOf(score, both.scorer, source{cols: tab.X})
	if loss := of.loss(score, 1); math.Abs(loss-losses[19]) > 1e-9 {
		t.Errorf("the model's loss is %v, of the fit %v", loss, losses[19])
	}
}

func bytesOfModel(t *testing.T, m *Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func predictions(t *testing.T, m *Model, tab *models.Table) []float64 {
	t.Helper()
	p := make([]float64, tab.Len())
	if err := m.Predict(p, tab); err != nil {
		t.Fatal(err)
	}
	return p
}

// Rows drawn by gradient stand for the others: sums over many draws are right on
// average, and each draw takes about its share.
func TestDrawByGradientIsFair(t *testing.T) {
	const n, draws = 2000, 300
	rng := rand.New(rand.NewPCG(1, 1))
	b := &booster{Learner: Learner{GradientFraction: 0.3}, gh: make([]int64, n), all: make([]uint32, n)}
	given := make([]int64, n)
	var sumG, sumH, gotG, gotH, taken float64
	for i := range given {
		g, h := rng.NormFloat64()*math.Exp(rng.NormFloat64()), 0.01+rng.Float64()/4
		given[i] = derivatives(g, h)
		sumG, sumH = sumG+max(g, 0), sumH+h
	}
	for range draws {
		copy(b.gh, given)
		for i, r := range b.drawByGradient(rng) {
			if i > 0 && b.all[i-1] >= r {
				t.Fatal("rows do not ascend")
			}
			taken++
		}
		for _, v := range b.gh {
			g, h := derivativesOf(v)
			gotG, gotH = gotG+max(g, 0), gotH+h
		}
	}
	if share := taken / (n * draws); math.Abs(share-0.3) > 0.005 {
		t.Errorf("a share of %v was drawn", share)
	}
	if math.Abs(gotG/draws/sumG-1) > 0.01 || math.Abs(gotH/draws/sumH-1) > 0.01 {
		t.Errorf("sums %v and %v, want %v and %v", gotG/draws, gotH/draws, sumG, sumH)
	}
}

func TestFewRowsDrawnByGradientLearnAsWell(t *testing.T) {
	tab, test := waves(20_000, 1), waves(5000, 2)
	loss := func(l Learner) float64 {
		l.Trees, l.LearningRate = 60, 0.1
		m, err := l.Fit(context.Background(), tab, nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		if share := float64(m.(*Model).trees[0][0].rows) / 20_000; l.GradientFraction > 0 && math.Abs(share-l.GradientFraction) > 0.02 {
			t.Errorf("the first tree has seen a share of %v", share)
		}
		sum := 0.0
		for i, p := range predictions(t, m.(*Model), test) {
			sum -= math.Log(math.Abs(1 - test.Y[i] - p))
		}
		return sum / 5000
	}
	all, drawn, again := loss(Learner{}), loss(Learner{GradientFraction: 0.2}), loss(Learner{GradientFraction: 0.2})
	if drawn > all+0.01 {
		t.Errorf("loss %v by a fifth of the rows, %v by all", drawn, all)
	}
	if drawn != again {
		t.Errorf("loss %v and then %v", drawn, again)
	}
}
