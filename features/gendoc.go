//go:build ignore

// Gendoc writes docs/features.md.
package main

import (
	"bytes"
	"os"

	"bellwether/features"
)

func main() {
	var b bytes.Buffer
	if err := features.WriteTable(&b, features.NewSet(features.Schema{}, features.Options{})); err != nil {
		panic(err)
	}
	if err := os.WriteFile("../docs/features.md", b.Bytes(), 0o666); err != nil {
		panic(err)
	}
}
