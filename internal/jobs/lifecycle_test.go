package jobs_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// Policies are carried out by themselves.
func TestLifecycle(t *testing.T) {
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
	log := slog.New(slog.DiscardHandler)
	clock := registry.NewTestClock(time.Now)
	reg := registry.New(registry.Config{Gate: gate.New(gate.Config{Meta: m}), Blobs: b, Now: clock.Now, TestClock: clock, Log: log})
	to := ecr.Repo{In: ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}, Name: "app"}
	caller := reg.System("test")
	if _, err := caller.CreateRepository(t.Context(), registry.NewRepository{Repo: to}); err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	if _, err := caller.PutImage(t.Context(), to, registry.NewImage{Body: body}); err != nil {
		t.Fatal(err)
	}
	const rules = `{"rules":[{"rulePriority":1,"description":"untagged","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := caller.SetLifecyclePolicy(t.Context(), to, rules); err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * 24 * time.Hour)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Run(ctx, jobs.Config{Registry: reg, ImageNow: clock.Now, Now: time.Now, Log: log, LifecycleEvery: 5 * time.Millisecond})
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		images, _, err := caller.ListImages(t.Context(), to, "", ecr.ImageID{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(images) == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v is still there", images)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}
