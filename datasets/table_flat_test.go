package datasets

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	pqfile "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/metadata"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"pgregory.net/rapid"
)

// TestFlatParquetIsTheLibrarys writes random tables both ways: what readers see
// must be the same, cells, metadata, bounds and counts of nulls. No infinities are
// drawn: of a column of nothing else the library gives wrong bounds.
func TestFlatParquetIsTheLibrarys(t *testing.T) {
	meta := arrow.NewMetadata([]string{"bellwether.fingerprint"}, []string{"abc"})
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "offer", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Second, TimeZone: "UTC"}},
		{Name: "attempt", Type: arrow.PrimitiveTypes.Int32},
		{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true, Metadata: arrow.NewMetadata([]string{"unit"}, []string{"days"})},
		{Name: "y", Type: arrow.PrimitiveTypes.Float64},
		{Name: "z", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
	}, &meta)
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		var batches []arrow.Record
		for range rapid.IntRange(0, 3).Draw(t, "batches") {
			batches = append(batches, drawFlat(t, schema))
		}
		mine, theirs := filepath.Join(dir, "mine.parquet"), filepath.Join(dir, "theirs.parquet")
		each := func(yield func(arrow.Record, error) bool) {
			for _, b := range batches {
				if !yield(b, nil) {
					return
				}
			}
		}
		if err := WriteFlatParquet(mine, schema, each); err != nil {
			t.Fatal(err)
		}
		if err := WriteParquet(theirs, schema, each); err != nil {
			t.Fatal(err)
		}
		got, gotMeta := readWhole(t, mine)
		want, wantMeta := readWhole(t, theirs)
		if !got.Schema().Equal(want.Schema()) || !array.TableEqual(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
		sameStatistics(t, schema, gotMeta, wantMeta)
	})
}

func drawFlat(t *rapid.T, schema *arrow.Schema) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	filled := rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "share of cells there")
	for i := range rapid.SampledFrom([]int{1, 7, 8, 9, 64, 1001}).Draw(t, "rows") {
		for j := range schema.Fields() {
			if schema.Field(j).Nullable && rapid.IntRange(1, 100).Draw(t, "there") > filled {
				b.Field(j).AppendNull()
				continue
			}
			switch to := b.Field(j).(type) {
			case *array.StringBuilder:
				to.Append(rapid.SampledFrom([]string{"", "a", "bb"}).Draw(t, "text"))
			case *array.TimestampBuilder:
				to.Append(arrow.Timestamp(i))
			case *array.Int32Builder:
				to.Append(int32(i % 3))
			case *array.Float64Builder:
				to.Append(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, -2.5, 1e300}).Draw(t, "x"))
			}
		}
	}
	r := b.NewRecord()
	return r.NewSlice(rapid.Int64Range(0, r.NumRows()-1).Draw(t, "from"), r.NumRows())
}

func readWhole(t *rapid.T, path string) (arrow.Table, *metadata.FileMetaData) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table, err := pqarrow.ReadTable(context.Background(), bytes.NewReader(b), nil, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pqfile.NewParquetReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return table, r.MetaData()
}

func sameStatistics(t *rapid.T, schema *arrow.Schema, got, want *metadata.FileMetaData) {
	if len(got.RowGroups) != len(want.RowGroups) || got.NumRows != want.NumRows {
		t.Fatalf("%d row groups of %d rows, want %d of %d", len(got.RowGroups), got.NumRows, len(want.RowGroups), want.NumRows)
	}
	for i := range got.RowGroups {
		for j, g := range got.RowGroups[i].Columns {
			w := want.RowGroups[i].Columns[j]
			if schema.Field(j).Type.ID() != arrow.FLOAT64 {
				continue
			}
			gs, ws := g.MetaData.Statistics, w.MetaData.Statistics
			if gs.GetNullCount() != ws.GetNullCount() || !bytes.Equal(gs.MinValue, ws.MinValue) || !bytes.Equal(gs.MaxValue, ws.MaxValue) {
				t.Fatalf("%s: statistics %v, want %v", schema.Field(j).Name, gs, ws)
			}
		}
	}
}
