// Package exchange reads models of other tree trainers, and writes ours for
// them. It exists because a model is often made elsewhere, on a cluster or by a
// data scientist at her desk, and should be measured, calibrated and served here
// as if it were ours; and because ours should be free to leave.
//
// # What is read
//
// LightGBM's text of versions v2, v3 and v4 (save_model), and XGBoost's JSON and
// UBJSON of releases 1 to 3 (save_model). Read tells them apart by content. A
// model answers what its origin's predict answers: a LightGBM model adds
// float64 leaves in the order of the trees, an XGBoost model float32 ones, each
// with its own rules for missing values, categories and links (tree.go, link.go).
//
// What cannot be said exactly is refused by name, as ErrUnsupported, and never
// approximated: more than one class, ranking, survival, linear trees, vector
// leaves, objectives of the user's own, whatever field or version this package
// does not know. A file that is cut or malformed is models.ErrCorrupt with its
// line (LightGBM) or path (XGBoost) and field.
//
// A LightGBM model's categories are small integers. Where the file says which
// texts they stand for (pandas_categorical; cats since XGBoost 3.1), the column
// is a models.Category and takes the Code of the text; otherwise it is a number
// and takes the integer. A text not listed is missing.
//
// # What is written
//
// See Write and Companion. What Write wrote is read as any other text, over its
// features; with its companion (Given.About) it takes the table it was trained on.
package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"bellwether/models"
	"bellwether/models/target"
)

// ErrUnsupported says that a file holds what cannot be said exactly here; the
// text around it names the thing.
var ErrUnsupported = errors.New("not supported")

// Format is what a file was written by.
type Format uint8

// The formats.
const (
	LightGBM Format = iota
	XGBoost
)

// String returns the name the trainer goes by, in lower case: also that of the
// learner in reports.
func (f Format) String() string {
	if f == XGBoost {
		return "xgboost"
	}
	return "lightgbm"
}

// Model is an ensemble made elsewhere. It never changes and may be used from any
// number of goroutines.
type Model struct {
	format    Format
	origin    string // "LightGBM v4", "XGBoost 3.2.0"
	objective string // by its own name
	columns   []models.Column
	coded     []coded // by column; empty where a value is taken as it is
	link      link
	base      float64 // of the score
	late      bool    // the base is added last (XGBoost up to 1.2); otherwise the sum starts from it
	best      int     // how many trees its training found best; 0 if the file does not say
	average   bool    // the score is the sum over the number of trees
	gains     []float64
	grove
	inputs []input
}

// coded is what integers the categories of a column stand for in the file.
type coded struct {
	keys  []uint64 // target.Key of the Code of a text, or of a number; distinct
	codes []int
}

// input is a column the trees look at.
type input struct {
	column int
	levels *target.Lookup // nil: taken as it is
	codes  []int
}

// stackInputs is how many inputs of a row are held without allocating.
const stackInputs = 512

// Read reads a model of either format, told apart by its first bytes. What is not
// whole or contradicts itself is models.ErrCorrupt, what this package cannot
// answer exactly as its origin does is ErrUnsupported; both say where and why.
func Read(b []byte) (*Model, error) {
	m, err := read(b)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	return m, nil
}

func read(b []byte) (*Model, error) {
	head := bytes.TrimLeft(b[:min(len(b), 64)], " \t\r\n\xef\xbb\xbf")
	switch {
	case len(head) == 0:
		return nil, fmt.Errorf("%w: the file is empty", models.ErrCorrupt)
	case bytes.HasPrefix(head, []byte("tree\n")), bytes.HasPrefix(head, []byte("tree\r")):
		return readLightGBM(b)
	case head[0] == '{':
		return readXGBoost(b)
	case head[0] == '[':
		return nil, fmt.Errorf("%w: a list of trees, as XGBoost's dump_model writes it; its links and sums are lost: use save_model", ErrUnsupported)
	case bytes.HasPrefix(head, []byte("CBM1")):
		return nil, fmt.Errorf("%w: CatBoost's own format", ErrUnsupported)
	case bytes.HasPrefix(head, []byte("binf")), bytes.HasPrefix(head, []byte("bs64")):
		return nil, fmt.Errorf("%w: XGBoost's old binary format, which no release since 3.1 reads: load it with an older one and save_model as .json", ErrUnsupported)
	}
	return nil, fmt.Errorf("%w: neither LightGBM's text (begins with a line \"tree\") nor XGBoost's JSON or UBJSON", ErrUnsupported)
}

// Origin names what wrote the file, with its version.
func (m *Model) Origin() string { return m.origin }

// Format returns what the file was.
func (m *Model) Format() Format { return m.format }

// Objective returns what the model was trained for, by its origin's name.
func (m *Model) Objective() string { return m.objective }

// Probability reports whether the model answers with a probability; if not, with
// a number of its own scale.
func (m *Model) Probability() bool { return m.link.kind == logistic }

// Trees returns how many trees the model has.
func (m *Model) Trees() int { return len(m.roots) }

// Best returns how many trees the training found best, 0 where the file does not
// say. All count all the same, as in XGBoost's Booster.predict; its scikit-learn
// wrappers stop at the best.
func (m *Model) Best() int { return m.best }

// Columns returns the columns the model takes, in order. The caller must not
// change them.
func (m *Model) Columns() []models.Column { return m.columns }

// Named returns the model with its columns called otherwise, in order. Another
// number of names is models.ErrWidth, and no two may be the same.
func (m *Model) Named(names []string) (*Model, error) {
	if len(names) != len(m.columns) {
		return nil, fmt.Errorf("%w: %d names for %d columns", models.ErrWidth, len(names), len(m.columns))
	}
	out := *m
	out.columns = slices.Clone(m.columns)
	for i, name := range names {
		out.columns[i].Name = name
	}
	if twice := repeated(out.columns); twice != "" {
		return nil, fmt.Errorf("two columns are called %q", twice)
	}
	return &out, nil
}

func repeated(columns []models.Column) string {
	seen := make(map[string]bool, len(columns))
	for _, c := range columns {
		if seen[c.Name] {
			return c.Name
		}
		seen[c.Name] = true
	}
	return ""
}

// finish sets up what scoring needs: the inputs the trees look at, each node's
// place among them.
func (m *Model) finish() {
	at := make([]int, len(m.columns))
	m.inputs = nil
	for i := range m.nodes {
		n := &m.nodes[i]
		if n.right == 0 {
			continue
		}
		c := int(n.input)
		if at[c] == 0 {
			in := input{column: c}
			if k := &m.coded[c]; len(k.keys) > 0 {
				in.levels, in.codes = target.NewLookup(k.keys), k.codes
			}
			m.inputs = append(m.inputs, in)
			at[c] = len(m.inputs)
		}
		n.slot = uint32(at[c] - 1)
	}
}

// Width implements models.Model.
func (m *Model) Width() int { return len(m.columns) }

// Predict implements models.Model: it writes what the origin's predict answers.
func (m *Model) Predict(dst []float64, t *models.Table) error {
	if t.Width() != len(m.columns) {
		return fmt.Errorf("%w: %d, the model has %d", models.ErrWidth, t.Width(), len(m.columns))
	}
	n := t.Len()
	if n == 0 {
		return models.ErrEmpty
	}
	for j, col := range t.X {
		if len(col) != n {
			return fmt.Errorf("exchange: column %d has %d rows, not %d", j, len(col), n)
		}
	}
	if len(dst) != n {
		return fmt.Errorf("exchange: room for %d answers, %d rows", len(dst), n)
	}
	var stack [stackInputs]float64
	x := m.room(stack[:])
	for i := range dst {
		for k := range m.inputs {
			in := &m.inputs[k]
			x[k] = m.see(in, t.X[in.column][i])
		}
		dst[i] = m.answer(x)
	}
	return nil
}

// PredictRows implements models.RowsPredictor. It allocates nothing while the
// trees look at no more than 512 columns.
func (m *Model) PredictRows(dst, rows []float64) {
	w := len(m.columns)
	if len(rows) != len(dst)*w {
		panic(fmt.Sprintf("exchange: %d numbers for %d rows of width %d", len(rows), len(dst), w))
	}
	var stack [stackInputs]float64
	x := m.room(stack[:])
	for i := range dst {
		m.look(x, rows[i*w:(i+1)*w])
		dst[i] = m.answer(x)
	}
}

func (m *Model) room(stack []float64) []float64 {
	if len(m.inputs) > len(stack) {
		return make([]float64, len(m.inputs))
	}
	return stack[:len(m.inputs)]
}

// look writes the inputs of a row.
func (m *Model) look(x, row []float64) {
	for k := range m.inputs {
		in := &m.inputs[k]
		x[k] = m.see(in, row[in.column])
	}
}

// see is what the trees see of a value.
func (m *Model) see(in *input, v float64) float64 {
	if in.levels != nil {
		v = in.code(v)
	}
	if m.format == XGBoost {
		return float64(float32(v))
	}
	if v >= -zeroThreshold && v <= zeroThreshold {
		return 0
	}
	return v
}

// answer is the answer to the inputs of a row.
func (m *Model) answer(x []float64) float64 {
	return m.sum(func(tree int) float64 { return m.nodes[m.leaf(m.roots[tree], x)].value })
}

// sum is the answer to what each tree says.
func (m *Model) sum(of func(tree int) float64) float64 {
	score := m.score(of)
	if m.format == XGBoost {
		return m.link.single(float32(score))
	}
	return m.link.double(score)
}

// score adds up what the trees say, as the origin does.
func (m *Model) score(of func(tree int) float64) float64 {
	if m.format == XGBoost {
		first, last := float32(m.base), float32(0)
		if m.late {
			first, last = last, first
		}
		for t := range m.roots {
			first += float32(of(t))
		}
		return float64(first + last)
	}
	score := m.base
	for t := range m.roots {
		score += of(t)
	}
	if m.average {
		score /= float64(max(1, len(m.roots)))
	}
	return score
}

// Importance returns the summed gain of the splits on each column.
func (m *Model) Importance() []float64 { return slices.Clone(m.gains) }
