package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// The states of a stored preview as time goes by, and whether another one may
// start.
func TestPreviewStates(t *testing.T) {
	for _, c := range []struct {
		stored  registry.PreviewStatus
		age     time.Duration
		want    registry.PreviewStatus
		blocked bool
	}{
		{registry.PreviewInProgress, 0, registry.PreviewInProgress, true},
		{registry.PreviewInProgress, 10 * time.Minute, registry.PreviewInProgress, true},
		{registry.PreviewInProgress, 11 * time.Minute, registry.PreviewFailed, false}, // its process died
		{registry.PreviewComplete, day, registry.PreviewComplete, false},
		{registry.PreviewComplete, day + time.Second, registry.PreviewExpired, false},
		{registry.PreviewFailed, 30 * day, registry.PreviewFailed, false},
	} {
		f := open(t, registry.CompatECR)
		to := f.repo("app", ecr.Mutable)
		f.rules(to, oldUntagged)
		err := f.meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			return tx.Retention().PutLifecyclePreview(ctx, meta.LifecyclePreview{Repository: repo.ID, PolicyText: "text", Status: string(c.stored),
				StartedAt: f.now, Results: []byte(`[{"digest":"sha256:1","action":"expire","rule":1}]`)})
		})
		if err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(c.age)
		p, err := f.LifecyclePreview(t.Context(), to)
		if err != nil || p.Status != c.want || (len(p.Results) > 0) != (c.want == registry.PreviewComplete) {
			t.Errorf("%s after %s: %+v, %v", c.stored, c.age, p, err)
		}
		_, err = f.StartLifecyclePreview(t.Context(), to, "")
		if c.blocked {
			wantCode(t, err, ecr.CodePreviewInProgress, "'app'")
		} else if err != nil {
			t.Errorf("%s after %s: starting another: %v", c.stored, c.age, err)
		}
	}
}

// Previews are the policy's word: before guards, and whatever is leased.
func TestPreviewIsBeforeGuards(t *testing.T) {
	f := open(t, registry.CompatECR)
	to := f.repo("app", ecr.Mutable)
	child := f.image(to, "child")
	d := f.mustPut(to, child)
	f.mustPut(to, index(child), "v1")
	f.rules(to, oldUntagged)
	f.now = f.now.Add(2 * day)
	if _, err := f.ReportLeases(t.Context(), home, "c", time.Hour, []registry.Lease{{Repository: "app", Image: ecr.ImageID{Digest: d}, User: "pod"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.StartLifecyclePreview(t.Context(), to, ""); err != nil {
		t.Fatal(err)
	}
	p, err := f.LifecyclePreview(t.Context(), to)
	if err != nil || len(p.Results) != 1 || p.Results[0].Digest != d || p.Results[0].Rule != 10 {
		t.Errorf("%+v, %v", p, err)
	}
	if run := f.run(to, registry.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
}
