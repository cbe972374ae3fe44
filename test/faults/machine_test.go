package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// One server on SQLite and a folder loses nothing that it acknowledged, and answers again
// after each fault.
func TestOneMachine(t *testing.T) {
	w := newWorld(t)
	data := filepath.Join(w.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	v := newVolume(t, data, 6<<30)
	folder := filepath.Join(data, "registry")
	w.nodes = []*node{newNode(w.dir, "server", w.settings()+fmt.Sprintf("data: %s\n", folder))}
	w.start()
	w.under(6,
		[]fault{w.killed(), w.killed(), w.upgraded(), w.frozen()},
		[]fault{{"disk full", func(*rand.Rand) error { return v.full(time.Second) }}, w.skewed()},
	)
	if t.Failed() {
		return
	}
	if err := w.nodes[0].stop(); err != nil {
		t.Error(err)
	}
	m, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(folder, "kontor.db"), Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := disk.Open(disk.Config{Dir: filepath.Join(folder, "blobs")})
	if err != nil {
		t.Fatal(errors.Join(err, m.Close()))
	}
	w.inspect(m, small.New(small.Config{Blobs: b, Meta: m}))
	w.written()
}

// written adds the report to the file of -report.
func (w *world) written() {
	w.t.Helper()
	w.t.Logf("%s", w.report)
	if err := w.report.write(); err != nil {
		w.t.Error(err)
	}
}
