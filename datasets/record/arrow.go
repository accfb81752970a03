package record

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Field describes one field of a noun: what a file holds and an import mapping
// may name.
type Field struct {
	Name     string   `json:"name"`   // path in JSON, "home.region"; also how errors and mappings name it
	Column   string   `json:"column"` // name of the Arrow and Parquet column
	Type     string   `json:"type"`
	Required bool     `json:"required,omitempty"`
	Meaning  string   `json:"meaning"`
	OneOf    []string `json:"one_of,omitempty"`
}

// Metadata keys of our Arrow schemas.
const (
	FingerprintKey = "bellwether.fingerprint" // hash over names and types of the columns
	NounKey        = "bellwether.noun"
)

// Codec turns records of one noun into Arrow batches and back. It does not
// change and may be used from any number of goroutines.
type Codec[T any] struct {
	noun    string
	columns []column[T]
	schema  *arrow.Schema
}

func newCodec[T any](noun string, columns []column[T]) *Codec[T] {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n", noun)
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fmt.Fprintf(h, "%s %s\n", c.Column, c.arrow.Fingerprint())
		fields[i] = arrow.Field{Name: c.Column, Type: c.arrow, Nullable: !c.Required, Metadata: c.metadata}
	}
	meta := arrow.NewMetadata([]string{FingerprintKey, NounKey}, []string{hex.EncodeToString(h.Sum(nil)), noun})
	return &Codec[T]{noun: noun, columns: columns, schema: arrow.NewSchema(fields, &meta)}
}

// Noun returns "partner", "lead", "event" or "decision".
func (c *Codec[T]) Noun() string { return c.noun }

// Schema returns the Arrow schema, with the noun and a fingerprint of the
// columns in its metadata.
func (c *Codec[T]) Schema() *arrow.Schema { return c.schema }

// Fingerprint returns the schema's fingerprint.
func (c *Codec[T]) Fingerprint() string {
	fp, _ := c.schema.Metadata().GetValue(FingerprintKey)
	return fp
}

// Fields lists the noun's fields in order.
func (c *Codec[T]) Fields() []Field {
	out := make([]Field, len(c.columns))
	for i := range c.columns {
		out[i] = c.columns[i].Field
	}
	return out
}

// Set gives the field of that name a value: text is parsed by the field's type,
// a list goes to list fields only. "attributes.NAME" and "numbers.NAME" reach
// into maps. The error names the field.
func (c *Codec[T]) Set(r *T, name string, v Cell) error {
	head, rest, _ := strings.Cut(name, ".")
	for i := range c.columns {
		col := &c.columns[i]
		switch {
		case col.set == nil:
		case col.Name == name && !col.keyed:
			return inField(name, col.set(r, "", v))
		case col.keyed && col.Name == head && rest != "":
			return inField(name, col.set(r, rest, v))
		}
	}
	return FieldErrorf(name, "is not a field of a %s that a mapping can set; see 'bellwether schema %s'", c.noun, c.noun)
}

// Settable returns the field a mapping's target names, and whether there is one.
func (c *Codec[T]) Settable(name string) (Field, bool) {
	head, rest, _ := strings.Cut(name, ".")
	for i := range c.columns {
		col := &c.columns[i]
		if col.set != nil && (col.Name == name && !col.keyed || col.keyed && col.Name == head && rest != "") {
			return col.Field, true
		}
	}
	return Field{}, false
}

func inField(name string, err error) error {
	if err == nil {
		return nil
	}
	return FieldErrorf(name, "%v", err)
}

// Builder collects records into Arrow batches. Its dictionaries only ever grow,
// so an index means the same text in each of its batches.
type Builder[T any] struct {
	codec *Codec[T]
	cells []array.Builder
	words []*dictionary // per column; nil where the column is plain
	n     int
}

// dictionary numbers the texts of one column.
type dictionary struct {
	index map[string]int32
	texts []string
}

// NewBuilder returns an empty builder.
func (c *Codec[T]) NewBuilder() *Builder[T] {
	b := &Builder[T]{codec: c, cells: make([]array.Builder, len(c.columns)), words: make([]*dictionary, len(c.columns))}
	for i, col := range c.columns {
		if col.arrow.ID() == arrow.DICTIONARY {
			b.words[i] = &dictionary{index: map[string]int32{}}
			b.cells[i] = array.NewInt32Builder(memory.DefaultAllocator)
			continue
		}
		b.cells[i] = array.NewBuilder(memory.DefaultAllocator, col.arrow)
	}
	return b
}

// Append adds a record to the batch being built.
func (b *Builder[T]) Append(r *T) {
	for i := range b.codec.columns {
		col := &b.codec.columns[i]
		if w := b.words[i]; w != nil {
			w.add(b.cells[i].(*array.Int32Builder), col.word(r))
			continue
		}
		col.write(b.cells[i], r)
	}
	b.n++
}

func (d *dictionary) add(cells *array.Int32Builder, s string) {
	if s == "" {
		cells.AppendNull()
		return
	}
	n, ok := d.index[s]
	if !ok {
		n = int32(len(d.texts))
		s = strings.Clone(s)
		d.index[s] = n
		d.texts = append(d.texts, s)
	}
	cells.Append(n)
}

// Len returns the number of records not yet in a batch.
func (b *Builder[T]) Len() int { return b.n }

// Indices makes a batch of what was appended and starts the next one.
// Dictionary columns are given by their int32 indices alone: a Joiner makes
// them whole.
func (b *Builder[T]) Indices() arrow.Record {
	fields := slices.Clone(b.codec.schema.Fields())
	cols := make([]arrow.Array, len(fields))
	for i := range fields {
		cols[i] = b.cells[i].NewArray()
		if b.words[i] != nil {
			fields[i].Type = arrow.PrimitiveTypes.Int32
		}
	}
	n := int64(b.n)
	b.n = 0
	return array.NewRecord(arrow.NewSchema(fields, nil), cols, n)
}

// Joiner makes whole what Indices gave. All batches of one Joiner share one
// dictionary per column, as an Arrow file needs; it knows the texts appended
// before it was made.
type Joiner struct {
	schema *arrow.Schema
	dicts  []arrow.Array // per column; nil where the column is plain
}

// Joiner returns a Joiner for all that was appended so far.
func (b *Builder[T]) Joiner() *Joiner {
	j := &Joiner{schema: b.codec.schema, dicts: make([]arrow.Array, len(b.words))}
	for i, w := range b.words {
		if w != nil {
			texts := array.NewStringBuilder(memory.DefaultAllocator)
			texts.AppendValues(w.texts, nil)
			j.dicts[i] = texts.NewArray()
		}
	}
	return j
}

// Schema is the schema of the batches Join returns.
func (j *Joiner) Schema() *arrow.Schema { return j.schema }

// Join returns the batch with its dictionaries.
func (j *Joiner) Join(batch arrow.Record) arrow.Record {
	cols := slices.Clone(batch.Columns())
	for i, dict := range j.dicts {
		if dict != nil {
			cols[i] = array.NewDictionaryArray(j.schema.Field(i).Type, cols[i], dict)
		}
	}
	return array.NewRecord(j.schema, cols, batch.NumRows())
}

// NewRecord makes a batch of what was appended, with the dictionaries as they
// are now.
func (b *Builder[T]) NewRecord() arrow.Record { return b.Joiner().Join(b.Indices()) }

// Forget empties the dictionaries: for formats that keep one per batch.
func (b *Builder[T]) Forget() {
	for _, w := range b.words {
		if w != nil {
			clear(w.index)
			w.texts = w.texts[:0]
		}
	}
}

// Decoder turns Arrow batches of one schema into records. It keeps the texts it
// has seen lately, so it is for one goroutine.
type Decoder[T any] struct {
	columns []*column[T]
	arrays  []int
	words   []knownWords // per column
	texts   *interner
}

// Decoder returns a decoder for batches of a schema, which may hold the columns
// in any order and leave out those not required. A column of a type that cannot
// be read is an error that names it and says what is wanted, as is a column that
// is no field of the noun.
func (c *Codec[T]) Decoder(schema *arrow.Schema) (*Decoder[T], error) {
	d := &Decoder[T]{texts: newInterner()}
	for i, f := range schema.Fields() {
		col := c.find(f.Name)
		if col == nil {
			return nil, FieldErrorf(f.Name, "is not a column of %ss: rename it, or put a CRM's own fields into attributes; the columns are %s",
				c.noun, strings.Join(c.names(), ", "))
		}
		if !col.reads(f.Type) {
			return nil, FieldErrorf(f.Name, "has type %s where %s is wanted: cast the column and write the file again", f.Type, col.wants())
		}
		d.columns, d.arrays = append(d.columns, col), append(d.arrays, i)
	}
	d.words = make([]knownWords, len(d.columns))
	for i := range c.columns {
		if col := &c.columns[i]; col.Required && !slices.Contains(d.columns, col) {
			return nil, FieldErrorf(col.Column, "is missing: a file of %ss needs this column (%s)", c.noun, col.wants())
		}
	}
	return d, nil
}

func (c *Codec[T]) find(name string) *column[T] {
	for i := range c.columns {
		if c.columns[i].Column == name {
			return &c.columns[i]
		}
	}
	return nil
}

func (c *Codec[T]) names() []string {
	out := make([]string, len(c.columns))
	for i := range c.columns {
		out[i] = c.columns[i].Column
	}
	return out
}

// Decode fills rows, which must be zero and as long as the batch. fail is
// called for each cell that cannot be read. A record's own id shares memory
// with the batch; other texts are the record's, or shared among records.
func (d *Decoder[T]) Decode(batch arrow.Record, rows []T, fail func(row int, err *Error)) {
	for k, col := range d.columns {
		arr := batch.Column(d.arrays[k])
		if arr.NullN() == arr.Len() {
			continue
		}
		col.read(cellReader{arr: arr, texts: d.texts, words: &d.words[k], field: col.Name, fail: fail}, rows)
	}
}

// Tidy puts the times of a record that came as JSON into UTC and whole
// microseconds, as every other format holds them.
func (c *Codec[T]) Tidy(r *T) {
	for i := range c.columns {
		if c.columns[i].tidy != nil {
			c.columns[i].tidy(r)
		}
	}
}

// interner keeps one copy of each text seen lately, in bounded memory.
type interner struct{ slots []string }

// internSlots is enough for the repeated words and most partner and account ids
// of a batch; a text pushed out is merely copied again.
const internSlots = 1 << 17

// internSeed decides which texts push each other out, nothing else.
var internSeed = maphash.MakeSeed()

func newInterner() *interner { return &interner{slots: make([]string, internSlots)} }

func (n *interner) text(s string) string {
	if s == "" {
		return ""
	}
	slot := &n.slots[maphash.String(internSeed, s)%internSlots]
	if *slot != s {
		*slot = strings.Clone(s)
	}
	return *slot
}
