package retention_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// imageOf pushes blobs and puts an image of them: the first is its config.
func imageOf(f *testkit.World, to ecr.Repo, tags []ecr.Tag, blobs ...string) []byte {
	f.T.Helper()
	var layers [][]byte
	for _, b := range blobs[1:] {
		layers = append(layers, []byte(b))
	}
	body := f.ImageOf(to, []byte(blobs[0]), layers...)
	f.MustPut(to, body, tags...)
	return body
}

const pruning = `{"rules":[
	{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["keep*"],"countType":"imageCountMoreThan","countNumber":99},"action":{"type":"expire"}},
	{"rulePriority":2,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}},
	{"rulePriority":3,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":2},"action":{"type":"expire"}}]}`

func TestUsage(t *testing.T) {
	f := openBin(t)
	ctx := t.Context()
	to, other := f.Repo("app", ecr.Mutable), f.Repo("other", ecr.Mutable)
	// Sizes are powers of two, so that a sum says what is in it.
	const (
		one, two, four, eight, sixteen = "1", "22", "4444", "88888888", "1666666666666666"
	)
	a := imageOf(f, to, []ecr.Tag{"keep-a", "also-a"}, one, two, four)
	b := imageOf(f, to, []ecr.Tag{"b"}, one, four, eight)
	untagged := imageOf(f, to, nil, one, sixteen)
	imageOf(f, other, []ecr.Tag{"x"}, "elsewhere", eight)
	f.Blob(to, []byte("no image refers to this"))
	list := testkit.Index(a)
	f.MustPut(to, list, "list")

	get := func() retention.RepositoryUsage {
		t.Helper()
		u, err := f.Usage(ctx, to)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	want := retention.RepositoryUsage{
		Repo: to, Images: 4, ManifestBytes: int64(len(a) + len(b) + len(untagged) + len(list)), BlobBytes: 31, OwnBytes: 23,
		Tags: []retention.TagUsage{
			{Tag: "also-a", Digest: ecr.DigestOf(a), BlobBytes: 7, OwnBytes: 2},
			{Tag: "b", Digest: ecr.DigestOf(b), BlobBytes: 13, OwnBytes: 0},
			{Tag: "keep-a", Digest: ecr.DigestOf(a), BlobBytes: 7, OwnBytes: 2},
			{Tag: "list", Digest: ecr.DigestOf(list), BlobBytes: 7, OwnBytes: 2},
		},
	}
	if diff := cmp.Diff(want, get()); diff != "" {
		t.Error(diff)
	}

	freed, err := f.FreedBytes(ctx, to, [][]ecr.Digest{
		{ecr.DigestOf(a)}, // the index lists it, and has no blobs
		{ecr.DigestOf(b)}, // four is a's, too, and eight another repository's
		{ecr.DigestOf(b), ecr.DigestOf(a), ecr.DigestOf(b)},        // each once
		{ecr.DigestOf(a), ecr.DigestOf(b), ecr.DigestOf(untagged)}, // all that is not shared with another repository
		{ecr.DigestOf([]byte("absent"))},
		{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{2, 0, 6, 23, 0, 0}, freed); diff != "" {
		t.Errorf("freed bytes (-want +got):\n%s", diff)
	}
	_, err = f.FreedBytes(ctx, to, [][]ecr.Digest{make([]ecr.Digest, retention.MostFreed), {""}})
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "at most 100000 images")

	if _, err := f.SetLifecyclePolicy(ctx, to, pruning); err != nil {
		t.Fatal(err)
	}
	rules := func(want ...retention.RuleUsage) {
		t.Helper()
		if diff := cmp.Diff(want, get().Rules); diff != "" {
			t.Error(diff)
		}
	}
	rules(retention.RuleUsage{Rule: 1}, retention.RuleUsage{Rule: 2}, retention.RuleUsage{Rule: 3})
	f.Advance(3 * testkit.Day)
	// b shares eight with another repository, and four with a; the index goes.
	rules(retention.RuleUsage{Rule: 1}, retention.RuleUsage{Rule: 2, Images: 1, FreedBytes: 16}, retention.RuleUsage{Rule: 3, Images: 2})
	err = f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutLeases(ctx, meta.LeaseCollector{Registry: testkit.Home, Name: "prod", ReportedAt: f.Now(), TTL: time.Hour}, []meta.Lease{
			{Repository: "app", Image: ecr.ImageID{Digest: ecr.DigestOf(untagged)}, User: "Pod a/b"},
			{Repository: "app", Image: ecr.ImageID{Tag: "list"}, User: "Pod a/c"},
			{Repository: "other", Image: ecr.ImageID{Tag: "b"}, User: "Pod a/d"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	rules(retention.RuleUsage{Rule: 1}, retention.RuleUsage{Rule: 2}, retention.RuleUsage{Rule: 3, Images: 1})
	// What is in the bin does not count.
	f.DeleteImages(to, ecr.DigestOf(b), ecr.DigestOf(untagged))
	if u := get(); u.Images != 2 || u.BlobBytes != 7 || u.OwnBytes != 7 {
		t.Errorf("usage: %+v", u)
	}
}
