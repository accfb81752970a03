package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"bellwether/datasets/record"
)

func TestEveryKindHasItsStatus(t *testing.T) {
	for kind := record.Internal; !strings.HasPrefix(kind.String(), "kind_"); kind++ {
		s, ok := statuses[kind]
		if !ok {
			t.Errorf("kind %s has no row in the table", kind)
			continue
		}
		p := problemOf(statusOf(&record.Error{Op: "route", Kind: kind, Field: "lead.id", Msg: "is missing"}))
		if text := statusOf(&record.Error{Kind: record.Invalid, Field: "lead.id", Msg: "is missing"}).Error(); !strings.Contains(text, "lead.id: is missing") {
			t.Errorf("a gRPC client sees %q", text)
		}
		if p.Kind != kind.String() || p.Status != s.http {
			t.Errorf("%s became kind %s, status %d, want status %d", kind, p.Kind, p.Status, s.http)
		}
		if kind != record.Internal && (p.Field != "lead.id" || p.Detail != "is missing") {
			t.Errorf("%s lost its field or text: %+v", kind, p)
		}
	}
}

func TestInternalTextStaysInside(t *testing.T) {
	for _, err := range []error{errors.New("disk /secret broke"), record.Errorf(record.Internal, "sync", "disk /secret broke")} {
		if p := problemOf(statusOf(err)); strings.Contains(p.Detail, "secret") || p.Status != http.StatusInternalServerError {
			t.Errorf("%v became %+v", err, p)
		}
	}
}

func TestDeadlineIsNotInternal(t *testing.T) {
	p := problemOf(statusOf(fmt.Errorf("sync: %w", context.DeadlineExceeded)))
	if p.Status != http.StatusGatewayTimeout {
		t.Errorf("a deadline became %+v", p)
	}
}

func TestWriteProblem(t *testing.T) {
	w := httptest.NewRecorder()
	writeProblem(w, fmt.Errorf("read body: %w", &http.MaxBytesError{Limit: 7}))
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusRequestEntityTooLarge || p.Kind != "exhausted" || !strings.Contains(p.Detail, "7 bytes") {
		t.Errorf("a large body became %d %+v", w.Code, p)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
}
