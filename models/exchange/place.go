package exchange

import (
	"fmt"
	"math"
	"strconv"

	"bellwether/models"
)

// findings keeps the first thing wrong with a document.
type findings struct{ err error }

// place is a value of a document and the way to it, for errors. After the first
// thing wrong every question is answered with nothing.
type place struct {
	*findings
	value
	path string
}

func (p place) corrupt(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s: %s", models.ErrCorrupt, p.path, fmt.Sprintf(format, args...))
	}
}

func (p place) refuse(err error) {
	if p.err == nil && err != nil {
		p.err = fmt.Errorf("%s: %w", p.path, err)
	}
}

func (p place) unsupported(format string, args ...any) {
	p.refuse(fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...)))
}

// has reports whether there is such a field.
func (p place) has(name string) bool {
	_, ok := p.fields[name]
	return ok
}

// to goes to a field that must be there.
func (p place) to(names ...string) place {
	for _, name := range names {
		v, ok := p.fields[name]
		if !ok {
			p.corrupt("no field %s", name)
			return place{findings: p.findings, path: p.path}
		}
		p = place{p.findings, v, p.path + "." + name}
		if p.path[0] == '.' {
			p.path = p.path[1:]
		}
	}
	return p
}

// want checks what the value is.
func (p place) want(k kind) bool {
	if p.kind != k && p.err == nil {
		p.corrupt("%s where %s belongs", p.kind, k)
	}
	return p.err == nil
}

// items returns the places of a list.
func (p place) items() []place {
	if p.kind == isNumbers && len(p.nums) == 0 || !p.want(isList) {
		return nil
	}
	out := make([]place, len(p.list))
	for i, v := range p.list {
		out[i] = place{p.findings, v, p.path + "[" + strconv.Itoa(i) + "]"}
	}
	return out
}

// string returns a text.
func (p place) string() string {
	p.want(isText)
	return p.text
}

// count reads a number that XGBoost writes as a text.
func (p place) count(most int) int {
	if !p.want(isText) {
		return 0
	}
	n, err := strconv.Atoi(p.text)
	if err != nil || n < 0 || n > most {
		p.corrupt("%.40q is not a number from 0 to %d", p.text, most)
		return 0
	}
	return n
}

// floats returns n numbers; n less than 0 means as many as there are.
func (p place) floats(n int) []float64 {
	if !p.want(isNumbers) {
		return nil
	}
	if n >= 0 && len(p.nums) != n {
		p.corrupt("%d numbers, %d are needed", len(p.nums), n)
		return nil
	}
	return p.nums
}

// ints returns n whole numbers from lo to hi; n less than 0 means as many as
// there are.
func (p place) ints(n, lo, hi int) []int {
	nums := p.floats(n)
	out := make([]int, len(nums))
	for i, v := range nums {
		if !(v >= float64(lo) && v <= float64(hi)) || v != math.Trunc(v) {
			p.corrupt("number %d is %v, not a whole one from %d to %d", i, v, lo, hi)
			return nil
		}
		out[i] = int(v)
	}
	return out
}
