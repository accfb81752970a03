package record

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// Cell is a value for Set: a time, a list or, most often, text.
type Cell struct {
	Text   string
	List   []string  // for fields that hold lists; Text counts as a list of one
	Time   time.Time // for fields that hold times
	Number bool      // of an attribute: Text is a number
}

func (v Cell) list() []string {
	if v.List == nil && v.Text != "" {
		return []string{v.Text}
	}
	return v.List
}

// column is one field: how it looks in Arrow and how a cell moves in and out.
type column[T any] struct {
	Field
	arrow    arrow.DataType
	metadata arrow.Metadata
	keyed    bool // a map: Set needs a key below the name
	word     func(r *T) string
	write    func(b array.Builder, r *T)
	read     func(c cellReader, rows []T)
	set      func(r *T, key string, v Cell) error
	parse    func(s *scanner, r *T) bool // the JSON value of the field, or of the object it is the first of; nil: not quickly
	tidy     func(r *T)                  // brings what JSON may hold into the form every file gives back
}

// cellReader is one column of a batch being decoded.
type cellReader struct {
	arr   arrow.Array
	texts *interner
	words *knownWords // of this column; nil inside lists
	field string
	fail  func(row int, err *Error)
}

// knownWords are the texts of a column's dictionary, each filled in once it is
// met, for as long as the batches have the same dictionary.
type knownWords struct {
	of    arrow.ArrayData
	texts []string
}

// there yields the cells that are not null.
func (c cellReader) there() iter.Seq[int] {
	return func(yield func(int) bool) {
		n, bitmap := c.arr.Len(), c.arr.NullBitmapBytes()
		if c.arr.NullN() == 0 || len(bitmap) == 0 {
			for i := range n {
				if !yield(i) {
					return
				}
			}
			return
		}
		from := c.arr.Data().Offset()
		for i := 0; i < n; {
			bits := bitmap[(from+i)/8] >> ((from + i) % 8)
			if bits == 0 { // most columns of events are nearly empty
				i += 8 - (from+i)%8
				continue
			}
			if bits&1 != 0 && !yield(i) {
				return
			}
			i++
		}
	}
}

var (
	wordType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	timeType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	jsonMeta = arrow.NewMetadata([]string{"ARROW:extension:name", "ARROW:extension:metadata"}, []string{"arrow.json", ""})
)

// reads reports whether a column of type dt can be read as this one: text in
// any layout, numbers of any width that fits, times of any unit.
func (c *column[T]) reads(dt arrow.DataType) bool { return readable(c.arrow, dt) }

func readable(want, have arrow.DataType) bool {
	switch w := want.(type) {
	case *arrow.DictionaryType, *arrow.StringType:
		if d, ok := have.(*arrow.DictionaryType); ok {
			have = d.ValueType
		}
		return have.ID() == arrow.STRING || have.ID() == arrow.LARGE_STRING
	case *arrow.TimestampType:
		return have.ID() == arrow.TIMESTAMP
	case *arrow.Int64Type:
		return arrow.IsInteger(have.ID()) && have.ID() != arrow.UINT64
	case *arrow.Uint64Type:
		return arrow.IsInteger(have.ID())
	case *arrow.Float64Type:
		return have.ID() == arrow.FLOAT64 || have.ID() == arrow.FLOAT32 || arrow.IsInteger(have.ID())
	case *arrow.ListType:
		h, ok := have.(arrow.ListLikeType)
		return ok && have.ID() != arrow.MAP && have.ID() != arrow.FIXED_SIZE_LIST && readable(w.Elem(), h.Elem())
	case *arrow.MapType:
		h, ok := have.(*arrow.MapType)
		return ok && readable(w.KeyType(), h.KeyType()) && readable(w.ItemType(), h.ItemType())
	case *arrow.StructType:
		h, ok := have.(*arrow.StructType)
		if !ok {
			return false
		}
		for _, f := range h.Fields() {
			mine, ok := w.FieldByName(f.Name)
			if !ok || !readable(mine.Type, f.Type) {
				return false
			}
		}
		return true
	}
	return want.ID() == have.ID()
}

// wants says in words what type the column must have.
func (c *column[T]) wants() string {
	switch c.arrow.ID() {
	case arrow.DICTIONARY, arrow.STRING:
		return "text (string, large_string or a dictionary of them)"
	case arrow.TIMESTAMP:
		return "a timestamp"
	case arrow.INT64, arrow.UINT64:
		return "a whole number"
	case arrow.FLOAT64:
		return "a number"
	}
	return c.arrow.String()
}

// holding says whose memory a decoded text is in.
type holding uint8

const (
	borrowed holding = iota // the batch's
	copied                  // its own
	shared                  // that of equal texts seen lately
)

// textAt returns a function that gives cell i, which must not be null.
func (c cellReader) textAt(h holding) func(i int) string {
	var value func(i int) string
	switch a := c.arr.(type) {
	case *array.String:
		value = a.Value
	case *array.LargeString:
		value = a.Value
	case *array.Dictionary:
		return c.wordAt(a)
	default:
		return func(int) string { return "" }
	}
	switch h {
	case copied:
		return func(i int) string { return strings.Clone(value(i)) }
	case shared:
		return func(i int) string { return c.texts.text(value(i)) }
	}
	return value
}

// wordAt is textAt for a dictionary.
func (c cellReader) wordAt(a *array.Dictionary) func(i int) string {
	known := c.words
	if known == nil {
		known = &knownWords{}
	}
	if known.of != a.Data().Dictionary() {
		known.of = a.Data().Dictionary()
		known.texts = slices.Grow(known.texts[:0], a.Dictionary().Len())[:a.Dictionary().Len()]
		clear(known.texts)
	}
	texts, words := known.texts, a.Dictionary()
	value := cellReader{arr: words, texts: c.texts}.textAt(shared)
	index := cellReader{arr: a.Indices()}.intAt()
	return func(i int) string {
		n := index(i)
		if n < 0 || int(n) >= len(texts) { // in a damaged file
			return ""
		}
		if texts[n] == "" && words.IsValid(int(n)) {
			texts[n] = value(int(n))
		}
		return texts[n]
	}
}

// idText is a text of which most rows have their own; word one that repeats.
func idText[T any, S ~string](f Field, at func(*T) *S) column[T] {
	c := text(f, at)
	c.arrow = arrow.BinaryTypes.String
	c.word = nil
	return c
}

func word[T any, S ~string](f Field, at func(*T) *S) column[T] { return text(f, at) }

func text[T any, S ~string](f Field, at func(*T) *S) column[T] {
	if f.Type == "" {
		f.Type = "text"
	}
	how := shared
	switch f.Name {
	case "id":
		how = borrowed
	case "lead", "account", "deal", "decision", "offer", "supersedes", "previous", "lead_ref", "name", "company", "text": // seldom said twice in a batch
		how = copied
	}
	return column[T]{Field: f, arrow: wordType,
		word: func(r *T) string { return string(*at(r)) },
		write: func(b array.Builder, r *T) {
			if s := string(*at(r)); s != "" {
				b.(*array.StringBuilder).Append(s)
			} else {
				b.AppendNull()
			}
		},
		read: func(c cellReader, rows []T) {
			cell := c.textAt(how)
			for i := range c.there() {
				*at(&rows[i]) = S(cell(i))
			}
		},
		set: func(r *T, _ string, v Cell) error { *at(r) = S(v.Text); return nil },
		parse: func(s *scanner, r *T) bool {
			text, ok := s.text(how)
			*at(r) = S(text)
			return ok
		},
	}
}

// longText is free text: not shared among records, not a dictionary.
func longText[T any](f Field, at func(*T) *string) column[T] {
	return idText(f, at)
}

func when[T any](f Field, at func(*T) *time.Time) column[T] {
	f.Type = "time"
	return column[T]{Field: f, arrow: timeType,
		write: func(b array.Builder, r *T) {
			if t := *at(r); !t.IsZero() {
				b.(*array.TimestampBuilder).Append(arrow.Timestamp(t.UnixMicro()))
			} else {
				b.AppendNull()
			}
		},
		read: func(c cellReader, rows []T) {
			a := c.arr.(*array.Timestamp)
			micros := microsOf(a.DataType().(*arrow.TimestampType).Unit)
			values := a.TimestampValues()
			for i := range c.there() {
				*at(&rows[i]) = time.UnixMicro(micros(int64(values[i]))).UTC()
			}
		},
		set: func(r *T, _ string, v Cell) error {
			if v.Time.IsZero() {
				return fmt.Errorf("%s is not a time: name its format in the mapping", shown(v.Text))
			}
			*at(r) = v.Time.UTC().Truncate(time.Microsecond)
			return nil
		},
		parse: func(s *scanner, r *T) (ok bool) {
			*at(r), ok = s.time()
			return ok
		},
		tidy: func(r *T) {
			if t := *at(r); !t.IsZero() {
				*at(r) = t.UTC().Truncate(time.Microsecond)
			}
		},
	}
}

func microsOf(u arrow.TimeUnit) func(int64) int64 {
	switch u {
	case arrow.Second:
		return func(v int64) int64 { return saturated(v, 1_000_000) }
	case arrow.Millisecond:
		return func(v int64) int64 { return saturated(v, 1_000) }
	case arrow.Nanosecond:
		return func(v int64) int64 { return v / 1_000 }
	}
	return func(v int64) int64 { return v }
}

// saturated multiplies without wrapping round, so that an absurd time stays
// absurd and fails validation.
func saturated(v, by int64) int64 {
	if v > math.MaxInt64/by || v < math.MinInt64/by {
		return math.MaxInt64
	}
	return v * by
}

func whole[T any](f Field, get func(*T) (int64, bool), put func(*T, int64)) column[T] {
	f.Type = "whole number"
	return column[T]{Field: f, arrow: arrow.PrimitiveTypes.Int64,
		write: func(b array.Builder, r *T) {
			if v, ok := get(r); ok {
				b.(*array.Int64Builder).Append(v)
			} else {
				b.AppendNull()
			}
		},
		read: func(c cellReader, rows []T) {
			value := c.intAt()
			for i := range c.there() {
				put(&rows[i], value(i))
			}
		},
		set: func(r *T, _ string, v Cell) error {
			n, err := strconv.ParseInt(v.Text, 10, 64)
			if err != nil {
				return fmt.Errorf("%s is not a whole number", shown(v.Text))
			}
			put(r, n)
			return nil
		},
	}
}

func (c cellReader) intAt() func(i int) int64 {
	switch a := c.arr.(type) {
	case *array.Int64:
		return a.Value
	case *array.Int32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Int8:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint64:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint32:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint16:
		return func(i int) int64 { return int64(a.Value(i)) }
	case *array.Uint8:
		return func(i int) int64 { return int64(a.Value(i)) }
	}
	return func(int) int64 { return 0 }
}

func unsigned[T any](f Field, at func(*T) *uint64) column[T] {
	c := whole(f, func(r *T) (int64, bool) { return 0, false }, func(r *T, v int64) { *at(r) = uint64(v) })
	c.arrow = arrow.PrimitiveTypes.Uint64
	c.write = func(b array.Builder, r *T) { b.(*array.Uint64Builder).Append(*at(r)) }
	c.set = nil
	return c
}

func number[T any](f Field, get func(*T) (float64, bool), put func(*T, float64)) column[T] {
	f.Type = "number"
	return column[T]{Field: f, arrow: arrow.PrimitiveTypes.Float64,
		write: func(b array.Builder, r *T) {
			if v, ok := get(r); ok {
				b.(*array.Float64Builder).Append(v)
			} else {
				b.AppendNull()
			}
		},
		read: func(c cellReader, rows []T) {
			value := c.floatAt()
			for i := range c.there() {
				put(&rows[i], value(i))
			}
		},
		set: func(r *T, _ string, v Cell) error {
			x, err := strconv.ParseFloat(v.Text, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number", shown(v.Text))
			}
			put(r, x)
			return nil
		},
	}
}

func (c cellReader) floatAt() func(i int) float64 {
	switch a := c.arr.(type) {
	case *array.Float64:
		return a.Value
	case *array.Float32:
		return func(i int) float64 { return float64(a.Value(i)) }
	}
	ints := c.intAt()
	return func(i int) float64 { return float64(ints(i)) }
}

func plainNumber[T any](f Field, at func(*T) *float64) column[T] {
	return number(f, func(r *T) (float64, bool) { return *at(r), true }, func(r *T, x float64) { *at(r) = x })
}

func flag[T any](f Field, at func(*T) *bool) column[T] {
	f.Type = "true or false"
	return column[T]{Field: f, arrow: arrow.FixedWidthTypes.Boolean,
		write: func(b array.Builder, r *T) { b.(*array.BooleanBuilder).Append(*at(r)) },
		read: func(c cellReader, rows []T) {
			a := c.arr.(*array.Boolean)
			for i := range rows {
				*at(&rows[i]) = a.IsValid(i) && a.Value(i)
			}
		},
		set: func(r *T, _ string, v Cell) error {
			switch strings.ToLower(v.Text) {
			case "true", "yes", "y", "1":
				*at(r) = true
			case "false", "no", "n", "0", "":
				*at(r) = false
			default:
				return fmt.Errorf("%s is neither true nor false", shown(v.Text))
			}
			return nil
		},
		parse: func(s *scanner, r *T) (ok bool) {
			*at(r), ok = s.flag()
			return ok
		},
	}
}

func words[T any](f Field, at func(*T) *[]string) column[T] {
	f.Type = "list of texts"
	return column[T]{Field: f, arrow: arrow.ListOf(arrow.BinaryTypes.String),
		write: func(b array.Builder, r *T) {
			lists := b.(*array.ListBuilder)
			if len(*at(r)) == 0 {
				lists.AppendNull()
				return
			}
			lists.Append(true)
			lists.ValueBuilder().(*array.StringBuilder).AppendValues(*at(r), nil)
		},
		read: func(c cellReader, rows []T) {
			lists := c.arr.(array.ListLike)
			values := lists.ListValues()
			cell := cellReader{arr: values, texts: c.texts}.textAt(shared)
			for i := range c.there() {
				from, to := lists.ValueOffsets(i)
				items := make([]string, to-from)
				for k := range items {
					if values.IsValid(int(from) + k) {
						items[k] = cell(int(from) + k)
					}
				}
				if len(items) > 0 {
					*at(&rows[i]) = items
				}
			}
		},
		set: func(r *T, _ string, v Cell) error { *at(r) = v.list(); return nil },
		parse: func(s *scanner, r *T) (ok bool) {
			*at(r), ok = s.words()
			return ok
		},
	}
}

// numbers is a map from name to number.
func numbers[T any](f Field, at func(*T) *map[string]float64) column[T] {
	f.Type = "numbers by name"
	return column[T]{Field: f, arrow: arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Float64), keyed: true,
		write: func(b array.Builder, r *T) {
			m := b.(*array.MapBuilder)
			if len(*at(r)) == 0 {
				m.AppendNull()
				return
			}
			m.Append(true)
			for _, name := range sortedKeys(*at(r)) {
				m.KeyBuilder().(*array.StringBuilder).Append(name)
				m.ItemBuilder().(*array.Float64Builder).Append((*at(r))[name])
			}
		},
		read: func(c cellReader, rows []T) {
			m := c.arr.(*array.Map)
			name := cellReader{arr: m.Keys(), texts: c.texts}.textAt(shared)
			value := cellReader{arr: m.Items()}.floatAt()
			for i := range c.there() {
				if from, to := m.ValueOffsets(i); from < to {
					all := make(map[string]float64, to-from)
					for k := int(from); k < int(to); k++ {
						all[name(k)] = value(k)
					}
					*at(&rows[i]) = all
				}
			}
		},
		set: func(r *T, key string, v Cell) error {
			x, err := strconv.ParseFloat(v.Text, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number", shown(v.Text))
			}
			if *at(r) == nil {
				*at(r) = map[string]float64{}
			}
			(*at(r))[key] = x
			return nil
		},
		parse: func(s *scanner, r *T) (ok bool) {
			*at(r), ok = s.numbers()
			return ok
		},
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// document is a column of JSON text.
func document[T any](f Field, empty func(*T) bool, at func(*T) any) column[T] {
	return column[T]{Field: f, arrow: arrow.BinaryTypes.String, metadata: jsonMeta,
		write: func(b array.Builder, r *T) {
			if empty(r) {
				b.AppendNull()
				return
			}
			doc, err := json.Marshal(at(r))
			if err != nil { // a number that is not finite: Validate refuses it
				b.AppendNull()
				return
			}
			b.(*array.StringBuilder).Append(string(doc))
		},
		read: func(c cellReader, rows []T) {
			cell := c.textAt(borrowed)
			for i := range c.there() {
				doc := cell(i)
				if doc == "" {
					continue
				}
				if err := json.Unmarshal([]byte(doc), at(&rows[i])); err != nil {
					c.fail(i, FieldErrorf(c.field, "%s is not the JSON wanted here: %v", shown(doc), err))
				}
			}
		},
	}
}

func attributes[T any](at func(*T) *Attributes) column[T] {
	c := document(Field{Name: "attributes", Column: "attributes", Type: "JSON object",
		Meaning: "the CRM's own fields, name to text, number or list of texts; each becomes a feature"},
		func(r *T) bool { return len(*at(r)) == 0 }, func(r *T) any { return at(r) })
	c.keyed = true
	c.parse = func(s *scanner, r *T) (ok bool) {
		*at(r), ok = s.attributes()
		return ok
	}
	strictly := c.read
	c.read = func(cells cellReader, rows []T) {
		docs, rest := cells.textAt(borrowed), false
		for i := range cells.there() {
			s := &scanner{in: docs(i), texts: cells.texts}
			all, ok := s.attributes()
			if ok && s.at == len(s.in) {
				*at(&rows[i]) = all
			} else {
				rest = true
			}
		}
		if rest {
			strictly(cells, rows)
		}
	}
	c.set = func(r *T, key string, v Cell) error {
		if *at(r) == nil {
			*at(r) = Attributes{}
		}
		switch {
		case v.List != nil:
			(*at(r))[key] = List(v.List...)
		case v.Number:
			x, err := strconv.ParseFloat(v.Text, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number", shown(v.Text))
			}
			(*at(r))[key] = Number(x)
		default:
			(*at(r))[key] = Text(v.Text)
		}
		return nil
	}
	return c
}

// money is two columns: minor units and currency.
func money[T any](name, meaning string, at func(*T) *Money) []column[T] {
	amount := whole(Field{Name: name + ".amount", Column: name, Meaning: meaning + ", in minor units (cents)"},
		func(r *T) (int64, bool) { return at(r).Amount, !at(r).IsZero() }, func(r *T, v int64) { at(r).Amount = v })
	amount.parse = func(s *scanner, r *T) (ok bool) {
		*at(r), ok = s.money()
		return ok
	}
	currency := word(Field{Name: name + ".currency", Column: name + "_currency", Meaning: "ISO 4217 code of it"},
		func(r *T) *string { return &at(r).Currency })
	return []column[T]{amount, currency}
}

// place is three columns: a region and a point.
func place[T any](name, meaning string, at func(*T) *Place) []column[T] {
	degree := func(axis string, of func(*Place) *float64) column[T] {
		return number(Field{Name: name + "." + axis, Column: name + "_" + axis, Meaning: "degrees; empty where not known"},
			func(r *T) (float64, bool) { return *of(at(r)), at(r).Located },
			func(r *T, x float64) { *of(at(r)), at(r).Located = x, true })
	}
	region := word(Field{Name: name + ".region", Column: name + "_region", Meaning: meaning}, func(r *T) *string { return &at(r).Region })
	region.parse = func(s *scanner, r *T) (ok bool) {
		*at(r), ok = s.place()
		return ok
	}
	return []column[T]{
		region,
		degree("lat", func(p *Place) *float64 { return &p.Lat }),
		degree("lon", func(p *Place) *float64 { return &p.Lon }),
	}
}

// span is two columns: from and to.
func span[T any](prefix, column_, meaning string, at func(*T) *Span) []column[T] {
	from := when(Field{Name: prefix + "from", Column: column_ + "from", Meaning: meaning + " begins; empty: always"}, func(r *T) *time.Time { return &at(r).From })
	from.parse = nil // it is one of two in an object
	return []column[T]{
		from,
		when(Field{Name: prefix + "to", Column: column_ + "to", Meaning: meaning + " ends (that moment not included); empty: never"}, func(r *T) *time.Time { return &at(r).To }),
	}
}

// structs is a list of E, one struct column each.
func structs[T, E any](f Field, parts []column[E], at func(*T) *[]E) column[T] {
	fields := make([]arrow.Field, len(parts))
	names := make([]string, len(parts))
	for i, p := range parts {
		fields[i] = arrow.Field{Name: p.Column, Type: p.arrow, Nullable: true}
		names[i] = p.Column
	}
	f.Type = "list of {" + strings.Join(names, ", ") + "}"
	return column[T]{Field: f, arrow: arrow.ListOf(arrow.StructOf(fields...)),
		write: func(b array.Builder, r *T) {
			lists := b.(*array.ListBuilder)
			if len(*at(r)) == 0 {
				lists.AppendNull()
				return
			}
			lists.Append(true)
			one := lists.ValueBuilder().(*array.StructBuilder)
			for i := range *at(r) {
				one.Append(true)
				for k := range parts {
					parts[k].write(one.FieldBuilder(k), &(*at(r))[i])
				}
			}
		},
		read: func(c cellReader, rows []T) {
			lists := c.arr.(array.ListLike)
			items := lists.ListValues().(*array.Struct)
			all := make([]E, items.Len())
			rowOf := func(k int) int {
				return sort.Search(len(rows), func(i int) bool { _, to := lists.ValueOffsets(i); return int(to) > k })
			}
			for k, f := range items.DataType().(*arrow.StructType).Fields() {
				p := slices.IndexFunc(parts, func(p column[E]) bool { return p.Column == f.Name })
				parts[p].read(cellReader{arr: items.Field(k), texts: c.texts, field: c.field + "." + f.Name,
					fail: func(k int, err *Error) { c.fail(rowOf(k), err) }}, all)
			}
			for i := range rows {
				if from, to := lists.ValueOffsets(i); lists.IsValid(i) && from < to {
					*at(&rows[i]) = all[from:to:to]
				}
			}
		},
		tidy: func(r *T) {
			for i := range *at(r) {
				for k := range parts {
					if parts[k].tidy != nil {
						parts[k].tidy(&(*at(r))[i])
					}
				}
			}
		},
	}
}
