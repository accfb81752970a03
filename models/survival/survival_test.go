package survival_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"bellwether/models"
	"bellwether/models/survival"
)

type fitted struct {
	Names    []string
	Coef, SE []float64
	LogLik   float64
	C        float64
}

type oracle struct {
	Small struct {
		X                        [][]float64
		Time, Event, W           []float64
		Efron, Breslow, Weighted fitted
		KM                       struct{ At, S []float64 }
		C                        float64
	}
	Rossi   fitted
	Waltons struct {
		At, S, Lo, Hi []float64
		Median        float64
	}
}

func read(t *testing.T) (o oracle) {
	t.Helper()
	b, err := os.ReadFile("../testdata/survival/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s = %.9g, want %.9g", what, got, want)
	}
}

func happened(v []float64) []bool {
	out := make([]bool, len(v))
	for i, x := range v {
		out[i] = x == 1
	}
	return out
}

func cox(t *testing.T, c survival.Cox, d survival.Data, x [][]float64) *survival.CoxModel {
	t.Helper()
	m, err := c.Fit(context.Background(), d, x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func compare(t *testing.T, name string, m *survival.CoxModel, want fitted) {
	t.Helper()
	for j := range want.Coef {
		near(t, fmt.Sprint(name, " coefficient ", j), m.Coef[j], want.Coef[j], 1e-6)
		near(t, fmt.Sprint(name, " error ", j), m.SE[j], want.SE[j], 1e-5)
	}
	if want.LogLik != 0 {
		near(t, name+" log-likelihood", m.LogLik, want.LogLik, 1e-6)
	}
}

func TestSmallAgainstOracle(t *testing.T) {
	o := read(t).Small
	d := survival.Data{Time: o.Time, Event: happened(o.Event)}
	weighted := d
	weighted.Weight = o.W
	compare(t, "Efron", cox(t, survival.Cox{}, d, o.X), o.Efron)
	compare(t, "Breslow", cox(t, survival.Cox{Ties: survival.Breslow}, d, o.X), o.Breslow)
	compare(t, "weighted", cox(t, survival.Cox{}, weighted, o.X), o.Weighted)
	km, err := survival.KaplanMeier(weighted)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range o.KM.At {
		s, lo, hi := km.At(at)
		near(t, fmt.Sprint("S at ", at), s, o.KM.S[i], 1e-9)
		if !(lo <= s && s <= hi) {
			t.Errorf("S = %v outside [%v, %v]", s, lo, hi)
		}
	}
	risk := make([]float64, len(o.Time))
	for i := range risk {
		risk[i] = math.RoundToEven(o.X[0][i]*10) / 10
	}
	near(t, "C", survival.Concordance(d, risk), o.C, 1e-12)
}

// table reads columns of a survival file; rows with a missing value are left out.
func table(t *testing.T, file string, names ...string) map[string][]float64 {
	t.Helper()
	dir := os.Getenv("BELLWETHER_DATA")
	if dir == "" {
		t.Skip("BELLWETHER_DATA is not set: the survival tables are not there")
	}
	f, err := os.Open(filepath.Join(dir, "survival", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for j, name := range rows[0] {
		at[name] = j
	}
	out := map[string][]float64{}
	for _, row := range rows[1:] {
		values := make([]float64, len(names))
		complete := true
		for k, name := range names {
			v, err := strconv.ParseFloat(row[at[name]], 64)
			if err != nil {
				complete = false
			}
			values[k] = v
		}
		for k, name := range names {
			if complete {
				out[name] = append(out[name], values[k])
			}
		}
	}
	return out
}

// R survival 3.5-3: coxph(Surv(time, status) ~ age + sex + ph.ecog + wt.loss).
func TestLungAsR(t *testing.T) {
	c := table(t, "lung.csv", "time", "status", "age", "sex", "ph.ecog", "wt.loss")
	d := survival.Data{Time: c["time"], Event: happened(c["status"])}
	if len(d.Time) != 213 {
		t.Fatalf("%d complete rows", len(d.Time))
	}
	x := [][]float64{c["age"], c["sex"], c["ph.ecog"], c["wt.loss"]}
	m := cox(t, survival.Cox{}, d, x)
	for j, want := range []float64{.013369, -.590775, .515111, -.009006} {
		near(t, fmt.Sprint("coefficient ", j), m.Coef[j], want, 1e-6)
	}
	near(t, "null log-likelihood", m.NullLogLik, -675.0244, 1e-4)
	near(t, "log-likelihood", m.LogLik, -659.5141, 1e-4)
	near(t, "C", survival.Concordance(d, risks(m, x)), .64671, 1e-5)
}

func risks(m *survival.CoxModel, x [][]float64) []float64 {
	out, row := make([]float64, len(x[0])), make([]float64, len(x))
	for i := range out {
		for j := range x {
			row[j] = x[j][i]
		}
		out[i] = m.Risk(row)
	}
	return out
}

func TestRossiAsRAndLifelines(t *testing.T) {
	o := read(t).Rossi
	names := append([]string{"week", "arrest"}, o.Names...)
	c := table(t, "rossi.csv", names...)
	d := survival.Data{Time: c["week"], Event: happened(c["arrest"])}
	var x [][]float64
	for _, name := range o.Names {
		x = append(x, c[name])
	}
	m := cox(t, survival.Cox{}, d, x)
	compare(t, "rossi", m, o)
	near(t, "fin", m.Coef[0], -.379422, 1e-6)
	near(t, "prio", m.Coef[6], .091497, 1e-6)
	near(t, "null log-likelihood", m.NullLogLik, -675.3806, 1e-4)
	near(t, "log-likelihood", m.LogLik, -658.7477, 1e-4)
	near(t, "C", survival.Concordance(d, risks(m, x)), .64033, 1e-5)
}

func TestWaltonsCurve(t *testing.T) {
	o := read(t).Waltons
	c := table(t, "waltons_dataset.csv", "T", "E")
	km, err := survival.KaplanMeier(survival.Data{Time: c["T"], Event: happened(c["E"])})
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range o.At {
		s, lo, hi := km.At(at)
		near(t, fmt.Sprint("S at ", at), s, o.S[i], 1e-9)
		near(t, fmt.Sprint("lo at ", at), lo, o.Lo[i], 1e-6)
		near(t, fmt.Sprint("hi at ", at), hi, o.Hi[i], 1e-6)
	}
	near(t, "median", km.Median(), o.Median, 0)
}

func drawData(t *rapid.T) (survival.Data, []float64) {
	n := rapid.IntRange(2, 30).Draw(t, "n")
	var d survival.Data
	var risk []float64
	for range n {
		d.Time = append(d.Time, float64(rapid.IntRange(1, 8).Draw(t, "time")))
		d.Event = append(d.Event, rapid.Bool().Draw(t, "event"))
		d.Weight = append(d.Weight, float64(rapid.IntRange(1, 3).Draw(t, "w")))
		risk = append(risk, float64(rapid.IntRange(0, 5).Draw(t, "risk")))
	}
	return d, risk
}

func TestConcordanceIsTheShareOfPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, risk := drawData(t)
		won, known := 0.0, 0.0
		for i := range risk {
			for j := range risk {
				first := d.Event[i] && (d.Time[i] < d.Time[j] || d.Time[i] == d.Time[j] && !d.Event[j])
				if !first {
					continue
				}
				w := d.Weight[i] * d.Weight[j]
				known += w
				switch {
				case risk[i] > risk[j]:
					won += w
				case risk[i] == risk[j]:
					won += w / 2
				}
			}
		}
		got := survival.Concordance(d, risk)
		if known == 0 && math.IsNaN(got) {
			return
		}
		if math.Abs(got-won/known) > 1e-9 {
			t.Fatalf("C = %v, share of pairs %v", got, won/known)
		}
	})
}

// Without any covariate, exp(-cumulated hazard) and the product of the discrete
// hazards both tell Kaplan and Meier's story.
func TestThreeWaysToOneCurve(t *testing.T) {
	o := read(t).Small
	d := survival.Data{Time: o.Time, Event: happened(o.Event)}
	km, err := survival.KaplanMeier(d)
	if err != nil {
		t.Fatal(err)
	}
	base := cox(t, survival.Cox{}, d, nil)
	edges := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	discrete, err := survival.Discrete{Edges: edges, L2: -1}.Fit(context.Background(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, at := range edges {
		s, _, _ := km.At(at)
		near(t, fmt.Sprint("discrete S at ", at), discrete.Survival(nil, k), s, 1e-3)
		near(t, fmt.Sprint("Cox S at ", at), base.Survival(nil, at), s, .02)
	}
}

// Where the hazard is small in each period, the discrete hazard's coefficients
// are Cox's.
func TestDiscreteNearCox(t *testing.T) {
	c := table(t, "rossi.csv", "week", "arrest", "fin", "age", "prio")
	d := survival.Data{Time: c["week"], Event: happened(c["arrest"])}
	x := [][]float64{c["fin"], c["age"], c["prio"]}
	var edges []float64
	for week := 1.0; week <= 52; week++ {
		edges = append(edges, week)
	}
	a := cox(t, survival.Cox{}, d, x)
	b, err := survival.Discrete{Edges: edges, L2: -1}.Fit(context.Background(), d, x)
	if err != nil {
		t.Fatal(err)
	}
	for j := range x {
		near(t, fmt.Sprint("coefficient ", j), b.Coef[j], a.Coef[j], .02*math.Abs(a.Coef[j])+.001)
	}
}

func TestRefusals(t *testing.T) {
	two, yes := []float64{1, 2}, []bool{true, true}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		run  func() error
		want error
	}{
		"no rows": {func() error { _, err := survival.KaplanMeier(survival.Data{}); return err }, models.ErrEmpty},
		"time of 0": {func() error {
			_, err := survival.KaplanMeier(survival.Data{Time: []float64{0, 1}, Event: yes})
			return err
		}, nil},
		"no event": {func() error {
			return coxErr(context.Background(), survival.Data{Time: two, Event: make([]bool, 2)}, [][]float64{{1, 2}})
		}, survival.ErrNoEvent},
		"short": {func() error {
			return coxErr(context.Background(), survival.Data{Time: two, Event: yes}, [][]float64{{1}})
		}, models.ErrWidth},
		"NaN": {func() error {
			return coxErr(context.Background(), survival.Data{Time: two, Event: yes}, [][]float64{{1, math.NaN()}})
		}, nil},
		"parted": {func() error {
			return coxErr(context.Background(), survival.Data{Time: []float64{1, 2, 3, 4}, Event: []bool{true, true, false, false}}, [][]float64{{9, 9, 1, 1}})
		}, nil},
		"twins": {func() error {
			return coxErr(context.Background(), survival.Data{Time: []float64{1, 2, 3, 4}, Event: []bool{true, true, true, false}}, [][]float64{{1, 3, 2, 2}, {1, 3, 2, 2}})
		}, nil},
		"cancelled": {func() error { return coxErr(ctx, survival.Data{Time: two, Event: yes}, [][]float64{{1, 2}}) }, context.Canceled},
		"edges": {func() error {
			_, err := survival.Discrete{Edges: []float64{2, 1}}.Fit(ctx, survival.Data{Time: two, Event: yes}, nil)
			return err
		}, nil},
		"no row discrete": {func() error { return discreteErr(context.Background(), survival.Data{}) }, models.ErrEmpty},
		"first period": {func() error {
			return discreteErr(context.Background(), survival.Data{Time: []float64{1, 1}, Event: []bool{false, false}})
		}, nil},
		"discrete cancelled": {func() error { return discreteErr(ctx, survival.Data{Time: two, Event: yes}) }, context.Canceled},
		"lengths": {func() error {
			_, err := survival.KaplanMeier(survival.Data{Time: two, Event: yes, Weight: []float64{1}})
			return err
		}, nil},
		"weight below 0": {func() error {
			_, err := survival.KaplanMeier(survival.Data{Time: two, Event: yes, Weight: []float64{1, -1}})
			return err
		}, nil},
		"nobody bought": {func() error { _, err := survival.FitBGNBD(ctx, survival.Purchases{}); return err }, models.ErrEmpty},
		"lengths of purchases": {func() error {
			_, err := survival.FitBGNBD(ctx, survival.Purchases{Repeats: two, Last: two, Watched: two[:1]})
			return err
		}, nil},
		"purchases cancelled": {func() error {
			_, err := survival.FitBGNBD(ctx, survival.Purchases{Repeats: two, Last: two, Watched: []float64{5, 6}})
			return err
		}, context.Canceled},
		"no repeats": {func() error {
			_, err := survival.FitBGNBD(ctx, survival.Purchases{Repeats: []float64{0}, Last: []float64{0}, Watched: []float64{5}})
			return err
		}, survival.ErrNoEvent},
		"last beyond": {func() error {
			_, err := survival.FitBGNBD(ctx, survival.Purchases{Repeats: []float64{1}, Last: []float64{6}, Watched: []float64{5}})
			return err
		}, nil},
	} {
		if err := c.run(); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func coxErr(ctx context.Context, d survival.Data, x [][]float64) error {
	_, err := survival.Cox{}.Fit(ctx, d, x)
	return err
}

func discreteErr(ctx context.Context, d survival.Data) error {
	_, err := survival.Discrete{Edges: []float64{2, 3}}.Fit(ctx, d, nil)
	return err
}

// The curve only falls, from 1, within its limits; its median is where it first
// is at most one half.
func TestCurveFalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := drawData(t)
		c, err := survival.KaplanMeier(d)
		if err != nil {
			t.Fatal(err)
		}
		was, median := 1.0, math.Inf(1)
		for at := 0.5; at < 9; at += .5 {
			s, lo, hi := c.At(at)
			if !(s <= was && 0 <= lo && lo <= s && s <= hi && hi <= 1) {
				t.Fatalf("at %v the curve is %v in [%v, %v], before it was %v", at, s, lo, hi, was)
			}
			if s <= .5 && math.IsInf(median, 1) {
				median = at
			}
			was = s
		}
		if got := c.Median(); got != median {
			t.Fatalf("median %v, want %v", got, median)
		}
	})
}

func TestConstantColumnSaysNothing(t *testing.T) {
	o := read(t).Small
	d := survival.Data{Time: o.Time, Event: happened(o.Event)}
	constant := make([]float64, len(o.Time))
	for i := range constant {
		constant[i] = 3
	}
	m := cox(t, survival.Cox{}, d, append(o.X[:3:3], constant))
	if m.Coef[3] != 0 || !math.IsNaN(m.SE[3]) {
		t.Errorf("coefficient %v, error %v", m.Coef[3], m.SE[3])
	}
	compare(t, "beside a constant", m, o.Efron)
}
