package jobs_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// brokenOnce panics at the first listing.
type brokenOnce struct {
	meta.Store
	broken bool
}

func (b *brokenOnce) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	if !b.broken {
		b.broken = true
		panic("the first time")
	}
	return b.Store.View(ctx, fn)
}

// The jobs go on after one of them failed, and stop when told to.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	m, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := disk.Open(disk.Config{Dir: filepath.Join(dir, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	clock := time.Now
	store := &brokenOnce{Store: m, broken: true}
	reg := registry.New(registry.Config{Gate: gate.New(gate.Config{Meta: store}), Blobs: b, Now: clock, Log: slog.New(slog.DiscardHandler)})
	to := ecr.Repo{In: ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}, Name: "app"}
	caller := reg.System("test")
	if _, err := caller.CreateRepository(t.Context(), registry.NewRepository{Repo: to}); err != nil {
		t.Fatal(err)
	}
	id, err := caller.StartUpload(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := caller.AppendUpload(t.Context(), to, id, 0, strings.NewReader("bytes")); err != nil {
		t.Fatal(err)
	}
	w, err := b.Append(t.Context(), blob.NewKey(), blob.Progress{})
	if err == nil {
		_, err = w.Suspend(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	store.broken = false

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Run(ctx, jobs.Config{
			Registry: reg, ImageNow: clock, Now: clock, Log: slog.New(slog.NewTextHandler(&log, nil)),
			UploadAge: time.Nanosecond, OrphanAge: time.Nanosecond, UploadsEvery: 5 * time.Millisecond, OrphansEvery: 200 * time.Millisecond,
		})
	}()
	left := func() (n int) {
		for _, err := range b.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for end := time.Now().Add(20 * time.Second); left() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files are left", left())
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	for _, want := range []string{`msg="job failed" job="upload expiry"`, "panic: the first time", `msg="job done" job="upload expiry" removed=1 bytes=5`, `msg="job done" job="orphan sweep"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, &log)
		}
	}
}
