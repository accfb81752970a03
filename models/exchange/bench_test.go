package exchange_test

import (
	"context"
	"testing"

	"bellwether/models"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
)

// BenchmarkPredictRows scores rows with 200 trees of 31 leaves, ours and the same
// written as LightGBM text and read.
func BenchmarkPredictRows(b *testing.B) {
	table, _ := mixed(4000)
	table.Columns, table.X = table.Columns[:2], table.X[:2]
	fitted, err := gbdt.Learner{Trees: 200}.Fit(context.Background(), table, nil, 1)
	if err != nil {
		b.Fatal(err)
	}
	ours := fitted.(*gbdt.Model)
	text, _, err := exchange.Write(ours, table.Columns)
	if err != nil {
		b.Fatal(err)
	}
	read, err := exchange.Read(text)
	if err != nil {
		b.Fatal(err)
	}
	const n = 512
	rows, p := make([]float64, 2*n), make([]float64, n)
	for i := range n {
		table.Row(rows[2*i:2*i+2], i)
	}
	for _, c := range []struct {
		name string
		m    models.RowsPredictor
	}{{"ours", ours}, {"read", read}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.m.PredictRows(p, rows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
	b.Run("contributions", func(b *testing.B) {
		dst := make([]float64, 2)
		for b.Loop() {
			read.Contributions(dst, rows[:2])
		}
	})
}
