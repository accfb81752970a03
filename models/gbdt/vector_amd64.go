//go:build !purego

package gbdt

import "golang.org/x/sys/cpu"

// hasVectors says whether the processor has what the vector code is made of.
var hasVectors = cpu.X86.HasAVX2 && cpu.X86.HasBMI1
