package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"bellwether/models"
	"bellwether/models/target"
)

// code gives column j its categories: the i-th stands for integer i. All are
// texts, or all numbers.
func (m *Model) code(j int, texts []string, numbers []float64) error {
	c := coded{}
	known := map[uint64]bool{}
	add := func(v float64) error {
		k := target.Key(v)
		if known[k] || math.IsNaN(v) {
			return fmt.Errorf("%w: the categories of %s: number %d is there twice, or empty", models.ErrCorrupt, m.columns[j].Name, len(c.keys))
		}
		known[k] = true
		c.keys, c.codes = append(c.keys, k), append(c.codes, len(c.codes))
		return nil
	}
	for _, text := range texts {
		if err := add(models.Code(text)); err != nil {
			return err
		}
	}
	for _, v := range numbers {
		if err := add(v); err != nil {
			return err
		}
	}
	if len(texts) > 0 {
		m.columns[j].Kind = models.Category
	}
	m.coded[j] = c
	return nil
}

// pandas reads the line that LightGBM's Python package adds: the categories of
// each column that was one in the data frame, in the order of the columns.
func (m *Model) pandas(text string, infos []string) error {
	var lists [][]any
	if err := json.Unmarshal([]byte(text), &lists); err != nil {
		return fmt.Errorf("%w: %s %w", models.ErrCorrupt, pandasPrefix, err)
	}
	if len(lists) == 0 {
		return nil
	}
	var sure, perhaps []int
	for j, info := range infos {
		if info == "none" { // one value only: the file does not say of which kind
			perhaps = append(perhaps, j)
		} else if !strings.HasPrefix(info, "[") {
			sure, perhaps = append(sure, j), append(perhaps, j)
		}
	}
	if len(sure) != len(lists) {
		sure = perhaps
	}
	if len(sure) != len(lists) {
		return fmt.Errorf("%w: pandas_categorical lists the categories of %d columns, the features have %d: the file does not say which are which", ErrUnsupported, len(lists), len(sure))
	}
	for i, list := range lists {
		var texts []string
		var numbers []float64
		for _, v := range list {
			switch v := v.(type) {
			case string:
				texts = append(texts, v)
			case float64:
				numbers = append(numbers, v)
			default:
				return fmt.Errorf("%w: pandas_categorical: a category of %s is %v, neither text nor number", ErrUnsupported, m.columns[sure[i]].Name, v)
			}
		}
		if len(texts) > 0 && len(numbers) > 0 {
			return fmt.Errorf("%w: pandas_categorical: the categories of %s are texts and numbers", ErrUnsupported, m.columns[sure[i]].Name)
		}
		if err := m.code(sure[i], texts, numbers); err != nil {
			return err
		}
	}
	return nil
}

// cats reads the categories that XGBoost keeps since 3.1: texts as bytes end to
// end with offsets, or numbers; nothing for a column that is a number.
func (m *Model) cats(p place) {
	enc := p.to("enc").items()
	if len(enc) != 0 && len(enc) != len(m.columns) && p.err == nil {
		p.to("enc").corrupt("categories of %d features, there are %d", len(enc), len(m.columns))
	}
	for j, e := range enc {
		values := e.to("values").floats(-1)
		if p.err != nil {
			return
		}
		if !e.has("offsets") {
			e.refuse(m.code(j, nil, values))
			continue
		}
		offsets := e.to("offsets").ints(-1, 0, len(values))
		if p.err != nil || len(offsets) == 0 {
			continue
		}
		all := make([]byte, len(values))
		for i, v := range values {
			all[i] = byte(int(v)) // signed in some releases
		}
		var texts []string
		for i := 1; i < len(offsets); i++ {
			if offsets[i] < offsets[i-1] {
				e.to("offsets").corrupt("number %d is below the one before", i)
				return
			}
			texts = append(texts, string(bytes.Clone(all[offsets[i-1]:offsets[i]])))
		}
		e.refuse(m.code(j, texts, nil))
	}
}
