package trial

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"bellwether/models"
	"bellwether/models/metric"
	"bellwether/models/picture"
)

// What the inputs are worth is measured on a sample of the test rows, drawn by
// the seed, so that its cost does not follow the size of the table.
const (
	sampleRows      = 2000
	permutedRepeats = 5
	// permutedCells is how many rows are scored for permutation in all: wide
	// tables get fewer rows.
	permutedCells = 600_000
	// permutedColumns is how many columns are permuted, those of most gain.
	permutedColumns = 100
	shapleyRows     = 500
	dependenceRows  = 300
	dependencePlots = 6
	dependenceGrid  = 20
	dependenceTexts = 8 // levels of a category
	// dependenceLeast is what share of the greatest permutation importance a column
	// must have to be followed: the luck of the sample alone reaches a hundredth.
	dependenceLeast = 0.02
)

// inputs is the winner with the rows its inputs are measured on.
type inputs struct {
	*run
	best   *entry
	sample *models.Table
	rng    *rand.Rand
}

// importance measures each column of the winner three ways; see Importance.
func (r *run) importance(best *entry) ([]Importance, error) {
	in := &inputs{run: r, best: best, rng: rand.New(rand.NewPCG(r.Seed, 0x1397))}
	out, gained := in.gain()
	rows := min(sampleRows, permutedCells/permutedRepeats/max(1, min(len(out), permutedColumns)), r.test.Len())
	in.sample = r.test.Take(in.rng.Perm(r.test.Len())[:rows])
	if err := in.permute(out[:min(len(out), permutedColumns)]); err != nil {
		return nil, err
	}
	in.shapley(out)
	if !gained {
		slices.SortStableFunc(out, func(a, b Importance) int { return cmp.Compare(b.Permutation, a.Permutation) })
	}
	var err error
	r.report.Dependence, err = in.dependence(out)
	return out, err
}

// gain lists the columns by their share of the gain, greatest first, leaving out
// those without; a model that does not know its gain lists all.
func (in *inputs) gain() (out []Importance, known bool) {
	out = []Importance{}
	m, known := in.best.last.(interface{ Importance() []float64 })
	var gains []float64
	total := 0.0
	if known {
		gains = m.Importance()
		for _, v := range gains {
			total += v
		}
	}
	for j, c := range in.table.Columns {
		i := Importance{Column: c.Name, Share: nan, Permutation: nan, PermutationLo: nan, PermutationHi: nan, Shapley: nan, at: j}
		if known {
			if i.Share = Number(gains[j] / total); !(i.Share > 0) {
				continue
			}
		}
		out = append(out, i)
	}
	if known {
		slices.SortStableFunc(out, func(a, b Importance) int { return cmp.Compare(b.Share, a.Share) })
	}
	return out, known
}

// scored are the winner's probabilities of rows.
func (in *inputs) scored(t *models.Table) ([]float64, error) {
	raw := make([]float64, t.Len())
	if err := in.best.last.Predict(raw, t); err != nil {
		return nil, err
	}
	return middles(calibrated(in.best.calib, raw)), nil
}

// permute measures how much the log loss of the sample rises when a column's
// values are dealt anew among the rows. What a learner made of the column, pairs
// with others too, moves with it.
func (in *inputs) permute(columns []Importance) error {
	t := in.sample
	p, err := in.scored(t)
	if err != nil {
		return err
	}
	before := metric.LogLoss(p, t.Y, t.Weight)
	dealt := *t
	dealt.X = slices.Clone(t.X)
	for k := range columns {
		c := &columns[k]
		rises := make([]float64, permutedRepeats)
		for i := range rises {
			col := make([]float64, t.Len())
			for to, from := range in.rng.Perm(len(col)) {
				col[to] = t.X[c.at][from]
			}
			dealt.X[c.at] = col
			if p, err = in.scored(&dealt); err != nil {
				return err
			}
			rises[i] = metric.LogLoss(p, t.Y, t.Weight) - before
		}
		dealt.X[c.at] = t.X[c.at]
		mean, half := meanInterval(rises)
		c.Permutation, c.PermutationLo, c.PermutationHi = Number(mean), Number(mean-half), Number(mean+half)
	}
	return nil
}

// meanInterval is a mean with half its 95 % interval by Student.
func meanInterval(v []float64) (mean, half float64) {
	mean, sd := stat.MeanStdDev(v, nil)
	n := float64(len(v))
	return mean, distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975) * sd / math.Sqrt(n)
}

// shapley fills in the mean of what each column moved the log-odds by, up or
// down, where the model can say it.
func (in *inputs) shapley(columns []Importance) {
	m, ok := in.best.last.(interface {
		Contributions(dst, row []float64) float64
	})
	if !ok {
		return
	}
	row, moved := make([]float64, in.sample.Width()), make([]float64, in.sample.Width())
	sum, mass := make([]float64, len(row)), 0.0
	for i := range min(shapleyRows, in.sample.Len()) {
		in.sample.Row(row, i)
		m.Contributions(moved, row)
		w := weightOf(in.sample, i)
		for j, v := range moved {
			sum[j] += w * math.Abs(v)
		}
		mass += w
	}
	for k := range columns {
		columns[k].Shapley = Number(sum[columns[k].at] / mass)
	}
}

// dependence follows the columns that matter most by permutation.
func (in *inputs) dependence(columns []Importance) ([]Dependence, error) {
	out := []Dependence{}
	most := slices.Clone(columns)
	slices.SortStableFunc(most, func(a, b Importance) int { return cmp.Compare(b.Permutation, a.Permutation) })
	for _, c := range most {
		if len(out) == dependencePlots || !(c.PermutationLo > 0 && c.Permutation >= dependenceLeast*most[0].Permutation) {
			break
		}
		d, err := in.follow(c.at)
		if err != nil {
			return nil, err
		}
		if len(d.Points) > 1 {
			out = append(out, *d)
		}
	}
	return out, nil
}

// follow sets column j of the sample to one value after another.
func (in *inputs) follow(j int) (*Dependence, error) {
	column := in.table.Columns[j]
	d := &Dependence{Column: column.Name, Category: column.Kind == models.Category}
	d.Date = slices.Contains(in.Scan.Dates, column.Name)
	values, shares := grid(in.sample.X[j], d.Category)
	few := make([]int, min(dependenceRows, in.sample.Len()))
	for i := range few {
		few[i] = i
	}
	t := in.sample.Take(few)
	for k, v := range values {
		t.X[j] = slices.Repeat([]float64{v}, t.Len())
		p, err := in.scored(t)
		if err != nil {
			return nil, err
		}
		point := DependencePoint{Share: Number(shares[k]), Mean: Number(stat.Mean(p, t.Weight))}
		slices.Sort(p)
		point.Lo, point.Hi = Number(stat.Quantile(0.1, stat.Empirical, p, nil)), Number(stat.Quantile(0.9, stat.Empirical, p, nil))
		if point.Value = Number(v); d.Category {
			point.Value, point.Text = nan, in.text(column.Name, v, k)
		}
		d.Points = append(d.Points, point)
	}
	return d, nil
}

// text names a category's value: the k-th most common, where nobody knows it.
func (in *inputs) text(column string, code float64, k int) string {
	if in.Text != nil {
		if s := in.Text(column, code); s != "" {
			return s
		}
	}
	return fmt.Sprintf("no. %d", k+1)
}

// grid returns the values to set a column to, with the share of the rows up to
// each from the one before, or that have it: of a number quantiles, of a category
// the commonest values.
func grid(col []float64, category bool) (values, shares []float64) {
	sorted := slices.DeleteFunc(slices.Clone(col), math.IsNaN)
	slices.Sort(sorted)
	n := float64(len(col))
	if !category {
		at := 0
		for k := range dependenceGrid {
			if len(sorted) == 0 {
				break
			}
			v := sorted[(len(sorted)-1)*k/(dependenceGrid-1)]
			if len(values) > 0 && v == values[len(values)-1] {
				continue
			}
			to := at
			for to < len(sorted) && sorted[to] <= v {
				to++
			}
			values, shares = append(values, v), append(shares, float64(to-at)/n)
			at = to
		}
		return values, shares
	}
	type level struct{ code, rows float64 }
	var levels []level
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			levels = append(levels, level{code: v})
		}
		levels[len(levels)-1].rows++
	}
	slices.SortStableFunc(levels, func(a, b level) int { return cmp.Compare(b.rows, a.rows) })
	for _, l := range levels[:min(len(levels), dependenceTexts)] {
		values, shares = append(values, l.code), append(shares, l.rows/n)
	}
	return values, shares
}

// secondsPerYear turns dates into years since 1970 for an axis.
const secondsPerYear = 365.2425 * 86400

// DependenceSVG draws how the mean probability follows each of the columns that
// matter most, with the middle 80 % of the rows; nil where there are none.
func (r *Report) DependenceSVG() ([]byte, error) {
	if len(r.Dependence) == 0 {
		return nil, nil
	}
	var panels []picture.Panel
	for _, d := range r.Dependence {
		p := picture.Panel{Title: d.Column, Y: "probability"}
		for k, q := range d.Points {
			x := float64(q.Value)
			switch {
			case d.Category:
				x = float64(k)
				p.Names = append(p.Names, q.Text)
				p.Dots = append(p.Dots, picture.Point{X: x, Y: float64(q.Mean)})
			case d.Date:
				x = 1970 + x/secondsPerYear
				p.X = "year"
			}
			if !d.Category {
				p.Line = append(p.Line, picture.Point{X: x, Y: float64(q.Mean)})
			}
			p.Band = append(p.Band, picture.Span{X: x, Lo: float64(q.Lo), Hi: float64(q.Hi)})
		}
		panels = append(panels, p)
	}
	return picture.SVG(fmt.Sprintf("%s: mean probability by column, and the middle 80 %% of the rows", r.Task), 3, panels)
}
