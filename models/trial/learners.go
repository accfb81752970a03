package trial

import (
	"fmt"
	"strings"

	"bellwether/models"
	"bellwether/models/bayes"
	"bellwether/models/exchange"
	"bellwether/models/forest"
	"bellwether/models/gbdt"
	"bellwether/models/logit"
	"bellwether/models/scorecard"
)

// loaders reads a model back by the name of the learner that made it. A learner
// that is not here may take part in a trial and cannot win it.
var loaders = map[string]func([]byte) (models.Model, error){
	"gbdt":        loader(gbdt.Load),
	"hazard":      loader(gbdt.Load),
	"logit":       loader(logit.Load),
	"scorecard":   loader(scorecard.Load),
	"bayes":       loader(bayes.Load),
	"forest":      loader(forest.Load),
	"lightgbm":    exchange.LoadGiven, // made elsewhere; see exchange.Given
	"xgboost":     exchange.LoadGiven,
	"best_column": loader(loadRates),
	"base_rate":   loader(loadRates),
}

func loader[M models.Model](load func([]byte) (M, error)) func([]byte) (models.Model, error) {
	return func(b []byte) (models.Model, error) {
		m, err := load(b)
		if err != nil {
			return nil, err
		}
		return m, nil
	}
}

// standard lists the learners a trial compares, in the order of the leaderboard's
// ties; asked marks those left out unless they are named: the slow one, and the
// one that needs to know when labels became known.
var standard = []struct {
	learner models.Learner
	asked   bool
}{
	{gbdt.Learner{}, false},
	{gbdt.Learner{Objective: gbdt.Hazard{}}, true},
	{logit.Learner{}, false},
	{scorecard.Learner{}, false},
	{bayes.Learner{}, false},
	{forest.Learner{}, true},
}

// Learners returns the standard learners; with names, only those, in the order
// named. "default" means all that need not be asked for, "all" really all.
func Learners(names ...string) ([]models.Learner, error) {
	if len(names) == 0 {
		names = []string{"default"}
	}
	var out []models.Learner
	for _, name := range names {
		found := false
		for _, s := range standard {
			if name == s.learner.Name() || name == "all" || name == "default" && !s.asked {
				out, found = append(out, s.learner), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no learner %q; there are %s", name, strings.Join(LearnerNames(), ", "))
		}
	}
	return out, nil
}

// LearnerNames lists the standard learners.
func LearnerNames() []string {
	var out []string
	for _, s := range standard {
		out = append(out, s.learner.Name())
	}
	return out
}

// trained reports whether a learner learns here, and was not given as a model.
func trained(l models.Learner) bool { _, given := l.(exchange.Given); return !given }

// rowsUsed is how many of n rows a model was fitted on: slow learners take no
// more than some.
func rowsUsed(m models.Model, n int) int {
	if m, ok := m.(interface{ RowsUsed() int }); ok {
		return min(n, m.RowsUsed())
	}
	return n
}

// watched returns the learner with its rounds told to f, if it has rounds.
func watched(l models.Learner, f Rounds) models.Learner {
	if g, ok := l.(gbdt.Learner); ok && f != nil {
		g.Progress = f
		return g
	}
	return l
}
