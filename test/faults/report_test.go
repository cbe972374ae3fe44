package faults

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// report is what a run was, for docs/reliability.md.
type report struct {
	name         string
	took         time.Duration
	lost         int
	operations   int64
	events       int
	unknown      int
	acknowledged int

	mu       sync.Mutex
	faults   map[string]int           // guarded by mu
	slowest  map[string]time.Duration // recovery; guarded by mu
	last     time.Time                // when a client was served; guarded by mu
	longest  time.Duration            // without; guarded by mu
	requests int                      // served; guarded by mu
}

func newReport(name string) *report {
	return &report{name: name, faults: map[string]int{}, slowest: map[string]time.Duration{}}
}

// begin begins to measure.
func (r *report) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = time.Now()
}

// served notes that a client got an answer.
func (r *report) served() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.longest = max(r.longest, now.Sub(r.last))
	r.last = now
	r.requests++
}

// happened notes a fault, and how long after its end a write came through.
func (r *report) happened(fault string, recovery time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[fault]++
	r.slowest[fault] = max(r.slowest[fault], recovery)
}

// missing are the faults of tracks that never happened.
func (r *report) missing(tracks [][]fault) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, track := range tracks {
		for _, f := range track {
			if r.faults[f.name] == 0 && !slices.Contains(names, f.name) {
				names = append(names, f.name)
			}
		}
	}
	return names
}

// finish counts what the clients did.
func (r *report) finish(w *world) {
	events := w.history.all()
	r.operations, r.events = w.counts.operations.Load(), len(events)
	for _, e := range events {
		if e.outcome == unknown {
			r.unknown++
		}
	}
	w.mu.Lock()
	r.acknowledged = len(w.acked)
	w.mu.Unlock()
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	total := 0
	for _, n := range r.faults {
		total += n
	}
	fmt.Fprintf(&b, "%s: %s, %d operations of clients, %d requests answered\n", r.name, r.took.Round(time.Second), r.operations, r.requests)
	fmt.Fprintf(&b, "%d images acknowledged, %d lost; %d events in the history, the outcome of %d unknown\n", r.acknowledged, r.lost, r.events, r.unknown)
	fmt.Fprintf(&b, "longest time in which no request was answered: %s\n", r.longest.Round(10*time.Millisecond))
	fmt.Fprintf(&b, "%d faults:\n", total)
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", name, r.faults[name], r.slowest[name].Round(10*time.Millisecond))
	}
	return b.String()
}

// reportFile is the file that -report names: the file itself, or report.txt in the folder.
// It returns an error when it cannot be written.
func reportFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, "report.txt")
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	return name, f.Close()
}

// write adds the report to the file of -report.
func (r *report) write() error {
	if *reportTo == "" {
		return nil
	}
	f, err := os.OpenFile(*reportTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, r); err != nil {
		_ = f.Close() // the first error counts
		return err
	}
	return f.Close()
}

// -report takes a file or a folder, and what cannot be written is refused before the run.
func TestReportFile(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, want string }{
		{"", ""},
		{dir, filepath.Join(dir, "report.txt")},
		{filepath.Join(dir, "other"), filepath.Join(dir, "other")},
		{filepath.Join(dir, "report.txt"), filepath.Join(dir, "report.txt")},
	} {
		if got, err := reportFile(c.name); got != c.want || err != nil {
			t.Errorf("%q: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
	if got, err := reportFile(filepath.Join(dir, "missing", "report.txt")); err == nil {
		t.Errorf("a file in a folder that is missing: %q, and no error", got)
	}
}
