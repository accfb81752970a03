package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	pb "bellwether/serving/gen/bellwether/v1"

	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

// bodies are the calls with a body, and its message.
var bodies = map[string]protoreflect.ProtoMessage{
	"POST /v1/route": &pb.RouteRequest{}, "POST /v1/route:preview": &pb.PreviewRequest{}, "POST /v1/outcomes": &pb.ReportOutcomeRequest{},
	"POST /v1/events": &pb.IngestEventsRequest{}, "PUT /v1/partners/{partner.id}": &pb.Partner{},
	"POST /v1/decisions/{id}:accept": &pb.AcceptOfferRequest{}, "POST /v1/decisions/{id}:decline": &pb.DeclineOfferRequest{},
	"POST /v1/models/{name}:promote": &pb.PromoteModelRequest{}, "POST /v1/models/{name}:rollback": &pb.RollbackModelRequest{},
}

// A value of the wrong type and a field that is none are found anywhere in any
// body, and told by their whole path.
func TestWrongTypesAreToldByTheirPath(t *testing.T) {
	e := newEdge(t, Limits{})
	for path, item := range openAPI()["paths"].(document) {
		for method, op := range item.(document) {
			if call := strings.ToUpper(method) + " " + path; op.(document)["requestBody"] != nil && bodies[call] == nil {
				t.Errorf("the bodies of %s are not tried", call)
			}
		}
	}
	tried := 0
	for call, message := range bodies {
		method, path, _ := strings.Cut(call, " ")
		path = pathVariable.ReplaceAllString(path, "x")
		wrongTypes(message.ProtoReflect().Descriptor(), "", func(field, body string) {
			tried++
			code, _, p := e.do(method, path, "\n "+body)
			if code != http.StatusBadRequest || p["field"] != field {
				t.Errorf("%s %s: %d %v, want 400 about %s", call, body, code, p, field)
			}
		})
	}
	if tried < 150 {
		t.Errorf("only %d bodies were tried", tried)
	}
}

// wrongTypes gives bodies of a message with one fault each and the path of that.
func wrongTypes(m protoreflect.MessageDescriptor, at string, give func(field, body string)) {
	give(at+"nonsense", "{ \"nonsense\": 1 }")
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		name := at + f.JSONName()
		say := func(field, value string) { give(field, fmt.Sprintf("{\n%q :%s}", f.JSONName(), value)) }
		switch {
		case f.IsMap():
			say(name, "7")
			if f.MapValue().Message() == nil {
				say(name+".ä.b", `{"a": 1, "ä.b": {}}`)
			}
		case f.IsList() && f.Message() == nil:
			say(name, "{}")
			say(name+"[2]", map[bool]string{true: `["a", "ä", {}]`, false: `[1, 2, "x"]`}[f.Kind() == protoreflect.StringKind])
		case f.IsList():
			say(name, "{}")
			say(name+"[1]", "[{}, 7]")
			wrongTypes(f.Message(), name+"[1].", func(field, body string) { say(field, "[{}, "+body+"]") })
		case f.Message() == nil:
			say(name, "{}")
		case f.Message().FullName() == "google.protobuf.Timestamp":
			say(name, `"yesterday"`)
			say(name, "{}")
		default:
			say(name, "7")
			wrongTypes(f.Message(), name+".", func(field, body string) { say(field, body) })
		}
	}
}

// What a body says that cannot be is told by its whole path too.
func TestRulesAreToldByTheirPath(t *testing.T) {
	e := newEdge(t, Limits{})
	e.partners(1)
	d := e.must("POST", "/v1/route", `{"lead":{"id":"l1"}}`)
	offer := "/v1/decisions/" + d["id"].(string)
	long := strings.Repeat("x", 70_000)
	lead := func(body string) string { return `{"lead":{"id":"x",` + body + `}}` }
	third := func(body string) string {
		ok := `{"id":"%s","type":"portal_login","at":"2026-01-01T00:00:00Z","partner":"p00"}`
		return `{"events":[` + fmt.Sprintf(ok, "a") + `,` + fmt.Sprintf(ok, "b") + `,` + body + `]}`
	}
	event := func(body string) string {
		return third(`{"id":"c","type":"deal_won","at":"2026-01-01T00:00:00Z","partner":"p00",` + body + `}`)
	}
	outcome := func(body string) string { return `{"decision":"` + d["id"].(string) + `","result":"won",` + body + `}` }
	for _, c := range []struct{ method, path, body, field string }{
		{"POST", "/v1/route", `{"lead":null}`, "lead"},
		{"POST", "/v1/route", `{"lead":{}}`, "lead.id"},
		{"POST", "/v1/route", lead(`"created_at":"1960-01-01T00:00:00Z"`), "lead.created_at"},
		{"POST", "/v1/route", lead(`"place":{"lat":100,"lon":0}`), "lead.place.lat"},
		{"POST", "/v1/route", lead(`"place":{"lat":10}`), "lead.place.lon"},
		{"POST", "/v1/route:preview", lead(`"place":{"lon":0}`), "lead.place.lat"},
		{"POST", "/v1/route:preview", lead(`"value":{"amount":"-5","currency":"EUR"}`), "lead.value.amount"},
		{"POST", "/v1/route:preview", lead(`"value":{"amount":"5"}`), "lead.value.currency"},
		{"POST", "/v1/route", lead(`"products":["a",""]`), "lead.products[1]"},
		{"POST", "/v1/route", lead(`"need":"love"`), "lead.need"},
		{"POST", "/v1/route", lead(`"attributes":{"a b":{"c":1}}`), "lead.attributes.a b"},
		{"POST", "/v1/route", lead(`"attributes":{"a":["x",1]}`), "lead.attributes.a[1]"},
		{"POST", "/v1/route", lead(`"attributes":{"a":["x",""]}`), "lead.attributes.a[1]"},
		{"PUT", "/v1/partners/p1", `{}`, "name"},
		{"PUT", "/v1/partners/p1", `{"id":"p1"}`, "name"},
		{"PUT", "/v1/partners/p1", `{"parent":"p1"}`, "parent"},
		{"PUT", "/v1/partners/p1", `{"home":{"lat":1}}`, "home.lon"},
		{"PUT", "/v1/partners/p1", `{"attributes":{"a":[1]}}`, "attributes.a[0]"},
		{"PUT", "/v1/partners/p1", `{"competences":[{"product":"a"},{"product":"b","level":9}]}`, "competences[1].level"},
		{"PUT", "/v1/partners/p1", `{"competences":[{"product":"a","to":"1950-01-01T00:00:00Z"}]}`, "competences[0].to"},
		{"PUT", "/v1/partners/p1", `{"certifications":[{}]}`, "certifications[0].name"},
		{"PUT", "/v1/partners/p1", `{"status":[{"status":"active"},{"status":"gone"}]}`, "status[1].status"},
		{"PUT", "/v1/partners/p1", `{"contract":{"from":"2900-01-01T00:00:00Z"}}`, "contract.from"},
		{"PUT", "/v1/partners/p1", `{"capacity":{"weekdays":[1,9]}}`, "capacity.weekdays[1]"},
		{"PUT", "/v1/partners/p1", `{"capacity":{"timezone":"Mars"}}`, "capacity.timezone"},
		{"PUT", "/v1/partners/p1", `{"capacity":{"absences":[{},{"to":"1950-01-01T00:00:00Z"}]}}`, "capacity.absences[1].to"},
		{"POST", "/v1/events", third(`{}`), "events[2].id"},
		{"POST", "/v1/events", third(`null`), "events[2]"},
		{"POST", "/v1/events", event(`"amount":{"amount":"1","currency":"euro"}`), "events[2].amount.currency"},
		{"POST", "/v1/events", event(`"products":["a","b",""]`), "events[2].products[2]"},
		{"POST", "/v1/events", event(`"numbers":{"n":"NaN"}`), "events[2].numbers.n"},
		{"POST", "/v1/events", event(`"decision":"none"`), "events[2].decision"},
		{"POST", "/v1/events", event(`"lead":"l9","supersedes":"none"`), "events[2].supersedes"},
		{"POST", "/v1/events", third(`{"id":"a","type":"portal_login","at":"2026-01-02T00:00:00Z","partner":"p00"}`), "events[2].id"},
		{"POST", "/v1/events", third(`{"id":"c","type":"portal_login","at":"2026-01-02T00:00:00Z","partner":"p99"}`), "events[2].partner"},
		{"POST", "/v1/events", third(`{"id":"c","type":"portal_login","at":"2199-01-02T00:00:00Z","partner":"p00"}`), "events[2].at"},
		{"POST", "/v1/outcomes", `{"result":"won"}`, "decision"},
		{"POST", "/v1/outcomes", `{"result":"drawn"}`, "result"},
		{"POST", "/v1/outcomes", outcome(`"amount":{"amount":"-1","currency":"EUR"}`), "amount.amount"},
		{"POST", "/v1/outcomes", outcome(`"products":[""]`), "products[0]"},
		{"POST", "/v1/outcomes", outcome(`"at":"2199-01-01T00:00:00Z"`), "at"},
		{"POST", "/v1/outcomes", outcome(`"supersedes":"none"`), "supersedes"},
		{"POST", offer + ":decline", `{}`, "reason"},
		{"POST", offer + ":decline", `{"reason":"spam","comment":"` + long + `"}`, "comment"},
		{"POST", "/v1/models/win:promote", `{}`, "version"},
		{"POST", "/v1/models/Win%21:promote", `{"version":"1"}`, "name"},
		{"POST", "/v1/models/Win%21:rollback", `{}`, "name"},
	} {
		code, _, p := e.do(c.method, c.path, c.body)
		if code < 400 || code >= 500 || p["field"] != c.field {
			t.Errorf("%s %s %.200s: %d %v, want a problem about %s", c.method, c.path, c.body, code, p, c.field)
		}
	}
}

// The path of each value of a text is found by where that stands.
func TestFieldAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := json.MarshalIndent(anyJSON(t, 4), "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		marks := 0
		text := string(b)
		for i := range text {
			path, is := strings.CutPrefix(text[i:], `"@`)
			if !is {
				continue
			}
			marks++
			path, _, _ = strings.Cut(path, `"`)
			before := text[:i]
			line, column := strings.Count(before, "\n"), len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
			if got := fieldAt(b, line+1, column+1); got != path {
				t.Fatalf("%s: at %d:%d is %q, want %q", text, line+1, column+1, got, path)
			}
		}
	})
}

// anyJSON draws a value of which each text is "@" and its path.
func anyJSON(t *rapid.T, depth int) any {
	var draw func(at string, depth int) any
	draw = func(at string, depth int) any {
		kind := rapid.IntRange(0, 4).Draw(t, "kind")
		switch {
		case kind == 0 || depth == 0:
			return "@" + at
		case kind == 1:
			return rapid.SampledFrom([]any{nil, true, -1.5e3}).Draw(t, "other")
		case kind == 2:
			list := []any{}
			for i := range rapid.IntRange(0, 3).Draw(t, "items") {
				list = append(list, draw(fmt.Sprintf("%s[%d]", at, i), depth-1))
			}
			return list
		}
		object := map[string]any{}
		for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "id", "ä", "x y"}), rapid.ID).Draw(t, "names") {
			object[name] = draw(strings.TrimPrefix(at+"."+name, "."), depth-1)
		}
		return object
	}
	return draw("", depth)
}

func FuzzFieldAt(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}]}`), 1, 10)
	f.Add([]byte("{\n\"a\":[}"), 2, 6)
	f.Fuzz(func(t *testing.T, b []byte, line, column int) { fieldAt(b, line, column) })
}
