package exchange

import (
	"encoding/json"
	"fmt"
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
	Features []Feature `json:"features"`
	Ages     []int64   `json:"ages,omitempty"`
	Ways     []string  `json:"ways,omitempty"`
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
	at := make(map[string]int, len(t.Columns))
	for j, column := range t.Columns {
		at[column.Name] = j
	}
	out := &models.Table{}
	for i := range c.Features {
		f := &c.Features[i]
		from := make([][]float64, len(f.Columns))
		for k, name := range f.Columns {
			j, ok := at[name]
			if !ok {
				return nil, fmt.Errorf("%w: no column %s, of which %s is made", models.ErrWidth, name, f.Name)
			}
			from[k] = t.X[j]
		}
		out.Columns = append(out.Columns, models.Column{Name: f.Name})
		out.X = append(out.X, f.encode(from))
	}
	return out, nil
}

func (f *Feature) encode(from [][]float64) []float64 {
	if f.Kind == gbdt.Number {
		return from[0]
	}
	out := make([]float64, len(from[0]))
	for i := range out {
		key := target.Key(from[0][i])
		if len(from) > 1 {
			key = target.Pair(key, target.Key(from[1][i]))
		}
		v, ok := f.Levels[Key(key)]
		if !ok {
			v = f.Unseen
		}
		out[i] = v
	}
	return out
}
