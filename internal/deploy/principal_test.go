package deploy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/kontortest"
)

// A policy may name a role that IAM has and ECR does not know yet.
func TestPrincipalsThatAreNotKnownYet(t *testing.T) {
	t.Parallel() // it waits
	reg := kontortest.Start(t)
	users := iam.New(iam.Options{
		Region: reg.Region, BaseEndpoint: &reg.URL,
		Credentials: credentials.NewStaticCredentialsProvider(reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, ""),
	})
	role := func(name string) string { return "arn:aws:iam::" + reg.Account + ":role/" + name }
	grant := func(names ...string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + strings.Join(names, `","`) + `"]},"Action":"ecr:BatchGetImage"}]}`
	}
	make := func(name string) {
		const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
		if _, err := users.CreateRole(context.Background(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trust)}); err != nil {
			t.Error(err)
		}
	}
	make("old")
	tried := 0
	c := &counted{each: func(op string) {
		if op == "SetRepositoryPolicy" {
			if tried++; tried == 3 {
				make("fresh")
			}
		}
	}}
	c.take()
	conn := connectAs(t, reg, reg.Admin, c)
	deployAll(t, conn, wanted(repo("waits", grant(role("old"), role("fresh")), "")))
	if tried != 3 {
		t.Errorf("%d tries", tried)
	}

	// Whoever never comes is named, without those that were there before; and many
	// repositories wait no longer than one.
	c.each = nil
	d := wanted(repo("waits", grant(role("old"), role("fresh"), role("never")), ""))
	for i := range 5 {
		d.Repositories = append(d.Repositories, repo(fmt.Sprintf("also-%d", i), grant(role("nobody")), ""))
	}
	p := diff(t, conn, d)
	c.take()
	r, err := deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{Settle: 500 * time.Millisecond, Parallel: 1})
	if err != nil || r.Count(deploy.StatusFailed) != 6 || r.Lasting() != 6 {
		t.Fatalf("%v, %+v", err, r.Repositories)
	}
	for _, x := range r.Repositories {
		who := role("nobody")
		if x.Repository == "waits" {
			who = role("never")
		}
		if !strings.Contains(x.Error, "setting its policy: each of these principals must exist, and one does not: "+who+": InvalidParameterException") {
			t.Errorf("%s: %s", x.Repository, x.Error)
		}
	}
	if n := c.take()["SetRepositoryPolicy"]; n > 6+3 { // three tries are made in that time
		t.Errorf("%d tries for six repositories", n)
	}

	t.Run("whoever stops apply need not wait", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c.each = func(op string) {
			if op == "SetRepositoryPolicy" {
				cancel()
			}
		}
		r, err := deploy.Apply(ctx, conn.API, diff(t, conn, wanted(repo("stopped", grant(role("nobody")), ""))), deploy.ApplyConfig{Settle: time.Hour})
		if err == nil || r.Repositories[0].Status != deploy.StatusFailed {
			t.Errorf("%v, %+v", err, r.Repositories)
		}
	})
}

// A quota that is used up is said at once: the SDK takes ECR's code for throttling.
func TestQuotasAreNotTriedAgain(t *testing.T) {
	reg := kontortest.Start(t)
	c := &counted{refuse: map[string]string{"CreateRepository": `{"__type":"LimitExceededException","message":"too many"}`}}
	c.take()
	conn := connectAs(t, reg, reg.Admin, c)
	p := plan.Diff(wanted(repo("api", "", "")), state.Observed{Target: conn.Target})
	r := apply(t, conn, p)
	if n := c.take()["CreateRepository"]; n != 1 || !strings.Contains(r.Repositories[0].Error, "a quota of the account is used up") {
		t.Errorf("%d tries, %+v", n, r.Repositories)
	}
}

// Other parameters that ECR does not take are not tried again.
func TestOtherParametersAreNotTriedAgain(t *testing.T) {
	c := &counted{}
	c.take()
	reg := kontortest.Start(t)
	conn := connectAs(t, reg, reg.Admin, c)
	p := plan.Diff(wanted(repo("api", `{"Version":"2012-10-17","Statement":[]}`, "")), state.Observed{Target: conn.Target})
	r := apply(t, conn, p)
	if n := c.take()["SetRepositoryPolicy"]; n != 1 || r.Lasting() != 1 {
		t.Errorf("%d tries, %+v", n, r.Repositories)
	}
}
