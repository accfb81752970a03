package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellwether/serving/gateway"
)

// A key's life at the command line: shown once, listed without its secret,
// revoked, and what stands in the file is what a server lets in.
func TestKeysCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	keys := func(args ...string) (out, said string) {
		t.Helper()
		code, out, said := called(append(append([]string{"keys"}, args...), "--file", file)...)
		if code != 0 {
			t.Fatalf("keys %v: exit %d: %s", args, code, said)
		}
		return out, said
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := keys("list", "--json"); out != `{"keys":[]}`+"\n" {
		t.Errorf("no keys are listed as %s", out)
	}
	out, said := keys("add", "--name", "crm")
	token := strings.TrimSpace(out)
	if strings.Contains(said, token) || !strings.Contains(said, "(crm) may route, read") || !strings.Contains(said, "cannot be shown again") {
		t.Errorf("add said %s", said)
	}
	keys("add", "--name", "warehouse", "--scope", "admin,write")
	out, _ = keys("list", "--json")
	var list struct{ Keys []gateway.Key }
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Keys) != 2 || list.Keys[1].Name != "warehouse" || strings.Join(list.Keys[1].Scopes, " ") != "admin write" {
		t.Fatalf("listed %s, %v", out, err)
	}
	id := list.Keys[0].ID
	if _, said := keys("revoke", id); !strings.Contains(said, id+" is revoked") {
		t.Errorf("revoke said %s", said)
	}
	for _, row := range strings.Split(func() string { out, _ := keys("list"); return out }(), "\n") {
		revoked := strings.Count(row, "-") > 2 // two dates in the row of the revoked one
		if strings.Contains(row, token) || strings.Contains(row, id) && !revoked || strings.Contains(row, "warehouse") && revoked {
			t.Errorf("listed as %s", row)
		}
	}
	k, err := gateway.OpenKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Check(token); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("the revoked key: %v", err)
	}
}

func TestKeysSayWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	if code, _, said := called("keys", "add", "--file", file, "--name", "crm", "--scope", "read"); code != 0 {
		t.Fatal(said)
	}
	broken := place(t, "broken.jsonl", "{\"id\":\"a\"}\n")
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"add --scope root --file " + file, 2, `scope: "root" is not one of route, read, write, admin`},
		{"add --scope= --file " + file, 2, "scope: is missing: at least one of route"},
		{"revoke --file " + file, 2, "revoke ID"},
		{"revoke 00000000 --file " + file, 1, "there is no key 00000000: see 'bellwether keys list'"},
		{"list --file " + file + ".typo", 1, "there is no key file " + file + ".typo: name the one that 'bellwether keys add' made"},
		{"list --file " + broken, 1, "broken.jsonl: line 1: not a key"},
		{"add --file " + filepath.Join(file, "deeper"), 1, "keys.jsonl"},
		{"remove", 2, `"remove"`},
	} {
		code, out, said := called(strings.Fields("keys " + c.args)...)
		if code != c.code || !strings.Contains(said, c.want) || out != "" {
			t.Errorf("keys %s: exit %d, want %d with %q: %s%s", c.args, code, c.code, c.want, out, said)
		}
	}
}
