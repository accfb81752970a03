//go:build !linux || race

package features

// HugePages does nothing: only Linux is asked for huge pages, and not by the race
// detector, which would write to all that is asked for.
func HugePages() {}
