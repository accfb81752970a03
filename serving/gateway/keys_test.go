package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bellwether/datasets/record"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := OpenKeys(filepath.Join(t.TempDir(), "keys.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyLife(t *testing.T) {
	k := newKeys(t)
	token, made, err := k.Add("crm", []string{ScopeRoute}, noon)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(k.path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(file), token) || strings.Contains(string(file), token[len(tokenPrefix)+9:]) {
		t.Errorf("the key file holds the secret: %s", file)
	}
	if info, _ := os.Stat(k.path); info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, want 0600", info.Mode().Perm())
	}
	other, err := OpenKeys(k.path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := other.Check(token)
	if err != nil || got.ID != made.ID || !got.May(ScopeRoute) || got.May(ScopeAdmin) {
		t.Fatalf("Check(token) = %+v, %v", got, err)
	}
	if err := k.Revoke(made.ID, noon); err != nil {
		t.Fatal(err)
	}
	if err := other.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Check(token); record.KindOf(err) != record.Unauthorized {
		t.Errorf("a revoked key: %v, want unauthorized", err)
	}
}

func TestCheckRefuses(t *testing.T) {
	k := newKeys(t)
	token, _, err := k.Add("crm", []string{ScopeRead}, noon)
	if err != nil {
		t.Fatal(err)
	}
	last := "A"
	if strings.HasSuffix(token, "A") {
		last = "B"
	}
	for name, bad := range map[string]string{
		"empty": "", "prefix": tokenPrefix, "no secret": token[:len(tokenPrefix)+9], "cut": token[:len(token)-1],
		"longer": token + "x", "last letter": token[:len(token)-1] + last, "unknown id": tokenPrefix + "00000000_" + token[len(tokenPrefix)+9:],
		"no prefix": token[len(tokenPrefix):],
	} {
		if _, err := k.Check(bad); record.KindOf(err) != record.Unauthorized {
			t.Errorf("%s: %v, want unauthorized", name, err)
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error holds the key", name)
		}
	}
}

func TestAddRefusesUnknownScope(t *testing.T) {
	if _, _, err := newKeys(t).Add("x", []string{"root"}, noon); record.KindOf(err) != record.Invalid {
		t.Errorf("Add with scope root: %v, want invalid", err)
	}
}

// A broken file must not lock everybody out of a running server.
func TestReloadKeepsKeysOfBrokenFile(t *testing.T) {
	k := newKeys(t)
	token, _, err := k.Add("crm", []string{ScopeRead}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.path, []byte("{\"id\":\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Reload(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("Reload of a broken file: %v, want an error naming line 1", err)
	}
	if _, err := k.Check(token); err != nil {
		t.Errorf("the key known before: %v", err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"id":"a","name":"n","scopes":["read"],"sha256":"00","created_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte("\n\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		for _, k := range keys {
			if err == nil && (k.ID == "" || len(k.SHA256) != 64) {
				t.Errorf("took %+v", k)
			}
		}
	})
}
