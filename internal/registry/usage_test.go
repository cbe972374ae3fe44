package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// imageOf pushes blobs and puts an image of them: the first is its config.
func (f *fixture) imageOf(to ecr.Repo, tags []ecr.Tag, blobs ...string) []byte {
	f.t.Helper()
	var layers []desc
	for _, b := range blobs[1:] {
		layers = append(layers, desc{"application/vnd.oci.image.layer.v1.tar", f.blob(to, []byte(b)), len(b)})
	}
	body := encode(map[string]any{"schemaVersion": 2, "mediaType": imageType, "layers": layers,
		"config": desc{"application/vnd.oci.image.config.v1+json", f.blob(to, []byte(blobs[0])), len(blobs[0])}})
	f.mustPut(to, body, tags...)
	return body
}

const pruning = `{"rules":[
	{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["keep*"],"countType":"imageCountMoreThan","countNumber":99},"action":{"type":"expire"}},
	{"rulePriority":2,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}},
	{"rulePriority":3,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":2},"action":{"type":"expire"}}]}`

func TestUsage(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to, other := f.repo("app", ecr.Mutable), f.repo("other", ecr.Mutable)
	// Sizes are powers of two, so that a sum says what is in it.
	const (
		one, two, four, eight, sixteen = "1", "22", "4444", "88888888", "1666666666666666"
	)
	a := f.imageOf(to, []ecr.Tag{"keep-a", "also-a"}, one, two, four)
	b := f.imageOf(to, []ecr.Tag{"b"}, one, four, eight)
	untagged := f.imageOf(to, nil, one, sixteen)
	f.imageOf(other, []ecr.Tag{"x"}, "elsewhere", eight)
	f.blob(to, []byte("no image refers to this"))
	list := index(a)
	f.mustPut(to, list, "list")

	get := func() registry.RepositoryUsage {
		t.Helper()
		u, err := f.Usage(ctx, to)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	want := registry.RepositoryUsage{
		Repo: to, Images: 4, ManifestBytes: int64(len(a) + len(b) + len(untagged) + len(list)), BlobBytes: 31, OwnBytes: 23,
		Tags: []registry.TagUsage{
			{Tag: "also-a", Digest: ecr.DigestOf(a), BlobBytes: 7, OwnBytes: 2},
			{Tag: "b", Digest: ecr.DigestOf(b), BlobBytes: 13, OwnBytes: 0},
			{Tag: "keep-a", Digest: ecr.DigestOf(a), BlobBytes: 7, OwnBytes: 2},
			{Tag: "list", Digest: ecr.DigestOf(list), BlobBytes: 7, OwnBytes: 2},
		},
	}
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Error(diff)
	}

	if _, err := f.SetLifecyclePolicy(ctx, to, pruning); err != nil {
		t.Fatal(err)
	}
	rules := func(want ...registry.RuleUsage) {
		t.Helper()
		if diff := cmp.Diff(want, get().Rules); diff != "" {
			t.Error(diff)
		}
	}
	rules(registry.RuleUsage{Rule: 1}, registry.RuleUsage{Rule: 2}, registry.RuleUsage{Rule: 3})
	f.now = f.now.Add(3 * day)
	// b shares eight with another repository, and four with a; the index goes.
	rules(registry.RuleUsage{Rule: 1}, registry.RuleUsage{Rule: 2, Images: 1, FreedBytes: 16}, registry.RuleUsage{Rule: 3, Images: 2})
	err := f.meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutLeases(ctx, meta.LeaseCollector{Registry: home, Name: "prod", ReportedAt: f.now, TTL: time.Hour}, []meta.Lease{
			{Repository: "app", Image: ecr.ImageID{Digest: ecr.DigestOf(untagged)}, User: "Pod a/b"},
			{Repository: "app", Image: ecr.ImageID{Tag: "list"}, User: "Pod a/c"},
			{Repository: "other", Image: ecr.ImageID{Tag: "b"}, User: "Pod a/d"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	rules(registry.RuleUsage{Rule: 1}, registry.RuleUsage{Rule: 2}, registry.RuleUsage{Rule: 3, Images: 1})
	// What is in the bin does not count.
	f.deleteImage(to, ecr.DigestOf(b), ecr.DigestOf(untagged))
	if u := get(); u.Images != 2 || u.BlobBytes != 7 || u.OwnBytes != 7 {
		t.Errorf("usage: %+v", u)
	}
}
