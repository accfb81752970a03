package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readYAML reads what a person wrote into a struct; nothing leaves it as it is. A
// key it does not know is an error with its line, its section and those there are.
func readYAML(r io.Reader, into any) error {
	var doc yaml.Node
	if err := yaml.NewDecoder(r).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	var sound any // or an anchor may hold itself, which checkKeys would follow for ever
	if err := doc.Decode(&sound); err != nil {
		return err
	}
	if err := checkKeys(doc.Content[0], reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	return doc.Decode(into)
}

// checkKeys checks the keys of a node, and below it, against the fields of a type;
// section is where the node stands.
func checkKeys(n *yaml.Node, t reflect.Type, section string) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := checkKeys(item, t.Elem(), section); err != nil {
				return err
			}
		}
	case t.Kind() != reflect.Struct || n.Tag == "!!null":
	case n.Kind != yaml.MappingNode:
		return fmt.Errorf("line %d: %s wants keys with values; it may hold %s", n.Line, orFile(section), listOf(t))
	default:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if err := checkKey(n.Content[i], n.Content[i+1], t, section); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(key, value *yaml.Node, t reflect.Type, section string) error {
	if key.Tag == "!!merge" {
		if value.Kind == yaml.SequenceNode {
			t = reflect.SliceOf(t)
		}
		return checkKeys(value, t, section)
	}
	of, ok := keysOf(t)[key.Value]
	if !ok {
		return fmt.Errorf("line %d: unknown key %q in %s; it may hold %s", key.Line, key.Value, orFile(section), listOf(t))
	}
	return checkKeys(value, of, strings.TrimPrefix(section+"."+key.Value, "."))
}

// keysOf are the keys of a struct and what they hold.
func keysOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "-" {
			out[name] = f.Type
		}
	}
	return out
}

func listOf(t reflect.Type) string { return strings.Join(slices.Sorted(maps.Keys(keysOf(t))), ", ") }

func orFile(section string) string { return cmp.Or(section, "the file") }
