package registry_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Amazon ECR API reference, SetRepositoryPolicy: force is required when the
// policy would prevent the caller from setting another one.
func TestPolicyThatLocksOut(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx, to := t.Context(), f.repo("team/app", ecr.Mutable)
	const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ACTION"}]}`
	pulls := strings.Replace(deny, "ACTION", "ecr:BatchGetImage", 1)
	if _, err := f.SetPolicy(ctx, to, pulls, false); err != nil {
		t.Errorf("a policy that locks nobody out: %v", err)
	}
	_, _, err := f.BatchGetImage(ctx, to, []ecr.ImageID{{Tag: "v1"}})
	wantCode(t, err, ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")

	all := strings.Replace(deny, "ACTION", "ecr:*", 1)
	_, err = f.SetPolicy(ctx, to, all, false)
	wantCode(t, err, ecr.CodeInvalidParameter, "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'The policy would keep you from setting another one")
	if text, err := f.Policy(ctx, to); err != nil || !strings.Contains(text, "ecr:BatchGetImage") {
		t.Errorf("the refused policy was set: %v %s", err, text)
	}
	if _, err = f.SetPolicy(ctx, to, all, true); err != nil {
		t.Fatal(err)
	}
	_, err = f.SetPolicy(ctx, to, pulls, true)
	wantCode(t, err, ecr.CodeAccessDenied, "ecr:SetRepositoryPolicy", "with an explicit deny in a resource-based policy")
}

// A grant to another account lets in those of its users whom their own
// policies allow the same (IAM user guide, "Cross-account policy evaluation
// logic").
func TestRepositoryPolicyGrants(t *testing.T) {
	f := open(t, registry.CompatECR)
	ctx, to := t.Context(), f.repo("team/app", ecr.Mutable)
	guest := alien
	if _, err := f.SetPolicy(ctx, to, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+string(guest.Account)+`"},"Action":"ecr:Describe*"}]}`, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.reg.As(guest).DescribeImages(ctx, to, nil); err != nil {
		t.Errorf("granted, with AdministratorAccess at home: %v", err)
	}
	wantCode(t, f.reg.As(guest).SetScanOnPush(ctx, to, true), ecr.CodeAccessDenied, "because no resource-based policy allows")
	guest.Policies = nil
	_, err := f.reg.As(guest).DescribeImages(ctx, to, nil)
	wantCode(t, err, ecr.CodeAccessDenied, "because no identity-based policy allows the ecr:DescribeImages action")
}
