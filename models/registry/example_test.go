package registry_test

import (
	"fmt"
	"os"

	"bellwether/models/registry"
)

// Two versions are published and put in force; the second is taken back.
func ExampleRegistry_Rollback() {
	dir, err := os.MkdirTemp("", "registry-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	r, err := registry.Open(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, bytes := range []string{"first", "second"} {
		v, err := r.Publish("win", map[string][]byte{"win.bin": []byte(bytes)}, registry.Card{})
		if err == nil {
			v, err = r.Promote("win", fmt.Sprint("v", v.Number))
		}
		fmt.Println("in force: version", v.Number, err)
	}
	v, err := r.Rollback("win")
	fmt.Println("in force: version", v.Number, err)
	a, err := r.Load("win", "v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(a.Files["win.bin"]))
	// Output:
	// in force: version 1 <nil>
	// in force: version 2 <nil>
	// in force: version 1 <nil>
	// first
}
