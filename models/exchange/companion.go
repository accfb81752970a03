package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bellwether/models"
	"bellwether/models/gbdt"
	"bellwether/models/target"
)

// Companion says how the features of a written model are made from columns. Its
// JSON is for those who score with LightGBM:
//
//	features: in the order of the text, of each
//	  name: as the text has it
//	  kind: number, level, rate or count
//	  columns: one or two, by the names of the table
//	  unseen: the value where the key is not listed
//	  levels: of each key, 16 hexadecimal digits, the value
//	  texts: of each key, the text it stands for, where known
//
//	categories: the columns of the table that hold texts
//
// A number is the column itself. Otherwise the feature is the value of a key. The
// key of one column is the bits of a float64: of the number, or, for a text, of
// the upper 52 bits of its 64-bit FNV-1a hash as a number; of a missing value it
// is 7ff8b31100000001. The key of two columns mixes theirs as target.Pair does.
//
// Of a model of when cases end there are two lists more:
//
//	ages: the ends of the buckets of age, in seconds
//	ways: how a case may end: won and lost, or ended
//
// The text then gives a score for each way in each bucket: all of the first bucket
// and so on. The chance that a case open when the bucket begins ends in it in a way
// is exp(score) over 1 and the exp of all scores of the bucket. Our model answers
// with the chance to be won by the last age, or not to have ended.
//
// testdata/companion.py has all of it in 60 lines.
type Companion struct {
	Features   []Feature `json:"features"`
	Categories []string  `json:"categories,omitempty"`
	Ages       []int64   `json:"ages,omitempty"`
	Ways       []string  `json:"ways,omitempty"`
}

// Feature is how one feature is made.
type Feature struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`
	Columns []string        `json:"columns"`
	Unseen  float64         `json:"unseen,omitempty"`
	Levels  map[Key]float64 `json:"levels,omitempty"`
	Texts   map[Key]string  `json:"texts,omitempty"`
}

// Key is the key of a level.
type Key uint64

// MarshalText writes 16 hexadecimal digits.
func (k Key) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(k)), nil }

// UnmarshalText reads them.
func (k *Key) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 16, 64)
	if err == nil && len(b) != 16 {
		err = fmt.Errorf("key %q is not 16 hexadecimal digits", b)
	}
	*k = Key(v)
	return err
}

func companion(a *gbdt.Anatomy, columns []models.Column) *Companion {
	c := &Companion{Ages: a.Ages}
	switch len(a.Base) {
	case len(a.Ages):
		c.Ways = []string{"ended"}
	case 2 * len(a.Ages):
		c.Ways = []string{"won", "lost"}
	}
	taken := map[string]bool{}
	for _, in := range a.Inputs {
		f := Feature{Kind: in.Kind, Unseen: in.Unseen}
		for _, j := range in.Columns {
			f.Columns = append(f.Columns, columns[j].Name)
			if columns[j].Kind == models.Category && !slices.Contains(c.Categories, columns[j].Name) {
				c.Categories = append(c.Categories, columns[j].Name)
			}
		}
		f.Name = strings.Join(f.Columns, "*")
		if f.Kind != gbdt.Number {
			f.Name += "#" + f.Kind
			f.Levels = make(map[Key]float64, len(in.Keys))
		}
		for i, k := range in.Keys {
			f.Levels[Key(k)] = in.Values[i]
		}
		f.Name = spelled(f.Name)
		for taken[f.Name] {
			f.Name += "_"
		}
		taken[f.Name] = true
		c.Features = append(c.Features, f)
	}
	return c
}

// spelled is a name as LightGBM takes it: without white space, and without what
// means something in JSON.
func spelled(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || strings.ContainsRune(`",:[]{}=`, r) {
			return '_'
		}
		return r
	}, name)
}

// Describe adds the texts of a column's categories.
func (c *Companion) Describe(column string, texts []string) {
	for i := range c.Features {
		f := &c.Features[i]
		if f.Kind == gbdt.Number || len(f.Columns) != 1 || f.Columns[0] != column {
			continue
		}
		for _, text := range texts {
			k := Key(target.Key(models.Code(text)))
			if _, ok := f.Levels[k]; !ok {
				continue
			}
			if f.Texts == nil {
				f.Texts = map[Key]string{}
			}
			f.Texts[k] = text
		}
	}
}

// JSON writes the companion.
func (c *Companion) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", " ")
	return append(b, '\n'), err
}

// Encode makes the features of the rows of a table, all numbers, in the order of
// the text.
func (c *Companion) Encode(t *models.Table) (*models.Table, error) {
	at, err := c.places(t.Columns)
	if err != nil {
		return nil, err
	}
	out := &models.Table{}
	for i := range c.Features {
		f := &c.Features[i]
		m, x := f.maker(at), make([]float64, t.Len())
		for r := range x {
			x[r] = m.of(func(j int) float64 { return t.X[j][r] })
		}
		out.Columns, out.X = append(out.Columns, models.Column{Name: f.Name}), append(out.X, x)
	}
	return out, nil
}

// ReadCompanion reads what JSON wrote. What does not say how each feature is made
// is models.ErrCorrupt.
func ReadCompanion(b []byte) (*Companion, error) {
	var c Companion
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", models.ErrCorrupt, err)
	}
	if len(c.Features) == 0 {
		return nil, fmt.Errorf("%w: there are no features in it", models.ErrCorrupt)
	}
	for i := range c.Features {
		if err := c.Features[i].check(); err != nil {
			return nil, fmt.Errorf("%w: feature %d, %q: %w", models.ErrCorrupt, i, c.Features[i].Name, err)
		}
	}
	return &c, nil
}

func (f *Feature) check() error {
	most := 1
	switch f.Kind {
	case gbdt.Number:
		if len(f.Levels) > 0 {
			return errors.New("a number has no levels")
		}
	case gbdt.Rate:
		most = 2
	case gbdt.Level, gbdt.Count:
	default:
		return fmt.Errorf("there is no kind %q", f.Kind)
	}
	if len(f.Columns) < 1 || len(f.Columns) > most {
		return fmt.Errorf("a %s is not made of %d columns", f.Kind, len(f.Columns))
	}
	return nil
}

// Columns returns the columns the features are made of, in the order they are
// met.
func (c *Companion) Columns() []models.Column {
	var out []models.Column
	seen := map[string]bool{}
	for _, f := range c.Features {
		for _, name := range f.Columns {
			if seen[name] {
				continue
			}
			seen[name] = true
			kind := models.Numeric
			if slices.Contains(c.Categories, name) {
				kind = models.Category
			}
			out = append(out, models.Column{Name: name, Kind: kind})
		}
	}
	return out
}
