package datasets

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"bellwether/models"
)

// tableSource is a file that can be read into columns.
type tableSource interface {
	columns(o TableOptions, info *TableInfo) ([]rawColumn, error)
}

// openTable tells the format by the first bytes.
func openTable(path string, o TableOptions) (tableSource, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var head [8]byte
	n, err := io.ReadFull(f, head[:])
	if n == 0 {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head[:n], []byte("PAR1")):
		return parquetTable(path), nil
	case bytes.HasPrefix(head[:n], []byte("ARROW1")):
		return arrowTable(path), nil
	}
	return &csvTable{open: func() (io.ReadCloser, int64, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, 0, err
		}
		s, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, err
		}
		return f, s.Size(), nil
	}}, nil
}

// csvTable is read twice: once to learn what each column is, once to fill it.
// So nothing is held but the numbers.
type csvTable struct {
	open func() (io.ReadCloser, int64, error)
}

func (s *csvTable) columns(o TableOptions, info *TableInfo) ([]rawColumn, error) {
	sum := sha256.New()
	guesses, rows, err := s.infer(o, sum, info)
	if err != nil {
		return nil, err
	}
	info.SHA256 = hex.EncodeToString(sum.Sum(nil))
	raws, values := make([]rawColumn, len(guesses)), make([]floats, len(guesses))
	for j := range guesses {
		if err := guesses[j].settle(&raws[j]); err != nil {
			return nil, err
		}
		values[j] = make(floats, 0, rows)
	}
	err = s.each(o, nil, func(_ int, header bool, cells []string) error {
		if header {
			return nil
		}
		for j := range guesses {
			values[j] = append(values[j], guesses[j].value(cells[guesses[j].at], &raws[j]))
		}
		return nil
	}, func(int, string) {})
	for j, v := range values {
		raws[j].pieces, raws[j].rows = []piece{v}, len(v)
	}
	return raws, err
}

// infer reads the file once, and refuses one that is not what it is taken for.
func (s *csvTable) infer(o TableOptions, sum hash.Hash, info *TableInfo) (guesses []guess, rows int, err error) {
	bad := func(line int, reason string) {
		info.Bad++
		if len(info.BadRows) < maxBadRows {
			info.BadRows = append(info.BadRows, BadRow{line, reason})
		}
	}
	err = s.each(o, sum, func(line int, header bool, cells []string) error {
		if header {
			guesses, err = begin(cells, o)
			return err
		}
		rows++
		for j := range guesses {
			guesses[j].look(line, strings.TrimSpace(cells[guesses[j].at]))
		}
		return nil
	}, bad)
	if err != nil {
		return nil, 0, err
	}
	if guesses == nil && info.Bad == 0 {
		return nil, 0, errors.New("the file is empty")
	}
	if info.Bad > 0 && float64(info.Bad) > maxBadShare*float64(rows+info.Bad) {
		first, hint := info.BadRows[0], "; is the separator right (--sep)?"
		if strings.HasSuffix(first.Reason, notUTF8) {
			hint = ""
		}
		return nil, 0, fmt.Errorf("%d of %d rows cannot be read; line %d: %s%s", info.Bad, rows+info.Bad, first.Line, first.Reason, hint)
	}
	return guesses, rows, nil
}

// begin reads the header.
func begin(cells []string, o TableOptions) ([]guess, error) {
	header := make([]string, len(cells))
	for i, name := range cells {
		name = strings.TrimSpace(name)
		if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return nil, fmt.Errorf("line 1, column %d: the name is not UTF-8 text; save the file as CSV UTF-8, Parquet or Arrow", i+1)
		}
		if name == "" {
			name = fmt.Sprintf("column_%d", i+1)
		}
		header[i] = name
	}
	if len(header) == 1 {
		if sep := otherSeparator(header[0], o.sep()); sep != 0 {
			return nil, fmt.Errorf("the header has one column, %q; is the separator another? try --sep %q", excerpt(header[0]), sep)
		}
	}
	if err := o.checkNames(header); err != nil {
		return nil, err
	}
	out := make([]guess, 0, len(header))
	for i, name := range header {
		if input, ok := o.input(name); ok || o.special(name) {
			out = append(out, guess{name: name, at: i, fits: everyLayout(o.sep()), input: input})
		}
	}
	return out, nil
}

func (o *TableOptions) sep() rune {
	if o.Sep == 0 {
		return ','
	}
	return o.Sep
}

func otherSeparator(line string, sep rune) rune {
	best, most := rune(0), 0
	for _, r := range []rune{';', '\t', ',', '|'} {
		if n := strings.Count(line, string(r)); r != sep && n > most {
			best, most = r, n
		}
	}
	return best
}

func excerpt(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}

const notUTF8 = "is not UTF-8 (save the file as UTF-8)"

// each calls f with every row of UTF-8 whose number of cells is the header's, the
// header first, and bad with the others. cells is used again for the next row.
func (s *csvTable) each(o TableOptions, sum hash.Hash, f func(line int, header bool, cells []string) error, bad func(line int, reason string)) error {
	file, size, err := s.open()
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := plain(&meter{file, sum, o.Progress, size, 0})
	if err != nil {
		return err
	}
	in := csv.NewReader(text)
	in.Comma, in.ReuseRecord, in.FieldsPerRecord = o.sep(), true, -1
	width := 0
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var parse *csv.ParseError
		switch {
		case errors.As(err, &parse):
			if width == 0 || parse.Line > parse.StartLine && errors.Is(parse.Err, csv.ErrQuote) {
				return fmt.Errorf("line %d, column %d: %w; a quote opened at line %d is not closed as it should be", parse.Line, parse.Column, parse.Err, parse.StartLine)
			}
			bad(parse.StartLine, parse.Err.Error())
			continue
		case errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the file is cut off (%w): copy or export it again", err)
		case err != nil:
			return err
		}
		line, _ := in.FieldPos(0)
		if width != 0 && len(cells) != width {
			bad(line, fmt.Sprintf("%d columns where the header has %d", len(cells), width))
			continue
		}
		header := width == 0
		if j := slices.IndexFunc(cells, func(c string) bool { return !utf8.ValidString(c) }); j >= 0 && !header { // begin looks at the header
			bad(line, fmt.Sprintf("column %d, %q, %s", j+1, excerpt(cells[j]), notUTF8))
			continue
		}
		width = len(cells)
		if err := f(line, header, cells); err != nil {
			return err
		}
	}
}

// meter reads a file, tells how far it is and hashes what it read.
type meter struct {
	r           io.Reader
	sum         hash.Hash
	progress    func(done, total int64)
	total, done int64
}

func (c *meter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if c.sum != nil {
		c.sum.Write(b[:n])
	}
	c.done += int64(n)
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return n, err
}

// plain unpacks gzip and takes off a byte order mark.
func plain(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 1<<18)
	if head, _ := in.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		zip, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("the gzip file is cut off or damaged: %w", err)
		}
		in = bufio.NewReaderSize(zip, 1<<18)
	}
	head, _ := in.Peek(3)
	switch {
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		_, err := in.Discard(3)
		return in, err
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}), bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return nil, errors.New("the file is UTF-16; save it as CSV UTF-8")
	}
	return in, nil
}

// layout is one way to read a text as a number.
type layout struct {
	text string // for time.Parse; "" for a number
	// rival is what the same text could also mean, to people elsewhere.
	rival string
}

// layouts begins with the two for numbers.
var layouts = []layout{{}, {},
	{text: time.RFC3339}, {text: "2006-01-02T15:04:05"}, {text: "2006-01-02T15:04"}, {text: "2006-01-02 15:04:05"}, {text: "2006-01-02 15:04:05Z07:00"},
	{text: "2006-01-02 15:04"}, {text: "2006-01-02"}, {text: "2006/1/2"}, {text: "2006/1/2 15:04:05"}, {text: "2006/1/2 15:04"},
	{text: "2.1.2006"}, {text: "2.1.2006 15:04"}, {text: "2.1.2006 15:04:05"}, {text: "2-Jan-2006"}, {text: "2 Jan 2006"}, {text: "Jan 2, 2006"},
	{text: "2/1/2006", rival: "1/2/2006"}, {text: "2/1/2006 15:04", rival: "1/2/2006 15:04"}, {text: "2/1/2006 15:04:05", rival: "1/2/2006 15:04:05"},
	{text: "1/2/2006"}, {text: "1/2/2006 15:04"}, {text: "1/2/2006 15:04:05"}, {text: "1/2/2006 3:04:05 PM"}, {text: "1/2/2006 3:04 PM"},
}

// layoutSet is a set of positions in layouts.
type layoutSet uint32

const (
	decimalPoint layoutSet = 1 << 0
	decimalComma layoutSet = 1 << 1
)

// everyLayout is what a column may be before it was looked at. A decimal comma
// is only thought of where the comma does not separate.
func everyLayout(sep rune) layoutSet {
	all := layoutSet(1)<<len(layouts) - 1
	if sep == ',' {
		all &^= decimalComma
	}
	return all
}

func (s layoutSet) first() int {
	for i := range layouts {
		if s&(1<<i) != 0 {
			return i
		}
	}
	return -1
}

// guess is what is known of a column while the file is first read.
type guess struct {
	name  string
	at    int
	input *models.Column // the input wanted, if inputs were named
	fits  layoutSet
	seen  bool
	words int // values that look like no number
	count int // those that do
	line  int // where the last layout was given up, and for which text
	text  string
}

// look narrows the guess by one value.
func (g *guess) look(line int, text string) {
	if missing[text] {
		return
	}
	if plausible(text) {
		g.count++
	} else {
		g.words++
	}
	if g.fits == 0 {
		return
	}
	for i := range layouts {
		if g.fits&(1<<i) == 0 {
			continue
		}
		if _, ok := parse(i, text); !ok {
			g.fits &^= 1 << i
		}
	}
	if g.fits == 0 {
		g.line, g.text = line, strings.Clone(text)
	}
	g.seen = true
}

// parse reads a text by one layout.
func parse(i int, text string) (float64, bool) {
	if i >= 2 {
		t, err := time.Parse(layouts[i].text, text)
		return float64(t.Unix()) + float64(t.Nanosecond())/1e9, err == nil
	}
	if i == 1 {
		if strings.Count(text, ",") > 1 || strings.Contains(text, ".") {
			return 0, false
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	if !plausible(text) {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil && !math.IsInf(v, 0) && !math.IsNaN(v)
}

// plausible keeps ParseFloat from hexadecimal, underscores and the words for
// infinity, which nobody means in a table.
func plausible(text string) bool {
	if text == "" {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return false
		}
	}
	return true
}

// nearlyNumbers is how many values that look like numbers a category has for
// each that does not, from which on that one is likely a slip.
const nearlyNumbers = 20

// isNumber reports whether every value seen is a number, and one was.
func (g *guess) isNumber() bool { return g.seen && g.fits&(decimalPoint|decimalComma) != 0 }

// settle decides what the column is.
func (g *guess) settle(c *rawColumn) error {
	c.name = g.name
	if g.input != nil && g.input.Kind == models.Category {
		c.kind, g.fits = models.Category, 0
		return nil
	}
	if g.fits == 0 {
		if g.input != nil {
			return fmt.Errorf("line %d, column %q: %q is not a number, and the model wants one", g.line, g.name, excerpt(g.text))
		}
		c.kind = models.Category
		c.doubt = fmt.Sprintf("line %d has %q", g.line, excerpt(g.text))
		c.nearly = g.count >= nearlyNumbers*max(g.words, 1)
		return nil
	}
	first := g.fits.first()
	c.date = g.seen && layouts[first].text != ""
	if rival := layouts[first].rival; c.date && rival != "" {
		at := slices.IndexFunc(layouts, func(l layout) bool { return l.text == rival })
		if g.fits&(1<<at) != 0 {
			c.doubt = "every value could be day/month or month/day"
		}
	}
	return nil
}

// value turns one cell into a number.
func (g *guess) value(cell string, c *rawColumn) float64 {
	cell = strings.TrimSpace(cell)
	if missing[cell] {
		return math.NaN()
	}
	if c.kind == models.Category {
		return c.levels.code(cell)
	}
	v, ok := parse(g.fits.first(), cell)
	if !ok {
		return math.NaN()
	}
	return v
}
