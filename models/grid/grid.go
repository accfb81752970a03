// Package grid builds the instances golearn's learners are fitted on from plain
// columns. golearn keeps rows as bytes behind attributes; nothing of that is
// seen outside the packages that fit with it. Its printing, its files and its
// prediction code are not used anywhere: learners built on it copy what was
// learned into a form of their own.
package grid

import (
	"fmt"
	"strconv"

	"github.com/sjwhitworth/golearn/base"
)

// Class values as golearn's learners name them.
const (
	No  = "0"
	Yes = "1"
)

// Floats returns instances of the given numeric columns, named "0", "1", …, and
// a class attribute of No and Yes. Values must not be NaN: golearn's trees never
// return from one.
func Floats(columns [][]float64, y []float64) *base.DenseInstances {
	inst := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, len(columns))
	for j := range columns {
		specs[j] = inst.AddAttribute(base.NewFloatAttribute(strconv.Itoa(j)))
	}
	finish(inst, y, func(i int) {
		for j, spec := range specs {
			inst.Set(spec, i, base.PackFloatToBytes(columns[j][i]))
		}
	})
	return inst
}

// Bits returns instances of binary columns likewise.
func Bits(columns [][]bool, y []float64) *base.DenseInstances {
	inst := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, len(columns))
	for j := range columns {
		specs[j] = inst.AddAttribute(base.NewBinaryAttribute(strconv.Itoa(j)))
	}
	finish(inst, y, func(i int) {
		for j, spec := range specs {
			bit := []byte{0}
			if columns[j][i] {
				bit[0] = 1
			}
			inst.Set(spec, i, bit)
		}
	})
	return inst
}

// finish adds the class and fills the rows.
func finish(inst *base.DenseInstances, y []float64, row func(i int)) {
	class := base.NewCategoricalAttribute()
	class.SetName("class")
	value := [2][]byte{class.GetSysValFromString(No), class.GetSysValFromString(Yes)}
	spec := inst.AddAttribute(class)
	addClass(inst, class)
	extend(inst, len(y))
	for i, v := range y {
		inst.Set(spec, i, value[int(v)])
		row(i)
	}
}

// Unlabelled returns instances of numeric columns whose class is a constant
// number: golearn's isolation forest takes the class for one more input, and a
// constant is never split on.
func Unlabelled(columns [][]float64) *base.DenseInstances {
	inst := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, len(columns))
	for j := range columns {
		specs[j] = inst.AddAttribute(base.NewFloatAttribute(strconv.Itoa(j)))
	}
	class := base.NewFloatAttribute("class")
	spec := inst.AddAttribute(class)
	addClass(inst, class)
	n := len(columns[0])
	extend(inst, n)
	for i := range n {
		inst.Set(spec, i, base.PackFloatToBytes(0))
		for j, s := range specs {
			inst.Set(s, i, base.PackFloatToBytes(columns[j][i]))
		}
	}
	return inst
}

// The two calls below fail only for an attribute that was not just added and
// for a negative size.

func addClass(inst *base.DenseInstances, class base.Attribute) {
	if err := inst.AddClassAttribute(class); err != nil {
		panic(fmt.Sprintf("grid: %v", err))
	}
}

func extend(inst *base.DenseInstances, n int) {
	if err := inst.Extend(n); err != nil {
		panic(fmt.Sprintf("grid: %v", err))
	}
}
