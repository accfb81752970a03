package gateway

import (
	"bufio"
	"encoding/json"
	"net/http"

	"bellwether/datasets/record"
)

// ExportLine is one line of GET /v1/export: one record, or the end with the
// number of records before it. A stream without an end was cut.
type ExportLine struct {
	Partner  *record.Partner  `json:"partner,omitempty"`
	Lead     *record.Lead     `json:"lead,omitempty"`
	Event    *record.Event    `json:"event,omitempty"`
	Decision *record.Decision `json:"decision,omitempty"`
	End      *int64           `json:"end,omitempty"`
}

// exportSink writes records as lines.
type exportSink struct {
	enc *json.Encoder
	n   int64
}

func (s *exportSink) line(l ExportLine) error { s.n++; return s.enc.Encode(l) }

func (s *exportSink) Partner(p *record.Partner) error   { return s.line(ExportLine{Partner: p}) }
func (s *exportSink) Lead(l *record.Lead) error         { return s.line(ExportLine{Lead: l}) }
func (s *exportSink) Event(e *record.Event) error       { return s.line(ExportLine{Event: e}) }
func (s *exportSink) Decision(d *record.Decision) error { return s.line(ExportLine{Decision: d}) }

// export streams the log as JSON lines. What was sent cannot be unsent, so a
// failure on the way shows as a stream without its end.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	if err := new(restCall).checkQuery(r); err != nil {
		writeProblem(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	buf := bufio.NewWriterSize(w, 1<<16)
	sink := &exportSink{enc: json.NewEncoder(buf)}
	err := s.engine.Export(r.Context(), sink)
	if err == nil {
		err = sink.enc.Encode(ExportLine{End: &sink.n})
	}
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		s.config.Log.Error("an export was cut", "records", sink.n, "error", err)
		panic(http.ErrAbortHandler)
	}
	s.config.Log.Info("exported", "records", sink.n, "key", callerOf(r.Context()).ID)
}
