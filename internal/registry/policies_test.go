package registry_test

import (
	"context"
	"errors"
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

// Amazon ECR API reference, SetRepositoryPolicy: force is required when the
// policy would prevent the caller from setting another one.
func TestPolicyThatLocksOut(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("team/app", ecr.Mutable)
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ACTION"}]}`
	pulls := strings.Replace(deny, "ACTION", "ecr:BatchGetImage", 1)
	if _, err := f.SetPolicy(ctx, to, pulls, false); err != nil {
		t.Errorf("a policy that locks nobody out: %v", err)
	}
	_, _, err := f.BatchGetImage(ctx, to, []ecr.ImageID{{Tag: "v1"}})
	testkit.WantCode(t, err, ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")

	all := strings.Replace(deny, "ACTION", "ecr:*", 1)
	_, err = f.SetPolicy(ctx, to, all, false)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'The policy would keep you from setting another one")
	if text, err := f.Policy(ctx, to); err != nil || !strings.Contains(text, "ecr:BatchGetImage") {
		t.Errorf("the refused policy was set: %v %s", err, text)
	}
	if _, err = f.SetPolicy(ctx, to, all, true); err != nil {
		t.Fatal(err)
	}
	_, err = f.SetPolicy(ctx, to, pulls, true)
	testkit.WantCode(t, err, ecr.CodeAccessDenied, "ecr:SetRepositoryPolicy", "with an explicit deny in a resource-based policy")
}

// A grant to another account lets in those of its users whom their own
// policies allow the same (IAM user guide, "Cross-account policy evaluation
// logic").
func TestRepositoryPolicyGrants(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("team/app", ecr.Mutable)
	guest := testkit.Alien
	if _, err := f.SetPolicy(ctx, to, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+string(guest.Account)+`"},"Action":"ecr:Describe*"}]}`, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Registry.As(guest).DescribeImages(ctx, to, nil); err != nil {
		t.Errorf("granted, with AdministratorAccess at testkit.Home: %v", err)
	}
	testkit.WantCode(t, f.Registry.As(guest).SetScanOnPush(ctx, to, true), ecr.CodeAccessDenied, "because no resource-based policy allows")
	guest.Policies = nil
	_, err := f.Registry.As(guest).DescribeImages(ctx, to, nil)
	testkit.WantCode(t, err, ecr.CodeAccessDenied, "because no identity-based policy allows the ecr:DescribeImages action")
}

// IAM user guide, "AWS JSON policy elements: Principal": a policy does not apply
// to a user or role that was deleted and made again under its name, and shows
// the first one's id instead of the ARN.
func TestPrincipalsThatComeBack(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("team/app", ecr.Mutable)
	change := func(fn func(ctx context.Context, tx meta.Tx) error) {
		t.Helper()
		if err := f.Meta.Update(ctx, fn); err != nil {
			t.Fatal(err)
		}
	}
	jane := func(id string) func(ctx context.Context, tx meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			return tx.Identities().InsertUser(ctx, meta.User{UniqueID: id, Account: testkit.Home.Account, Name: "jane", Path: "/team/", CreatedAt: f.Now()})
		}
	}
	ci := func(id string) func(ctx context.Context, tx meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			return tx.Identities().InsertRole(ctx, meta.Role{UniqueID: id, Account: testkit.Home.Account, Name: "ci", Path: "/", CreatedAt: f.Now(), Trust: policyOf(), MaxSession: time.Hour})
		}
	}
	change(jane("AIDAFIRSTJANE000000"))
	change(ci("AROAFIRSTCI00000000"))
	const (
		janeARN = "arn:aws:iam::000000000000:user/team/jane"
		ciARN   = "arn:aws:iam::000000000000:role/ci"
	)
	as := func(id string) *registry.Caller {
		return f.Registry.As(access.Principal{Account: testkit.Home.Account, ARN: janeARN, UniqueID: id})
	}
	asCI := func(id string) *registry.Caller {
		return f.Registry.As(access.Principal{
			Account: testkit.Home.Account, ARN: "arn:aws:sts::000000000000:assumed-role/ci/build", UniqueID: id + ":build",
			Session: &access.Session{RoleARN: ciARN, IssuedAt: f.Now()},
		})
	}
	may := func(who string, c *registry.Caller, want bool) {
		t.Helper()
		if _, err := c.DescribeImages(ctx, to, nil); (err == nil) != want || err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied {
			t.Errorf("%s: %v, want allowed %v", who, err, want)
		}
	}

	// In both policies, and beside principals that stay as they are.
	text := policyOf(`"Sid":"A","Principal":{"AWS":["333333333333","` + janeARN + `","` + ciARN + `"]},"Action":"ecr:DescribeImages"`)
	set, err := f.SetPolicy(ctx, to, text, false)
	if err != nil {
		t.Fatal(err)
	}
	deny, err := f.SetRegistryPolicy(ctx, testkit.Home, policyOf(`"Effect":"Deny","NotPrincipal":{"AWS":["000000000000","`+janeARN+`","`+ciARN+`","arn:aws:sts::000000000000:assumed-role/ci/build"]},"Action":"ecr:PutImage",`+allHere))
	if err != nil {
		t.Fatal(err)
	}
	texts := func() (repository, registry string) {
		t.Helper()
		repository, err1 := f.Policy(ctx, to)
		registry, err2 := f.RegistryPolicy(ctx, testkit.Home)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return repository, registry
	}
	repository, registryText := texts()
	if diff := cmp.Diff([]string{set, deny}, []string{repository, registryText}); diff != "" {
		t.Errorf("what is shown is not what was set (-set +shown):\n%s", diff)
	}
	may("jane", as("AIDAFIRSTJANE000000"), true)
	may("ci", asCI("AROAFIRSTCI00000000"), true)

	change(func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().DeleteUser(ctx, "AIDAFIRSTJANE000000"), tx.Identities().DeleteRole(ctx, "AROAFIRSTCI00000000"))
	})
	change(jane("AIDASECONDJANE00000"))
	change(ci("AROASECONDCI0000000"))
	may("another jane", as("AIDASECONDJANE00000"), false)
	may("another ci", asCI("AROASECONDCI0000000"), false)
	gone := strings.NewReplacer(janeARN, "AIDAFIRSTJANE000000", ciARN, "AROAFIRSTCI00000000")
	repository, registryText = texts()
	if diff := cmp.Diff([]string{gone.Replace(set), gone.Replace(deny)}, []string{repository, registryText}); diff != "" {
		t.Errorf("after they are gone (-want +got):\n%s", diff)
	}
	// An id cannot be set; the names are now those of the new ones.
	_, err = f.SetPolicy(ctx, to, repository, false)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "'Invalid repository policy provided'")
	if _, err := f.SetPolicy(ctx, to, text, false); err != nil {
		t.Fatal(err)
	}
	may("another jane, meant", as("AIDASECONDJANE00000"), true)
	may("the first jane's session", as("AIDAFIRSTJANE000000"), false)

	// What was there is told, and recorded, by name.
	if was, err := f.DeletePolicy(ctx, to); err != nil || was != set {
		t.Errorf("DeletePolicy returns %s, %v; want %s", was, err, set)
	}
	if was, err := f.DeleteRegistryPolicy(ctx, testkit.Home); err != nil || was != gone.Replace(deny) {
		t.Errorf("DeleteRegistryPolicy returns %s, %v", was, err)
	}
	// Other partitions have other users.
	_, err = f.SetPolicy(ctx, to, strings.ReplaceAll(text, "arn:aws:", "arn:aws-cn:"), false)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "'Principal not found'")
}

// Principals come back as ECR returns them: an account as the ARN of its root
// user, in the partition of the registry. A Sid may stand twice.
func TestPrincipalsAreReturnedAsRootARNs(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	china := ecr.Repo{In: ecr.RegistryID{Account: testkit.Home.Account, Region: "cn-north-1"}, Name: "app"}
	if _, err := f.CreateRepository(ctx, registry.NewRepository{Repo: china}); err != nil {
		t.Fatal(err)
	}
	sent := policyOf(`"Sid":"A","Principal":{"AWS":["111111111111","arn:aws:iam::222222222222:root","*"]},"Action":"ecr:BatchGetImage"`,
		`"Sid":"A","Effect":"Deny","NotPrincipal":{"AWS":"333333333333","Service":"lambda.amazonaws.com"},"Action":"ecr:PutImage"`)
	for at, want := range map[ecr.Repo][]string{
		to:    {`"AWS" : [ "arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root", "*" ]`, `"AWS" : "arn:aws:iam::333333333333:root"`},
		china: {`"AWS" : [ "arn:aws-cn:iam::111111111111:root", "arn:aws:iam::222222222222:root", "*" ]`, `"AWS" : "arn:aws-cn:iam::333333333333:root"`},
	} {
		set, err := f.SetPolicy(ctx, at, sent, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Policy(ctx, at)
		if err != nil || got != set {
			t.Errorf("%v (-set +got):\n%s", err, cmp.Diff(set, got))
		}
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s: no %s in\n%s", at.In, text, got)
			}
		}
	}
	set, err := f.SetRegistryPolicy(ctx, testkit.Home, policyOf(`"Principal":{"AWS":"111111111111"},"Action":"ecr:ReplicateImage",`+allHere))
	if err != nil || !strings.Contains(set, `"AWS" : "arn:aws:iam::111111111111:root"`) {
		t.Errorf("%v\n%s", err, set)
	}
	// Policies that were stored with ids are shown so, too.
	err = f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		row, err := tx.Repository(ctx, to.In, to.Name)
		if err != nil {
			return err
		}
		row.PolicyText = sent
		return tx.UpdateRepository(ctx, row)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Policy(ctx, to); err != nil || strings.Contains(got, `"111111111111"`) || !strings.Contains(got, `"arn:aws:iam::111111111111:root"`) {
		t.Errorf("%v\n%s", err, got)
	}
}

// What ECR refuses of actions (Amazon ECR user guide, "Private repository
// policies" and "Private registry permissions").
func TestActionsOfPolicies(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	const token, typo, registryOnly, pull = `"ecr:GetAuthorizationToken"`, `"ecr:PutImages"`, `"ecr:PutRegistryPolicy"`, `"ecr:BatchGetImage"`
	repository := func(action string) error {
		_, err := f.SetPolicy(ctx, to, policyOf(`"Principal":{"AWS":"111111111111"},"Action":["ecr:BatchCheckLayerAvailability",`+action+`]`), false)
		return err
	}
	ofRegistry := func(actions string) error {
		_, err := f.SetRegistryPolicy(ctx, testkit.Home, policyOf(`"Principal":{"AWS":"111111111111"},"Action":[`+actions+`],`+allHere))
		return err
	}
	for _, action := range []string{token, typo, registryOnly} {
		testkit.WantCode(t, repository(action), ecr.CodeInvalidParameter, "'Invalid repository policy provided'")
	}
	for _, action := range []string{token, typo} {
		testkit.WantCode(t, ofRegistry(action), ecr.CodeInvalidParameter, "'Invalid registry policy provided'")
	}
	for _, err := range []error{repository(pull), ofRegistry(pull), ofRegistry(registryOnly)} {
		if err != nil {
			t.Error(err)
		}
	}
	// In scope V1, there are three.
	if err := f.SetAccountSetting(ctx, testkit.Home, "REGISTRY_POLICY_SCOPE", "V1"); err != nil {
		t.Fatal(err)
	}
	testkit.WantCode(t, ofRegistry(pull), ecr.CodeInvalidParameter, "'Invalid registry policy provided'")
	if err := ofRegistry(`"ecr:CreateRepository","ecr:ReplicateImage","ecr:BatchImportUpstreamImage"`); err != nil {
		t.Error(err)
	}
}
