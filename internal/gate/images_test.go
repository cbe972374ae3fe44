package gate_test

import (
	"context"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// What has to be read for an image is read where the decision depends on it, once for all
// images, and what was kept is there in the next run.
func TestLater(t *testing.T) {
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: t.TempDir() + "/kontor.db"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	const unsigned = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"Null":{"kontor:SignedBy":"true"}}}]}`
	err = store.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: home, Name: "app", PolicyText: unsigned})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	g := gate.New(gate.Config{Meta: store, ImageKeys: map[string]gate.ImageKey{authz.KeySignedBy: {
		Of: func(ctx context.Context, _ *gate.View, _ gate.Scene, id ecr.ImageID) ([]string, error) {
			if id.Tag == "gone" {
				return nil, meta.ErrNotFound
			}
			if by, ok := gate.Kept(ctx, id).(string); ok {
				return []string{by}, nil
			}
			return nil, &gate.Later{Do: func(ctx context.Context) error {
				done++
				gate.Keep(ctx, id, "release")
				return nil
			}}
		},
		Coming: []string{},
	}}})
	stranger := access.Principal{Account: home.Account, ARN: "arn:aws:iam::000000000000:user/stranger", UniqueID: "AIDASTRANGER"}
	pull := gate.Op("Pull", "ecr:BatchGetImage")
	ids := []ecr.ImageID{{Tag: "a"}, {Tag: "b"}, {Tag: "c"}, {Tag: "d"}, {Tag: "e"}, {Tag: "f"}, {Tag: "gone"}}
	for _, tt := range []struct {
		name   string
		p      access.Principal
		enter  func(ctx context.Context, v *gate.View) error
		denied bool
		done   int
	}{
		{"all at once", admin, func(ctx context.Context, v *gate.View) error {
			_, err := v.EnterImage(ctx, home.Repo("app"), ids...)
			return err
		}, false, 6},
		{"nothing for who may not know", stranger, func(ctx context.Context, v *gate.View) error {
			_, err := v.EnterImage(ctx, home.Repo("app"), ids...)
			return err
		}, true, 0},
		{"what comes is asked for", admin, func(ctx context.Context, v *gate.View) error {
			_, err := v.EnterComing(ctx, home.Repo("app"), ecr.ImageID{Tag: "gone"})
			return err
		}, true, 0},
		{"what comes and is there", admin, func(ctx context.Context, v *gate.View) error {
			_, err := v.EnterComing(ctx, home.Repo("app"), ecr.ImageID{Tag: "a"})
			return err
		}, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done = 0
			err := g.As(tt.p).Read(t.Context(), pull, tt.enter)
			if denied := ecr.CodeOf(err) == ecr.CodeAccessDenied; denied != tt.denied || !denied && err != nil {
				t.Errorf("%v, want denied %v", err, tt.denied)
			}
			if done != tt.done {
				t.Errorf("%d were read, want %d", done, tt.done)
			}
		})
	}
}
