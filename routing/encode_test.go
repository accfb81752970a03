package routing

import (
	"bytes"
	"testing"

	"bellwether/datasets/record"
)

// FuzzUnmarshalIndex: whatever the bytes, reading them fails cleanly or gives an
// index that answers and writes itself.
func FuzzUnmarshalIndex(f *testing.F) {
	w := newWorld(3, 5, 1)
	ix, err := NewIndex(Policy{})
	if err != nil {
		f.Fatal(err)
	}
	for _, x := range w.log {
		switch x := x.(type) {
		case *record.Partner:
			ix.Upsert(x)
		case *record.Event:
			ix.Observe(x)
		}
	}
	ix.Observe(&record.Event{ID: "r", Type: record.DealRegistered, Partner: "p0001", Account: "a1", Deal: "d", At: day0})
	ix.Observe(&record.Event{ID: "m", Type: record.PartnerMerged, Partner: "p0001", Other: "p0002", At: day0})
	b, err := ix.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte(`"into":1`), []byte(`"into":2`), 1))
	f.Add(bytes.Replace(b, []byte(`"into":-1`), []byte(`"into":7`), 1))
	f.Add(bytes.Replace(b, []byte(`"links":[`), []byte(`"links":[9,9,`), 1))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := NewIndex(Policy{})
		if err != nil {
			t.Fatal(err)
		}
		if ix.UnmarshalBinary(b) != nil {
			if ix.Len() != 0 || ix.Version() != 0 {
				t.Fatalf("after an error the index holds %d partners", ix.Len())
			}
			return
		}
		ix.Eligible(newLead("l1"), day0, nil)
		if _, err := ix.MarshalBinary(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUnmarshalOtherPolicy(t *testing.T) {
	a, _ := NewIndex(Policy{})
	b, _ := NewIndex(Policy{Shown: 9})
	a.Upsert(&record.Partner{ID: "p"})
	bytes, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.UnmarshalBinary(bytes); record.KindOf(err) != record.Incompatible || b.Len() != 0 {
		t.Errorf("read under another policy: %v", err)
	}
	if err := a.UnmarshalBinary(bytes[:len(bytes)/2]); record.KindOf(err) != record.Invalid || a.Len() != 0 {
		t.Errorf("half of it read: %v", err)
	}
}
