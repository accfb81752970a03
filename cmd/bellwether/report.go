package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/features"
	"bellwether/health"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/spf13/cobra"
)

func reportCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "report at-risk",
		Short: "Write reports for people",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return usageError{errors.New("say which report: at-risk; see 'bellwether report --help'")}
		},
	}
	c.AddCommand(reportAtRiskCommand(s))
	return c
}

// reportFormats are the formats of a report, the usual one first.
var reportFormats = []string{"html", "csv", "json", "parquet"}

type reportFlags struct {
	data, models, config, format, out, at string
}

func reportAtRiskCommand(s *streams) *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "at-risk --data DIR [--models DIR] [--out F]",
		Short: "Which partners are drifting away, why, what is at stake and what to do",
		Long: `At-risk judges every partner as of one midnight from what was known by then: the
published churn model's calibrated risk, or, without one, the hand-set weights; why
in words with numbers; the value at risk; what to do. The page needs nothing else
to be read, mailed or printed.`,
		Example: "  bellwether report at-risk --data world --models models --out at-risk.html\n  bellwether report at-risk --data world --models models --at 2026-03-01 --format csv --out - | head",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return f.run(c.Context(), s) },
	}
	c.Flags().StringVar(&f.data, "data", "", "data directory")
	c.Flags().StringVar(&f.models, "models", "", "directory of models; without a published churn model the hand-set weights judge")
	addConfig(c, &f.config)
	c.Flags().StringVar(&f.format, "format", "", strings.Join(reportFormats, ", ")+"; empty: what the name of --out ends in, html where it ends in nothing")
	c.Flags().StringVar(&f.out, "out", "-", "file to write; - is standard output")
	c.Flags().StringVar(&f.at, "at", "", "midnight to judge as of, YYYY-MM-DD; empty: the one after the data's last day, and a later one is warned of")
	return c
}

// check checks the flags and reads --at; zero without it.
func (f *reportFlags) check() (at time.Time, err error) {
	if f.format, err = fileFormat(f.out, f.format, reportFormats); err != nil {
		return at, err
	}
	if f.out != "-" {
		err = inDirectory("--out", f.out)
	} else if f.format == "parquet" {
		err = usageError{errors.New("--out: a Parquet file cannot go to standard output; name a file")}
	}
	if err != nil || f.at == "" {
		return at, err
	}
	if at, err = time.Parse(time.DateOnly, f.at); err != nil {
		err = usageError{fmt.Errorf("--at: %w", err)}
	}
	return at, err
}

func (f *reportFlags) run(ctx context.Context, s *streams) error {
	at, err := f.check()
	if err != nil {
		return err
	}
	src, err := openData(s, f.data)
	if err != nil {
		return err
	}
	options, err := readOptions(f.config)
	if err != nil {
		return err
	}
	money := newPurse(src)
	r, used, err := atRisk(ctx, money, f.models, options, at)
	if err != nil {
		return err
	}
	money.warn(s.Err, used)
	warnOther(s.Err, used, options)
	if f.models != "" && !at.IsZero() {
		warnAhead(s.Err, f.models, "churn", at)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(s.Err, "warning: %s\n", note)
	}
	if err := f.write(s.Out, r); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	fmt.Fprintf(s.Err, "%s: %d partners judged by %s, %.1f expected to leave within %d days, %d silent already\n", r.At.Format(time.DateOnly),
		len(r.Rows), r.Model, r.Expected, r.HorizonDays, len(r.Silent))
	return nil
}

// write puts the report where it belongs; a file is there whole or not at all.
func (f *reportFlags) write(stdout io.Writer, r *health.Report) error {
	if f.format == "parquet" {
		return writeStandings(f.out, r.Standings())
	}
	print := map[string]func(io.Writer) error{"html": r.WriteHTML, "csv": r.WriteCSV, "json": r.WriteJSON}[f.format]
	if f.out == "-" {
		return print(stdout)
	}
	return written(f.out, print)
}

// loadChurn reads the churn model in force; nil without one.
func loadChurn(dir string) (*health.Assessor, error) {
	if dir == "" {
		return nil, nil
	}
	reg, err := openModels(dir)
	if err != nil {
		return nil, err
	}
	a, err := reg.Load("churn", "")
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return readChurn(a)
}

// dayAfter is the midnight after a moment, up to which a log that ends there says
// what happened.
func dayAfter(t time.Time) time.Time { return t.UTC().Truncate(24*time.Hour).AddDate(0, 0, 1) }

// warnAhead says that a model in force had learned from what came after the time
// it is asked about.
func warnAhead(w io.Writer, dir, name string, at time.Time) {
	reg, err := openModels(dir)
	if err != nil {
		return // whoever judges by it has said so
	}
	v, err := reg.Load(name, "")
	if err != nil {
		return
	}
	if at.Before(v.Card.To) {
		fmt.Fprintf(w, "warning: %s learned from what was known up to %s: as of %s it judges by what was not known then\n", v, v.Card.To.Format(time.DateOnly), at.Format(time.DateOnly))
	}
}

// readChurn makes an assessor of a version's files; it has no history yet.
func readChurn(v *registry.Artifact) (*health.Assessor, error) {
	op := "load " + v.String()
	var spec features.Spec
	if err := json.Unmarshal(v.Files["features.json"], &spec); err != nil {
		return nil, record.Errorf(record.Incompatible, op, "features.json: %w", err)
	}
	a := &health.Assessor{Model: v.String()}
	var err error
	if a.Set, err = spec.Set(); err != nil {
		return nil, record.Errorf(record.Incompatible, op, "%w", err)
	}
	if a.Churn, err = trial.LoadPredictor(v.Files["churn.bin"]); err != nil {
		return nil, record.Errorf(record.Incompatible, op, "churn.bin: %w", err)
	}
	if b, ok := v.Files["alive.bin"]; ok {
		if a.Alive, err = health.LoadAlive(b); err != nil {
			return nil, record.Errorf(record.Incompatible, op, "alive.bin: %w", err)
		}
	}
	return a, nil
}

// atRisk judges everybody as of a midnight; a zero at is the one after the
// data's last day. options make the features where no model brings its own; those
// used are returned. The data is read twice: to the midnight, and to the one 28
// days before for the trend.
func atRisk(ctx context.Context, src features.Source, models string, options features.Options, at time.Time) (*health.Report, features.Options, error) {
	a, err := loadChurn(models)
	if err != nil {
		return nil, options, err
	}
	if a == nil {
		schema, err := readSchema(ctx, src)
		if err != nil {
			return nil, options, err
		}
		a = &health.Assessor{Set: features.NewSet(schema, options)}
	}
	a.History = health.NewHistory(health.Config{}, a.Set, at)
	if err := a.Prepare(); err != nil {
		return nil, options, err
	}
	var last time.Time // what the replay met, also where it stopped there
	observe := func(e *record.Event) {
		if known := e.Known(); known.After(last) {
			last = known
		}
		a.History.Observe(e)
	}
	st, stats, err := features.Replay(ctx, observedSource{src, observe}, a.Set, features.ReplayOptions{Until: at}, features.Sink{})
	if err != nil {
		return nil, options, err
	}
	switch {
	case last.IsZero():
		return nil, options, noEvents("report", stats)
	case stats.Events == 0:
		return nil, options, record.Errorf(record.Invalid, "report", "nothing was known by %s: the data begins later; name a later --at", at.Format(time.DateOnly))
	}
	if at.IsZero() {
		at = dayAfter(last)
	}
	st.Advance(at)
	before := at.AddDate(0, 0, -health.TrendDays)
	earlier, _, err := features.Replay(ctx, src, a.Set, features.ReplayOptions{Until: before}, features.Sink{})
	if err != nil {
		return nil, options, err
	}
	earlier.Advance(before)
	r := newReport(a.Assess(st, a.Risks(earlier, before), at), st)
	if at.After(dayAfter(last)) {
		r.Notes = append(r.Notes, fmt.Sprintf("what is known ends on %s: standings as of %s are extrapolated, as if nothing had happened since",
			last.UTC().Format(time.DateOnly), at.Format(time.DateOnly)))
	}
	return r, a.Set.Options(), nil
}

// newReport puts what is known of each partner beside its standing.
func newReport(standings []record.Standing, st *features.State) *health.Report {
	return health.NewReport(standings, func(id record.PartnerID) *record.Partner {
		if p := st.Partner(id); p != nil {
			return p.Record()
		}
		return nil
	})
}

// standingFields is the schema of standings in Parquet, but for the KPIs, which
// are a column each.
var standingFields = []arrow.Field{
	{Name: "partner", Type: arrow.BinaryTypes.String},
	{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
	{Name: "risk", Type: arrow.PrimitiveTypes.Float64}, {Name: "risk_lo", Type: arrow.PrimitiveTypes.Float64}, {Name: "risk_hi", Type: arrow.PrimitiveTypes.Float64},
	{Name: "horizon_days", Type: arrow.PrimitiveTypes.Int32},
	{Name: "trend", Type: arrow.PrimitiveTypes.Float64}, {Name: "alive", Type: arrow.PrimitiveTypes.Float64},
	{Name: "value_at_risk", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "currency", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "action", Type: arrow.BinaryTypes.String}, {Name: "model", Type: arrow.BinaryTypes.String},
	{Name: "drivers", Type: arrow.ListOf(arrow.StructOf(arrow.Field{Name: "feature", Type: arrow.BinaryTypes.String},
		arrow.Field{Name: "value", Type: arrow.PrimitiveTypes.Float64}, arrow.Field{Name: "effect", Type: arrow.PrimitiveTypes.Float64},
		arrow.Field{Name: "text", Type: arrow.BinaryTypes.String}))},
	{Name: "activity", Type: arrow.ListOf(arrow.PrimitiveTypes.Float64)},
}

// writeStandings writes one Parquet file; amounts are minor units of their
// currency, a KPI that a partner lacks is null.
func writeStandings(path string, standings []record.Standing) error {
	fields := slices.Clone(standingFields)
	for _, k := range health.KPIs {
		fields = append(fields, arrow.Field{Name: k.Name, Type: arrow.PrimitiveTypes.Float64, Nullable: true,
			Metadata: arrow.NewMetadata([]string{"unit", "meaning"}, []string{k.Unit, k.Meaning})})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range standings {
		appendStanding(b, &standings[i])
	}
	batch := b.NewRecord()
	defer batch.Release()
	return datasets.WriteParquet(path, schema, func(yield func(arrow.Record, error) bool) { yield(batch, nil) })
}

func appendStanding(b *array.RecordBuilder, s *record.Standing) {
	text := func(i int, x string) { b.Field(i).(*array.StringBuilder).Append(x) }
	number := func(i int, x float64) { b.Field(i).(*array.Float64Builder).Append(x) }
	text(0, string(s.Partner))
	b.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(s.At.UnixMicro()))
	number(2, s.Risk)
	number(3, s.RiskLo)
	number(4, s.RiskHi)
	b.Field(5).(*array.Int32Builder).Append(int32(s.HorizonDays))
	number(6, s.Trend)
	number(7, s.Alive)
	if s.ValueAtRisk.IsZero() {
		b.Field(8).AppendNull()
		b.Field(9).AppendNull()
	} else {
		b.Field(8).(*array.Int64Builder).Append(s.ValueAtRisk.Amount)
		text(9, s.ValueAtRisk.Currency)
	}
	text(10, s.Action)
	text(11, s.Model)
	drivers := b.Field(12).(*array.ListBuilder)
	drivers.Append(true)
	each := drivers.ValueBuilder().(*array.StructBuilder)
	for _, d := range s.Drivers {
		each.Append(true)
		each.FieldBuilder(0).(*array.StringBuilder).Append(d.Feature)
		each.FieldBuilder(1).(*array.Float64Builder).Append(d.Value)
		each.FieldBuilder(2).(*array.Float64Builder).Append(d.Effect)
		each.FieldBuilder(3).(*array.StringBuilder).Append(d.Text)
	}
	activity := b.Field(13).(*array.ListBuilder)
	activity.Append(true)
	activity.ValueBuilder().(*array.Float64Builder).AppendValues(s.Activity, nil)
	for k, kpi := range health.KPIs {
		if x, ok := s.KPIs[kpi.Name]; ok {
			number(len(standingFields)+k, x)
		} else {
			b.Field(len(standingFields) + k).AppendNull()
		}
	}
}
