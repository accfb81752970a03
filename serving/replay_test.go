package serving

import (
	"os"
	"path/filepath"
	"testing"

	"bellwether/datasets/record"
	"bellwether/features"
)

// A decision is replayed with what it was made with, or it is said what of that
// is not there any more.
func TestReplayNeedsWhatItWasMadeWith(t *testing.T) {
	b := newBench(t, nil)
	for seed, version := range []string{"1", "2"} {
		publish(t, b.dir, winName, features.Schema{}, uint64(seed), nil)
		if _, err := b.Promote(ctx, winName, version); err != nil {
			t.Fatal(err)
		}
		b.route("by " + version)
	}
	d := b.route("by 1").Decision // as it was made then
	if model, _, _, ok := parseModelID(d.Model); !ok || model != winName {
		t.Fatalf("decided by %q", d.Model)
	}
	if err := b.Replay(ctx, d.ID); err != nil {
		t.Fatalf("with the model of then: %v", err)
	}
	v1, away := filepath.Join(b.dir, winName, "v1"), filepath.Join(t.TempDir(), "v1")
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(v1, away)
	want(t, b.Replay(ctx, d.ID), record.NotFound, "win@v1")
	move(filepath.Join(b.dir, winName, "v2"), v1)
	want(t, b.Replay(ctx, d.ID), record.Incompatible, "the decision was made with")
	move(v1, filepath.Join(b.dir, winName, "v2"))
	move(away, v1)
	if err := b.Replay(ctx, d.ID); err != nil {
		t.Errorf("with the model put back: %v", err)
	}
	if err := b.store.SetMeta("policy "+d.Policy, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	want(t, b.Replay(ctx, d.ID), record.Incompatible, "policy "+d.Policy+" was written by a program that reads it differently")
	want(t, b.Replay(ctx, "none"), record.NotFound, "none")
}
