package identity_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access/identity"
)

func newKey(t testing.TB, first byte) identity.MasterKey {
	t.Helper()
	raw := make([]byte, identity.MasterKeySize)
	raw[0] = first
	k, err := identity.NewMasterKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestMasterKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	if _, err := identity.LoadMasterKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("loading no file: %v", err)
	}
	made, err := identity.CreateMasterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 || info.Size() != identity.MasterKeySize {
		t.Errorf("file has mode %v and %d bytes", info.Mode(), info.Size())
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.CreateMasterKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over a key: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key was replaced: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
	loaded, err := identity.LoadOrCreateMasterKey(path)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := loaded.Open(identity.KindAccessKey, "A", made.Seal(identity.KindAccessKey, "A", []byte("secret")))
	if err != nil || string(secret) != "secret" {
		t.Errorf("Open = %q, %v", secret, err)
	}
}

func TestMasterKeyFileRefused(t *testing.T) {
	key := bytes.Repeat([]byte{7}, identity.MasterKeySize)
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"too short", func(t *testing.T, path string) { write(t, path, key[1:], 0o600) }, "31 bytes, want 32"},
		{"too long", func(t *testing.T, path string) { write(t, path, append(key, '\n'), 0o600) }, "33 bytes, want 32"},
		{"empty", func(t *testing.T, path string) { write(t, path, nil, 0o600) }, "0 bytes, want 32"},
		{"readable by the group", func(t *testing.T, path string) { write(t, path, key, 0o640) }, "run: chmod 600 "},
		{"readable by all", func(t *testing.T, path string) { write(t, path, key, 0o604) }, "run: chmod 600 "},
		{"writable by all", func(t *testing.T, path string) { write(t, path, key, 0o602) }, "run: chmod 600 "},
		{"a folder", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.key")
			tt.make(t, path)
			for _, load := range []func(string) (identity.MasterKey, error){identity.LoadMasterKey, identity.LoadOrCreateMasterKey} {
				if _, err := load(path); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("err = %v, want %q", err, tt.want)
				}
			}
		})
	}
	t.Run("no folder", func(t *testing.T) {
		if _, err := identity.LoadOrCreateMasterKey(filepath.Join(t.TempDir(), "none", "master.key")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("err = %v", err)
		}
	})
}

func write(t *testing.T, path string, b []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, b, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// Of several processes that start at once, all end up with the same key.
func TestMasterKeyRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([]identity.MasterKey, 8)
	errs := make([]error, len(keys))
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() { keys[i], errs[i] = identity.LoadOrCreateMasterKey(path) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	sealed := keys[0].Seal(identity.KindTokenKey, "T", []byte("secret"))
	for i, k := range keys {
		if _, err := k.Open(identity.KindTokenKey, "T", sealed); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	key := newKey(t, 1)
	sealed := key.Seal(identity.KindAccessKey, "AKIA1", []byte("secret"))
	if bytes.Contains(sealed, []byte("secret")) {
		t.Fatal("not sealed")
	}
	if bytes.Equal(sealed, key.Seal(identity.KindAccessKey, "AKIA1", []byte("secret"))) {
		t.Error("sealing twice gives the same bytes")
	}
	if _, err := newKey(t, 2).Open(identity.KindAccessKey, "AKIA1", sealed); !errors.Is(err, identity.ErrMasterKey) {
		t.Errorf("another master key: %v", err)
	}
	if _, err := (identity.MasterKey{}).Open(identity.KindAccessKey, "AKIA1", sealed); !errors.Is(err, identity.ErrMasterKey) {
		t.Errorf("no master key: %v", err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another row":  func() ([]byte, error) { return key.Open(identity.KindAccessKey, "AKIA2", sealed) },
		"another kind": func() ([]byte, error) { return key.Open(identity.KindTokenKey, "AKIA1", sealed) },
		"nothing":      func() ([]byte, error) { return key.Open(identity.KindAccessKey, "AKIA1", nil) },
		"header only":  func() ([]byte, error) { return key.Open(identity.KindAccessKey, "AKIA1", sealed[:9]) },
		"cut":          func() ([]byte, error) { return key.Open(identity.KindAccessKey, "AKIA1", sealed[:len(sealed)-1]) },
		"plain":        func() ([]byte, error) { return key.Open(identity.KindAccessKey, "AKIA1", []byte("secret")) },
		"other version": func() ([]byte, error) {
			return key.Open(identity.KindAccessKey, "AKIA1", append([]byte{2}, sealed[1:]...))
		},
	} {
		if secret, err := open(); err == nil || secret != nil || errors.Is(err, identity.ErrMasterKey) {
			t.Errorf("%s: %q, %v", name, secret, err)
		}
	}
}

// A sealed secret opens for its own row, and with any bit changed for none.
func TestSealProperties(t *testing.T) {
	key := newKey(t, 1)
	kinds := rapid.SampledFrom([]identity.Kind{identity.KindAccessKey, identity.KindTokenKey})
	rapid.Check(t, func(t *rapid.T) {
		kind, id := kinds.Draw(t, "kind"), rapid.String().Draw(t, "id")
		secret := rapid.SliceOf(rapid.Byte()).Draw(t, "secret")
		sealed := key.Seal(kind, id, secret)
		if got, err := key.Open(kind, id, sealed); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("Open = %q, %v", got, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")
		sealed[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if got, err := key.Open(kind, id, sealed); err == nil {
			t.Fatalf("Open of changed bytes = %q", got)
		}
	})
}
