package datasets

import (
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"bellwether/models"
)

// Columns of every type that is left as it came hold the numbers that were put
// into them, and float64 ones are not copied.
func TestBatchesHoldWhatCame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.SampledFrom([]arrow.DataType{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Int8,
			arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32,
			arrow.PrimitiveTypes.Int64, arrow.BinaryTypes.String, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String},
		}).Draw(t, "type")
		c, err := typed(arrow.Field{Name: "a", Type: of, Nullable: true}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		var want []float64
		rows := map[string]int{}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			b := array.NewBuilder(memory.DefaultAllocator, of)
			for _, v := range rapid.SliceOfN(rapid.IntRange(-1, 99), 1, 20).Draw(t, "values") {
				word := fmt.Sprint(v)
				switch {
				case v < 0:
					b.AppendNull()
					want = append(want, math.NaN())
					continue
				case c.kind == models.Category:
					word = []string{"x", "y", "NA"}[v%3]
					want = append(want, models.Code(map[bool]string{false: word}[word == "NA"]))
				default:
					want = append(want, float64(v))
				}
				if rows[word]++; b.AppendValueFromString(word) != nil {
					t.Fatalf("no %s for %v", word, of)
				}
			}
			a := b.NewArray()
			p, err := c.piece(a)
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := a.(*array.Float64); ok && &p.values(nil, 0, p.len())[0] != &f.Float64Values()[0] {
				t.Fatal("a column of float64 was copied")
			}
			a.Release()
			c.pieces, c.rows = append(c.pieces, p), c.rows+p.len()
		}
		in := c.inputs()
		if !sameBits(c.values(), want) {
			t.Fatalf("%v: %v, want %v", of, c.values(), want)
		}
		for i := range want {
			if got := in.At(0, i); !sameBits([]float64{got}, want[i:i+1]) {
				t.Fatalf("%v, row %d: %v, want %v", of, i, got, want[i])
			}
		}
		for _, l := range c.levels.sorted() {
			if l.Rows != rows[l.Text] {
				t.Fatalf("%d rows of %s, want %d", l.Rows, l.Text, rows[l.Text])
			}
		}
	})
}

func TestInfiniteNumbersAreRefused(t *testing.T) {
	for _, of := range []arrow.DataType{arrow.PrimitiveTypes.Float64, arrow.PrimitiveTypes.Float32} {
		c, err := typed(arrow.Field{Name: "a", Type: of}, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		c.rows = 40 // in batches before
		b := array.NewBuilder(memory.DefaultAllocator, of)
		for _, v := range []string{"1", "2", "-Inf", "NaN", "+Inf"} {
			if err := b.AppendValueFromString(v); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.piece(b.NewArray()); err == nil || err.Error() != "row 43: "+errInfinite.Error() {
			t.Errorf("%v: %v", of, err)
		}
	}
}
