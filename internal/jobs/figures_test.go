package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A repository is counted after a push and every hour, and otherwise there is nothing to do.
func TestCountRepositories(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{})
	at := f.Repo("app", ecr.Mutable)
	f.Repo("other", ecr.Mutable)
	images := func() (n int64) {
		t.Helper()
		if err := f.Jobs.CountRepositories(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := f.Meta.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
			list, err := r.Retention().Figures().ByFigure(ctx, meta.FigureQuery{Registry: at.In, By: meta.FigureImages, Backward: true}, 1)
			if len(list) > 0 && list[0].Name == at.Name {
				n = list[0].Key.Value
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	due := func(want bool) {
		t.Helper()
		if f.Jobs.FiguresDue(t.Context()) != want {
			t.Errorf("due: %t, want %t", !want, want)
		}
	}
	due(true)
	f.MustPut(at, f.Image(at, "one"), "v1")
	if n := images(); n != 1 {
		t.Errorf("%d images, want 1", n)
	}
	due(true) // a push may have been under way
	f.Advance(2 * time.Minute)
	images()
	due(false)
	f.MustPut(at, f.Image(at, "two"), "v2")
	due(true)
	f.Advance(2 * time.Minute)
	if n := images(); n != 2 {
		t.Errorf("%d images, want 2", n)
	}
	due(false)
	f.MustPut(at, f.Image(at, "untagged"))
	due(false)
	f.Advance(time.Hour + time.Minute)
	due(true)
	if n := images(); n != 3 {
		t.Errorf("%d images, want 3", n)
	}
}
