package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/target"
	"bellwether/models/wire"
)

// Encoded is a model whose features are made of the columns of a table, as its
// Companion says: what Write wrote, read back, takes the table it was trained on.
// It never changes and may be used from any number of goroutines.
type Encoded struct {
	trees   *Model // over the features
	about   *Companion
	columns []models.Column
	makers  []maker // of the features
}

// maker makes one feature of a row.
type maker struct {
	a, b   int // the columns; b is -1 where there is one
	levels *target.Lookup
	values []float64
	unseen float64
}

// maker looks the columns up; they are there.
func (f *Feature) maker(at map[string]int) maker {
	m := maker{a: at[f.Columns[0]], b: -1, unseen: f.Unseen}
	if f.Kind == gbdt.Number {
		return m
	}
	if len(f.Columns) > 1 {
		m.b = at[f.Columns[1]]
	}
	keys := make([]uint64, 0, len(f.Levels))
	for k, v := range f.Levels {
		keys, m.values = append(keys, uint64(k)), append(m.values, v)
	}
	m.levels = target.NewLookup(keys)
	return m
}

// of is the feature of a row, whose columns are told by their place.
func (m *maker) of(column func(int) float64) float64 {
	if m.levels == nil {
		return column(m.a)
	}
	key := target.Key(column(m.a))
	if m.b >= 0 {
		key = target.Pair(key, target.Key(column(m.b)))
	}
	if i := m.levels.Find(key); i >= 0 {
		return m.values[i]
	}
	return m.unseen
}

// encoded puts a companion before its model, over columns in which those it
// wants are found by name.
func encoded(m *Model, about *Companion, columns []models.Column) (*Encoded, error) {
	if err := about.fits(m); err != nil {
		return nil, err
	}
	at, err := about.places(columns)
	if err != nil {
		return nil, err
	}
	out := &Encoded{trees: m, about: about, columns: slices.Clone(columns)}
	for i := range about.Features {
		out.makers = append(out.makers, about.Features[i].maker(at))
	}
	return out, nil
}

// fits reports whether the companion is of this model.
func (c *Companion) fits(m *Model) error {
	if !slices.EqualFunc(c.Features, m.columns, func(f Feature, own models.Column) bool { return f.Name == own.Name }) {
		return fmt.Errorf("%w: the companion makes other features than the %d of the model: it is of another one", models.ErrWidth, len(m.columns))
	}
	return nil
}

// places finds the columns the companion wants by name.
func (c *Companion) places(columns []models.Column) (map[string]int, error) {
	at := make(map[string]int, len(columns))
	for j, column := range columns {
		at[column.Name] = j
	}
	var missing []string
	for _, own := range c.Columns() {
		j, ok := at[own.Name]
		switch {
		case !ok:
			missing = append(missing, own.Name)
		case own.Kind != columns[j].Kind:
			return nil, fmt.Errorf("%w: %s is a column of %s, the model wants %s", models.ErrWidth, own.Name, kindText(columns[j].Kind), kindText(own.Kind))
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the model looks at %s, which the table does not have", models.ErrWidth, strings.Join(missing, ", "))
	}
	return at, nil
}

func kindText(k models.Kind) string {
	if k == models.Category {
		return "texts"
	}
	return "numbers"
}

// Origin is that of the trees.
func (m *Encoded) Origin() string { return m.trees.Origin() }

// RowsUsed is how many rows of a trial the model was fitted on: none.
func (m *Encoded) RowsUsed() int { return 0 }

// Width implements models.Model.
func (m *Encoded) Width() int { return len(m.columns) }

// Predict implements models.Model.
func (m *Encoded) Predict(dst []float64, t *models.Table) error {
	if t.Width() != len(m.columns) {
		return fmt.Errorf("%w: %d, the model has %d", models.ErrWidth, t.Width(), len(m.columns))
	}
	if t.Len() == 0 {
		return models.ErrEmpty
	}
	if err := t.Check(false); err != nil {
		return err
	}
	x := make([][]float64, len(m.makers))
	for k := range m.makers {
		x[k] = make([]float64, t.Len())
		for i := range x[k] {
			x[k][i] = m.makers[k].of(func(j int) float64 { return t.X[j][i] })
		}
	}
	return m.trees.Predict(dst, &models.Table{Columns: m.trees.columns, X: x})
}

// PredictRows implements models.RowsPredictor. It allocates nothing while there
// are no more than 512 features.
func (m *Encoded) PredictRows(dst, rows []float64) {
	w := len(m.columns)
	if len(rows) != len(dst)*w {
		panic(fmt.Sprintf("exchange: %d numbers for %d rows of width %d", len(rows), len(dst), w))
	}
	var stack [stackInputs]float64
	x := stack[:]
	if len(m.makers) > len(stack) {
		x = make([]float64, len(m.makers))
	}
	x = x[:len(m.makers)]
	for i := range dst {
		m.features(x, rows[i*w:(i+1)*w])
		m.trees.PredictRows(dst[i:i+1], x)
	}
}

func (m *Encoded) features(x, row []float64) {
	for k := range m.makers {
		x[k] = m.makers[k].of(func(j int) float64 { return row[j] })
	}
}

// Contributions is as of Model; what two columns say together is half of each.
func (m *Encoded) Contributions(dst, row []float64) (start float64) {
	if len(dst) != len(m.columns) || len(row) != len(m.columns) {
		panic(fmt.Sprintf("exchange: %d numbers into %d contributions, width is %d", len(row), len(dst), len(m.columns)))
	}
	x, by := make([]float64, len(m.makers)), make([]float64, len(m.makers))
	m.features(x, row)
	start = m.trees.Contributions(by, x)
	m.share(dst, by)
	return start
}

// Importance returns the summed gain of the splits on what is made of each
// column; of two together, half each.
func (m *Encoded) Importance() []float64 {
	out := make([]float64, len(m.columns))
	m.share(out, m.trees.gains)
	return out
}

// share gives the columns what their features have.
func (m *Encoded) share(dst, features []float64) {
	clear(dst)
	for k, v := range features {
		f := &m.makers[k]
		if f.b >= 0 {
			v /= 2
			dst[f.b] += v
		}
		dst[f.a] += v
	}
}

// encodedMagic begins a message of package wire: the bytes of the trees, the
// companion's JSON, the columns.
const encodedMagic = "BWX2"

// MarshalBinary implements encoding.BinaryMarshaler.
func (m *Encoded) MarshalBinary() ([]byte, error) {
	trees, err := m.trees.MarshalBinary()
	if err != nil {
		return nil, err
	}
	about, err := json.Marshal(m.about)
	if err != nil {
		return nil, err
	}
	e := wire.NewEncoder(encodedMagic)
	e.String(string(trees))
	e.String(string(about))
	e.Int(len(m.columns))
	for _, c := range m.columns {
		e.String(c.Name)
		e.Int(int(c.Kind))
	}
	return e.Seal(), nil
}

// LoadGiven reads what a model that Given fitted wrote: a *Model, or an *Encoded.
// Other bytes are models.ErrCorrupt.
func LoadGiven(b []byte) (models.Model, error) {
	if !bytes.HasPrefix(b, []byte(encodedMagic)) {
		return made(Load(b))
	}
	d := &loader{wire.NewDecoder(encodedMagic, b)}
	trees, about := d.String(), d.String()
	var columns []models.Column
	for n := d.below(maxColumns + 1); n > 0 && d.Err() == nil; n-- {
		columns = append(columns, models.Column{Name: d.String(), Kind: models.Kind(d.below(int(models.Category) + 1))})
	}
	if d.Close() != nil {
		return nil, fmt.Errorf("%w: an imported model's", models.ErrCorrupt)
	}
	m, err := Load([]byte(trees))
	if err != nil {
		return nil, err
	}
	c, err := ReadCompanion([]byte(about))
	if err != nil {
		return nil, err
	}
	out, err := encoded(m, c, columns)
	if err != nil {
		return nil, fmt.Errorf("%w: an imported model's: %w", models.ErrCorrupt, err)
	}
	return out, nil
}
