package features

import (
	"bytes"
	"os"
	"testing"

	"bellwether/models"
)

func TestTableOfFeaturesIsFresh(t *testing.T) {
	want, err := os.ReadFile("../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := WriteTable(&got, NewSet(Schema{}, Options{})); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("docs/features.md is stale: run go generate ./features")
	}
}

func TestEveryFeatureIsDescribed(t *testing.T) {
	set := world{partners: 3, events: 100, days: 10, seed: 1}.set()
	if n := NewSet(Schema{}, Options{}).Width(); n < 60 {
		t.Errorf("only %d features", n)
	}
	lead, partner, pair := set.Sides()
	seen := map[string]bool{}
	for i, f := range set.Features() {
		want := Lead
		if i >= partner {
			want = Partner
		}
		if i >= pair {
			want = Pair
		}
		if f.Name == "" || f.Unit == "" || f.Meaning == "" || f.Side != want || seen[f.Name] {
			t.Errorf("feature %d: %+v is nameless, undescribed, out of its block or there twice", i, f)
		}
		if (f.Kind == models.Category) != (f.Unit == "category") {
			t.Errorf("%s: kind and unit disagree", f.Name)
		}
		if at, ok := set.Column(f.Name); !ok || at != i {
			t.Errorf("%s is found at %d, %v", f.Name, at, ok)
		}
		seen[f.Name] = true
	}
	if lead != 0 || !seen["lead_attr_channel"] || !seen["partner_attr_focus"] || !seen["pair_attr_channel_win_rate"] {
		t.Error("attributes did not become features")
	}
}

func TestFingerprintIsOfEverythingThatDefinesARow(t *testing.T) {
	base := NewSet(Schema{}, Options{})
	if again := NewSet(Schema{}, Options{}); again.Fingerprint() != base.Fingerprint() {
		t.Error("the same set has two fingerprints")
	}
	for _, other := range []*Set{
		NewSet(Schema{LeadAttributes: []Attribute{{Name: "a", Kind: 1}}}, Options{}),
		NewSet(Schema{}, Options{LeadDays: 10}),
		NewSet(Schema{}, Options{Currency: map[string]float64{"USD": 0.9}}),
	} {
		if other.Fingerprint() == base.Fingerprint() {
			t.Errorf("%+v %+v has the fingerprint of another set", other.Schema(), other.Options())
		}
	}
}
