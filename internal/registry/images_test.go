package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Amazon ECR API reference, PutImage, and user guide, "Image tag mutability".
func TestPutImageByMutability(t *testing.T) {
	type outcome map[string]ecr.Code // by what is put; "" is success
	const (
		other = "another image, same tag"
		same  = "same image, same tag"
		more  = "same image, new tag"
		again = "same image, no tag"
	)
	exists, immutable := ecr.CodeImageAlreadyExists, ecr.CodeImageTagAlreadyExists
	for _, tc := range []struct {
		name    string
		compat  registry.Compat
		mode    ecr.TagMutability
		filters []string
		strict  bool
		want    outcome
	}{
		{"mutable, docker", registry.CompatECR, ecr.Mutable, nil, false, outcome{}},
		{"mutable, API", registry.CompatECR, ecr.Mutable, nil, true, outcome{same: exists, again: exists}},
		{"immutable, docker", registry.CompatECR, ecr.Immutable, nil, false, outcome{other: immutable, same: immutable}},
		{"immutable, API", registry.CompatECR, ecr.Immutable, nil, true, outcome{other: immutable, same: immutable, again: exists}},
		{"immutable, docker, OCI", registry.CompatOCI, ecr.Immutable, nil, false, outcome{other: immutable}},
		{"immutable but this tag", registry.CompatECR, ecr.ImmutableWithExclusion, []string{"v*"}, false, outcome{}},
		{"immutable but other tags", registry.CompatECR, ecr.ImmutableWithExclusion, []string{"latest", "x*1"}, false, outcome{other: immutable, same: immutable}},
		{"mutable but this tag", registry.CompatECR, ecr.MutableWithExclusion, []string{"v1"}, false, outcome{other: immutable, same: immutable}},
		{"mutable but other tags", registry.CompatECR, ecr.MutableWithExclusion, []string{"v"}, false, outcome{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := testkit.Open(t, testkit.Settings{Compat: tc.compat})
			to := f.Repo("app", tc.mode, tc.filters...)
			first, second := f.Image(to, "first"), f.Image(to, "second")
			f.MustPut(to, first, "v1")
			for _, try := range []struct {
				name string
				body []byte
				tags []ecr.Tag
			}{{again, first, nil}, {same, first, []ecr.Tag{"v1"}}, {more, first, []ecr.Tag{"v2"}}, {other, second, []ecr.Tag{"v1"}}} {
				_, err := f.PutImage(t.Context(), to, registry.NewImage{Body: try.body, Tags: try.tags, Strict: tc.strict})
				if got := ecr.CodeOf(err); got != tc.want[try.name] {
					t.Errorf("%s: %v, want %q", try.name, err, tc.want[try.name])
				}
				if want := tc.want[try.name]; want == immutable {
					testkit.WantCode(t, err, want, "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.")
				}
			}
		})
	}
}

func TestPutImageRefuses(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	good := f.Image(to, "good")
	missing := ecr.DigestOf([]byte("missing"))
	for _, tc := range []struct {
		name string
		put  registry.NewImage
		code ecr.Code
		text string
	}{
		{"not JSON", registry.NewImage{Body: []byte("{"), MediaType: testkit.ImageType}, ecr.CodeInvalidParameter, "Invalid JSON syntax"},
		{"no layers", registry.NewImage{Body: testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "layers": []testkit.Desc{},
			"config": testkit.Desc{MediaType: "application/vnd.oci.image.config.v1+json", Digest: missing, Size: 7}})}, ecr.CodeInvalidParameter, "Image has to have at least 1 layer"},
		{"missing layer", registry.NewImage{Body: []byte(strings.ReplaceAll(string(good), string(ecr.DigestOf([]byte("layer of good"))), string(missing)))},
			ecr.CodeLayersNotFound, "Layers with digests '[" + string(missing) + "]' required for pushing image into repository with name 'app'"},
		{"missing child", registry.NewImage{Body: testkit.Index(good)}, ecr.CodeReferencedImagesNotFound,
			"Images with digests '[" + string(ecr.DigestOf(good)) + "]' required for pushing image into repository with name 'app'"},
		{"another digest", registry.NewImage{Body: good, Digest: missing}, ecr.CodeImageDigestDoesNotMatch, "does not match the image digest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.put.Tags = []ecr.Tag{"v1"}
			_, err := f.PutImage(t.Context(), to, tc.put)
			testkit.WantCode(t, err, tc.code, tc.text)
		})
	}
	if ids, _, err := f.ListImages(t.Context(), to, "", ecr.ImageID{}, 10); err != nil || len(ids) > 0 {
		t.Errorf("something was left behind: %v %v", ids, err)
	}
}

// A layer that only another repository has is as good as missing.
func TestBlobsAreLinkedPerRepository(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	from, to := f.Repo("from", ecr.Mutable), f.Repo("to", ecr.Mutable)
	body := f.Image(from, "x")
	layer := ecr.DigestOf([]byte("layer of x"))

	testkit.WantCode(t, f.Put(to, body), ecr.CodeLayersNotFound)
	_, err := f.StatBlob(ctx, to, layer)
	testkit.WantCode(t, err, ecr.CodeLayersNotFound, string(layer))
	if found, failures, err := f.BatchCheckLayers(ctx, to, []string{string(layer), "x:y"}); err != nil || len(found) > 0 || len(failures) != 1 || failures[0].Code != "InvalidLayerDigest" {
		t.Errorf("BatchCheckLayers: %v %v %v", found, failures, err)
	}
	// ECR mounts only what an image of the source refers to.
	if _, mounted, err := f.MountBlob(ctx, to, from, layer); err != nil || mounted {
		t.Errorf("mounted %v %v before an image refers to it", mounted, err)
	}
	f.MustPut(from, body, "v1")
	if _, mounted, err := f.MountBlob(ctx, to, testkit.At("nowhere"), layer); err != nil || mounted {
		t.Errorf("mounted %v %v from nowhere", mounted, err)
	}
	if info, mounted, err := f.MountBlob(ctx, to, from, layer); err != nil || !mounted || info.SizeBytes != int64(len("layer of x")) {
		t.Errorf("not mounted: %+v %v %v", info, mounted, err)
	}
	_, content, err := f.OpenBlob(ctx, to, layer)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.ReadAll(content); string(got) != "layer of x" {
		t.Errorf("mounted %q", got)
	}
	// The config was not mounted.
	testkit.WantCode(t, f.Put(to, body), ecr.CodeLayersNotFound, string(ecr.DigestOf([]byte(`{"of":"x"}`))))
	// Deleting the source leaves what was mounted.
	if _, err := f.DeleteRepository(ctx, from, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.StatBlob(ctx, to, layer); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Immutable)
	a, b := f.Image(to, "a"), f.Image(to, "b")
	da, db := f.MustPut(to, a, "a1", "a2"), f.MustPut(to, b)
	list := testkit.Index(a, b)
	dl := f.MustPut(to, list, "list")

	gone, failures, err := f.BatchDeleteImage(ctx, to, []ecr.ImageID{
		{}, {Digest: "sha256:x"}, {Tag: "nothing"}, {Tag: "a1", Digest: db}, {Digest: db}, {Tag: "a1"}, {Tag: "a2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]ecr.ImageID{{Digest: da, Tag: "a1"}}, gone); diff != "" {
		t.Error(diff)
	}
	parent := "Requested image referenced by manifest list: [" + string(dl) + "]"
	want := []registry.ImageFailure{
		{ID: ecr.ImageID{}, Code: "MissingDigestAndTag", Reason: "Invalid request parameters: both tag and digest cannot be null"},
		{ID: ecr.ImageID{Digest: "sha256:x"}, Code: "InvalidImageDigest", Reason: "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"},
		{ID: ecr.ImageID{Tag: "nothing"}, Code: "ImageNotFound", Reason: "Requested image not found"},
		{ID: ecr.ImageID{Tag: "a1", Digest: db}, Code: "ImageTagDoesNotMatchDigest", Reason: "Requested image tag does not match the digest"},
		{ID: ecr.ImageID{Digest: db}, Code: "ImageReferencedByManifestList", Reason: parent},
		{ID: ecr.ImageID{Tag: "a2"}, Code: "ImageReferencedByManifestList", Reason: parent},
	}
	if diff := cmp.Diff(want, failures); diff != "" {
		t.Error(diff)
	}
	testkit.WantCode(t, f.DeleteManifest(ctx, to, da), ecr.CodeReferencedByManifestList, parent)
	_, err = f.DeleteRepository(ctx, to, false)
	testkit.WantCode(t, err, ecr.CodeRepositoryNotEmpty, "The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images")

	// The list first, then what it listed.
	gone, failures, err = f.BatchDeleteImage(ctx, to, []ecr.ImageID{{Tag: "list"}, {Digest: da}, {Digest: db}})
	if err != nil || len(failures) > 0 {
		t.Errorf("deleting all: %v %v", failures, err)
	}
	if diff := cmp.Diff([]ecr.ImageID{{Digest: dl, Tag: "list"}, {Digest: da, Tag: "a2"}, {Digest: db}}, gone); diff != "" {
		t.Error(diff)
	}
	if _, err := f.DeleteRepository(ctx, to, false); err != nil {
		t.Error(err)
	}
	// Immutable tags do not prevent deletion, so the same tag may come again.
	to = f.Repo("app", ecr.Immutable)
	f.MustPut(to, f.Image(to, "c"), "a1")
}

// Every deletion is on record, with who, why and what, in the transaction
// that deletes; a deletion that fails is not.
func TestJournal(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	a, b := f.Image(to, "a"), f.Image(to, "b")
	da, db := f.MustPut(to, a, "v1", "v2"), f.MustPut(to, b)
	list := testkit.Index(b)
	dl := f.MustPut(to, list)
	f.Advance(time.Hour)
	f.MustPut(to, b, "v1") // moves v1 away from a
	policy, err := f.SetPolicy(ctx, to, testkit.RepositoryPolicy, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeletePolicy(ctx, to); err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetLifecyclePolicy(ctx, to, testkit.LifecyclePolicy); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.DeleteLifecyclePolicy(ctx, to); err != nil {
		t.Fatal(err)
	}
	if _, failures, err := f.BatchDeleteImage(ctx, to, []ecr.ImageID{{Digest: db}, {Tag: "v1"}}); err != nil || len(failures) != 2 {
		t.Fatalf("%v %v", failures, err)
	}
	if err := f.DeleteTag(ctx, to, "v1"); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteManifest(ctx, to, dl); err != nil {
		t.Fatal(err)
	}
	if _, err := f.DeleteRepository(ctx, to, true); err != nil {
		t.Fatal(err)
	}

	type entry struct {
		Op     meta.JournalOp
		Digest ecr.Digest
		Tags   []ecr.Tag
		Body   string
		Reason string
	}
	var got []entry
	err = f.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		rows, err := r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: testkit.Home, Name: "app", Bodies: true}, 0, 100)
		for _, e := range rows {
			if e.Actor != testkit.Admin.ARN || !e.At.Equal(f.Now()) {
				t.Errorf("%s by %s at %s", e.Op, e.Actor, e.At)
			}
			got = append(got, entry{e.Op, e.Digest, e.Tags, string(e.Body), e.Reason})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{meta.JournalMoveTag, da, []ecr.Tag{"v1"}, "", "tag moved to " + string(db)},
		{meta.JournalDeletePolicy, "", nil, policy, "deleted by request"},
		{meta.JournalDeleteLifecycle, "", nil, testkit.LifecyclePolicy, "deleted by request"},
		{meta.JournalDeleteTag, db, []ecr.Tag{"v1"}, "", "deleted by request"},
		{meta.JournalDeleteImage, dl, nil, string(list), "deleted by request"},
	}
	last := []entry{
		{meta.JournalDeleteImage, da, []ecr.Tag{"v2"}, string(a), "repository deleted"},
		{meta.JournalDeleteImage, db, nil, string(b), "repository deleted"},
	}
	if da > db {
		last[0], last[1] = last[1], last[0]
	}
	want = append(append(want, last...), entry{Op: meta.JournalDeleteRepository, Reason: "deleted by request"})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListings(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	const n = 7
	var wantTags []ecr.Tag
	for i := range n {
		tag := ecr.Tag(fmt.Sprintf("v%d", i))
		wantTags = append(wantTags, tag)
		body := f.Image(to, fmt.Sprint(i))
		f.MustPut(to, body, tag)
		f.MustPut(to, testkit.Index(body)) // untagged
		f.Advance(time.Minute)
	}
	for _, status := range []ecr.TagStatus{"", ecr.TagStatusAny, ecr.TagStatusTagged, ecr.TagStatusUntagged} {
		want := n
		if status == "" || status == ecr.TagStatusAny {
			want = 2 * n
		}
		for _, limit := range []int{1, 2, 3, want, 100} {
			ids, details := 0, 0
			for after, first := (ecr.ImageID{}), true; first || after != (ecr.ImageID{}); first = false {
				page, next, err := f.ListImages(ctx, to, status, after, limit)
				if err != nil || len(page) > limit {
					t.Fatalf("%d ids, %v", len(page), err)
				}
				ids, after = ids+len(page), next
			}
			for after, first := ecr.Digest(""), true; first || after != ""; first = false {
				page, next, err := f.ListImageDetails(ctx, to, status, after, limit)
				if err != nil || len(page) > limit {
					t.Fatalf("%d images, %v", len(page), err)
				}
				details, after = details+len(page), next
			}
			if ids != want || details != want {
				t.Errorf("%q by %d: %d ids and %d images, not %d", status, limit, ids, details, want)
			}
		}
	}
	var tags []ecr.Tag
	for more := true; more; {
		var after ecr.Tag
		if len(tags) > 0 {
			after = tags[len(tags)-1]
		}
		page, m, err := f.ListTags(ctx, to, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		tags, more = append(tags, page...), m
	}
	if diff := cmp.Diff(wantTags, tags); diff != "" {
		t.Error(diff)
	}

	images, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Tag: "v3"}, {Tag: "v1"}, {Tag: "v3"}})
	if err != nil || len(images) != 2 || images[0].Tags[0] != "v3" {
		t.Errorf("DescribeImages: %+v %v", images, err)
	}
	_, err = f.DescribeImages(ctx, to, []ecr.ImageID{{Tag: "v3"}, {Tag: "v9"}})
	testkit.WantCode(t, err, ecr.CodeImageNotFound, "The image with imageId {imageDigest:'null', imageTag:'v9'} does not exist within the repository with name 'app' in the registry with id '000000000000'")
}

// ECR API reference, ImageDetail: sizes, times, and what retagging leaves.
func TestImageMetadata(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	body := f.Image(to, "x")
	d := f.MustPut(to, body, "v1")
	pushed := f.Now()
	f.Advance(time.Hour)
	f.MustPut(to, body, "v2")
	list := f.MustPut(to, testkit.Index(body), "list")

	get := func(d ecr.Digest) ecr.Image {
		t.Helper()
		images, err := f.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}})
		if err != nil {
			t.Fatal(err)
		}
		return images[0]
	}
	size := int64(len(`{"of":"x"}`) + len("layer of x"))
	want := ecr.Image{Digest: d, Tags: []ecr.Tag{"v1", "v2"}, MediaType: testkit.ImageType,
		ArtifactMediaType: "application/vnd.oci.image.config.v1+json", SizeBytes: size, PushedAt: pushed, Status: ecr.StatusActive}
	if diff := cmp.Diff(want, get(d)); diff != "" {
		t.Error(diff)
	}
	if got := get(list).SizeBytes; got != size {
		t.Errorf("the index has %d bytes, its largest image %d", got, size)
	}
	// A pull counts, a look does not.
	if _, err := f.StatManifest(ctx, to, ecr.ImageID{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Retention.FlushPulls(ctx); err != nil || !get(d).LastPulledAt.IsZero() {
		t.Errorf("pulled at %s (%v)", get(d).LastPulledAt, err)
	}
	if _, err := f.Manifest(ctx, to, ecr.ImageID{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	unstored := get(d).LastPulledAt // before it is
	all, _, err := f.ListImageDetails(ctx, to, ecr.TagStatusTagged, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(i ecr.Image) bool { return i.Digest == d })
	if !unstored.Equal(f.Now()) || at < 0 || !all[at].LastPulledAt.Equal(f.Now()) {
		t.Errorf("just pulled, but the last pull is at %s, in the list %+v", unstored, all)
	}
	if err := f.Retention.FlushPulls(ctx); err != nil || !get(d).LastPulledAt.Equal(f.Now()) {
		t.Errorf("pulled at %s (%v)", get(d).LastPulledAt, err)
	}
}

// Pulls by a user that is excluded, or with a role that is, do not count.
func TestExcludedPulls(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	d := f.MustPut(to, f.Image(to, "x"), "v1")
	const role = "arn:aws:iam::000000000000:role/team/scanner"
	scanner := testkit.Admin
	scanner.ARN, scanner.Session = "arn:aws:sts::000000000000:assumed-role/scanner/nightly", &access.Session{RoleARN: role}
	pulls := map[string]func(access.Principal) error{
		"Manifest": func(p access.Principal) error {
			_, err := f.As(p).Manifest(ctx, to, ecr.ImageID{Tag: "v1"})
			return err
		},
		"BatchGetImage": func(p access.Principal) error {
			_, _, err := f.As(p).BatchGetImage(ctx, to, []ecr.ImageID{{Digest: d}})
			return err
		},
	}
	keeper := f.Retention.System("tests")
	if _, err := keeper.RegisterPullTimeExclusion(ctx, to.In, role); err != nil {
		t.Fatal(err)
	}
	for name, pull := range pulls {
		if err := pull(scanner); err != nil || f.Retention.PullsPending() != 0 {
			t.Errorf("%s by the excluded role: %d pulls (%v)", name, f.Retention.PullsPending(), err)
		}
	}
	if err := keeper.DeregisterPullTimeExclusion(ctx, to.In, role); err != nil {
		t.Fatal(err)
	}
	for name, pull := range pulls {
		if err := pull(scanner); err != nil || f.Retention.PullsPending() != 1 {
			t.Errorf("%s by the role: %d pulls (%v)", name, f.Retention.PullsPending(), err)
		}
		if err := f.Retention.FlushPulls(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// A digest with one of its tags names the image, not the tag.
func TestDeleteByDigestAndTag(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{})
	to := f.Repo("app", ecr.Mutable)
	d := f.MustPut(to, f.Image(to, "x"), "v1", "v2")
	gone, failures, err := f.BatchDeleteImage(t.Context(), to, []ecr.ImageID{{Digest: d, Tag: "v1"}})
	if err != nil || len(failures) > 0 {
		t.Fatal(failures, err)
	}
	if diff := cmp.Diff([]ecr.ImageID{{Digest: d, Tag: "v1"}, {Digest: d, Tag: "v2"}}, gone); diff != "" {
		t.Error(diff)
	}
}

func TestReferrers(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	subject := f.MustPut(to, f.Image(to, "x"), "v1")
	empty := f.Blob(to, []byte("{}"))
	for i := range 5 {
		kind := "application/spdx+json"
		if i == 4 {
			kind = "application/signature"
		}
		f.MustPut(to, testkit.JSON(map[string]any{
			"schemaVersion": 2, "mediaType": testkit.ImageType, "artifactType": kind,
			"config":  testkit.Desc{MediaType: "application/vnd.oci.empty.v1+json", Digest: empty, Size: 2},
			"layers":  []testkit.Desc{{MediaType: "application/octet-stream", Digest: empty, Size: 2}},
			"subject": testkit.Desc{MediaType: testkit.ImageType, Digest: subject, Size: 1}, "annotations": map[string]string{"n": fmt.Sprint(i)},
		}))
	}
	for kind, want := range map[string]int{"": 5, "application/spdx+json": 4, "application/signature": 1, "x/y": 0} {
		seen := map[string]bool{}
		for after, first := ecr.Digest(""), true; first || after != ""; first = false {
			page, next, err := f.ListReferrers(ctx, to, subject, kind, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				seen[r.Annotations["n"]] = true
				if kind != "" && r.ArtifactType != kind || r.MediaType != testkit.ImageType || r.SizeBytes < 100 {
					t.Errorf("referrer %+v", r)
				}
			}
			after = next
		}
		if len(seen) != want {
			t.Errorf("%d referrers of type %q, not %d", len(seen), kind, want)
		}
	}
}
