package replication_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// refuse has the registry elsewhere refuse an image.
func (f *far) refuse(body []byte) {
	f.proxy.On(`^PUT .*/manifests/`+string(ecr.DigestOf(body)), -1, func(x *remotetest.Exchange) {
		x.W.Header().Set("Content-Type", "application/json")
		x.W.WriteHeader(http.StatusBadRequest)
		if _, err := x.W.Write([]byte(`{"errors":[{"code":"MANIFEST_INVALID","message":"no such images here"}]}`)); err != nil {
			f.T.Error(err)
		}
	})
}

// An index whose image is refused has failed, for the image's reason, and so has the image.
// What refers to an image and is refused has failed, and not the image. When they arrive
// later, they are complete.
func TestRefusedParts(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	w := open(t, elsewhere(f))
	app := w.Repo("app", ecr.Mutable)
	amd, arm := w.Image(app, "amd"), w.Image(app, "arm")
	index := testkit.Index(amd, arm)
	signature := w.Referrer(app, "signature", index)
	for _, body := range [][]byte{amd, arm, index, signature} {
		w.MustPut(app, body) // before the rule, so that they have no status of their own
	}
	w.rules(testkit.Home, to(west))
	by := func(body []byte) ecr.ImageID { return ecr.ImageID{Digest: ecr.DigestOf(body)} }
	const failed, complete = " FAILED InvalidParameterException", " COMPLETE"

	f.refuse(arm)
	f.refuse(signature)
	w.MustPut(app, index, "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+failed)
	w.wantStatus(app, by(arm), west.String()+failed)
	w.wantStatus(app, by(amd))
	if got := f.Digests(testkit.At("app")); !slices.Equal(got, []ecr.Digest{ecr.DigestOf(amd)}) {
		t.Errorf("there are %v, want amd", got)
	}
	copies := w.Replication.As(testkit.Admin)
	b, err := copies.StartBackfill(t.Context(), testkit.Home, west)
	if err != nil {
		t.Fatal(err)
	}
	w.work()
	_, results, _, err := copies.BackfillResults(t.Context(), testkit.Home, b.ID, "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if want := r.Image.Tag == "v1"; want != slices.Equal(r.SubCodes, []string{"InvalidParameterException"}) {
			t.Errorf("%+v", r)
		}
	}

	f.proxy.Reset()
	f.refuse(signature)
	w.MustPut(app, index, "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+complete)
	w.wantStatus(app, by(arm), west.String()+complete)
	w.wantStatus(app, by(signature), west.String()+failed)
	f.WantWhole(testkit.At("app"), index)

	f.proxy.Reset()
	if n, err := copies.RetryReplications(t.Context(), testkit.Home, west); err != nil || n != 1 {
		t.Error(n, err)
	}
	w.work()
	w.wantStatus(app, by(signature), west.String()+complete)
	f.WantWhole(testkit.At("app"), signature)
}
