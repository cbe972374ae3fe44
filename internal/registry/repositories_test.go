package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

func TestSettings(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	to := f.Repo("team/app", ecr.Immutable)
	_, err := f.CreateRepository(ctx, registry.NewRepository{Repo: to})
	testkit.WantCode(t, err, ecr.CodeRepositoryAlreadyExists, "The repository with name 'team/app' already exists in the registry with id '000000000000'")

	_, err = f.Policy(ctx, to)
	testkit.WantCode(t, err, ecr.CodeRepositoryPolicyNotFound, "Repository policy does not exist for the repository with name 'team/app'")
	_, err = f.SetPolicy(ctx, to, `{"Version":"2012-10-17","Statement":[]}`, false)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'")
	if _, err := f.SetPolicy(ctx, to, testkit.RepositoryPolicy, false); err != nil {
		t.Fatal(err)
	}
	text, err := f.Policy(ctx, to)
	if err != nil || !strings.HasPrefix(text, "{\n  \"Version\" : \"2012-10-17\"") {
		t.Errorf("policy: %v %s", err, text)
	}

	_, _, err = f.LifecyclePolicy(ctx, to)
	testkit.WantCode(t, err, ecr.CodeLifecyclePolicyNotFound, "Lifecycle policy does not exist for the repository with name 'team/app'")
	_, err = f.SetLifecyclePolicy(ctx, to, strings.Replace(testkit.LifecyclePolicy, `"rulePriority":1`, `"rulePriority":0`, 1))
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "'Lifecycle policy validation failure: ", "numeric instance is lower than the required minimum")
	_, err = f.SetLifecyclePolicy(ctx, to, `{"rules":[]}`)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "LifecyclePolicyText", "must have length greater than or equal to 100")
	if got, err := f.SetLifecyclePolicy(ctx, to, testkit.LifecyclePolicy); err != nil || got != testkit.LifecyclePolicy {
		t.Errorf("lifecycle policy: %v %s", err, got)
	}

	testkit.WantCode(t, f.TagResource(ctx, to, map[string]string{"": "x"}), ecr.CodeInvalidTagParameter)
	testkit.WantCode(t, f.TagResource(ctx, to, map[string]string{"aws:x": "x"}), ecr.CodeInvalidTagParameter)
	many := map[string]string{}
	for i := range 50 {
		many[fmt.Sprint("k", i)] = "v"
	}
	if err := f.TagResource(ctx, to, many); err != nil {
		t.Fatal(err)
	}
	testkit.WantCode(t, f.TagResource(ctx, to, map[string]string{"one": "more"}), ecr.CodeTooManyTags)
	if err := f.UntagResource(ctx, to, []string{"k7", "nothing"}); err != nil {
		t.Fatal(err)
	}
	delete(many, "k7")
	if tags, err := f.ResourceTags(ctx, to); err != nil || !cmp.Equal(tags, many) {
		t.Errorf("tags: %v %s", err, cmp.Diff(many, tags))
	}

	testkit.WantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.ImmutableWithExclusion}), ecr.CodeInvalidParameter, "imageTagMutabilityExclusionFilters")
	testkit.WantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.Immutable, Filters: []string{"x"}}), ecr.CodeInvalidParameter)
	testkit.WantCode(t, f.SetTagMutability(ctx, to, ecr.Mutability{Mode: "SOMETIMES"}), ecr.CodeInvalidParameter, "enum value set")
	if err := f.SetTagMutability(ctx, to, ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}}); err != nil {
		t.Fatal(err)
	}
	got, err := f.DescribeRepositories(ctx, testkit.Home, []ecr.RepositoryName{"team/app"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"latest"}}, got[0].Mutability); diff != "" {
		t.Error(diff)
	}
}
