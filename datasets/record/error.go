package record

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of thing went wrong, for whoever must react to it. The
// edge maps kinds to status codes in one table; tests match on kinds, not text.
type Kind uint8

// The kinds. The list may only grow at its end.
const (
	Internal     Kind = iota // a fault of ours; its text stays in the log
	Invalid                  // the input breaks a stated rule
	NotFound                 // nothing has that id
	Conflict                 // contradicts what is already recorded
	Precondition             // right request, wrong state (an offer already answered)
	Exhausted                // a limit: size, rate, disk space
	Unavailable              // cannot answer now; try again later
	Unauthorized             // no key, or an unknown one
	Forbidden                // the key's scope does not reach this
	Refused                  // a gate said no: too little data, no skill
	Incompatible             // made by a different version or feature set
)

var kindNames = [...]string{"internal", "invalid", "not_found", "conflict", "precondition",
	"exhausted", "unavailable", "unauthorized", "forbidden", "refused", "incompatible"}

// String returns the kind's snake_case name, as the API shows it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind_%d", k)
}

// Error is the one error type of Bellwether: what was being done, what kind of
// thing went wrong, where, and the cause.
type Error struct {
	Op    string // what was being done: "route", "import csv"
	Kind  Kind
	Field string // path of the field at fault, as the caller wrote it: "competences[2].product"
	Msg   string // for people: what is wrong and what to do
	Err   error  // cause, if any
}

// Error joins what is known into one line.
func (e *Error) Error() string {
	var parts []string
	for _, s := range []string{e.Op, e.Field, e.Msg} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Err != nil && e.Err.Error() != "" {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return e.Kind.String()
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of a kind; op may be empty. A %w in the format becomes
// part of the cause chain.
func Errorf(kind Kind, op, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Op: op, Kind: kind, Msg: err.Error(), Err: hidden{errors.Unwrap(err)}.orNil()}
}

// FieldErrorf makes an Invalid error about one field.
func FieldErrorf(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the outermost *Error in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// hidden keeps a cause in the chain whose text the message already holds.
type hidden struct{ error }

func (h hidden) Error() string { return "" }
func (h hidden) Unwrap() error { return h.error }

func (h hidden) orNil() error {
	if h.error == nil {
		return nil
	}
	return h
}
