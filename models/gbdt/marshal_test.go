package gbdt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"testing"

	"bellwether/models"
)

// smallModel has inputs of every kind.
func smallModel(tb testing.TB) *Model {
	tb.Helper()
	rng := rand.New(rand.NewPCG(2, 2))
	tab := &models.Table{X: make([][]float64, 3), Columns: []models.Column{{Name: "a"}, {Name: "c", Kind: models.Category}, {Name: "d", Kind: models.Category}}}
	for range 500 {
		row := []float64{rng.NormFloat64(), float64(rng.IntN(5)), float64(rng.IntN(60))}
		s := row[0] + 2*math.Sin(row[1]*row[2]) + math.Sin(row[2])
		for j, v := range row {
			tab.X[j] = append(tab.X[j], v)
		}
		tab.Y = append(tab.Y, float64(b2i(s > 0)))
	}
	m, err := Learner{Trees: 6, Leaves: 7}.Fit(context.Background(), tab, nil, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return m.(*Model)
}

// sealed replaces the checksum, so that what lies behind it is looked at.
func sealed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := b[: len(b)-4 : len(b)-4]
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

// useOrRefuse loads b; a model that loads must answer and write the same bytes.
func useOrRefuse(t *testing.T, b []byte) {
	m, err := Load(b)
	if err != nil {
		if !errors.Is(err, models.ErrCorrupt) {
			t.Fatalf("error is not ErrCorrupt: %v", err)
		}
		return
	}
	again, err := m.MarshalBinary()
	if err != nil || !bytes.Equal(again, b) {
		t.Fatalf("loaded %d bytes, writes other %d: %v", len(b), len(again), err)
	}
	if m.width > 1000 {
		return
	}
	rows, dst := make([]float64, 9*m.width), make([]float64, 9)
	for i := range rows {
		rows[i] = float64(i) - 10
	}
	m.PredictRows(dst, rows)
	if m.width > 0 {
		m.Contributions(make([]float64, m.width), rows[:m.width])
	}
	m.Importance()
}

func FuzzLoad(f *testing.F) {
	b, err := smallModel(f).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	tab, objectives := labelled()
	for _, o := range objectives {
		b, err := fitTable(f, Learner{Objective: o, Trees: 2, Leaves: 4}, tab.Take(seq(300))).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(b[:60])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		useOrRefuse(t, b)
		useOrRefuse(t, sealed(bytes.Clone(b)))
	})
}

func TestLoadDamaged(t *testing.T) {
	b, err := smallModel(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	refused, tried := 0, 0
	for i := 0; i < len(b); i += 1 + len(b)/1500 {
		tried++
		for _, flip := range []byte{1, 0xff} {
			d := bytes.Clone(b)
			d[i] ^= flip
			if _, err := Load(d); !errors.Is(err, models.ErrCorrupt) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
			d = sealed(d)
			useOrRefuse(t, d)
			if _, err := Load(d); err != nil {
				refused++
			}
		}
	}
	if refused < tried/2 {
		t.Errorf("only %d of %d changes behind a right checksum are noticed", refused, 2*tried)
	}
	for n := 0; n < len(b); n += 1 + len(b)/500 {
		useOrRefuse(t, sealed(bytes.Clone(b[:n])))
	}
}

func TestLoadRefusesBadTrees(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"a cycle":          func(m *Model) { m.trees[0][1].kid = 1 },
		"a child outside":  func(m *Model) { m.trees[0][0].kid = uint32(len(m.trees[0])) - 1 },
		"two parents":      func(m *Model) { m.trees[0][1].kid, m.trees[0][2].kid = 3, 3 },
		"an unknown input": func(m *Model) { m.trees[0][0].test.input = 99 },
		"a bin too high": func(m *Model) {
			m.trees[0][0].test.bin = 255
			m.trees[0][0].test.mask = 0
			m.trees[0][0].test.input = 0
		},
		"a leaf of NaN":     func(m *Model) { m.trees[0][len(m.trees[0])-1].value = math.NaN() },
		"cuts that descend": func(m *Model) { m.enc.inputs[0].cuts[0] = 1e300 },
		"an infinite base":  func(m *Model) { m.base = math.Inf(1) },
		"a column outside":  func(m *Model) { m.enc.inputs[0].col = 3 },
		"a prior above 1":   func(m *Model) { m.enc.stats[0].prior = 1.5 },
	} {
		m := smallModel(t)
		if m.enc.inputs[0].kind != numeric || len(m.enc.inputs[0].cuts) < 2 {
			t.Fatal("the first input is not what this test takes it for")
		}
		change(m)
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(b); !errors.Is(err, models.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
