package datasets

import (
	"bytes"
	"reflect"
	"testing"
	"unicode/utf8"

	"bellwether/datasets/record"
)

// What the quick decoder of lines accepts, encoding/json reads the same.
func FuzzLineDecoder(f *testing.F) {
	for _, e := range sampleEvents(4) {
		f.Add(jsonOf(e))
	}
	lead, partner := sampleLead(1), samplePartner(1)
	f.Add(jsonOf(lead))
	f.Add(jsonOf(partner))
	events, leads, partners := record.Events.Lines(nil), record.Leads.Lines(nil), record.Partners.Lines(nil)
	for _, line := range quickLines {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if line = bytes.TrimSpace(line); bytes.ContainsAny(line, "\n") || !utf8.Valid(line) {
			t.Skip()
		}
		quickAsStrict(t, events, record.Events, line)
		quickAsStrict(t, leads, record.Leads, line)
		quickAsStrict(t, partners, record.Partners, line)
	})
}

// quickLines are lines about whose meaning a hasty decoder could be wrong.
var quickLines = []string{
	`{"id":"a","type":"touch","at":"2024-02-30T00:00:00Z"}`, `{"id":"a","at":"2024-02-29T23:59:59.1234567Z"}`, `{"id":"a","at":"0000-01-01T00:00:00Z"}`,
	`{"id":"a","at":"2024-01-01T24:00:00Z"}`, `{"id":"a","at":"1960-01-01T00:00:00.0000019Z"}`, `{"ID":"a"}`, `{"id":"a","id":"b"}`, `{"id":null}`, `{"id":"\u0041"}`,
	`{"amount":{"amount":"007","currency":"EUR"}}`, `{"amount":{"amount":-12}}`, `{"amount":{"amount":1.0}}`, `{"amount":{"amount":" 1"}}`, `{"amount":{"amount":"9223372036854775808"}}`,
	`{"amount":{"amount":"1","amount":"2"}}`, `{"amount":{}}`, `{"amount":{"AMOUNT":1}}`, `{"products":[]}`, `{"products":["a",]}`, `{"products":["a" "b"]}`, `{"numbers":{"a":01}}`,
	`{"numbers":{"a":1,"a":2}}`, `{"numbers":{"a":1e999}}`, `{"numbers":{"a":-0}}`, `{"numbers":{}}`, `{"numbers":{"a":NaN}}`, `{"id":"a"}}`, `{"id":"a"} {}`, `{"id":"a",}`, `{}`, `{"id":"a`,
	`{"place":{"region":"DE","lat":1,"lon":2}}`, `{"place":{"lat":1,"lat":2}}`, `{"place":{"at":1}}`, `{"attributes":{"a":true,"b":["x"],"c":1.5,"d":"t","a":false}}`,
	`{"attributes":{"a":null}}`, `{"attributes":{"a":{}}}`, `{"attributes":{"a":[]}}`, `{"attributes":{}}`, `{"committed_spend":truex}`, `{"committed_spend" : true }`,
	`{"contract":{"from":"2024-01-01T00:00:00Z","to":"2025-01-01T00:00:00Z"}}`, `{"capacity":{"units":3}}`, "{\"id\":\"a\tb\"}",
}

func quickAsStrict[T any](t *testing.T, lines *record.LineDecoder[T], codec *record.Codec[T], line []byte) {
	t.Helper()
	var quick, strict T
	if !lines.Decode(line, &quick) {
		return
	}
	if err := decodeLine(codec, line, &strict); err != nil || !reflect.DeepEqual(quick, strict) {
		t.Errorf("%s of a %s\nis quickly  %+v\nbut really %+v, %v", line, codec.Noun(), quick, strict, err)
	}
}

// Lines as this program writes them need no second look.
func TestOwnLinesAreReadQuickly(t *testing.T) {
	for _, e := range sampleEvents(8) {
		if !record.Events.Lines(nil).Decode(bytes.TrimSpace(jsonOf(e)), new(record.Event)) {
			t.Errorf("not %s", jsonOf(e))
		}
	}
	if lead := sampleLead(2); !record.Leads.Lines(nil).Decode(bytes.TrimSpace(jsonOf(lead)), new(record.Lead)) {
		t.Errorf("not %s", jsonOf(lead))
	}
}
