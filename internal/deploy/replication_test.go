package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/policy"
)

// loaded is what a file asks for in the registry that it calls name.
func loaded(t *testing.T, text, name string) state.Desired {
	t.Helper()
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Desired(kecr.LocalRegistry())
	for _, target := range d.Targets {
		if target.Name == name {
			return d.For(target)
		}
	}
	t.Fatalf("no registry %s", name)
	return d
}

// A destination of another account lets the images in: a statement of Kontor's comes into
// its registry policy, next to those of other people, and goes when it is not needed.
func TestReplicationBetweenAccounts(t *testing.T) {
	reg := kontortest.Start(t, kontortest.Options{Account: "222222222222", Region: "us-east-1"})
	conn := connect(t, reg)
	file := func(rules string) state.Desired {
		return loaded(t, fmt.Sprintf(`
registries:
  - {name: source, account: "111111111111", region: us-east-1, endpoint: "http://localhost:1"}
  - {name: target, account: "222222222222", region: us-east-1, endpoint: %q}
ecr_repositories: {prod/api: {registries: [source]}, shared: {registries: [source]}}
replication: %s
`, reg.URL, rules), "target")
	}
	text := func() string {
		got, err := conn.API.GetRegistryPolicy(t.Context(), &ecr.GetRegistryPolicyInput{})
		if err != nil {
			return err.Error()
		}
		return aws.ToString(got.PolicyText)
	}
	const other = `{"Version":"2012-10-17","Statement":[{"Sid":"Mine","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::333333333333:root"},"Action":"ecr:ReplicateImage","Resource":"arn:aws:ecr:us-east-1:222222222222:repository/mine/*"}`
	if _, err := conn.API.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: aws.String(other + "]}")}); err != nil {
		t.Fatal(err)
	}

	d := file(`[{to: [target], prefixes: [prod/]}]`)
	p := planSettings(t, conn, d, plan.Options{})
	wantOutcomes(t, outcomes(t, conn, p), "replication  create: done")
	const grant = `,{"Sid":"KontorReplicationFrom111111111111","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:CreateRepository","ecr:ReplicateImage"],"Resource":"arn:aws:ecr:us-east-1:222222222222:repository/prod/*"}`
	if got := text(); !plan.EqualPolicy(got, other+grant+"]}") {
		t.Fatal(got)
	}
	if p := planSettings(t, conn, d, plan.Options{}); p.Work() != 0 {
		t.Errorf("again: %+v", p.Replication)
	}

	// more is replicated
	p = planSettings(t, conn, file(`[{to: [target]}]`), plan.Options{})
	wantOutcomes(t, outcomes(t, conn, p), "replication  update: done")
	if got := text(); !strings.Contains(got, "repository/*") || !strings.Contains(got, "Mine") {
		t.Error(got)
	}

	// a plan that was overtaken is not carried out
	p = planSettings(t, conn, d, plan.Options{})
	wantOutcomes(t, outcomes(t, conn, planSettings(t, conn, file(`[{to: [target], prefixes: [shared]}]`), plan.Options{})), "replication  update: done")
	wantOutcomes(t, outcomes(t, conn, p), "replication  update: moved")

	// nothing is replicated, and nothing is let in
	p = planSettings(t, conn, file(`[]`), plan.Options{})
	wantOutcomes(t, outcomes(t, conn, p), "replication  delete: done")
	if got := text(); !plan.EqualPolicy(got, other+"]}") {
		t.Error(got)
	}

	// what another statement allows needs none of Kontor's
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:*","Resource":"*"}%s]}`
	if _, err := conn.API.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: aws.String(fmt.Sprintf(all, ""))}); err != nil {
		t.Fatal(err)
	}
	if p := planSettings(t, conn, d, plan.Options{}); p.Work() != 0 || len(p.Findings) != 0 {
		t.Errorf("%+v", p)
	}

	// and one that denies is told
	deny := `,{"Sid":"NoProd","Effect":"Deny","Principal":"*","Action":"ecr:ReplicateImage","Resource":"arn:aws:ecr:*:*:repository/prod/*"}`
	if _, err := conn.API.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: aws.String(fmt.Sprintf(all, deny))}); err != nil {
		t.Fatal(err)
	}
	p = planSettings(t, conn, d, plan.Options{})
	if len(p.Findings) != 1 || p.Findings[0].Code != plan.CodeReplicationDenied || !strings.Contains(p.Findings[0].Message, "NoProd") {
		t.Errorf("%+v", p.Findings)
	}
	if _, err := policy.ParseFor([]byte(text()), policy.Registry); err != nil {
		t.Error(err)
	}
}
