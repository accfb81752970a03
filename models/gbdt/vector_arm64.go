//go:build !purego

package gbdt

// hasVectors is true: every arm64 has the instructions of the vector code. It is
// tested under emulation, which says nothing of its speed: whether it is faster
// than plain code there was not measured.
const hasVectors = true
