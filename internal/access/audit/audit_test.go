package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/audit"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func open(t testing.TB, cfg audit.Config) *audit.Log {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	l, err := audit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !t.Failed() {
			t.Logf("closing: %v", err)
		}
	})
	return l
}

func change(t testing.TB, l *audit.Log, r audit.Record) {
	t.Helper()
	durable, err := l.Change(r)
	if err == nil {
		err = durable()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// query returns the resources of the records, which name them here.
func query(t testing.TB, dir string, f audit.Filter) []string {
	t.Helper()
	var out []string
	for r, err := range audit.Query(dir, f) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r.Resource)
	}
	return out
}

const arn = "arn:aws:ecr:us-east-1:111111111111:repository/"

func TestQuery(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	l := open(t, audit.Config{Dir: dir, Mode: audit.All, Now: now.Now})
	begin := now.Now()
	change(t, l, audit.Record{Principal: "arn:aws:iam::111111111111:user/team/ci", AccessKey: "AKIA1", PrincipalID: "AIDA1",
		Action: "ecr:PutImage", Resource: arn + "team/app", Decision: audit.Allowed, RequestID: "1"})
	now.pass(time.Hour)
	if err := l.Denial(audit.Record{Principal: "arn:aws:iam::222222222222:user/eve", Action: "ecr:BatchGetImage", Resource: arn + "secret", Decision: audit.Denied}); err != nil {
		t.Fatal(err)
	}
	now.pass(time.Hour)
	if err := l.Read(audit.Record{Principal: "system: gc", Action: "ecr:DescribeRegistry", Resource: "*", Decision: audit.Allowed}); err != nil {
		t.Fatal(err)
	}
	first, second, third := arn+"team/app", arn+"secret", "*"
	tests := []struct {
		name   string
		filter audit.Filter
		want   []string
	}{
		{"everything", audit.Filter{}, []string{first, second, third}},
		{"denials", audit.Filter{Decision: audit.Denied}, []string{second}},
		{"a repository", audit.Filter{Resource: "team/app"}, []string{first}},
		{"repositories by wildcard, over slashes", audit.Filter{Resource: "t*p"}, []string{first}},
		{"an ARN", audit.Filter{Resource: second}, []string{second}},
		{"no resource", audit.Filter{Resource: "[*"}, nil},
		{"an action in any letter case", audit.Filter{Action: "ECR:*image"}, []string{first, second}},
		{"a user by ARN", audit.Filter{Principal: "*:user/team/ci"}, []string{first}},
		{"a key", audit.Filter{Principal: "AKIA1"}, []string{first}},
		{"a unique id", audit.Filter{Principal: "AIDA?"}, []string{first}},
		{"a request", audit.Filter{RequestID: "1"}, []string{first}},
		{"since, inclusive", audit.Filter{Since: begin.Add(time.Hour)}, []string{second, third}},
		{"until, exclusive", audit.Filter{Until: begin.Add(time.Hour)}, []string{first}},
		{"nothing", audit.Filter{Principal: "x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, query(t, dir, tt.filter)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if got := query(t, filepath.Join(dir, "none"), audit.Filter{}); got != nil {
		t.Errorf("a folder that is not there: %v", got)
	}
}

// Reads are on record in the modes that say so.
func TestModes(t *testing.T) {
	for mode, want := range map[audit.Mode][]string{audit.Changes: nil, "": nil, audit.All: {"*"}, audit.Strict: {"*"}} {
		t.Run("mode "+string(mode), func(t *testing.T) {
			now, dir := newClock(), t.TempDir()
			l := open(t, audit.Config{Dir: dir, Mode: mode, Now: now.Now})
			if err := l.Read(audit.Record{Resource: "*", Decision: audit.Allowed}); err != nil {
				t.Errorf("%q: %v", mode, err)
			}
			if d := cmp.Diff(want, query(t, dir, audit.Filter{})); d != "" {
				t.Errorf("%q (-want +got):\n%s", mode, d)
			}
			if got, err := audit.ParseMode(string(mode)); err != nil || mode != "" && got != mode {
				t.Errorf("ParseMode(%q) = %q %v", mode, got, err)
			}
		})
	}
	if _, err := audit.ParseMode("ALL"); err == nil {
		t.Error("ALL is a mode")
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Files turn over by size, by age and by start, and what they hold is found in
// order.
func TestFiles(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	cfg := audit.Config{Dir: dir, Now: now.Now, MaxBytes: 400, MaxAge: time.Hour}
	var want []string
	put := func(l *audit.Log) {
		t.Helper()
		name := fmt.Sprint("r", len(want))
		change(t, l, audit.Record{Resource: name, Decision: audit.Allowed})
		want = append(want, name)
	}
	l := open(t, cfg)
	for range 8 { // some 90 bytes each
		put(l)
		now.pass(time.Millisecond)
	}
	if n := len(names(t, dir)); n != 2 {
		t.Errorf("%d files by size: %v", n, names(t, dir))
	}
	now.pass(time.Hour)
	put(l)
	if n := len(names(t, dir)); n != 3 {
		t.Errorf("%d files by age: %v", n, names(t, dir))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Change(audit.Record{Resource: "late", Decision: audit.Allowed}); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("a closed log: %v", err)
	}
	put(open(t, cfg))
	if n := len(names(t, dir)); n != 4 {
		t.Errorf("%d files by start: %v", n, names(t, dir))
	}
	if d := cmp.Diff(want, query(t, dir, audit.Filter{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %v %v", name, info.Mode(), err)
		}
	}
}

// Files go when they are old, or too much together, the oldest first, and never
// the one in use.
func TestRetention(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	l := open(t, audit.Config{Dir: dir, Now: now.Now, MaxAge: time.Hour, Keep: 48 * time.Hour})
	change(t, l, audit.Record{Resource: "old", Decision: audit.Allowed})
	path := filepath.Join(dir, names(t, dir)[0])
	if err := os.Chtimes(path, now.Now(), now.Now()); err != nil {
		t.Fatal(err)
	}
	now.pass(49 * time.Hour)
	change(t, l, audit.Record{Resource: "new", Decision: audit.Allowed})
	if d := cmp.Diff([]string{"new"}, query(t, dir, audit.Filter{})); d != "" {
		t.Errorf("by age (-want +got):\n%s", d)
	}

	dir = t.TempDir()
	other := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(other, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	l = open(t, audit.Config{Dir: dir, Now: now.Now, MaxBytes: 1, Keep: -1, KeepBytes: 200})
	for _, name := range []string{"1", "2", "3", "4"} {
		now.pass(time.Second)
		change(t, l, audit.Record{Resource: name, Decision: audit.Allowed})
	}
	if d := cmp.Diff([]string{"2", "3", "4"}, query(t, dir, audit.Filter{})); d != "" {
		t.Errorf("by size (-want +got):\n%s", d)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("a file of others: %v", err)
	}
}

// What cannot be written is an error to those who must not continue, and a number
// for reads. It passes when the folder is back.
func TestFailure(t *testing.T) {
	for _, mode := range []audit.Mode{audit.All, audit.Strict} {
		t.Run(string(mode), func(t *testing.T) {
			now, dir := newClock(), filepath.Join(t.TempDir(), "audit")
			l := open(t, audit.Config{Dir: dir, Mode: mode, Now: now.Now, MaxBytes: 1}) // each record begins a file
			change(t, l, audit.Record{Resource: "before", Decision: audit.Allowed})
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			now.pass(time.Second)
			if _, err := l.Change(audit.Record{Resource: "lost", Decision: audit.Allowed}); err == nil {
				t.Error("a change that is not on record")
			}
			if err := l.Denial(audit.Record{Resource: "lost", Decision: audit.Denied}); err == nil {
				t.Error("a denial that is not on record")
			}
			l.Attempt(audit.Record{Resource: "lost", Decision: audit.Denied})
			lost := int64(2)
			if mode == audit.Strict {
				lost = 1
			}
			if err := l.Read(audit.Record{Resource: "lost", Decision: audit.Allowed}); (err != nil) != (mode == audit.Strict) || l.Lost() != lost {
				t.Errorf("%s: a read: %v, %d lost", mode, err, l.Lost())
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			change(t, l, audit.Record{Resource: "after", Decision: audit.Allowed})
			if d := cmp.Diff([]string{"after"}, query(t, dir, audit.Filter{})); d != "" {
				t.Errorf("%s (-want +got):\n%s", mode, d)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Open(audit.Config{Dir: file, Now: time.Now, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// A line that a crash left is named, and hides nothing.
func TestUnreadableLine(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	l := open(t, audit.Config{Dir: dir, Now: now.Now})
	change(t, l, audit.Record{Resource: "1", Decision: audit.Allowed})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, names(t, dir)[0])
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, slices.Concat(whole, []byte("\x00\x00\n"), whole[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	now.pass(time.Second)
	change(t, open(t, audit.Config{Dir: dir, Now: now.Now}), audit.Record{Resource: "2", Decision: audit.Allowed})
	var got []string
	for r, err := range audit.Query(dir, audit.Filter{}) {
		var bad *audit.Unreadable
		switch {
		case errors.As(err, &bad):
			got = append(got, fmt.Sprintf("line %d", bad.Line))
		case err != nil:
			t.Fatal(err)
		default:
			got = append(got, r.Resource)
		}
	}
	if d := cmp.Diff([]string{"1", "line 2", "line 3", "2"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Many writers share files and syncs; each record is there once, and whole.
func TestManyWriters(t *testing.T) {
	now, dir := newClock(), t.TempDir()
	l := open(t, audit.Config{Dir: dir, Mode: audit.All, Now: func() time.Time { now.pass(time.Millisecond); return now.Now() }, MaxBytes: 4000})
	var wg sync.WaitGroup
	var want []string
	for i := range 16 {
		for j := range 20 {
			want = append(want, fmt.Sprintf("%02d-%02d", i, j))
		}
		wg.Go(func() {
			for j := range 20 {
				r := audit.Record{Resource: fmt.Sprintf("%02d-%02d", i, j), Decision: audit.Allowed}
				if j%2 == 1 {
					if err := l.Read(r); err != nil {
						t.Error(err)
					}
					continue
				}
				durable, err := l.Change(r)
				if err == nil {
					err = durable()
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := query(t, dir, audit.Filter{})
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-23T12:00:00Z","action":"ecr:PutImage","resource":"*","decision":"allowed"}`))
	f.Add([]byte(`{"time":"2026-11-23T12:00:00Z","session":{"issued_at":"2026-11-23T12:00:00Z"},"depends_on":["aws:SourceVpc"],"decision":"denied"}`))
	f.Add([]byte(`{"time":1}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := audit.ParseRecord(line)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		same, err := audit.ParseRecord(again)
		if d := cmp.Diff(r, same, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }), cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); d != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, d)
		}
	})
}
