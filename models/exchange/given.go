package exchange

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bellwether/models"
)

// Given stands for a model made elsewhere where a learner is asked for: whatever
// it is fitted on, it answers with the model, taking the columns of that table.
// So a trial measures, calibrates and gates it as any other.
type Given struct {
	Model *Model
	// About says how the features of a model that Write wrote are made of a table's
	// columns; nil: they are its columns.
	About *Companion
	// Codes lets a category be taken as the number that its Code is, as tables of
	// features on disk hold it. Otherwise a model that wants a number of a
	// category's column is refused: what integers it was trained on, nobody knows.
	Codes bool
}

// Name implements models.Learner: the name of the trainer.
func (g Given) Name() string { return g.Model.format.String() }

// Fit implements models.Learner.
func (g Given) Fit(ctx context.Context, train, _ *models.Table, _ uint64) (models.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return g.Over(train.Columns)
}

// Columns returns the columns it wants of a table.
func (g Given) Columns() []models.Column {
	if g.About != nil {
		return g.About.Columns()
	}
	return g.Model.Columns()
}

// Over returns the model that takes these columns, as Model.Over does.
func (g Given) Over(columns []models.Column) (models.Model, error) {
	if g.About != nil {
		return made(encoded(g.Model, g.About, columns))
	}
	return made(g.Model.Over(columns, g.Codes))
}

// made keeps a nil pointer from being a model.
func made[M models.Model](m M, err error) (models.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// RowsUsed is how many rows of a trial the model was fitted on: none.
func (m *Model) RowsUsed() int { return 0 }

// Over returns the model with its columns found by name among others, which then
// are its columns. Those that no tree looks at may be missing. codes is as in
// Given.
func (m *Model) Over(columns []models.Column, codes bool) (*Model, error) {
	at := make(map[string]int, len(columns))
	for j, c := range columns {
		at[c.Name] = j
	}
	out := *m
	out.columns, out.coded, out.gains = slices.Clone(columns), make([]coded, len(columns)), make([]float64, len(columns))
	place := make([]int, len(m.columns))
	var missing []string
	for _, in := range m.inputs {
		own := &m.columns[in.column]
		j, ok := at[own.Name]
		if !ok {
			missing = append(missing, own.Name)
			continue
		}
		texts := columns[j].Kind == models.Category
		listed := len(m.coded[in.column].keys) > 0
		switch {
		case own.Kind == models.Category && !texts:
			return nil, fmt.Errorf("%w: %s is a column of numbers, the model wants texts", models.ErrWidth, own.Name)
		case own.Kind == models.Numeric && texts && !codes && !listed:
			return nil, fmt.Errorf("%w: %s is a category of texts, the model wants numbers, and its file does not say which text is which", models.ErrWidth, own.Name)
		}
		place[in.column], out.coded[j], out.gains[j] = j, m.coded[in.column], m.gains[in.column]
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: the model looks at %s, which the table does not have", models.ErrWidth, strings.Join(missing, ", "))
	}
	out.nodes = slices.Clone(m.nodes)
	for i := range out.nodes {
		if n := &out.nodes[i]; n.right != 0 {
			n.input = uint32(place[n.input])
		}
	}
	out.finish()
	return &out, nil
}
