package tokens

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzCache: whatever the file holds, only what has a life before it is used,
// and the file can be written to again.
func FuzzCache(f *testing.F) {
	f.Add([]byte(`{"k":{"host":"h","user":"AWS","password":"p","expires_at":"2026-03-01T13:00:00Z","renew_at":"2026-03-01T12:30:00Z"}}`))
	f.Add([]byte(`{"k":{"expires_at":"2026-03-01T11:00:00Z","renew_at":"9999-12-31T23:59:59Z"}}`))
	f.Add([]byte(`{"k":null,"k":{}}`))
	f.Add([]byte(`[`))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Cache{Path: filepath.Join(t.TempDir(), "tokens.json"), Now: func() time.Time { return now }}
		if err := os.WriteFile(c.Path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Get("k"); ok && !got.ExpiresAt.After(now) {
			t.Errorf("expired at %v", got.ExpiresAt)
		}
		if err := c.Erase("h"); err != nil {
			t.Error(err)
		}
		if _, there := c.Users()["h"]; there {
			t.Error("h was not forgotten")
		}
		want := Token{User: "AWS", Password: "p", ExpiresAt: now.Add(time.Hour)}
		if err := c.Put("new", "h", want); err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Get("new"); !ok || got != want {
			t.Errorf("got %v %+v back", ok, got)
		}
	})
}
