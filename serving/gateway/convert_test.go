package gateway

import (
	"reflect"
	"testing"
	"time"

	"bellwether/datasets/record"
	pb "bellwether/serving/gen/bellwether/v1"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

func fullPartner() *record.Partner {
	span := record.Span{From: noon.AddDate(-1, 0, 0), To: noon.AddDate(1, 0, 0)}
	return &record.Partner{
		ID: "p1", Name: "Norden", Kind: "msp", Tier: "gold", Parent: "p0", Home: record.Place{Region: "DE", Lat: 0, Lon: 13.4, Located: true},
		Territories: []string{"DE", "AT"}, Industries: []string{"retail"}, Languages: []string{"de"},
		Competences:    []record.Competence{{Product: "crm", Level: 3, Span: span}},
		Certifications: []record.Certification{{Name: "iso", Span: span}},
		Contract:       span, Marketplaces: []string{"aws"},
		Capacity: record.Capacity{Units: 5, Period: "week", Weekdays: []time.Weekday{1, 2}, Timezone: "Europe/Berlin", Absences: []record.Span{span}},
		JoinedAt: noon, Status: []record.StatusSpan{{Status: "active", Span: span}}, KnownAt: noon,
		Attributes: record.Attributes{"text": record.Text("a"), "number": record.Number(2.5), "list": record.List("x", "y")},
	}
}

// A partner that goes out as JSON and comes back is the same, but for KnownAt,
// which is the server's to say.
func TestPartnerThereAndBack(t *testing.T) {
	want := fullPartner()
	text, err := protojson.Marshal(partnerOut(want))
	if err != nil {
		t.Fatal(err)
	}
	var msg pb.Partner
	if err := protojson.Unmarshal(text, &msg); err != nil {
		t.Fatal(err)
	}
	got, err := partnerIn(&msg)
	if err != nil {
		t.Fatal(err)
	}
	got.KnownAt = want.KnownAt
	if !reflect.DeepEqual(got, want) {
		t.Errorf("came back as\n%+v, want\n%+v", got, want)
	}
}

// Every field of the nouns must be converted: a field added to record and
// forgotten here would be lost in silence.
func TestEveryPartnerFieldIsSet(t *testing.T) {
	v := reflect.ValueOf(*fullPartner())
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the test's partner leaves %s empty: fill it in and convert it", v.Type().Field(i).Name)
		}
	}
}

func TestLeadIn(t *testing.T) {
	var msg pb.Lead
	err := protojson.Unmarshal([]byte(`{"id":"l1","created_at":"2026-03-01T13:00:00+01:00","account":"a","company":"c","industry":"i","size_band":"s",
		"place":{"region":"DE","lat":52.5,"lon":13.4},"language":"de","products":["crm"],"need":"resale","value":{"amount":"250000","currency":"EUR"},
		"source":"web","marketplace":"aws","committed_spend":true,"text":"hello","attributes":{"flag":true,"n":3,"l":["a"]}}`), &msg)
	if err != nil {
		t.Fatal(err)
	}
	lead, err := leadIn(&msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := lead.Validate(); err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(*lead)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s was lost", v.Type().Field(i).Name)
		}
	}
	if !lead.CreatedAt.Equal(noon) || lead.CreatedAt.Location() != time.UTC {
		t.Errorf("created_at is %v, want %v in UTC", lead.CreatedAt, noon)
	}
	if got := lead.Attributes["flag"].Text(); got != "true" {
		t.Errorf("attribute flag is %q, want true", got)
	}
}

func TestAttributesInNamesWhatIsWrong(t *testing.T) {
	nested, _ := structpb.NewValue(map[string]any{"a": 1})
	list, _ := structpb.NewValue([]any{"a", 1})
	for field, v := range map[string]*structpb.Value{"attributes.x": nested, "attributes.x[1]": list} {
		_, err := attributesIn(map[string]*structpb.Value{"x": v})
		e, ok := err.(*record.Error)
		if !ok || e.Field != field {
			t.Errorf("got %v, want an error about %s", err, field)
		}
	}
}

func TestEventInKeepsEveryField(t *testing.T) {
	var msg pb.Event
	err := protojson.Unmarshal([]byte(`{"id":"e","type":"deal_won","at":"2026-03-01T12:00:00Z","known_at":"2026-03-01T12:00:00Z","partner":"p","other":"q","lead":"l","deal":"d",
		"account":"a","decision":"x","offer":"o","amount":{"amount":"1","currency":"EUR"},"products":["crm"],"reason":"r","role":"r","direction":"in","text":"t",
		"until":"2026-03-01T12:00:00Z","supersedes":"s","numbers":{"n":1}}`), &msg)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(eventIn(&msg))
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s was lost", v.Type().Field(i).Name)
		}
	}
}

func TestExplanationOutKeepsEveryField(t *testing.T) {
	in := &record.Explanation{Decision: "d", Lead: "l", At: noon, Model: "m", Currency: "EUR", Chosen: "p", Sentence: "s",
		Partners: []record.Explained{{Candidate: record.Candidate{Partner: "p", Win: 0.5, WinLo: 0.4, WinHi: 0.6, Accept: 0.9, Value: 7, Price: 1, Prob: 0.2}, Rank: 1, Enough: true,
			For: []string{"f"}, Against: []string{"a"}, Notes: []string{"n"}}},
		Refusals: []record.RefusedBy{{Rule: "r", Reason: "because", Count: 3}},
		Contrast: &record.Contrast{Partner: "q", Rule: "r", Reason: "because", LogOdds: -1, Rest: 0.1, NoChange: "no",
			Parts: []record.ValuePart{{Of: "win", Amount: 1, Text: "t"}}, Differences: []record.Difference{{Feature: "f", LogOdds: 2, Text: "t"}},
			Changes: []record.Change{{Feature: "f", From: 1, To: 2, Steps: 3, Win: 0.4, Accept: 0.5, Value: 6, Text: "t"}}}}
	everyField(t, "explanation", explanationOut(in).ProtoReflect())
}

// everyField fails for each field of a message that says nothing.
func everyField(t *testing.T, at string, m protoreflect.Message) {
	t.Helper()
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch name := at + "." + string(f.Name()); {
		case !m.Has(f):
			t.Errorf("%s was lost", name)
		case f.IsList() && f.Message() != nil:
			everyField(t, name, m.Get(f).List().Get(0).Message())
		case f.Message() != nil && f.Message().FullName() != "google.protobuf.Timestamp":
			everyField(t, name, m.Get(f).Message())
		}
	}
}
