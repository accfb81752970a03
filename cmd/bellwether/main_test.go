package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoppedCommands stops commands before they begin: each says so, and leaves
// nothing that looks done.
func TestStoppedCommands(t *testing.T) {
	dir := t.TempDir()
	world := filepath.Join(dir, "world")
	if code, _, said := command(t, "synth", "--out", world, "--partners", "5", "--leads", "20", "--days", "40"); code != 0 {
		t.Fatal(said)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for name, args := range map[string][]string{
		"synth":    {"synth", "--out", filepath.Join(dir, "out")},
		"features": {"features", "--data", world, "--out", filepath.Join(dir, "out")},
		"train":    {"train", "win", "--data", world, "--models", filepath.Join(dir, "out")},
		"report":   {"report", "at-risk", "--data", world, "--out", filepath.Join(dir, "out")},
	} {
		var said bytes.Buffer
		code := run(ctx, args, &streams{In: strings.NewReader(""), Out: &said, Err: &said})
		if want := "bellwether: stopped before it was done; run it again\n"; code != 130 || said.String() != want {
			t.Errorf("%s: exit code %d, %q", name, code, &said)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "out")); err == nil && len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
		os.RemoveAll(filepath.Join(dir, "out"))
	}
}
