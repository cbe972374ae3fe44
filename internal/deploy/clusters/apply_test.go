package clusters_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/kontortest"
)

// account is a real IAM with a role for nodes.
func account(t *testing.T) (*iam.Client, string) {
	t.Helper()
	reg := kontortest.Start(t, kontortest.Options{Account: "222222222222"})
	api := iam.New(iam.Options{
		Region: reg.Region, BaseEndpoint: &reg.URL, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, ""),
	})
	return api, role(t, api, "nodes")
}

func role(t *testing.T, api *iam.Client, name string) string {
	t.Helper()
	out, err := api.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, Path: sdk.String("/eks/"), AssumeRolePolicyDocument: sdk.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	return sdk.ToString(out.Role.Arn)
}

func people(t testing.TB, api principals.API) []proof.Principal {
	t.Helper()
	list, unseen, err := principals.Read(context.Background(), api)
	if err != nil || unseen != "" {
		t.Fatalf("reading people: %q, %v", unseen, err)
	}
	return list
}

// planned is the plan of a stack whose cluster has the roles; that it ends, for
// none.
func planned(t testing.TB, api principals.API, stack string, roles ...string) plan.Cluster {
	t.Helper()
	o := clusters.Options{Stack: stack, Explicit: true, Leave: true}
	if len(roles) == 0 {
		o.End = plan.Everything
	}
	got, err := clusters.Plan(clusters.Account{Members: []clusters.Member{member(repository(pullGrant, "team/api"), roles...)}, People: people(t, api)}, o)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

// apply carries a plan out and wants every role to come out so.
func apply(t testing.TB, api clusters.IAM, c plan.Cluster, stack string, want deploy.Status) {
	t.Helper()
	r, err := clusters.Apply(context.Background(), api, c, stack)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Roles) != len(c.Pending()) || r.Count(want) != len(r.Roles) {
		t.Fatalf("%+v, want %s", r, want)
	}
}

// have is what the role has, as its account tells.
func have(t testing.TB, api *iam.Client, name string) (attached bool, stacks []string) {
	t.Helper()
	ctx := context.Background()
	got, err := api.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range got.Role.Tags {
		if *tag.Key == clusters.TagKey(*tag.Value) {
			stacks = append(stacks, *tag.Value)
		}
	}
	list, err := api.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &name})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(stacks)
	return len(list.AttachedPolicies) > 0, stacks
}

// Whatever stacks come and go, and in whatever order: the policy is attached as
// long as one of them is there, and its tags say who.
func TestStacksComeAndGo(t *testing.T) {
	api, nodes := account(t)
	names := []string{"one", "two", "Two", "a stack of spaces: and = @ / +"}
	rapid.Check(t, func(rt *rapid.T) {
		_, left := have(t, api, "nodes") // by the round before
		for _, s := range left {
			apply(t, api, planned(t, api, s), s, deploy.StatusDone)
		}
		there := map[string]bool{}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			s := rapid.SampledFrom(names).Draw(rt, "stack")
			if there[s] = rapid.Bool().Draw(rt, "comes"); there[s] {
				apply(t, api, planned(t, api, s, nodes), s, deploy.StatusDone)
			} else {
				apply(t, api, planned(t, api, s), s, deploy.StatusDone)
			}
			var want []string
			for _, s := range names {
				if there[s] {
					want = append(want, s)
				}
			}
			slices.Sort(want)
			attached, stacks := have(t, api, "nodes")
			if diff := cmp.Diff(want, stacks); diff != "" || attached != (len(want) > 0) {
				rt.Fatalf("attached %t, stacks (-want +got):\n%s", attached, diff)
			}
		}
	})
}

// What others attached stays, whoever leaves.
func TestOthersPoliciesStay(t *testing.T) {
	api, nodes := account(t)
	if _, err := api.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: sdk.String("nodes"), PolicyArn: sdk.String("arn:aws:iam::aws:policy/" + clusters.PolicyName)}); err != nil {
		t.Fatal(err)
	}
	if c := planned(t, api, "one", nodes); len(c.Pending()) > 0 {
		t.Errorf("it changes %v", c.Pending())
	}
	if c := planned(t, api, "one"); len(c.Roles) > 0 {
		t.Errorf("it takes away %v", c.Roles)
	}
}

func TestRolesThatMoved(t *testing.T) {
	api, nodes := account(t)
	attach, end := planned(t, api, "one", nodes), planned(t, api, "two", nodes)
	apply(t, api, attach, "one", deploy.StatusDone)
	apply(t, api, attach, "one", deploy.StatusDone) // again is nothing
	apply(t, api, end, "two", deploy.StatusMoved)
	if why := clusters.Stale(end, people(t, api)); len(why) != 1 {
		t.Errorf("stale: %q", why)
	}
	if why := clusters.Stale(attach, people(t, api)); len(why) > 0 {
		t.Errorf("a plan that was carried out is stale: %q", why)
	}
	gone := planned(t, api, "one")
	apply(t, api, gone, "one", deploy.StatusDone)
	if _, err := api.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: sdk.String("nodes")}); err != nil {
		t.Fatal(err)
	}
	apply(t, api, attach, "one", deploy.StatusFailed)
}

// broken fails one kind of call, as often as it says.
type broken struct {
	*iam.Client
	call string
	left int
}

func (b *broken) fails(call string) bool {
	if b.call != call || b.left == 0 {
		return false
	}
	b.left--
	return true
}

var errBroken = errors.New("the line is dead")

func (b *broken) AttachRolePolicy(ctx context.Context, in *iam.AttachRolePolicyInput, o ...func(*iam.Options)) (*iam.AttachRolePolicyOutput, error) {
	if b.fails("attach") {
		return nil, errBroken
	}
	return b.Client.AttachRolePolicy(ctx, in, o...)
}

func (b *broken) DetachRolePolicy(ctx context.Context, in *iam.DetachRolePolicyInput, o ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error) {
	if b.fails("detach") {
		return nil, errBroken
	}
	return b.Client.DetachRolePolicy(ctx, in, o...)
}

func (b *broken) TagRole(ctx context.Context, in *iam.TagRoleInput, o ...func(*iam.Options)) (*iam.TagRoleOutput, error) {
	if b.fails("tag") {
		return nil, errBroken
	}
	return b.Client.TagRole(ctx, in, o...)
}

func (b *broken) UntagRole(ctx context.Context, in *iam.UntagRoleInput, o ...func(*iam.Options)) (*iam.UntagRoleOutput, error) {
	if b.fails("untag") {
		return nil, errBroken
	}
	return b.Client.UntagRole(ctx, in, o...)
}

// Wherever it breaks, the same plan and a new one both continue from there, and
// nothing is attached without a tag that says for whom.
func TestBrokenOff(t *testing.T) {
	for _, call := range []string{"tag", "attach", "detach", "untag"} {
		for _, again := range []bool{true, false} {
			t.Run(call, func(t *testing.T) {
				api, nodes := account(t)
				b := &broken{Client: api, call: call, left: 1}
				come := planned(t, b, "one", nodes)
				if call == "detach" || call == "untag" {
					apply(t, b, come, "one", deploy.StatusDone)
					come = planned(t, b, "one")
				}
				apply(t, b, come, "one", deploy.StatusFailed)
				if attached, stacks := have(t, api, "nodes"); attached && len(stacks) == 0 {
					t.Error("it is attached without the mark of a stack")
				}
				if !again {
					roles := []string{nodes}
					if call == "detach" || call == "untag" {
						roles = nil
					}
					come = planned(t, b, "one", roles...)
				}
				apply(t, b, come, "one", deploy.StatusDone)
				attached, stacks := have(t, api, "nodes")
				if comes := call == "tag" || call == "attach"; attached != comes || (len(stacks) == 1) != comes {
					t.Errorf("attached %t, stacks %v", attached, stacks)
				}
			})
		}
	}
}

// meanwhile does something between two calls of who leaves.
type meanwhile struct {
	*iam.Client
	before map[string]func()
}

func (m meanwhile) once(call string) {
	if f := m.before[call]; f != nil {
		delete(m.before, call)
		f()
	}
}

func (m meanwhile) DetachRolePolicy(ctx context.Context, in *iam.DetachRolePolicyInput, o ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error) {
	m.once("detach")
	return m.Client.DetachRolePolicy(ctx, in, o...)
}

func (m meanwhile) UntagRole(ctx context.Context, in *iam.UntagRoleInput, o ...func(*iam.Options)) (*iam.UntagRoleOutput, error) {
	m.once("untag")
	return m.Client.UntagRole(ctx, in, o...)
}

func TestStacksAtOnce(t *testing.T) {
	t.Run("one comes while the last one leaves", func(t *testing.T) {
		for _, call := range []string{"detach", "untag"} {
			t.Run(call, func(t *testing.T) {
				api, nodes := account(t)
				apply(t, api, planned(t, api, "one", nodes), "one", deploy.StatusDone)
				m := meanwhile{api, map[string]func(){call: func() {
					apply(t, api, planned(t, api, "two", nodes), "two", deploy.StatusDone)
				}}}
				apply(t, m, planned(t, api, "one"), "one", deploy.StatusDone)
				if attached, stacks := have(t, api, "nodes"); !attached || !slices.Equal(stacks, []string{"two"}) {
					t.Errorf("before %s: attached %t, stacks %v", call, attached, stacks)
				}
			})
		}
	})
	t.Run("two leave", func(t *testing.T) {
		api, nodes := account(t)
		apply(t, api, planned(t, api, "one", nodes), "one", deploy.StatusDone)
		apply(t, api, planned(t, api, "two", nodes), "two", deploy.StatusDone)
		// Both saw each other; the other one's tag is gone before ours goes.
		m := meanwhile{api, map[string]func(){"untag": func() {
			if _, err := api.UntagRole(t.Context(), &iam.UntagRoleInput{RoleName: sdk.String("nodes"), TagKeys: []string{clusters.TagKey("two")}}); err != nil {
				t.Fatal(err)
			}
		}}}
		apply(t, m, planned(t, api, "one"), "one", deploy.StatusDone)
		if attached, stacks := have(t, api, "nodes"); attached || len(stacks) > 0 {
			t.Errorf("attached %t, stacks %v", attached, stacks)
		}
	})
}

// A plan that someone wrote in is not applied.
func TestApplyRefuses(t *testing.T) {
	api, nodes := account(t)
	good := planned(t, api, "one", nodes)
	for name, spoil := range map[string]func(*plan.Cluster){
		"another stack's mark":      func(c *plan.Cluster) { c.Roles[0].After.Stacks = []string{"one", "two"} },
		"an operation that is none": func(c *plan.Cluster) { c.Roles[0].Op = "explode" },
		"a detachment of what is not Kontor's": func(c *plan.Cluster) {
			c.Roles[0].Op, c.Roles[0].Before, c.Roles[0].After = plan.RoleDetach, plan.Attachment{Attached: true}, plan.Attachment{}
		},
		"drift":    func(c *plan.Cluster) { c.RefreshOnly = true },
		"an error": func(c *plan.Cluster) { c.Findings = []plan.Finding{{Severity: plan.Error}} },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			c.Roles = slices.Clone(good.Roles)
			spoil(&c)
			if r, err := clusters.Apply(t.Context(), api, c, "one"); err == nil || len(r.Roles) > 0 {
				t.Errorf("%s was carried out: %+v", name, r)
			}
		})
	}
	if attached, stacks := have(t, api, "nodes"); attached || len(stacks) > 0 {
		t.Errorf("attached %t, stacks %v", attached, stacks)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := clusters.Apply(ctx, api, good, "one"); !errors.Is(err, context.Canceled) || r.Count(deploy.StatusSkipped) != 1 {
		t.Errorf("after the end: %+v, %v", r, err)
	}
}
