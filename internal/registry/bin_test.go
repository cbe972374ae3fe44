package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// keeping reopens f with these times.
func (f *fixture) keeping(recycle, journal, grace time.Duration) *fixture {
	f.t.Helper()
	cfg := f.cfg
	cfg.RecycleTime, cfg.JournalTime, cfg.BlobGrace = recycle, journal, grace
	f.reg = registry.New(cfg)
	f.Caller = f.reg.As(admin)
	return f
}

const (
	hour = time.Hour
	day  = 24 * hour
)

// openBin is a registry with a bin of a week and a grace of a day.
func openBin(t testing.TB) *fixture { return open(t, registry.CompatOCI).keeping(7*day, 400*day, day) }

func referrer(subject []byte, content string) []byte {
	return encode(map[string]any{
		"schemaVersion": 2, "mediaType": indexType, "artifactType": "application/vnd.example", "manifests": []desc{},
		"subject": desc{imageType, ecr.DigestOf(subject), len(subject)}, "annotations": map[string]string{"of": content},
	})
}

func (f *fixture) delete(to ecr.Repo, ids ...ecr.ImageID) {
	f.t.Helper()
	if _, failures, err := f.BatchDeleteImage(f.t.Context(), to, ids); err != nil || len(failures) > 0 {
		f.t.Fatal(err, failures)
	}
}

func (f *fixture) deleteImage(to ecr.Repo, ds ...ecr.Digest) {
	f.t.Helper()
	for _, d := range ds {
		f.delete(to, ecr.ImageID{Digest: d})
	}
}

func (f *fixture) restore(to ecr.Repo, d ecr.Digest) registry.Restored {
	f.t.Helper()
	got, err := f.RestoreImage(f.t.Context(), to, d)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

// collect collects without pauses.
func (f *fixture) collect() registry.Collected {
	f.t.Helper()
	got, err := f.reg.Collect(f.t.Context(), registry.CollectOptions{Batch: 3, PerSecond: -1})
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

func (f *fixture) bin(name ecr.RepositoryName) []ecr.Digest {
	f.t.Helper()
	list, next, err := f.ListBin(f.t.Context(), home, name, 0, 1000)
	if err != nil || next != 0 {
		f.t.Fatal(next, err)
	}
	var ds []ecr.Digest
	for _, e := range list {
		ds = append(ds, e.Image.Digest)
	}
	return ds
}

// whole fails unless an image and all its blobs can be read.
func (f *fixture) whole(to ecr.Repo, body []byte) {
	f.t.Helper()
	if err := f.tryWhole(f.t.Context(), to, body); err != nil {
		f.t.Error(err)
	}
}

func TestRestore(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.repo("app", ecr.Immutable)
	body := f.image(to, "x")
	d := f.mustPut(to, body, "v1", "v2", "v3")
	pushed := f.now
	f.now = f.now.Add(hour)
	f.deleteImage(to, d)

	// It is invisible to every request.
	for name, call := range map[string]func() error{
		"Manifest":          func() error { _, err := f.Manifest(ctx, to, ecr.ImageID{Digest: d}); return err },
		"Manifest by tag":   func() error { _, err := f.Manifest(ctx, to, ecr.ImageID{Tag: "v1"}); return err },
		"StatManifest":      func() error { _, err := f.StatManifest(ctx, to, ecr.ImageID{Digest: d}); return err },
		"DescribeImages":    func() error { _, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}}); return err },
		"StatBlob":          func() error { _, err := f.StatBlob(ctx, to, layerOf("x")); return err },
		"OpenBlob":          func() error { _, _, err := f.OpenBlob(ctx, to, layerOf("x")); return err },
		"DownloadableLayer": func() error { _, err := f.DownloadableLayer(ctx, to, layerOf("x")); return err },
		"DeleteBlob":        func() error { return f.DeleteBlob(ctx, to, layerOf("x")) },
	} {
		if code := ecr.CodeOf(call()); code != ecr.CodeImageNotFound && code != ecr.CodeLayersNotFound {
			t.Errorf("%s of what is in the bin: %q", name, code)
		}
	}
	if found, _, err := f.BatchCheckLayers(ctx, to, []string{string(layerOf("x"))}); err != nil || len(found) > 0 {
		t.Errorf("the layer is available: %v %v", found, err)
	}
	other := f.repo("other", ecr.Mutable)
	if _, mounted, err := f.MountBlob(ctx, other, to, layerOf("x")); err != nil || mounted {
		t.Errorf("mounted from the bin: %v", err)
	}
	if _, found, err := f.FindBlob(ctx, other, layerOf("x")); err != nil || found {
		t.Errorf("found in the bin: %v", err)
	}
	if _, err := f.DeleteRepository(ctx, to, false); err != nil {
		t.Errorf("a repository whose images are all in the bin is not empty: %v", err)
	}
	f.repo("app", ecr.Immutable)

	list, next, err := f.ListBin(ctx, home, "app", 0, 10)
	want := []registry.BinnedImage{{ID: 1, Repo: to, DeletedAt: f.now, ExpiresAt: f.now.Add(7 * day), Actor: admin.ARN, Reason: "deleted by request",
		Image: ecr.Image{Digest: d, Tags: []ecr.Tag{"v1", "v2", "v3"}, MediaType: imageType, PushedAt: pushed,
			ArtifactMediaType: "application/vnd.oci.image.config.v1+json", SizeBytes: int64(len(`{"of":"x"}`) + len("layer of x")), Status: ecr.StatusActive}}}
	if diff := cmp.Diff(want, list); diff != "" || err != nil || next != 0 {
		t.Errorf("the bin: %v %d\n%s", err, next, diff)
	}

	// Meanwhile v2 went to another image.
	f.collect()
	f.now = f.now.Add(6 * day)
	f.collect()
	second := f.mustPut(to, f.image(to, "y"), "v2")
	got := f.restore(to, d)
	if diff := cmp.Diff(registry.Restored{Images: []registry.RestoredImage{{Digest: d, Tags: []ecr.Tag{"v1", "v3"},
		Taken: []ecr.ImageID{{Digest: second, Tag: "v2"}}, Reason: "deleted by request"}}}, got); diff != "" {
		t.Error(diff)
	}
	f.whole(to, body)
	images, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}})
	if err != nil || !images[0].PushedAt.Equal(pushed) || !slices.Equal(images[0].Tags, []ecr.Tag{"v1", "v3"}) {
		t.Errorf("restored: %+v %v", images, err)
	}
	_, err = f.RestoreImage(ctx, to, d)
	wantCode(t, err, ecr.CodeImageNotFound, string(d), "is not in the recycle bin of the repository with name 'app'")

	// What expired is gone.
	f.deleteImage(to, d)
	f.now = f.now.Add(7 * day)
	if got := f.collect(); got.BinEntries != 1 || got.Blobs != 2 {
		t.Errorf("collected %+v", got)
	}
	_, err = f.RestoreImage(ctx, to, d)
	wantCode(t, err, ecr.CodeImageNotFound)
	f.deleteImage(to, second)
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}
	_, err = f.RestoreImage(ctx, to, second)
	wantCode(t, err, ecr.CodeRepositoryNotFound)
}

// layerOf is the layer of fixture.image.
func layerOf(content string) ecr.Digest { return ecr.DigestOf([]byte("layer of " + content)) }

// An index brings its children; a subject what was deleted with it or after it.
func TestRestoreBringsWhatBelongsToIt(t *testing.T) {
	f := openBin(t)
	to := f.repo("app", ecr.Mutable)
	a, b := f.image(to, "a"), f.image(to, "b")
	list := index(a, b)
	kept, old, sbom := referrer(list, "kept"), referrer(list, "old"), referrer(list, "sbom")
	signature := referrer(sbom, "of the sbom")
	for _, body := range [][]byte{a, b, list, kept, old, sbom, signature} {
		f.mustPut(to, body)
	}
	f.mustPut(to, list, "v1")
	f.deleteImage(to, ecr.DigestOf(old))
	f.now = f.now.Add(hour)
	// One transaction: the referrer's turn comes first.
	f.delete(to, ecr.ImageID{Digest: ecr.DigestOf(sbom)}, ecr.ImageID{Digest: ecr.DigestOf(list)})
	f.now = f.now.Add(hour)
	f.deleteImage(to, ecr.DigestOf(signature), ecr.DigestOf(a), ecr.DigestOf(b))
	f.collect()

	got := f.restore(to, ecr.DigestOf(list))
	var back []ecr.Digest
	for _, i := range got.Images {
		back = append(back, i.Digest)
	}
	want := []ecr.Digest{ecr.DigestOf(a), ecr.DigestOf(b), ecr.DigestOf(sbom), ecr.DigestOf(signature)}
	if back[0] != ecr.DigestOf(list) || len(got.Missing) > 0 || !slices.Equal(got.Images[0].Tags, []ecr.Tag{"v1"}) {
		t.Errorf("restored %+v", got)
	}
	slices.Sort(back)
	want = append(want, ecr.DigestOf(list))
	slices.Sort(want)
	if diff := cmp.Diff(want, back); diff != "" {
		t.Error(diff)
	}
	for _, body := range [][]byte{a, b, list, kept, sbom, signature} {
		f.whole(to, body)
	}
	if diff := cmp.Diff([]ecr.Digest{ecr.DigestOf(old)}, f.bin("app")); diff != "" {
		t.Error(diff)
	}

	// A child that was purged is named; the index comes back without it.
	f.deleteImage(to, ecr.DigestOf(list), ecr.DigestOf(b))
	if _, err := f.PurgeImage(t.Context(), to, ecr.DigestOf(b), "a secret"); err != nil {
		t.Fatal(err)
	}
	got = f.restore(to, ecr.DigestOf(list))
	if diff := cmp.Diff([]ecr.Digest{ecr.DigestOf(b)}, got.Missing); diff != "" {
		t.Error(diff)
	}
	f.whole(to, a)
}

// A repository deleted and created anew under its name takes its images back.
func TestRestoreIntoRecreatedRepository(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	a, b := f.image(to, "a"), f.image(to, "b")
	list := index(a, b)
	for _, body := range [][]byte{a, b} {
		f.mustPut(to, body)
	}
	f.mustPut(to, list, "v1")
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}
	_, err := f.RestoreImage(ctx, to, ecr.DigestOf(list))
	wantCode(t, err, ecr.CodeRepositoryNotFound)
	f.now = f.now.Add(2 * day)
	f.collect()
	f.repo("app", ecr.Immutable)
	f.restore(to, ecr.DigestOf(list))
	for _, body := range [][]byte{a, b, list} {
		f.whole(to, body)
	}
	if got := f.bin(""); len(got) > 0 {
		t.Errorf("left in the bin: %v", got)
	}
	ops := map[meta.JournalOp]int{}
	entries, _, err := f.Journal(ctx, registry.JournalFilter{Registry: home, Name: "app"}, 0, 100)
	for _, e := range entries {
		ops[e.Op]++
	}
	if diff := cmp.Diff(map[meta.JournalOp]int{meta.JournalDeleteImage: 3, meta.JournalDeleteRepository: 1, meta.JournalRestoreImage: 3}, ops); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// Restoring needs its own right, and so does looking into the bin.
func TestBinHasItsOwnRights(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	d := f.mustPut(to, f.image(to, "x"), "v1")
	f.deleteImage(to, d)
	power := f.reg.As(access.Principal{Account: home.Account, ARN: "arn:aws:iam::000000000000:user/power", UniqueID: "AIDAPOWER",
		Policies: []string{access.PolicyPushPull}})
	for name, call := range map[string]func() error{
		"kontor:RestoreImage":   func() error { _, err := power.RestoreImage(ctx, to, d); return err },
		"kontor:PurgeImage":     func() error { _, err := power.PurgeImage(ctx, to, d, "x"); return err },
		"kontor:ListRecycleBin": func() error { _, _, err := power.ListBin(ctx, home, "app", 0, 1); return err },
		"kontor:ListJournal": func() error {
			_, _, err := power.Journal(ctx, registry.JournalFilter{Registry: home}, 0, 1)
			return err
		},
		"kontor:DescribeUsage":  func() error { _, err := power.Usage(ctx, to); return err },
		"kontor:CollectGarbage": func() error { _, err := power.Collect(ctx, home); return err },
	} {
		wantCode(t, call(), ecr.CodeAccessDenied, name)
	}
}

func TestNoBinWithoutRecycleTime(t *testing.T) {
	f := openBin(t).keeping(0, 0, 0)
	to := f.repo("app", ecr.Mutable)
	f.deleteImage(to, f.mustPut(to, f.image(to, "x"), "v1"))
	if got := f.bin(""); len(got) > 0 {
		t.Errorf("in the bin: %v", got)
	}
	f.now = f.now.Add(time.Second)
	if got := f.collect(); got.Blobs != 2 || got.Links != 2 {
		t.Errorf("collected %+v", got)
	}
	if blobs, _ := f.stored(); blobs != 0 {
		t.Errorf("%d files are left", blobs)
	}
}

func TestPurge(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to, other := f.repo("app", ecr.Mutable), f.repo("other", ecr.Mutable)
	leaked, clean := f.image(to, "leaked"), f.image(to, "clean")
	d := f.mustPut(to, leaked, "v1", "v2")
	f.mustPut(to, clean)
	f.deleteImage(to, d)
	f.now = f.now.Add(hour)
	leaked = f.image(to, "leaked") // pushed again
	f.mustPut(to, leaked, "v3")
	list := index(leaked, clean)
	f.mustPut(to, list)

	_, err := f.PurgeImage(ctx, to, d, "")
	wantCode(t, err, ecr.CodeInvalidParameter, "reason")
	_, err = f.PurgeImage(ctx, to, d, "a key leaked")
	wantCode(t, err, ecr.CodeReferencedByManifestList, string(ecr.DigestOf(list)))
	f.deleteImage(to, ecr.DigestOf(list))
	// Another repository has its config, without an image so far.
	config := ecr.DigestOf([]byte(`{"of":"leaked"}`))
	if _, mounted, err := f.MountBlob(ctx, other, to, config); err != nil || !mounted {
		t.Fatal(mounted, err)
	}
	got, err := f.PurgeImage(ctx, to, d, "a key leaked")
	if diff := cmp.Diff(registry.Purged{Live: true, Tags: []ecr.Tag{"v3"}, Binned: 1, Blobs: 1, SizeBytes: int64(len("layer of leaked"))}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if blobs, _ := f.stored(); blobs != 3 { // clean's, and the config
		t.Errorf("%d files are left, want 3", blobs)
	}
	f.whole(to, clean)
	if _, err := f.StatBlob(ctx, other, config); err != nil {
		t.Errorf("another repository lost its blob: %v", err)
	}
	wantCode(t, f.put(to, leaked), ecr.CodeLayersNotFound, string(layerOf("leaked")))
	_, err = f.RestoreImage(ctx, to, d)
	wantCode(t, err, ecr.CodeImageNotFound)
	_, err = f.PurgeImage(ctx, to, d, "again")
	wantCode(t, err, ecr.CodeImageNotFound, string(d))

	entries, _, err := f.Journal(ctx, registry.JournalFilter{Registry: home, Digest: d}, 0, 10)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if del, purge := entries[0], entries[1]; del.Op != meta.JournalDeleteImage || del.Body != nil || len(del.Tags) != 2 ||
		purge.Op != meta.JournalPurgeImage || purge.Body != nil || purge.Reason != "a key leaked" || purge.Actor != admin.ARN {
		t.Errorf("the journal: %+v", entries)
	}

	// From the bin of a repository that is gone.
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}
	got, err = f.PurgeImage(ctx, to, ecr.DigestOf(clean), "erasure")
	if err != nil || got.Live || got.Binned != 1 || got.Blobs != 2 {
		t.Errorf("purged %+v, %v", got, err)
	}
	if blobs, _ := f.stored(); blobs != 1 {
		t.Errorf("%d files are left, want 1", blobs)
	}
}

func TestJournalPagesAndTrims(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	for i := range 5 {
		f.deleteImage(to, f.mustPut(to, f.image(to, fmt.Sprint(i)), ecr.Tag(fmt.Sprint("v", i))))
		f.now = f.now.Add(100 * day)
	}
	page, next, err := f.Journal(ctx, registry.JournalFilter{Registry: home}, 0, 3)
	if err != nil || len(page) != 3 || next != page[2].Seq {
		t.Fatalf("%d entries, next %d, %v", len(page), next, err)
	}
	page, next, err = f.Journal(ctx, registry.JournalFilter{Registry: home}, next, 3)
	if err != nil || len(page) != 2 || next != 0 {
		t.Fatalf("%d entries, next %d, %v", len(page), next, err)
	}
	if n, err := f.reg.TrimJournal(ctx, registry.CollectOptions{Batch: 1, PerSecond: -1}); err != nil || n != 1 {
		t.Errorf("trimmed %d, %v", n, err)
	}
	f.keeping(0, 0, 0)
	if n, err := f.reg.TrimJournal(ctx, registry.CollectOptions{}); err != nil || n != 0 {
		t.Errorf("trimmed %d, %v", n, err)
	}
}

// A push that was told that a blob is there finds it, though it was deleted
// meanwhile; and after a day without a word it is gone.
func TestPushInFlightKeepsItsBlobs(t *testing.T) {
	f := openBin(t).keeping(0, 0, day)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	body := f.image(to, "x")
	d := f.mustPut(to, body, "v1")
	if _, err := f.StatBlob(ctx, to, layerOf("x")); err != nil {
		t.Fatal(err)
	}
	f.deleteImage(to, d)
	f.now = f.now.Add(23 * hour)
	f.collect()
	f.mustPut(to, body, "v1")
	f.whole(to, body)

	waiting := f.image(to, "waiting")
	for range 5 { // it asks again and again
		f.now = f.now.Add(20 * hour)
		f.collect()
		for _, check := range []func() error{
			func() error { _, err := f.StatBlob(ctx, to, layerOf("waiting")); return err },
			func() error {
				found, _, err := f.BatchCheckLayers(ctx, to, []string{string(ecr.DigestOf([]byte(`{"of":"waiting"}`)))})
				if err == nil && len(found) == 0 {
					err = errors.New("the config is gone")
				}
				return err
			},
		} {
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.mustPut(to, waiting)
	f.whole(to, waiting)

	forgotten := f.image(to, "forgotten")
	f.now = f.now.Add(day + time.Second)
	if got := f.collect(); got.Blobs != 2 {
		t.Errorf("collected %+v", got)
	}
	wantCode(t, f.put(to, forgotten), ecr.CodeLayersNotFound)
	f.whole(to, body)
}

// gone loses files as a collection does that comes between row and file.
type gone struct {
	blob.Store
	before func(blob.Key)
}

func (g gone) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	g.before(key)
	return g.Store.Open(ctx, key)
}

// A reader that collection overtakes is told that the blob is not there, or
// gets the same content that came anew.
func TestReadersRaceCollection(t *testing.T) {
	f := openBin(t).keeping(0, 0, 0)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	overtaken := func(then func()) *registry.Caller {
		once := false
		cfg := f.cfg
		cfg.Blobs = gone{f.blobs, func(blob.Key) {
			if !once {
				once = true
				f.now = f.now.Add(time.Second)
				f.collect()
				then()
			}
		}}
		return registry.New(cfg).As(admin)
	}
	layer := f.blob(to, []byte("layer"))
	_, _, err := overtaken(func() {}).OpenBlob(ctx, to, layer)
	wantCode(t, err, ecr.CodeLayersNotFound, string(layer))
	f.blob(to, []byte("layer"))
	_, file, err := overtaken(func() { f.blob(to, []byte("layer")) }).OpenBlob(ctx, to, layer)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(readAll(t, file)); got != "layer" {
		t.Errorf("read %q", got)
	}
	// A file that is lost though its row is there is no answer, but an error.
	lost := overtaken(func() {})
	f.mustPut(to, f.image(to, "x"))
	for info, err := range f.blobs.List(ctx) {
		if err == nil {
			err = f.blobs.Delete(ctx, info.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = lost.OpenBlob(ctx, to, layerOf("x"))
	if code := ecr.CodeOf(err); code != ecr.CodeServer {
		t.Errorf("a lost file: %v", err)
	}
}

// A collection that is cut off between row and file leaves an orphan, which the
// sweep finds.
func TestCollectionCutOff(t *testing.T) {
	f := openBin(t).keeping(0, 0, 0)
	ctx := t.Context()
	to := f.repo("app", ecr.Mutable)
	f.blob(to, []byte("layer"))
	f.now = f.now.Add(time.Second)
	fails := errors.New("killed")
	cfg := f.cfg
	cfg.Blobs = undeletable{f.blobs, fails}
	_, err := registry.New(cfg).Collect(ctx, registry.CollectOptions{})
	if !errors.Is(err, fails) || !strings.Contains(err.Error(), "removing unused blobs") {
		t.Errorf("Collect: %v", err)
	}
	if blobs, _ := f.stored(); blobs != 1 {
		t.Errorf("%d files, want 1", blobs)
	}
	if got := f.collect(); got != (registry.Collected{}) {
		t.Errorf("collected %+v", got)
	}
	if swept, err := f.reg.SweepOrphans(ctx, time.Now().Add(hour)); err != nil || swept.Count != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
}

type undeletable struct {
	blob.Store
	err error
}

func (u undeletable) Delete(context.Context, blob.Key) error { return u.err }

// An image that a rule took and that is restored stays for the days of the
// rule, counted from then on.
func TestRestoredImagesHaveTime(t *testing.T) {
	f := openBin(t)
	to := f.repo("app", ecr.Mutable)
	f.rules(to, "any,,sinceImagePushed,5")
	d := f.mustPut(to, f.image(to, "x"), "v1")
	f.now = f.now.Add(6 * day)
	f.run(to, registry.RunOptions{})
	if got := f.bin("app"); !slices.Equal(got, []ecr.Digest{d}) {
		t.Fatalf("the bin after the first run: %v", got)
	}
	f.restore(to, d)
	f.now = f.now.Add(4 * day)
	f.run(to, registry.RunOptions{})
	if got := f.digests(to); !slices.Equal(got, []ecr.Digest{d}) {
		t.Errorf("four days after the restoration: %v", got)
	}
	f.now = f.now.Add(2 * day)
	f.run(to, registry.RunOptions{})
	if got := f.digests(to); len(got) > 0 {
		t.Errorf("six days after the restoration: %v", got)
	}
}
