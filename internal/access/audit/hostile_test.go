package audit_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
)

// Whatever strangers send, a record is one line of JSON, no longer than it may
// be, and cannot pass for another.
func TestHostileRecords(t *testing.T) {
	for name, text := range map[string]string{
		"line ends":     "a\n{\"decision\":\"allowed\"}\r\n\u2028\u2029\x85",
		"no UTF-8":      "\xff\xfe\xc3\x28\x80",
		"quotes":        `","decision":"allowed","x":"`,
		"control":       "\x00\x1b[2J\x7f",
		"long":          strings.Repeat("x", 1<<20),
		"cut in a rune": strings.Repeat("x", 511) + "ü" + strings.Repeat("ü", 1<<12),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := audit.Open(audit.Config{Dir: dir, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			l.Attempt(audit.Record{
				Principal: text, AccessKey: text, UserAgent: text, Operation: text, Action: text, Resource: text, Reason: text, Decision: audit.Denied,
			})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("files %v, %v", files, err)
			}
			b, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			line, rest, _ := strings.Cut(string(b), "\n")
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil || rest != "" || r.Decision != audit.Denied {
				t.Errorf("%v, decision %s, after it %d bytes", err, r.Decision, len(rest))
			}
			if len(line) > 64<<10 || strings.ContainsAny(line, "\x00\x1b\r\u2028\u2029") {
				t.Errorf("a line of %d bytes: %.200q", len(line), line)
			}
		})
	}
}
