package datasets

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones of a mapping must load on machines that have no zone files
	"unicode/utf8"

	"bellwether/datasets/record"

	"go.yaml.in/yaml/v3"
)

// Mapping says how rows of CSV files become records. ParseMapping reads it from
// YAML; docs/data.md describes the form.
type Mapping struct {
	name   string
	files  []*mappedFile
	emits  []*emit
	byName map[string]*mappedFile
}

// mappedFile is an input file: one whose rows become records, or one that is
// looked up by a key.
type mappedFile struct {
	name, path string
	line       int
	comma      rune
	key        string
	missing    []string
}

// emit makes at most one record of each row of a file.
type emit struct {
	line   int
	noun   string
	from   *mappedFile
	when   []condition
	fields []fieldSource
}

type fieldSource struct {
	target string
	field  record.Field
	money  bool
	from   *source
}

// source says where a value comes from and what is done to it on the way.
type source struct {
	line     int
	column   string
	constant *string
	template []string // texts and column names by turns
	lookup   *mappedFile
	by       *source
	values   map[string]string
	unmapped string // what becomes of a value not in values: keep, drop, reject
	fallback *string
	formats  []string // layouts
	spelled  []string // the same as the mapping has them
	zone     *time.Location
	split    string
	decimal  string
	numeric  bool
	round    bool
	currency *source
}

type condition struct {
	from  *source
	in    []string
	not   []string
	empty *bool
}

// ReadMapping reads a mapping file, as ParseMapping does; one that is not there is
// a NotFound error.
func ReadMapping(path string) (*Mapping, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, record.Errorf(record.NotFound, "mapping", "%w", err)
	}
	return ParseMapping(filepath.Base(path), b)
}

// ParseMapping reads a mapping from YAML; name is what errors call it. A key or
// a target field that does not exist is an error with its line.
func ParseMapping(name string, doc []byte) (*Mapping, error) {
	m := &Mapping{name: name, byName: map[string]*mappedFile{}}
	var root yaml.Node
	if !utf8.Valid(doc) {
		return nil, record.Errorf(record.Invalid, "mapping "+name, "is not valid UTF-8")
	}
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, record.Errorf(record.Invalid, "mapping "+name, "%v", err)
	}
	if len(root.Content) == 0 {
		return nil, record.Errorf(record.Invalid, "mapping "+name, "is empty: it needs files and records")
	}
	if err := m.document(root.Content[0]); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Mapping) errorf(n *yaml.Node, format string, args ...any) error {
	return record.Errorf(record.Invalid, "mapping", "%s line %d: %s", m.name, n.Line, fmt.Sprintf(format, args...))
}

// keys calls the function of each key of a YAML mapping, in the order they are
// written. An unknown or repeated key is an error with its line.
func (m *Mapping) keys(n *yaml.Node, what string, known map[string]func(*yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return m.errorf(n, "%s must be a mapping of keys to values", what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		f := known[key]
		if f == nil {
			names := make([]string, 0, len(known))
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			return m.errorf(n.Content[i], "unknown key %q in %s; it may hold %s", key, what, strings.Join(names, ", "))
		}
		if seen[key] {
			return m.errorf(n.Content[i], "key %q is there twice in %s", key, what)
		}
		seen[key] = true
		if err := f(n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// text puts a scalar into a string.
func (m *Mapping) text(into *string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode {
			return m.errorf(n, "a single value is wanted here")
		}
		*into = n.Value
		return nil
	}
}

// texts puts a scalar or a list of scalars into a list.
func (m *Mapping) texts(into *[]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		list := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			list = n.Content
		}
		*into = []string{}
		for _, c := range list {
			var s string
			if err := m.text(&s)(c); err != nil {
				return err
			}
			*into = append(*into, s)
		}
		return nil
	}
}

func (m *Mapping) flag(into *bool) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if err := n.Decode(into); err != nil {
			return m.errorf(n, "true or false is wanted here")
		}
		return nil
	}
}

func (m *Mapping) document(n *yaml.Node) error {
	var files, records *yaml.Node
	keep := func(into **yaml.Node) func(*yaml.Node) error {
		return func(n *yaml.Node) error { *into = n; return nil }
	}
	if err := m.keys(n, "a mapping file", map[string]func(*yaml.Node) error{"files": keep(&files), "records": keep(&records)}); err != nil {
		return err
	}
	if files == nil || records == nil || files.Kind != yaml.MappingNode || records.Kind != yaml.SequenceNode || len(records.Content) == 0 {
		return m.errorf(n, "it needs files (names of input files) and records (a list of what to make of their rows)")
	}
	for i := 0; i+1 < len(files.Content); i += 2 {
		f := &mappedFile{name: files.Content[i].Value, line: files.Content[i].Line, comma: ',', missing: []string{""}}
		if m.byName[f.name] != nil {
			return m.errorf(files.Content[i], "file %q is there twice", f.name)
		}
		if err := m.file(files.Content[i+1], f); err != nil {
			return err
		}
		m.files, m.byName[f.name] = append(m.files, f), f
	}
	for _, r := range records.Content {
		if err := m.record(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *Mapping) file(n *yaml.Node, f *mappedFile) error {
	var comma string
	if err := m.keys(n, "file "+f.name, map[string]func(*yaml.Node) error{"path": m.text(&f.path), "delimiter": m.text(&comma),
		"key": m.text(&f.key), "missing": m.texts(&f.missing)}); err != nil {
		return err
	}
	if f.path == "" {
		return m.errorf(n, "file %s needs a path", f.name)
	}
	if !slices.Contains(f.missing, "") {
		f.missing = append(f.missing, "")
	}
	switch comma {
	case "":
	case `\t`, "tab":
		f.comma = '\t'
	default:
		r, size := utf8.DecodeRuneInString(comma)
		if size != len(comma) || strings.ContainsRune("\"\r\n", r) || r == utf8.RuneError {
			return m.errorf(n, "delimiter %q must be one character, or tab", comma)
		}
		f.comma = r
	}
	return nil
}

func (m *Mapping) record(n *yaml.Node) error {
	e := &emit{line: n.Line}
	var from string
	var fields, when *yaml.Node
	if err := m.keys(n, "a record", map[string]func(*yaml.Node) error{"noun": m.text(&e.noun), "from": m.text(&from),
		"fields": func(n *yaml.Node) error { fields = n; return nil }, "when": func(n *yaml.Node) error { when = n; return nil }}); err != nil {
		return err
	}
	if e.from = m.byName[from]; e.from == nil {
		return m.errorf(n, "from: there is no file %q under files", from)
	}
	if !slices.Contains([]string{"partner", "lead", "event"}, e.noun) {
		return m.errorf(n, "noun: %q is not one of partner, lead, event", e.noun)
	}
	if when != nil {
		if when.Kind != yaml.SequenceNode {
			return m.errorf(when, "when must be a list of conditions, which must all hold")
		}
		for _, c := range when.Content {
			cond, err := m.condition(c)
			if err != nil {
				return err
			}
			e.when = append(e.when, cond)
		}
	}
	if fields == nil || fields.Kind != yaml.MappingNode {
		return m.errorf(n, "a record needs fields: a mapping of target fields to columns")
	}
	for i := 0; i+1 < len(fields.Content); i += 2 {
		f, err := m.field(e, fields.Content[i], fields.Content[i+1])
		if err != nil {
			return err
		}
		e.fields = append(e.fields, f)
	}
	m.emits = append(m.emits, e)
	return m.complete(n, e)
}

// complete reports required fields that nothing fills.
func (m *Mapping) complete(n *yaml.Node, e *emit) error {
	all, err := record.FieldsOf(e.noun)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Required && !slices.ContainsFunc(e.fields, func(s fieldSource) bool { return s.target == f.Name }) {
			return m.errorf(n, "field %s of the %s is required: say where it comes from", f.Name, e.noun)
		}
	}
	return nil
}

func (m *Mapping) field(e *emit, key, n *yaml.Node) (fieldSource, error) {
	f := fieldSource{target: key.Value}
	if slices.ContainsFunc(e.fields, func(s fieldSource) bool { return s.target == f.target }) {
		return f, m.errorf(key, "field %s is there twice", f.target)
	}
	settable := record.Events.Settable
	switch e.noun {
	case "partner":
		settable = record.Partners.Settable
	case "lead":
		settable = record.Leads.Settable
	}
	var ok bool
	if f.field, ok = settable(f.target); !ok {
		if f.field, f.money = settable(f.target + ".amount"); !f.money {
			return f, m.errorf(key, "a %s has no field %q; see 'bellwether schema %s'", e.noun, f.target, e.noun)
		}
	}
	var err error
	if f.from, err = m.source(n, "field "+f.target); err != nil {
		return f, err
	}
	switch {
	case f.money && f.from.currency == nil:
		return f, m.errorf(n, "field %s is money: say its currency, as currency: {const: EUR} or currency: COLUMN", f.target)
	case !f.money && f.from.currency != nil:
		return f, m.errorf(n, "field %s is not money: it has no currency", f.target)
	case f.field.Type != "time" && (f.from.formats != nil || f.from.zone != nil):
		return f, m.errorf(n, "field %s is not a time: it has no format or zone", f.target)
	}
	if f.field.Type == "time" && f.from.formats == nil {
		f.from.formats, f.from.spelled = []string{time.RFC3339}, []string{"rfc3339 (2006-01-02T15:04:05Z)"}
	}
	return f, nil
}

// source reads where a value comes from: a column's name, or a mapping.
func (m *Mapping) source(n *yaml.Node, what string) (*source, error) {
	s := &source{line: n.Line, unmapped: "keep"}
	if n.Kind == yaml.ScalarNode {
		s.column = n.Value
		if s.column == "" {
			return nil, m.errorf(n, "%s names no column", what)
		}
		return s, nil
	}
	var constant, fallback, template, lookup, zone, as string
	var formats []string
	present := map[string]bool{}
	note := func(name string, f func(*yaml.Node) error) func(*yaml.Node) error {
		return func(n *yaml.Node) error { present[name] = true; return f(n) }
	}
	inner := func(into **source, name string) func(*yaml.Node) error {
		return func(n *yaml.Node) (err error) { *into, err = m.source(n, name+" of "+what); return err }
	}
	err := m.keys(n, what, map[string]func(*yaml.Node) error{
		"column": m.text(&s.column), "const": note("const", m.text(&constant)), "template": note("template", m.text(&template)),
		"lookup": note("lookup", m.text(&lookup)), "by": inner(&s.by, "by"), "map": m.pairs(&s.values), "unmapped": m.text(&s.unmapped),
		"default": note("default", m.text(&fallback)), "format": m.texts(&formats), "zone": note("zone", m.text(&zone)),
		"split": m.text(&s.split), "decimal": m.text(&s.decimal), "as": note("as", m.text(&as)), "round": m.flag(&s.round),
		"currency": inner(&s.currency, "currency"),
	})
	if err != nil {
		return nil, err
	}
	if present["const"] {
		s.constant = &constant
	}
	if present["default"] {
		s.fallback = &fallback
	}
	if present["template"] {
		if s.template, err = splitTemplate(template); err != nil {
			return nil, m.errorf(n, "%s: %v", what, err)
		}
	}
	if present["lookup"] {
		if s.lookup = m.byName[lookup]; s.lookup == nil || s.lookup.key == "" {
			return nil, m.errorf(n, "%s: lookup: there is no file %q with a key under files", what, lookup)
		}
	}
	for _, f := range formats {
		layout, err := timeLayout(f)
		if err != nil {
			return nil, m.errorf(n, "%s: %v", what, err)
		}
		s.formats, s.spelled = append(s.formats, layout), append(s.spelled, f)
	}
	if present["zone"] {
		if s.zone, err = time.LoadLocation(zone); err != nil {
			return nil, m.errorf(n, "%s: zone %q is not an IANA time zone like Europe/Berlin", what, zone)
		}
	}
	if present["as"] {
		if as != "number" && as != "text" {
			return nil, m.errorf(n, "%s: as: %q is neither number nor text", what, as)
		}
		s.numeric = as == "number"
	}
	return s, m.consistent(n, what, s)
}

// consistent reports keys that contradict each other.
func (m *Mapping) consistent(n *yaml.Node, what string, s *source) error {
	ways := 0
	for _, is := range []bool{s.column != "", s.constant != nil, s.template != nil} {
		if is {
			ways++
		}
	}
	switch {
	case ways != 1:
		return m.errorf(n, "%s needs one of column, const and template", what)
	case (s.lookup == nil) != (s.by == nil):
		return m.errorf(n, "%s: lookup (a file) and by (the column that holds its key) go together", what)
	case s.lookup != nil && s.column == "":
		return m.errorf(n, "%s: a lookup needs the column to take", what)
	case !slices.Contains([]string{"keep", "drop", "reject"}, s.unmapped):
		return m.errorf(n, "%s: unmapped: %q is not one of keep, drop, reject", what, s.unmapped)
	case !slices.Contains([]string{"", ".", ","}, s.decimal):
		return m.errorf(n, "%s: decimal: %q is neither . nor ,", what, s.decimal)
	}
	return nil
}

func (m *Mapping) pairs(into *map[string]string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return m.errorf(n, "map must be a mapping of values to values")
		}
		*into = map[string]string{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			var to string
			if err := m.text(&to)(n.Content[i+1]); err != nil {
				return err
			}
			(*into)[n.Content[i].Value] = to
		}
		return nil
	}
}

func (m *Mapping) condition(n *yaml.Node) (condition, error) {
	var c condition
	var column, lookup string
	var by *source
	var empty bool
	hasEmpty := false
	err := m.keys(n, "a condition", map[string]func(*yaml.Node) error{"column": m.text(&column), "is": m.texts(&c.in), "in": m.texts(&c.in),
		"not": m.texts(&c.not), "empty": func(n *yaml.Node) error { hasEmpty = true; return m.flag(&empty)(n) },
		"lookup": m.text(&lookup), "by": func(n *yaml.Node) (err error) { by, err = m.source(n, "by of a condition"); return err }})
	if err != nil {
		return c, err
	}
	c.from = &source{line: n.Line, column: column, by: by, unmapped: "keep"}
	if lookup != "" {
		if c.from.lookup = m.byName[lookup]; c.from.lookup == nil || c.from.lookup.key == "" {
			return c, m.errorf(n, "a condition's lookup: there is no file %q with a key under files", lookup)
		}
	}
	if hasEmpty {
		c.empty = &empty
	}
	if column == "" || c.in == nil && c.not == nil && c.empty == nil || (lookup == "") != (by == nil) {
		return c, m.errorf(n, "a condition needs a column and one of is, in, not, empty")
	}
	return c, nil
}

var templateColumn = regexp.MustCompile(`\{([^{}]+)\}`)

// splitTemplate cuts "won-{Id}" into texts and column names by turns.
func splitTemplate(t string) ([]string, error) {
	var parts []string
	at := 0
	for _, m := range templateColumn.FindAllStringSubmatchIndex(t, -1) {
		parts = append(parts, t[at:m[0]], t[m[2]:m[3]])
		at = m[1]
	}
	parts = append(parts, t[at:])
	for i := 0; i < len(parts); i += 2 {
		if strings.ContainsAny(parts[i], "{}") {
			return nil, fmt.Errorf("template %q: a column is written {Column}", t)
		}
	}
	return parts, nil
}

// The formats with names. unix and unix_ms are numbers, not layouts.
var namedFormats = map[string]string{
	"rfc3339": time.RFC3339, "date": time.DateOnly, "datetime": time.DateTime, "unix": "unix", "unix_ms": "unix_ms",
	"us_date": "1/2/2006", "us_datetime": "1/2/2006 3:04 PM", "eu_date": "2/1/2006", "eu_datetime": "2/1/2006 15:04", "de_date": "2.1.2006",
	"salesforce": "2006-01-02T15:04:05.999Z0700", "hubspot": "2006-01-02 15:04", "dynamics": "1/2/2006 3:04 PM",
}

// strptime is what % codes mean as a Go layout; numbers may lack their leading
// zero, as in strptime.
var strptime = map[byte]string{'Y': "2006", 'y': "06", 'm': "1", 'd': "2", 'e': "_2", 'H': "15", 'I': "3", 'M': "4", 'S': "5", 'f': "000000",
	'p': "PM", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'z': "-0700", 'Z': "MST", 'T': "15:04:05", 'F': "2006-01-02", '%': "%"}

// timeLayout turns a format's name, strptime codes or a Go layout into a layout.
func timeLayout(format string) (string, error) {
	if l, ok := namedFormats[format]; ok {
		return l, nil
	}
	if !strings.Contains(format, "%") {
		if !strings.Contains(format, "06") {
			return "", fmt.Errorf("format %q is no known name, has no %% codes and is no Go layout (which writes 2006-01-02 15:04:05)", format)
		}
		return format, nil
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) {
			return "", fmt.Errorf("format %q ends in %%", format)
		}
		code, ok := strptime[format[i]]
		if !ok {
			return "", fmt.Errorf("format %q: %%%c is not known", format, format[i])
		}
		b.WriteString(code)
	}
	return b.String(), nil
}
