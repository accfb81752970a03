package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"bellwether/datasets"
	"bellwether/datasets/record"
	"bellwether/models/exchange"
	"bellwether/models/gbdt"
	"bellwether/models/registry"
	"bellwether/models/trial"

	"github.com/spf13/cobra"
)

func exportModelCommand(s *streams, open func() (*registry.Registry, error), asJSON *bool) *cobra.Command {
	var out, in, encoded, sep string
	c := &cobra.Command{
		Use:   "export NAME[@V] --out FILE",
		Short: "Write a version as an archive, or its trees as LightGBM text",
		Long: `Export writes by the name of FILE: .tar.gz or .tgz is the whole version, for 'models import';
.txt is the trees as LightGBM text of version v4, which LightGBM loads and answers the
same raw probabilities with. The calibrator is no part of that text.

What the trees see of a category is a feature of its own in the text (region#level,
city#rate), because LightGBM's categories are integers. FILE.columns.json says how each
is made, and --in TABLE --encoded FILE makes them: a copy of the table with these
columns added, for LightGBM to score. 'models import' reads both files, and the model
then takes the table itself; it is measured and calibrated anew there. Only the
archive keeps the calibrator, and with it the same probabilities to the last bit.

Of a learner of hazards LightGBM answers with scores: of each way a case may end
(won, lost) within the first age, within the second, and so on, as FILE.columns.json
lists them, ages in seconds. The chance that a case still open ends so is exp(score)
over 1 plus the exp of each score of that age. 'models import' does not read such a
text, as it is not one probability: only the archive moves the model.

A model that was imported is written as the file it came as: .txt, .json or .ubj.`,
		Example: `  bellwether models export deals --out deals.tar.gz
  bellwether models export deals@v3 --out deals.txt
  bellwether models export deals@v3 --out deals.txt --in new.csv --encoded new.features.csv`,
		Args: exactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return usageError{errors.New("say where to write: --out FILE.tar.gz, or FILE.txt for LightGBM")}
			}
			if err := mayWrite("--out", out, ".tar.gz", ".tgz", ".txt", ".json", ".ubj"); err != nil {
				return err
			}
			if (in == "") != (encoded == "") {
				return usageError{errors.New("--in TABLE and --encoded FILE go together")}
			}
			if encoded != "" {
				if err := mayWrite("--encoded", encoded, tableEndings...); err != nil {
					return err
				}
			}
			reg, err := open()
			if err != nil {
				return err
			}
			switch filepath.Ext(out) {
			case ".txt", ".json", ".ubj":
				return exportTrees(s, reg, args[0], treesJob{out, in, encoded, sep, *asJSON})
			}
			if in != "" {
				return usageError{errors.New("--in goes with --out FILE.txt")}
			}
			return exportArchive(s, reg, args[0], out, *asJSON)
		},
	}
	c.Flags().StringVar(&out, "out", "", "the file to write: .tar.gz, or .txt for LightGBM")
	c.Flags().StringVar(&in, "in", "", "with .txt: a table to make the text's columns of")
	c.Flags().StringVar(&encoded, "encoded", "", "with --in: where to write it: .csv, .csv.gz or .parquet")
	c.Flags().StringVar(&sep, "sep", ",", "separator of a CSV file; 'tab' for tabs")
	return c
}

func exportArchive(s *streams, reg *registry.Registry, ref, out string, asJSON bool) error {
	name, version := registry.SplitRef(ref)
	var v registry.Version
	err := written(out, func(w io.Writer) (err error) {
		v, err = reg.Export(w, name, version)
		return err
	})
	if err != nil {
		return err
	}
	return told(s, v, asJSON, "exported %s to %s\n", v, out)
}

// treesJob is what of a model is written, and the table to encode for it.
type treesJob struct {
	out, in, encoded, sep string
	json                  bool
}

func exportTrees(s *streams, reg *registry.Registry, ref string, j treesJob) error {
	a, p, err := loadPredictor(reg, ref)
	if err != nil {
		return err
	}
	switch m := p.Model.(type) {
	case *gbdt.Model:
		if filepath.Ext(j.out) != ".txt" {
			return record.Errorf(record.Invalid, "export model", "%s: our trees are written as LightGBM text: name a .txt", j.out)
		}
		return j.ours(s, a, p, m)
	case *exchange.Model:
		return j.asItCame(s, a, m.Origin())
	case *exchange.Encoded:
		if err := j.asItCame(s, a, m.Origin()); err != nil {
			return err
		}
		about, err := exchange.ReadCompanion(a.Files[originColumns])
		if err != nil {
			return fmt.Errorf("%s: %s: %w", a.Version, originColumns, err)
		}
		return j.beside(s, p, about, a.Files[originColumns])
	}
	return record.Errorf(record.Invalid, "export model", "%s is a %s model: only trees can be written for other trainers; --out FILE.tar.gz keeps it whole", a.Version, p.Learner)
}

// asItCame writes the file that an imported model was.
func (j treesJob) asItCame(s *streams, a *registry.Artifact, from string) error {
	b, ok := a.Files["origin"+filepath.Ext(j.out)]
	if !ok {
		return record.Errorf(record.Invalid, "export model", "%s came from %s, and is written as it came: it has no origin%s", a.Version, from, filepath.Ext(j.out))
	}
	if _, made := a.Files[originColumns]; j.in != "" && !made {
		return usageError{fmt.Errorf("%s takes its table as it is: leave --in out", a.Version)}
	}
	if err := writtenBytes(j.out, b); err != nil {
		return err
	}
	return told(s, a.Version, j.json, "exported %s to %s, as it came from %s\n", a.Version, j.out, from)
}

func (j treesJob) ours(s *streams, a *registry.Artifact, p *trial.Predictor, m *gbdt.Model) error {
	text, about, err := exchange.Write(m, p.Columns)
	if err != nil {
		return err
	}
	if err := describeLevels(about, a.Files["data.json"]); err != nil {
		return fmt.Errorf("%s: data.json: %w", a.Version, err)
	}
	companion, err := about.JSON()
	if err != nil {
		return err
	}
	if err := writtenBytes(j.out, text); err != nil {
		return err
	}
	if err := j.beside(s, p, about, companion); err != nil {
		return err
	}
	of := ""
	if m.Ages() != nil {
		of = " as scores of each age"
	}
	return told(s, a.Version, j.json, "exported %s%s to %s, how its columns are made to %s\n", a.Version, of, j.out, companionOf(j.out))
}

// beside writes how the text's columns are made, and makes those of a table.
func (j treesJob) beside(s *streams, p *trial.Predictor, about *exchange.Companion, companion []byte) error {
	if err := writtenBytes(companionOf(j.out), companion); err != nil || j.in == "" {
		return err
	}
	return j.encode(s, about, p)
}

// describeLevels gives a companion the texts of the table a model was trained on.
func describeLevels(about *exchange.Companion, data []byte) error {
	if data == nil {
		return nil
	}
	var info datasets.TableInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return err
	}
	for _, c := range info.Columns {
		texts := make([]string, len(c.Levels))
		for i, l := range c.Levels {
			texts[i] = l.Text
		}
		about.Describe(c.Name, texts)
	}
	return nil
}

// encode copies a table and adds the columns of the text that it does not have.
func (j treesJob) encode(s *streams, about *exchange.Companion, p *trial.Predictor) error {
	sep, err := separator(j.sep)
	if err != nil {
		return err
	}
	t, info, err := datasets.ReadTable(j.in, datasets.TableOptions{Sep: sep, Columns: p.Columns, Progress: newProgress(s, "reading")})
	if err != nil {
		return err
	}
	if t, err = p.Match(t); err != nil {
		return fmt.Errorf("%s: %w", j.in, err)
	}
	e, err := about.Encode(t)
	if err != nil {
		return err
	}
	var added []datasets.AddedColumn
	for i, f := range about.Features {
		if f.Kind != gbdt.Number || f.Name != f.Columns[0] {
			added = append(added, datasets.AddedColumn{Name: f.Name, Values: e.X[i]})
		}
	}
	if err := datasets.AppendColumns(j.in, j.encoded, datasets.TableOptions{Sep: sep}, added); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%d rows encoded: %s\n", info.Rows, j.encoded)
	return nil
}
