package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"bellwether/datasets/record"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// statuses is the one table from error kind to what each edge answers.
var statuses = map[record.Kind]struct {
	code codes.Code
	http int
}{
	record.Internal:     {codes.Internal, http.StatusInternalServerError},
	record.Invalid:      {codes.InvalidArgument, http.StatusBadRequest},
	record.NotFound:     {codes.NotFound, http.StatusNotFound},
	record.Conflict:     {codes.AlreadyExists, http.StatusConflict},
	record.Precondition: {codes.FailedPrecondition, http.StatusPreconditionFailed},
	record.Exhausted:    {codes.ResourceExhausted, http.StatusTooManyRequests},
	record.Unavailable:  {codes.Unavailable, http.StatusServiceUnavailable},
	record.Unauthorized: {codes.Unauthenticated, http.StatusUnauthorized},
	record.Forbidden:    {codes.PermissionDenied, http.StatusForbidden},
	record.Refused:      {codes.OutOfRange, http.StatusUnprocessableEntity},
	record.Incompatible: {codes.Aborted, http.StatusConflict},
}

// Problem is the body of an error answer, as RFC 9457 has it.
type Problem struct {
	Type   string `json:"type"`   // "about:blank", or the kind as a relative reference
	Title  string `json:"title"`  // the status in words
	Status int    `json:"status"` // the HTTP status
	Detail string `json:"detail,omitempty"`
	Kind   string `json:"kind"`            // the error kind: invalid, not_found, …
	Field  string `json:"field,omitempty"` // path of the field at fault
}

// statusOf turns an error into a gRPC status. The text of an internal error is
// kept from the caller.
func statusOf(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return status.Error(codes.DeadlineExceeded, "took too long and was given up; nothing acknowledged is lost, send it again")
	}
	if errors.Is(err, context.Canceled) {
		return status.Error(codes.Canceled, "the caller went away")
	}
	var e *record.Error
	if !errors.As(err, &e) || e.Kind == record.Internal {
		return status.Error(codes.Internal, "internal error; the server's log has it")
	}
	text := e.Msg
	if text == "" {
		text = e.Error()
	}
	st := status.New(statuses[e.Kind].code, text)
	details := &errdetails.ErrorInfo{Reason: e.Kind.String(), Domain: "bellwether"}
	if e.Field != "" {
		st = status.New(statuses[e.Kind].code, e.Field+": "+text) // who reads no details still sees where
		violation := &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: e.Field, Description: text}}}
		if with, err := st.WithDetails(details, violation); err == nil {
			return with.Err()
		}
	}
	if with, err := st.WithDetails(details); err == nil {
		return with.Err()
	}
	return st.Err()
}

// beside are the codes that no error kind has.
var beside = map[codes.Code]struct {
	kind string
	http int
}{
	codes.Unimplemented:    {"method_not_allowed", http.StatusMethodNotAllowed},
	codes.DeadlineExceeded: {"deadline_exceeded", http.StatusGatewayTimeout},
	codes.Canceled:         {"canceled", statusClientClosed},
}

// statusClientClosed is what nginx logs for a caller that went away: HTTP has no
// status for an answer that nobody reads.
const statusClientClosed = 499

// protojson writes "proto: (line 1:20): unknown field \"x\"", now and then with a
// no-break space, so that nobody relies on its text: what it does not match is
// told as it is. What is no JSON at all encoding/json has found before, and
// located has put the field's path in front.
var (
	notJSON   = regexp.MustCompile(`^(unexpected (EOF|end of JSON input)|invalid character .*)$`)
	bodyFault = regexp.MustCompile(`(?s)^(?:("(?:[^"\\]|\\.)*"): )?proto:[\s\x{a0}]*(?:syntax error )?(?:\(line ([0-9]+):([0-9]+)\): )?(.*)$`)
	bodyTime  = regexp.MustCompile(`^invalid google.protobuf.Timestamp value (.*)$`)
)

// bodyError says what is wrong with a body that is no message of ours; any other
// error is returned as it is.
func bodyError(err error) error {
	st, ok := status.FromError(err)
	if ok && st.Code() == codes.InvalidArgument && notJSON.MatchString(st.Message()) {
		return record.Errorf(record.Invalid, "", "the body is not JSON, or cut off: %s; send one JSON object, as /docs shows", st.Message())
	}
	fault := bodyFault.FindStringSubmatch(st.Message())
	if !ok || st.Code() != codes.InvalidArgument || fault == nil {
		return err
	}
	field, _ := strconv.Unquote(fault[1]) // what is not there is no field
	text := fmt.Sprintf("%.300s", fault[4])
	if m := bodyTime.FindStringSubmatch(text); m != nil {
		text = m[1] + " is not a time as RFC 3339 writes it, like 2026-03-31T14:05:00Z"
	}
	if fault[2] != "" {
		text += ", line " + fault[2] + ":" + fault[3] + " of the body: see /docs"
	}
	return record.FieldErrorf(field, "%s", text)
}

// problemOf reads a Problem back from a gRPC status.
func problemOf(err error) Problem {
	st, _ := status.FromError(err)
	p := Problem{Type: "about:blank", Status: runtime.HTTPStatusFromCode(st.Code()), Detail: st.Message(), Kind: st.Code().String()}
	if b, ok := beside[st.Code()]; ok {
		p.Status, p.Kind = b.http, b.kind
	}
	for kind, s := range statuses {
		if s.code == st.Code() {
			p.Status, p.Kind = s.http, kind.String()
		}
	}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			p.Kind = d.Reason
		case *errdetails.BadRequest:
			for _, v := range d.FieldViolations {
				p.Field, p.Detail = v.Field, v.Description
			}
		}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(statusOf(err))
	w.Header().Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="bellwether"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		p.Status, p.Title, p.Kind = http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge), record.Exhausted.String()
		p.Detail = fmt.Sprintf("the body is larger than %d bytes: send less at once", tooLarge.Limit)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller may be gone; nothing to do about it
}
