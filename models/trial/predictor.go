package trial

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bellwether/models"
	"bellwether/models/calibrate"
)

// Probability is a calibrated chance with its interval: at calibrate.Level, the
// rate of rows scored like this one lies within, that of any one of those named by
// Config.Whose. Lo and Hi are far apart where the calibration rows were few or the
// rates of those differ.
type Probability struct{ P, Lo, Hi float64 }

// Predictor is a fitted model with all that is needed to use it: the columns it
// was fitted on, in order, and the calibrator of its raw scores. It does not
// change once made and may be used from any number of goroutines.
type Predictor struct {
	Columns    []models.Column
	Learner    string // name of the learner, a key of the table of loaders
	Model      models.Model
	Calibrator calibrate.Calibrator
	Sets       []calibrate.Sets // of labels, one a level; nil: it cannot say whether it is sure
}

// Scratch is memory that PredictRows uses again from call to call. The zero
// value is ready; one Scratch serves one goroutine at a time.
type Scratch struct {
	raw []float64
	row models.Table
}

// Predict writes one Probability per row of t into dst, which is t.Len() long.
// Columns are matched by name: t may have them in another order and may have
// others besides. A column that is missing or of another kind is an error that
// names it.
func (p *Predictor) Predict(dst []Probability, t *models.Table) error {
	if len(dst) != t.Len() {
		return fmt.Errorf("%d places for %d rows", len(dst), t.Len())
	}
	if t.In == nil || t.Len() == 0 {
		return p.predict(dst, t)
	}
	for lo := 0; lo < len(dst); lo += predictedRows { // only so many are copied at a time
		rows := make([]int, min(predictedRows, len(dst)-lo))
		for i := range rows {
			rows[i] = lo + i
		}
		if err := p.predict(dst[lo:lo+len(rows)], t.Take(rows)); err != nil {
			return err
		}
	}
	return nil
}

// predictedRows is how many rows of a table that lies in batches are scored at a
// time.
const predictedRows = 1 << 14

func (p *Predictor) predict(dst []Probability, t *models.Table) error {
	own, err := p.Match(t)
	if err != nil {
		return err
	}
	raw := make([]float64, len(dst))
	if err := p.Model.Predict(raw, own); err != nil {
		return err
	}
	for i, r := range raw {
		dst[i] = probability(p.Calibrator, r)
	}
	return nil
}

// tieBreak is the weight of the raw score in a probability. A calibrator of
// steps gives whole ranges of scores one value, and ranking would lose what the
// model knows inside them (0.0008 of AUC on the flights table); a millionth of
// the raw score keeps the order and moves no figure anybody reads.
const tieBreak = 1e-6

func probability(c calibrate.Calibrator, raw float64) Probability {
	p, lo, hi := c.Calibrate(raw)
	if raw >= 0 && raw <= 1 {
		p = min(max(p+tieBreak*(raw-p), lo), hi)
	}
	return Probability{p, lo, hi}
}

// PredictRows is Predict for rows held one after another in the order of
// Columns: len(rows) is len(dst) times their number, and it panics on other
// lengths. Nothing is allocated where the model is a models.RowsPredictor and
// scratch has grown to the number of rows.
func (p *Predictor) PredictRows(dst []Probability, rows []float64, scratch *Scratch) {
	w := len(p.Columns)
	if len(rows) != w*len(dst) {
		panic(fmt.Sprintf("trial: %d numbers for %d rows of %d", len(rows), len(dst), w))
	}
	if len(dst) == 0 {
		return
	}
	scratch.raw = slices.Grow(scratch.raw[:0], len(dst))[:len(dst)]
	if m, ok := p.Model.(models.RowsPredictor); ok {
		m.PredictRows(scratch.raw, rows)
	} else {
		p.predictColumns(rows, scratch)
	}
	for i, r := range scratch.raw {
		dst[i] = probability(p.Calibrator, r)
	}
}

// predictColumns turns rows into columns for a model that only reads tables.
func (p *Predictor) predictColumns(rows []float64, scratch *Scratch) {
	w, n := len(p.Columns), len(scratch.raw)
	t := &scratch.row
	if len(t.X) != w {
		t.Columns, t.X = p.Columns, make([][]float64, w)
	}
	for j := range t.X {
		t.X[j] = slices.Grow(t.X[j][:0], n)[:n]
		for i := range t.X[j] {
			t.X[j][i] = rows[i*w+j]
		}
	}
	if err := p.Model.Predict(scratch.raw, t); err != nil {
		panic(fmt.Sprintf("trial: %s refuses rows of its own width: %v", p.Learner, err))
	}
}

// Match returns t's inputs in the order of p.Columns, copied only where they lie
// in batches.
func (p *Predictor) Match(t *models.Table) (*models.Table, error) {
	at := make(map[string]int, len(t.Columns))
	for j, c := range t.Columns {
		at[c.Name] = j
	}
	own := &models.Table{Columns: p.Columns, X: make([][]float64, len(p.Columns))}
	var missing, other []string
	for k, c := range p.Columns {
		j, ok := at[c.Name]
		switch {
		case !ok:
			missing = append(missing, c.Name)
		case t.Columns[j].Kind != c.Kind:
			other = append(other, fmt.Sprintf("%s (the model wants %s)", c.Name, kindName(c.Kind)))
		default:
			own.X[k] = t.Column(j)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the table has no %s, which the model wants; it has %s", models.ErrWidth, listed(missing), listed(names(t.Columns)))
	}
	if len(other) > 0 {
		return nil, fmt.Errorf("%w: of another kind: %s", models.ErrWidth, strings.Join(other, ", "))
	}
	return own, nil
}

func kindName(k models.Kind) string {
	if k == models.Category {
		return "a category"
	}
	return "a number"
}

func names(columns []models.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

// listed writes up to 12 names, and how many there are besides.
func listed(all []string) string {
	const most = 12
	if len(all) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
	}
	return strings.Join(all, ", ")
}

const predictorMagic = "BWPRED01"

type predictorHeader struct {
	Columns []models.Column  `json:"columns"`
	Learner string           `json:"learner"`
	Sets    []calibrate.Sets `json:"sets,omitempty"`
}

// MarshalBinary writes the predictor as the package comment says.
func (p *Predictor) MarshalBinary() ([]byte, error) {
	header, err := json.Marshal(predictorHeader{p.Columns, p.Learner, p.Sets})
	if err != nil {
		return nil, err
	}
	model, err := p.Model.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", p.Learner, err)
	}
	calibrator, err := p.Calibrator.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("calibrator: %w", err)
	}
	b := []byte(predictorMagic)
	for _, part := range [][]byte{header, model, calibrator} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return seal(b), nil
}

func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// LoadPredictor reads what MarshalBinary wrote. Damaged bytes, a learner this
// program does not know and a model of another width than its columns are
// errors; the first and last are models.ErrCorrupt.
func LoadPredictor(b []byte) (*Predictor, error) {
	if len(b) < len(predictorMagic)+sha256.Size || string(b[:len(predictorMagic)]) != predictorMagic {
		return nil, fmt.Errorf("%w: not a predictor", models.ErrCorrupt)
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("%w: the checksum of the predictor does not match", models.ErrCorrupt)
	}
	var parts [3][]byte
	rest := body[len(predictorMagic):]
	for i := range parts {
		if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return nil, fmt.Errorf("%w: predictor is cut off", models.ErrCorrupt)
		}
		n := int(binary.LittleEndian.Uint32(rest))
		parts[i], rest = rest[4:4+n], rest[4+n:]
	}
	var header predictorHeader
	if err := json.Unmarshal(parts[0], &header); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: header of the predictor", models.ErrCorrupt)
	}
	load := loaders[header.Learner]
	if load == nil {
		return nil, fmt.Errorf("this program knows no learner %q; it knows %s", header.Learner, strings.Join(slices.Sorted(maps.Keys(loaders)), ", "))
	}
	model, err := load(parts[1])
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", header.Learner, err)
	}
	if model.Width() != len(header.Columns) {
		return nil, fmt.Errorf("%w: model %s of %d inputs under %d columns", models.ErrCorrupt, header.Learner, model.Width(), len(header.Columns))
	}
	calibrator, err := calibrate.Load(parts[2])
	if err != nil {
		return nil, fmt.Errorf("calibrator: %w", err)
	}
	return &Predictor{header.Columns, header.Learner, model, calibrator, header.Sets}, nil
}

// Factored is a predictor split by what its inputs look at; see
// models.Factorer.
type Factored struct {
	models.Factored
	calibrator calibrate.Calibrator
}

// Factor splits the predictor by the side of each column; false where its
// model cannot be split.
func (p *Predictor) Factor(side []uint8) (*Factored, bool) {
	m, ok := p.Model.(models.Factorer)
	if !ok {
		return nil, false
	}
	parts, ok := m.Factor(side)
	return &Factored{parts, p.Calibrator}, ok
}

// Probabilities writes the same bits as PredictRows for the row of a case and
// each of its candidates; see models.Factored.
func (f *Factored) Probabilities(dst []Probability, of []uint64, candidates [][]uint64, pairs []float64, s *Scratch) {
	s.raw = slices.Grow(s.raw[:0], len(dst))[:len(dst)]
	f.Scores(s.raw, of, candidates, pairs)
	for i, r := range s.raw {
		dst[i] = probability(f.calibrator, r)
	}
}
