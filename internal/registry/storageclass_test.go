package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// Amazon ECR user guide, "Archiving an image" and "Restoring an archived image".
func TestStorageClass(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	f.Set(func(c *testkit.Settings) { c.ActivationTime = 20 * time.Minute })
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	child := f.Image(to, "child")
	f.MustPut(to, child)
	list := testkit.Index(child)
	d := f.MustPut(to, list, "v1")
	sig := f.MustPut(to, f.Referrer(to, "sig", list))
	byTag := ecr.ImageID{Tag: "v1"}
	set := func(id ecr.ImageID, class registry.StorageClass) (ecr.ImageStatus, error) {
		i, err := f.SetStorageClass(ctx, to, id, class)
		return i.Status, err
	}
	status := func(id ecr.ImageID) ecr.ImageStatus {
		t.Helper()
		i, err := f.DescribeImages(ctx, to, []ecr.ImageID{id})
		if err != nil {
			t.Fatal(err)
		}
		return i[0].Status
	}

	_, err := set(ecr.ImageID{Digest: ecr.DigestOf(child)}, registry.ClassArchive)
	testkit.WantCode(t, err, ecr.CodeStorageClassNotSupported, "it is referenced by manifest list: ["+string(d)+"]")
	_, err = set(byTag, registry.ClassStandard)
	testkit.WantCode(t, err, ecr.CodeStorageClassNotSupported, "it is ACTIVE, not ARCHIVED")
	_, err = set(ecr.ImageID{Tag: "none"}, registry.ClassArchive)
	testkit.WantCode(t, err, ecr.CodeImageNotFound)
	if got, err := set(byTag, registry.ClassArchive); got != ecr.StatusArchived || err != nil {
		t.Fatalf("archive = %s, %v", got, err)
	}
	_, err = set(byTag, registry.ClassArchive)
	testkit.WantCode(t, err, ecr.CodeStorageClassNotSupported, "it is ARCHIVED, not ACTIVE")
	if got := status(ecr.ImageID{Digest: sig}); got != ecr.StatusArchived {
		t.Errorf("its signature is %s", got)
	}
	refused := func(why string) {
		t.Helper()
		_, err := f.Manifest(ctx, to, byTag)
		testkit.WantCode(t, err, ecr.CodeImageNotFound, why)
		_, err = f.StatManifest(ctx, to, byTag)
		testkit.WantCode(t, err, ecr.CodeImageNotFound, why)
		images, failures, err := f.BatchGetImage(ctx, to, []ecr.ImageID{byTag, {Digest: ecr.DigestOf(child)}})
		if err != nil || len(images) != 1 || len(failures) != 1 || failures[0].Code != "ImageNotFound" {
			t.Errorf("BatchGetImage = %v, %v, %v", images, failures, err)
		}
	}
	refused("is archived")
	if got, err := set(ecr.ImageID{Digest: ecr.DigestOf(child)}, registry.ClassArchive); got != ecr.StatusArchived || err != nil {
		t.Errorf("a child whose index is archived: %s, %v", got, err)
	}
	if got, err := set(ecr.ImageID{Digest: ecr.DigestOf(child)}, registry.ClassStandard); got != ecr.StatusActivating || err != nil {
		t.Errorf("restore = %s, %v", got, err)
	}
	f.Advance(time.Hour)

	if got, err := set(byTag, registry.ClassStandard); got != ecr.StatusActivating || err != nil {
		t.Fatalf("restore = %s, %v", got, err)
	}
	refused("is being restored")
	_, err = set(byTag, registry.ClassArchive)
	testkit.WantCode(t, err, ecr.CodeStorageClassNotSupported, "it is ACTIVATING, not ACTIVE")
	for want, of := range map[ecr.Digest]ecr.ImageStatus{ecr.DigestOf(child): ecr.StatusActive, d: ecr.StatusActivating} {
		ids, _, err := f.ListImages(ctx, to, "", ecr.ImageID{}, 100, of)
		if err != nil || !slices.ContainsFunc(ids, func(id ecr.ImageID) bool { return id.Digest == want }) {
			t.Errorf("%s: %v, %v", of, ids, err)
		}
	}
	f.Advance(21 * time.Minute)
	if _, err := f.Manifest(ctx, to, byTag); err != nil || status(ecr.ImageID{Digest: sig}) != ecr.StatusActive {
		t.Errorf("after the activation: %v, signature %s", err, status(ecr.ImageID{Digest: sig}))
	}

	// A push of the same manifest brings it back at once.
	if _, err := set(byTag, registry.ClassArchive); err != nil {
		t.Fatal(err)
	}
	f.MustPut(to, list, "v2")
	if _, err := f.Manifest(ctx, to, byTag); err != nil {
		t.Errorf("after a push: %v", err)
	}
	if _, err := set(byTag, registry.ClassArchive); err != nil {
		t.Fatal(err)
	}
	if _, err := f.PutImage(ctx, to, registry.NewImage{Body: list, Strict: true}); err != nil {
		t.Errorf("a push without a tag to an archived image: %v", err)
	}
	if got := status(byTag); got != ecr.StatusActive {
		t.Errorf("after a push: %s", got)
	}
}

// ListImages by status finds each tag once, whatever the page size.
func TestListImagesByStatus(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	to := f.Repo("app", ecr.Mutable)
	for i := range 12 {
		body, c := f.Image(to, string(rune('a'+i))), string(rune('a'+i))
		switch i % 3 {
		case 0:
			f.MustPut(to, body)
		case 1:
			f.MustPut(to, body, ecr.Tag(c))
		default:
			f.MustPut(to, body, ecr.Tag(c), ecr.Tag(c+"1"), ecr.Tag(c+"2"))
		}
	}
	all, _, err := f.ListImages(t.Context(), to, "", ecr.ImageID{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= len(all)+1; limit++ {
		var got []ecr.ImageID
		for after := (ecr.ImageID{}); ; {
			page, next, err := f.ListImages(t.Context(), to, "", after, limit, ecr.StatusActive)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page...)
			if after = next; next == (ecr.ImageID{}) {
				break
			}
		}
		if !slices.Equal(got, all) {
			t.Fatalf("pages of %d: %v, want %v", limit, got, all)
		}
	}
}
