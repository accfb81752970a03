package datasets

import "bellwether/datasets/record"

// Writer writes a new data directory.
type Writer struct{}

// Create starts a data directory at path, which must not exist or be empty.
func Create(path string, f Format) (*Writer, error) { return &Writer{}, nil }

// Partner writes one version of a partner.
func (w *Writer) Partner(p *record.Partner) error { return nil }

// Lead writes a lead.
func (w *Writer) Lead(l *record.Lead) error { return nil }

// Event writes an event.
func (w *Writer) Event(e *record.Event) error { return nil }

// Decision writes a decision.
func (w *Writer) Decision(d *record.Decision) error { return nil }

// Close finishes the directory.
func (w *Writer) Close() error { return nil }

// Abort throws away what was written.
func (w *Writer) Abort() {}
