package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// newProgress returns a function that shows how far a piece of work is, on a
// terminal only; done equal to total ends the bar. A total of 0 is not known.
func newProgress(s *streams, label string) func(done, total int64) {
	f, ok := s.Err.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int64, int64) {}
	}
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			limit := total
			if limit <= 0 {
				limit = -1
			}
			bar = newBar(f, limit, label)
		}
		_ = bar.Set64(done)
		if total > 0 && done >= total {
			_ = bar.Finish()
		}
	}
}

// newBar is a bar on a terminal; -1 is no known limit.
func newBar(f *os.File, limit int64, label string) *progressbar.ProgressBar {
	return progressbar.NewOptions64(limit, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(label),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
}
