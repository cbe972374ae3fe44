package spec_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/policy"
)

// grantees are the Sids of the statements that each principal is in.
func grantees(t *rapid.T, text string) map[string][]string {
	out := map[string][]string{}
	if text == "" {
		return out
	}
	doc, err := policy.ParseFor([]byte(text), policy.Repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range doc.Statements {
		if !slices.IsSorted(s.Principal.AWS) {
			t.Errorf("principals are not sorted: %v", s.Principal.AWS)
		}
		for _, p := range s.Principal.AWS {
			out[p] = append(out[p], s.Sid)
		}
	}
	return out
}

// What the file reference says: pull = BatchCheckLayerAvailability, BatchGetImage,
// GetDownloadUrlForLayer, ListImageReferrers, ListImages, DescribeImages,
// DescribeRepositories; push = pull + InitiateLayerUpload, UploadLayerPart,
// CompleteLayerUpload, PutImage. Never delete, never policy rights.
func TestActions(t *testing.T) {
	f, _, err := spec.Load(yamlSource("k.yaml", `ecr_repositories:
  app: {additional_pull_account_ids: ["222222222222"], additional_push_account_ids: ["333333333333"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.ParseFor([]byte(f.Desired(local).Repositories[0].Policy), policy.Repository)
	if err != nil {
		t.Fatal(err)
	}
	pull := []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers",
		"ecr:ListImages", "ecr:DescribeImages", "ecr:DescribeRepositories",
	}
	push := append([]string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}, pull...)
	for i, want := range [][]string{pull, push} {
		s := doc.Statements[i]
		slices.Sort(want)
		if d := cmp.Diff(want, s.Action); d != "" || s.Effect != policy.Allow {
			t.Errorf("%s %s: %s", s.Effect, s.Sid, d)
		}
	}
}
