package retention_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// openBin is a registry with a bin of a week and a grace of a day.
func openBin(t testing.TB) *testkit.World {
	return testkit.Open(t, testkit.Keeping(7*testkit.Day, 400*testkit.Day, testkit.Day))
}

func restore(f *testkit.World, to ecr.Repo, d ecr.Digest) retention.Restored {
	f.T.Helper()
	got, err := f.RestoreImage(f.T.Context(), to, d)
	if err != nil {
		f.T.Fatal(err)
	}
	return got
}

func TestRestore(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.Repo("app", ecr.Immutable)
	body := f.Image(to, "x")
	d := f.MustPut(to, body, "v1", "v2", "v3")
	pushed := f.Now()
	f.Advance(testkit.Hour)
	f.DeleteImages(to, d)

	// It is invisible to every request.
	for name, call := range map[string]func() error{
		"Manifest":          func() error { _, err := f.Manifest(ctx, to, ecr.ImageID{Digest: d}); return err },
		"Manifest by tag":   func() error { _, err := f.Manifest(ctx, to, ecr.ImageID{Tag: "v1"}); return err },
		"StatManifest":      func() error { _, err := f.StatManifest(ctx, to, ecr.ImageID{Digest: d}); return err },
		"DescribeImages":    func() error { _, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}}); return err },
		"StatBlob":          func() error { _, err := f.StatBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("x"))); return err },
		"OpenBlob":          func() error { _, _, err := f.OpenBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("x"))); return err },
		"DownloadableLayer": func() error { _, err := f.DownloadableLayer(ctx, to, ecr.DigestOf(testkit.LayerOf("x"))); return err },
		"DeleteBlob":        func() error { return f.DeleteBlob(ctx, to, ecr.DigestOf(testkit.LayerOf("x"))) },
	} {
		if code := ecr.CodeOf(call()); code != ecr.CodeImageNotFound && code != ecr.CodeLayersNotFound {
			t.Errorf("%s of what is in the bin: %q", name, code)
		}
	}
	if found, _, err := f.BatchCheckLayers(ctx, to, []string{string(ecr.DigestOf(testkit.LayerOf("x")))}); err != nil || len(found) > 0 {
		t.Errorf("the layer is available: %v %v", found, err)
	}
	other := f.Repo("other", ecr.Mutable)
	if _, mounted, err := f.MountBlob(ctx, other, to, ecr.DigestOf(testkit.LayerOf("x"))); err != nil || mounted {
		t.Errorf("mounted from the bin: %v", err)
	}
	if _, found, err := f.FindBlob(ctx, other, ecr.DigestOf(testkit.LayerOf("x"))); err != nil || found {
		t.Errorf("found in the bin: %v", err)
	}
	if _, err := f.DeleteRepository(ctx, to, false); err != nil {
		t.Errorf("a repository whose images are all in the bin is not empty: %v", err)
	}
	f.Repo("app", ecr.Immutable)

	list, next, err := f.ListBin(ctx, testkit.Home, "app", 0, 10)
	want := []retention.BinnedImage{{ID: 1, Repo: to, DeletedAt: f.Now(), ExpiresAt: f.Now().Add(7 * testkit.Day), Actor: testkit.Admin.ARN, Reason: "deleted by request",
		Image: ecr.Image{Digest: d, Tags: []ecr.Tag{"v1", "v2", "v3"}, MediaType: testkit.ImageType, PushedAt: pushed,
			ArtifactMediaType: "application/vnd.oci.image.config.v1+json", SizeBytes: int64(len(`{"of":"x"}`) + len("layer of x")), Status: ecr.StatusActive}}}
	if diff := cmp.Diff(want, list); diff != "" || err != nil || next != 0 {
		t.Errorf("the bin: %v %d\n%s", err, next, diff)
	}

	// Meanwhile v2 went to another image.
	f.Collect()
	f.Advance(6 * testkit.Day)
	f.Collect()
	second := f.MustPut(to, f.Image(to, "y"), "v2")
	got := restore(f, to, d)
	if diff := cmp.Diff(retention.Restored{Images: []retention.RestoredImage{{Digest: d, Tags: []ecr.Tag{"v1", "v3"},
		Taken: []ecr.ImageID{{Digest: second, Tag: "v2"}}, Reason: "deleted by request"}}}, got); diff != "" {
		t.Error(diff)
	}
	f.WantWhole(to, body)
	images, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}})
	if err != nil || !images[0].PushedAt.Equal(pushed) || !slices.Equal(images[0].Tags, []ecr.Tag{"v1", "v3"}) {
		t.Errorf("restored: %+v %v", images, err)
	}
	_, err = f.RestoreImage(ctx, to, d)
	testkit.WantCode(t, err, ecr.CodeImageNotFound, string(d), "is not in the recycle bin of the repository with name 'app'")

	// What expired is gone.
	f.DeleteImages(to, d)
	f.Advance(7 * testkit.Day)
	if got := f.Collect(); got.BinEntries != 1 || got.Blobs != 2 {
		t.Errorf("collected %+v", got)
	}
	_, err = f.RestoreImage(ctx, to, d)
	testkit.WantCode(t, err, ecr.CodeImageNotFound)
	f.DeleteImages(to, second)
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}
	_, err = f.RestoreImage(ctx, to, second)
	testkit.WantCode(t, err, ecr.CodeRepositoryNotFound)
}

// An index brings its children; a subject what was deleted with it or after it.
func TestRestoreBringsWhatBelongsToIt(t *testing.T) {
	f := openBin(t)
	to := f.Repo("app", ecr.Mutable)
	a, b := f.Image(to, "a"), f.Image(to, "b")
	list := testkit.Index(a, b)
	kept, old, sbom := testkit.EmptyReferrer(list, "kept"), testkit.EmptyReferrer(list, "old"), testkit.EmptyReferrer(list, "sbom")
	signature := testkit.EmptyReferrer(sbom, "of the sbom")
	for _, body := range [][]byte{a, b, list, kept, old, sbom, signature} {
		f.MustPut(to, body)
	}
	f.MustPut(to, list, "v1")
	f.DeleteImages(to, ecr.DigestOf(old))
	f.Advance(testkit.Hour)
	// One transaction: the referrer's turn comes first.
	f.Delete(to, ecr.ImageID{Digest: ecr.DigestOf(sbom)}, ecr.ImageID{Digest: ecr.DigestOf(list)})
	f.Advance(testkit.Hour)
	f.DeleteImages(to, ecr.DigestOf(signature), ecr.DigestOf(a), ecr.DigestOf(b))
	f.Collect()

	got := restore(f, to, ecr.DigestOf(list))
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
		f.WantWhole(to, body)
	}
	if diff := cmp.Diff([]ecr.Digest{ecr.DigestOf(old)}, f.Binned("app")); diff != "" {
		t.Error(diff)
	}

	// A child that was purged is named; the index comes back without it.
	f.DeleteImages(to, ecr.DigestOf(list), ecr.DigestOf(b))
	if _, err := f.PurgeImage(t.Context(), to, ecr.DigestOf(b), "a secret"); err != nil {
		t.Fatal(err)
	}
	got = restore(f, to, ecr.DigestOf(list))
	if diff := cmp.Diff([]ecr.Digest{ecr.DigestOf(b)}, got.Missing); diff != "" {
		t.Error(diff)
	}
	f.WantWhole(to, a)
}

// A repository deleted and created again under its name takes its images back.
func TestRestoreIntoRecreatedRepository(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	a, b := f.Image(to, "a"), f.Image(to, "b")
	list := testkit.Index(a, b)
	for _, body := range [][]byte{a, b} {
		f.MustPut(to, body)
	}
	f.MustPut(to, list, "v1")
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}
	_, err := f.RestoreImage(ctx, to, ecr.DigestOf(list))
	testkit.WantCode(t, err, ecr.CodeRepositoryNotFound)
	f.Advance(2 * testkit.Day)
	f.Collect()
	f.Repo("app", ecr.Immutable)
	restore(f, to, ecr.DigestOf(list))
	for _, body := range [][]byte{a, b, list} {
		f.WantWhole(to, body)
	}
	if got := f.Binned(""); len(got) > 0 {
		t.Errorf("left in the bin: %v", got)
	}
	ops := map[meta.JournalOp]int{}
	entries, _, err := f.Journal(ctx, retention.JournalFilter{Registry: testkit.Home, Name: "app"}, 0, 100)
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
	to := f.Repo("app", ecr.Mutable)
	d := f.MustPut(to, f.Image(to, "x"), "v1")
	f.DeleteImages(to, d)
	power := access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/power", UniqueID: "AIDAPOWER",
		Policies: []string{access.PolicyPushPull}}
	keeping := f.Retention.As(power)
	for name, call := range map[string]func() error{
		"kontor:RestoreImage":   func() error { _, err := keeping.RestoreImage(ctx, to, d); return err },
		"kontor:PurgeImage":     func() error { _, err := keeping.PurgeImage(ctx, to, d, "x"); return err },
		"kontor:ListRecycleBin": func() error { _, _, err := keeping.ListBin(ctx, testkit.Home, "app", 0, 1); return err },
		"kontor:ListJournal": func() error {
			_, _, err := keeping.Journal(ctx, retention.JournalFilter{Registry: testkit.Home}, 0, 1)
			return err
		},
		"kontor:DescribeUsage": func() error { _, err := keeping.Usage(ctx, to); return err },
		"kontor:EstimateFreedBytes": func() error {
			_, err := keeping.FreedBytes(ctx, to, nil)
			return err
		},
		"kontor:ListJobs":       func() error { _, err := f.Jobs.As(power).ListJobs(ctx, testkit.Home); return err },
		"kontor:CollectGarbage": func() error { _, err := f.Jobs.As(power).Collect(ctx, testkit.Home); return err },
	} {
		testkit.WantCode(t, call(), ecr.CodeAccessDenied, name)
	}
}

func TestNoBinWithoutRecycleTime(t *testing.T) {
	f := testkit.Open(t, testkit.Keeping(0, 0, 0))
	to := f.Repo("app", ecr.Mutable)
	f.DeleteImages(to, f.MustPut(to, f.Image(to, "x"), "v1"))
	if got := f.Binned(""); len(got) > 0 {
		t.Errorf("in the bin: %v", got)
	}
	f.Advance(time.Second)
	if got := f.Collect(); got.Blobs != 2 || got.Links != 2 {
		t.Errorf("collected %+v", got)
	}
	if blobs, _ := f.Stored(); blobs != 0 {
		t.Errorf("%d files are left", blobs)
	}
}

func TestPurge(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to, other := f.Repo("app", ecr.Mutable), f.Repo("other", ecr.Mutable)
	leaked, clean := f.Image(to, "leaked"), f.Image(to, "clean")
	d := f.MustPut(to, leaked, "v1", "v2")
	f.MustPut(to, clean)
	f.DeleteImages(to, d)
	f.Advance(testkit.Hour)
	leaked = f.Image(to, "leaked") // pushed again
	f.MustPut(to, leaked, "v3")
	list := testkit.Index(leaked, clean)
	f.MustPut(to, list)

	_, err := f.PurgeImage(ctx, to, d, "")
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "reason")
	_, err = f.PurgeImage(ctx, to, d, strings.Repeat("x", retention.MostReason+1))
	testkit.WantCode(t, err, ecr.CodeInvalidParameter)
	_, err = f.PurgeImage(ctx, to, d, "a key leaked")
	testkit.WantCode(t, err, ecr.CodeReferencedByManifestList, string(ecr.DigestOf(list)))
	f.DeleteImages(to, ecr.DigestOf(list))
	// Another repository has its config, without an image so far.
	config := ecr.DigestOf([]byte(`{"of":"leaked"}`))
	if _, mounted, err := f.MountBlob(ctx, other, to, config); err != nil || !mounted {
		t.Fatal(mounted, err)
	}
	got, err := f.PurgeImage(ctx, to, d, "a key leaked")
	if diff := cmp.Diff(retention.Purged{Live: true, Tags: []ecr.Tag{"v3"}, Binned: 1, Blobs: 1, SizeBytes: int64(len("layer of leaked"))}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if blobs, _ := f.Stored(); blobs != 3 { // clean's, and the config
		t.Errorf("%d files are left, want 3", blobs)
	}
	f.WantWhole(to, clean)
	if _, err := f.StatBlob(ctx, other, config); err != nil {
		t.Errorf("another repository lost its blob: %v", err)
	}
	testkit.WantCode(t, f.Put(to, leaked), ecr.CodeLayersNotFound, string(ecr.DigestOf(testkit.LayerOf("leaked"))))
	_, err = f.RestoreImage(ctx, to, d)
	testkit.WantCode(t, err, ecr.CodeImageNotFound)
	_, err = f.PurgeImage(ctx, to, d, "again")
	testkit.WantCode(t, err, ecr.CodeImageNotFound, string(d))

	entries, _, err := f.Journal(ctx, retention.JournalFilter{Registry: testkit.Home, Digest: d, Bodies: true}, 0, 10)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if del, purge := entries[0], entries[1]; del.Op != meta.JournalDeleteImage || del.Body != nil || len(del.Tags) != 2 ||
		purge.Op != meta.JournalPurgeImage || purge.Body != nil || purge.Reason != "a key leaked" || purge.Actor != testkit.Admin.ARN {
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
	if blobs, _ := f.Stored(); blobs != 1 {
		t.Errorf("%d files are left, want 1", blobs)
	}
}

func TestJournalPagesAndTrims(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	for i := range 5 {
		f.DeleteImages(to, f.MustPut(to, f.Image(to, fmt.Sprint(i)), ecr.Tag(fmt.Sprint("v", i))))
		f.Advance(100 * testkit.Day)
	}
	page, next, err := f.Journal(ctx, retention.JournalFilter{Registry: testkit.Home}, 0, 3)
	if err != nil || len(page) != 3 || next != page[2].Seq {
		t.Fatalf("%d entries, next %d, %v", len(page), next, err)
	}
	page, next, err = f.Journal(ctx, retention.JournalFilter{Registry: testkit.Home}, next, 3)
	if err != nil || len(page) != 2 || next != 0 {
		t.Fatalf("%d entries, next %d, %v", len(page), next, err)
	}
	if got, err := f.Jobs.TrimJournal(ctx); err != nil || got.Count != 1 {
		t.Errorf("trimmed %+v, %v", got, err)
	}
	f.Set(func(s *testkit.Settings) { s.JournalTime = 0 })
	if got, err := f.Jobs.TrimJournal(ctx); err != nil || got.Count != 0 {
		t.Errorf("trimmed %+v, %v", got, err)
	}
}

// An image that a rule took and that is restored stays for the days of the
// rule, counted from then on.
func TestRestoredImagesHaveTime(t *testing.T) {
	f := openBin(t)
	to := f.Repo("app", ecr.Mutable)
	setRules(f, to, "any,,sinceImagePushed,5")
	d := f.MustPut(to, f.Image(to, "x"), "v1")
	f.Advance(6 * testkit.Day)
	runPolicy(f, to, retention.RunOptions{})
	if got := f.Binned("app"); !slices.Equal(got, []ecr.Digest{d}) {
		t.Fatalf("the bin after the first run: %v", got)
	}
	restore(f, to, d)
	f.Advance(4 * testkit.Day)
	runPolicy(f, to, retention.RunOptions{})
	if got := f.Digests(to); !slices.Equal(got, []ecr.Digest{d}) {
		t.Errorf("four days after the restoration: %v", got)
	}
	f.Advance(2 * testkit.Day)
	runPolicy(f, to, retention.RunOptions{})
	if got := f.Digests(to); len(got) > 0 {
		t.Errorf("six days after the restoration: %v", got)
	}
}
