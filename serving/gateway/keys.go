package gateway

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bellwether/datasets/record"
)

// Scopes a key can have. A method needs exactly one of them.
const (
	ScopeRoute = "route" // route leads, answer offers, report outcomes
	ScopeRead  = "read"  // decisions, partners, health, reports, models
	ScopeWrite = "write" // partners and events
	ScopeAdmin = "admin" // promote and roll back models, export
)

// Scopes lists every scope.
var Scopes = []string{ScopeRoute, ScopeRead, ScopeWrite, ScopeAdmin}

// Key is an API key as the key file holds it: one JSON object on a line. The
// secret itself is nowhere; it has 256 random bits, so a plain SHA-256 of it
// cannot be searched.
type Key struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	SHA256    string    `json:"sha256"` // hex, of the whole token
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// May reports whether the key has a scope.
func (k *Key) May(scope string) bool { return slices.Contains(k.Scopes, scope) }

// tokenPrefix marks our tokens, so that scanners for leaked secrets can know
// them. A token is prefix, key id, underscore, secret.
const tokenPrefix = "bw_"

// Keys is the key file. The server rereads it when it changes.
type Keys struct {
	path string

	mu   sync.RWMutex // guards the variables below
	read time.Time    // modification time of what was read
	size int64
	byID map[string]*Key
	all  []*Key
}

// OpenKeys reads a key file; a file that is not there yet holds no keys.
func OpenKeys(path string) (*Keys, error) {
	k := &Keys{path: path}
	return k, k.Reload()
}

// Reload rereads the file if it changed. When it cannot be read the keys known
// before stay.
func (k *Keys) Reload() error {
	info, err := os.Stat(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		k.set(nil, time.Time{}, 0)
		return nil
	}
	if err != nil {
		return record.Errorf(record.Internal, "read keys", "%w", err)
	}
	k.mu.RLock()
	same := k.byID != nil && info.ModTime().Equal(k.read) && info.Size() == k.size
	k.mu.RUnlock()
	if same {
		return nil
	}
	data, err := os.ReadFile(k.path)
	if err != nil {
		return record.Errorf(record.Internal, "read keys", "%w", err)
	}
	keys, err := parseKeys(data)
	if err != nil {
		return record.Errorf(record.Invalid, "read keys", "%s: %w", k.path, err)
	}
	k.set(keys, info.ModTime(), info.Size())
	return nil
}

func parseKeys(data []byte) ([]*Key, error) {
	var keys []*Key
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		key := new(Key)
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(key); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if sum, err := hex.DecodeString(key.SHA256); err != nil || len(sum) != sha256.Size || key.ID == "" {
			return nil, fmt.Errorf("line %d: not a key: id and a SHA-256 in hex are needed", i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (k *Keys) set(keys []*Key, read time.Time, size int64) {
	byID := make(map[string]*Key, len(keys))
	for _, key := range keys {
		byID[key.ID] = key
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all, k.byID, k.read, k.size = keys, byID, read, size
}

// List returns every key, revoked ones too, in the order they were made.
func (k *Keys) List() []*Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.all)
}

// Check returns the key a token belongs to. The comparison takes the same time
// wherever the token differs.
func (k *Keys) Check(token string) (*Key, error) {
	denied := record.Errorf(record.Unauthorized, "", "the API key is not known: see 'bellwether keys list'")
	id, _, ok := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	if !ok || !strings.HasPrefix(token, tokenPrefix) {
		return nil, denied
	}
	k.mu.RLock()
	key := k.byID[id]
	k.mu.RUnlock()
	want := make([]byte, sha256.Size)
	if key != nil {
		want, _ = hex.DecodeString(key.SHA256) // parseKeys held it to be valid
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], want) != 1 || key == nil {
		return nil, denied
	}
	if !key.RevokedAt.IsZero() {
		return nil, record.Errorf(record.Unauthorized, "", "the API key %s was revoked", key.ID)
	}
	return key, nil
}

// Add makes a key, writes the file and returns the token, which is shown once
// and kept nowhere. A scope that is none, and none at all, are Invalid.
func (k *Keys) Add(name string, scopes []string, now time.Time) (token string, key *Key, err error) {
	for _, s := range scopes {
		if !slices.Contains(Scopes, s) {
			return "", nil, record.FieldErrorf("scope", "%q is not one of %s", s, strings.Join(Scopes, ", "))
		}
	}
	if len(scopes) == 0 {
		return "", nil, record.FieldErrorf("scope", "is missing: at least one of %s", strings.Join(Scopes, ", "))
	}
	raw := make([]byte, 36)
	rand.Read(raw) // never fails: crypto/rand crashes the program instead
	id := hex.EncodeToString(raw[:4])
	token = tokenPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(raw[4:])
	sum := sha256.Sum256([]byte(token))
	key = &Key{ID: id, Name: name, Scopes: scopes, SHA256: hex.EncodeToString(sum[:]), CreatedAt: now.UTC().Truncate(time.Second)}
	return token, key, k.write(append(k.List(), key))
}

// Revoke ends a key and writes the file; the key stays listed. An id that is not
// there is NotFound.
func (k *Keys) Revoke(id string, now time.Time) error {
	keys := k.List()
	for i, key := range keys {
		if key.ID == id {
			ended := *key
			ended.RevokedAt = now.UTC().Truncate(time.Second)
			keys[i] = &ended
			return k.write(keys)
		}
	}
	return record.Errorf(record.NotFound, "revoke", "there is no key %s: see 'bellwether keys list'", id)
}

// write replaces the file at once, so that a server never reads half of it.
func (k *Keys) write(keys []*Key) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, key := range keys {
		if err := enc.Encode(key); err != nil {
			return err
		}
	}
	tmp, err := os.CreateTemp(filepath.Dir(k.path), ".keys-*")
	if err != nil {
		return record.Errorf(record.Internal, "write keys", "%w", err)
	}
	defer os.Remove(tmp.Name()) // gone already when the rename came through
	if _, err = tmp.Write(buf.Bytes()); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), k.path)
	}
	if err != nil {
		return record.Errorf(record.Internal, "write keys", "%w", err)
	}
	return k.Reload()
}
