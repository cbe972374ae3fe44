package retention_test

import (
	"context"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// The states of a stored preview as time goes by, and whether another one may
// start.
func TestPreviewStates(t *testing.T) {
	for _, c := range []struct {
		stored  retention.PreviewStatus
		age     time.Duration
		want    retention.PreviewStatus
		blocked bool
	}{
		{retention.PreviewInProgress, 0, retention.PreviewInProgress, true},
		{retention.PreviewInProgress, 10 * time.Minute, retention.PreviewInProgress, true},
		{retention.PreviewInProgress, 11 * time.Minute, retention.PreviewFailed, false}, // its process died
		{retention.PreviewComplete, testkit.Day, retention.PreviewComplete, false},
		{retention.PreviewComplete, testkit.Day + time.Second, retention.PreviewExpired, false},
		{retention.PreviewFailed, 30 * testkit.Day, retention.PreviewFailed, false},
	} {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
		to := f.Repo("app", ecr.Mutable)
		setRules(f, to, oldUntagged)
		err := f.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			return tx.Retention().PutLifecyclePreview(ctx, meta.LifecyclePreview{Repository: repo.ID, PolicyText: "text", Status: string(c.stored),
				StartedAt: f.Now(), Results: []byte(`[{"digest":"sha256:1","action":"expire","rule":1}]`)})
		})
		if err != nil {
			t.Fatal(err)
		}
		f.Advance(c.age)
		p, err := f.LifecyclePreview(t.Context(), to)
		if err != nil || p.Status != c.want || (len(p.Results) > 0) != (c.want == retention.PreviewComplete) {
			t.Errorf("%s after %s: %+v, %v", c.stored, c.age, p, err)
		}
		_, err = f.StartLifecyclePreview(t.Context(), to, "")
		if c.blocked {
			testkit.WantCode(t, err, ecr.CodePreviewInProgress, "'app'")
		} else if err != nil {
			t.Errorf("%s after %s: starting another: %v", c.stored, c.age, err)
		}
	}
}

// Previews are the policy's word: before guards, and whatever is leased.
func TestPreviewIsBeforeGuards(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	child := f.Image(to, "child")
	d := f.MustPut(to, child)
	f.MustPut(to, testkit.Index(child), "v1")
	setRules(f, to, oldUntagged)
	f.Advance(2 * testkit.Day)
	if _, err := f.ReportLeases(t.Context(), testkit.Home, "c", time.Hour, []retention.Lease{{Repository: "app", Image: ecr.ImageID{Digest: d}, User: "pod"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.StartLifecyclePreview(t.Context(), to, ""); err != nil {
		t.Fatal(err)
	}
	p, err := f.LifecyclePreview(t.Context(), to)
	if err != nil || len(p.Results) != 1 || p.Results[0].Digest != d || p.Results[0].Rule != 10 {
		t.Errorf("%+v, %v", p, err)
	}
	if run := runPolicy(f, to, retention.RunOptions{}); run.Expired != 0 {
		t.Errorf("%+v", run)
	}
}
