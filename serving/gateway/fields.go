package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// located puts the path of the field at fault before an error of protojson's,
// which knows only the field's own name and its place in the text.
func located(b []byte, err error) error {
	place := bodyFault.FindStringSubmatch(err.Error())
	if place == nil || place[2] == "" {
		return err
	}
	line, _ := strconv.Atoi(place[2])
	column, _ := strconv.Atoi(place[3])
	return fmt.Errorf("%.256q: %w", fieldAt(bytes.TrimLeft(b, " \t\r\n"), line, column), err)
}

// fieldAt returns the path of what stands at a place of a JSON text, "" for the
// whole. Lines and the letters in them count from 1, as protojson counts.
func fieldAt(b []byte, line, column int) string {
	rest := b
	for ; line > 1 && len(rest) > 0; line-- {
		_, rest, _ = bytes.Cut(rest, []byte{'\n'})
	}
	for ; column > 1 && len(rest) > 0; column-- {
		_, n := utf8.DecodeRune(rest)
		rest = rest[n:]
	}
	tokens := json.NewDecoder(bytes.NewReader(b))
	tokens.UseNumber()
	var in jsonPath
	for tokens.InputOffset() <= int64(len(b)-len(rest)) {
		t, err := tokens.Token()
		if err != nil {
			break
		}
		in.enter(t)
	}
	return in.String()
}

// jsonPath is where in a JSON text its last token stands: the lists and objects
// it is in, the outermost first.
type jsonPath []jsonLevel

type jsonLevel struct {
	list  bool
	items int    // of a list, this one included
	key   string // of an object's item; the next token is its value if named
	named bool
}

// enter takes the next token.
func (p *jsonPath) enter(t json.Token) {
	delim, _ := t.(json.Delim)
	if delim == '}' || delim == ']' {
		*p = (*p)[:len(*p)-1]
		return
	}
	if n := len(*p); n > 0 {
		switch in := &(*p)[n-1]; {
		case in.list:
			in.items++
		case in.named:
			in.named = false
		default:
			in.key, in.named = t.(string), true
		}
	}
	if delim != 0 {
		*p = append(*p, jsonLevel{list: delim == '['})
	}
}

// String writes the path as record.Error does.
func (p jsonPath) String() string {
	var path strings.Builder
	for _, in := range p {
		switch {
		case in.list && in.items > 0:
			fmt.Fprintf(&path, "[%d]", in.items-1)
		case in.key != "":
			if path.Len() > 0 {
				path.WriteByte('.')
			}
			path.WriteString(in.key)
		}
	}
	return path.String()
}
