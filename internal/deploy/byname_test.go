package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// as connects as a new user with one policy.
func as(t *testing.T, reg *kontortest.Registry, name, policy string) *deploy.Conn {
	t.Helper()
	users := iam.New(iam.Options{
		Region: reg.Region, BaseEndpoint: &reg.URL,
		Credentials: credentials.NewStaticCredentialsProvider(reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, ""),
	})
	must[*iam.CreateUserOutput](t)(users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}))
	must[*iam.PutUserPolicyOutput](t)(users.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))
	key, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return connectAs(t, reg, kontortest.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}, nil)
}

// planAs plans d as run does for a plan that deletes nothing.
func planAs(t *testing.T, conn *deploy.Conn, d state.Desired) plan.Plan {
	t.Helper()
	scope := deploy.ScopeOf(d)
	scope.Tagged = conn.Tagged
	o, err := deploy.Observe(t.Context(), conn.API, conn.Target, scope)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Diff(d, o)
}

// found are the findings, in one line each.
func found(p plan.Plan) []string {
	out := []string{}
	for _, f := range p.Findings {
		out = append(out, fmt.Sprintf("%s %s %s", f.Severity, f.Code, f.Repository))
	}
	return out
}

// many is d with more repositories than are read without a list.
func many(d state.Desired) state.Desired {
	for i := range 10 {
		d.Repositories = append(d.Repositories, repo(fmt.Sprintf("team/more-%d", i), "", ""))
	}
	return d
}

// A repository whose policy denies everything is neither new nor gone, and the
// others are planned.
func TestHiddenRepositories(t *testing.T) {
	const closed = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`
	conn := connect(t, kontortest.Start(t))
	create(t, conn, "team/vault", "", "", tag(state.TagStack, stack))
	must[*ecr.SetRepositoryPolicyOutput](t)(conn.API.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{
		RepositoryName: aws.String("team/vault"), PolicyText: aws.String(closed), Force: true, // it locks its author out, too
	}))
	for name, d := range map[string]state.Desired{
		"read by its name": wanted(repo("team/open", "", ""), repo("team/vault", "", "")),
		"among many":       many(wanted(repo("team/open", "", ""), repo("team/vault", "", ""))),
	} {
		t.Run(name, func(t *testing.T) {
			p := planAs(t, conn, d)
			if got := pending(p); got["team/vault"] != "" || got["team/open"] != plan.OpCreate {
				t.Errorf("changes %v", got)
			}
			if diff := cmp.Diff([]string{"error KON2008 team/vault"}, found(p)); diff != "" {
				t.Fatalf("findings (-want +got):\n%s", diff)
			}
			for _, w := range []string{`repository "team/vault" seems to exist, but the caller may not read it`, "AccessDeniedException", "a Deny in the policy of the resource"} {
				if !strings.Contains(p.Findings[0].Message, w) {
					t.Errorf("%q, want %q in it", p.Findings[0].Message, w)
				}
			}
		})
	}
	t.Run("one that left the file", func(t *testing.T) {
		p := plan.DiffWith(wanted(repo("team/open", "", "")), state.Observed{
			Target: conn.Target, Hidden: map[kecr.RepositoryName]string{"team/vault": "exists, but the caller may not read it: a Deny"},
		}, plan.Options{End: plan.LeftFile})
		if diff := cmp.Diff([]string{"warning KON2008 team/vault"}, found(p)); diff != "" || len(p.Errors()) > 0 {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

// Whoever may see some repositories only plans a file of these, however many,
// and learns that what left the file was not looked for.
func TestPlanOfAPrefix(t *testing.T) {
	reg := kontortest.Start(t)
	admin := connect(t, reg)
	create(t, admin, "other/api", policyA, "")
	create(t, admin, "team/api", policyA, rulesA, tag(state.TagStack, stack), tag("team", "a"))
	create(t, admin, "team/left", "", "", tag(state.TagStack, stack))
	const statement = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/%s"}]}`
	conn := as(t, reg, "prefix", fmt.Sprintf(statement, "team/*"))
	for name, d := range map[string]state.Desired{
		"few":  wanted(repo("team/api", policyB, rulesA), repo("team/new", "", "")),
		"many": many(wanted(repo("team/api", policyB, rulesA), repo("team/new", "", ""))),
	} {
		t.Run(name, func(t *testing.T) {
			p := planAs(t, conn, d)
			if got := pending(p); got["team/api"] != plan.OpUpdate || got["team/new"] != plan.OpCreate {
				t.Errorf("changes %v, findings %v", got, p.Findings)
			}
			if !slices.Equal(found(p), []string{"info KON2009 "}) || !strings.Contains(p.Findings[0].Message, `"Action":"tag:GetResources"`) {
				t.Errorf("findings %v", p.Findings)
			}
		})
	}
	t.Run("what others have", func(t *testing.T) {
		_, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.ScopeOf(state.Desired{Repositories: []state.Repository{repo("other/api", "", "")}}))
		contains(t, err, "repository other/api", "ecr:DescribeRepositories")
	})
	t.Run("to delete something, all are listed", func(t *testing.T) {
		_, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.ScopeOf(wanted(repo("team/api", "", ""))))
		contains(t, err, "the repositories of", `repository/*`)
	})
	t.Run("whoever may list the tags learns what left", func(t *testing.T) {
		if diff := cmp.Diff([]string{"warning KON2001 team/left"}, found(planAs(t, admin, wanted(repo("team/api", policyA, rulesA))))); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

// The index of tags is read page by page, and what is another's is not in it.
func TestTagged(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	var want []kecr.RepositoryName
	for i := range 120 {
		name := fmt.Sprintf("r-%03d", i)
		create(t, conn, name, "", "", tag(state.TagStack, stack))
		want = append(want, kecr.RepositoryName(name))
	}
	create(t, conn, "theirs", "", "", tag(state.TagStack, "other"))
	create(t, conn, "loose", "", "")
	got, err := conn.Tagged(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
