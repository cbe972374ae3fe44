package tokens

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Cache keeps tokens in a file that only its owner can read. Several processes
// may use it: each replaces the whole file, and of two at once one is lost,
// which costs a call. A file that cannot be read, or that others could read,
// counts as empty.
type Cache struct {
	Path string
	Now  func() time.Time
}

// cached is a token in the file.
type cached struct {
	Host      string    `json:"host"`
	User      string    `json:"user"`
	Password  string    `json:"password"`
	ExpiresAt time.Time `json:"expires_at"`
	// RenewAt is when half of its life was over.
	RenewAt time.Time `json:"renew_at"`
}

// Key names the tokens that are the same for s: everything that decides whose
// they are, and identity, which holds what else does, such as the variables of
// the environment. It is a hash, so that no access key is in the file.
func (s Source) Key(identity ...string) string {
	parts := append([]string{
		s.Host, string(s.Region), s.Profile, s.RoleARN, s.Endpoint, fmt.Sprint(s.FIPS, s.DualStack), s.AccessKeyID,
	}, identity...)
	for i, p := range parts {
		parts[i] = fmt.Sprintf("%d:%s", len(p), p)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// Get returns the token of key, unless half of its life is over.
func (c Cache) Get(key string) (Token, bool) {
	t, ok := c.read()[key]
	return Token{t.User, t.Password, t.ExpiresAt}, ok
}

// Put keeps the token.
func (c Cache) Put(key, host string, t Token) error {
	all := c.read()
	all[key] = cached{host, t.User, t.Password, t.ExpiresAt, c.Now().Add(t.Life(c.Now()))}
	return c.write(all)
}

// Erase forgets the tokens for the host.
func (c Cache) Erase(host string) error {
	all := c.read()
	n := len(all)
	for key, t := range all {
		if t.Host == host {
			delete(all, key)
		}
	}
	if len(all) == n {
		return nil
	}
	return c.write(all)
}

// Users are the user names by host.
func (c Cache) Users() map[string]string {
	out := map[string]string{}
	for _, t := range c.read() {
		out[t.Host] = t.User
	}
	return out
}

// maxCache bounds what is read of the file.
const maxCache = 16 << 20

// read returns what is still of use.
func (c Cache) read() map[string]cached {
	out := map[string]cached{}
	info, err := os.Lstat(c.Path)
	if err != nil || !info.Mode().IsRegular() || (info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows") || info.Size() > maxCache {
		return out
	}
	b, err := os.ReadFile(c.Path)
	var all map[string]cached
	if err != nil || json.Unmarshal(b, &all) != nil {
		return out
	}
	now := c.Now()
	for key, t := range all {
		if now.Before(t.RenewAt) && now.Before(t.ExpiresAt) {
			out[key] = t
		}
	}
	return out
}

func (c Cache) write(all map[string]cached) (err error) {
	b, err := json.Marshal(all)
	if err != nil {
		return errors.New("encoding the cache of passwords")
	}
	dir := filepath.Dir(c.Path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping the password: %w", err)
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(dir, ".tokens-*")
	if err != nil {
		return fmt.Errorf("keeping the password: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.Path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keeping the password: %w", err), os.Remove(f.Name()))
	}
	return nil
}
