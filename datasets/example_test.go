package datasets_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"bellwether/datasets"
	"bellwether/datasets/record"
)

// Of three rows one repeats another and one says no date: it is set aside, with
// the reason, and stops nothing.
func ExampleDir_Events() {
	dir, err := os.MkdirTemp("", "data-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	lines := `{"id":"e1","type":"portal_login","at":"2026-03-02T09:00:00Z","partner":"north"}
{"id":"e1","type":"portal_login","at":"2026-03-02T09:00:00Z","partner":"north"}
{"id":"e2","type":"portal_login","at":"yesterday","partner":"north"}
`
	if err := os.WriteFile(filepath.Join(dir, "events.jsonl"), []byte(lines), 0o666); err != nil {
		fmt.Println(err)
		return
	}
	d, err := datasets.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	counts, err := d.Events(context.Background(), datasets.ReadOptions{}, func(batch []record.Event) error {
		for _, e := range batch {
			fmt.Println(e.ID, e.Partner, e.At)
		}
		return nil
	})
	fmt.Printf("%d in = %d kept + %d quarantined, %d repeated, error: %v\n", counts.In, counts.Kept, counts.Quarantined, counts.Repeats, err)
	// Output:
	// e1 north 2026-03-02 09:00:00 +0000 UTC
	// 3 in = 2 kept + 1 quarantined, 1 repeated, error: <nil>
}
