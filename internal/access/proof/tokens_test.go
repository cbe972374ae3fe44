package proof_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/access/proof"
)

// Both a token's scope and its user must allow; a scope alone gives nothing.
func TestCheckToken(t *testing.T) {
	const (
		all      = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
		pullApp  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:*:*:repository/app"}]}`
		pullElse = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:*:*:repository/else"}]}`
		office   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`
		denyApp  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"No","Effect":"Deny","Action":"*","Resource":"arn:aws:ecr:*:*:repository/app"}]}`
	)
	admin, weak := user(owner, "ann", all), user(owner, "bob")
	for name, c := range map[string]struct {
		world proof.World
		who   string
		token proof.Token
		right string
		want  proof.Outcome
	}{
		"without a scope":                           {world("", "", admin), admin.ARN, proof.Token{Name: "t"}, "push", proof.Allowed},
		"within the scope":                          {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: pullApp}, "pull", proof.Allowed},
		"beyond the scope":                          {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: pullApp}, "ecr:PutImage", proof.Denied},
		"another repository":                        {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: pullElse}, "pull", proof.Denied},
		"a scope that denies":                       {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: denyApp}, "pull", proof.Denied},
		"a scope with a condition":                  {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: office}, "pull", proof.Depends},
		"not accepted":                              {world("", "", admin), admin.ARN, proof.Token{Name: "t", Off: true}, "pull", proof.Denied},
		"expired":                                   {world("", "", admin), admin.ARN, proof.Token{Name: "t", Expired: true}, "pull", proof.Denied},
		"a user who may nothing":                    {world("", "", weak), weak.ARN, proof.Token{Name: "t", Scope: all}, "pull", proof.Denied},
		"what the repository grants to the user":    {world(grant(weak.ARN), "", weak), weak.ARN, proof.Token{Name: "t", Scope: pullApp}, "pull", proof.Allowed},
		"and the scope does not reach":              {world(grant(weak.ARN), "", weak), weak.ARN, proof.Token{Name: "t", Scope: pullElse}, "pull", proof.Denied},
		"the login alone, which a token never asks": {world("", "", admin), admin.ARN, proof.Token{Name: "t", Scope: pullApp}, "ecr:GetAuthorizationToken", proof.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			actions, err := proof.ParseRight(c.right)
			if err != nil {
				t.Fatal(err)
			}
			a, err := prover(t, c.world).CheckToken(c.who, c.token, actions, in, "app")
			if err != nil {
				t.Fatal(err)
			}
			if a.Outcome != c.want {
				t.Errorf("%s: %+v", a.Outcome, a.Actions)
			}
			if a.Outcome == proof.Denied && c.who == admin.ARN && len(a.Changes) > 0 {
				t.Errorf("no policy widens a scope: %+v", a.Changes)
			}
		})
	}
	if _, err := prover(t, world("", "", admin)).CheckToken(admin.ARN, proof.Token{Name: "t", Scope: "{"}, nil, in, "app"); err == nil {
		t.Error("a scope that cannot be read")
	}
}
