package registry_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// policyOf is a policy of these statements, each without braces; an Effect is
// added to those without.
func policyOf(statements ...string) string {
	for i, s := range statements {
		if !strings.Contains(s, `"Effect"`) {
			s = `"Effect":"Allow",` + s
		}
		statements[i] = "{" + s + "}"
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func setRegistryPolicy(f *testkit.World, text string) {
	f.T.Helper()
	if _, err := f.SetRegistryPolicy(f.T.Context(), testkit.Home, text); err != nil {
		f.T.Fatal(err)
	}
}

// user is one of the account's with these identity policies.
func user(account ecr.AccountID, policies ...string) access.Principal {
	p := access.Principal{Account: account, ARN: "arn:aws:iam::" + string(account) + ":user/someone", UniqueID: "AIDASOMEONE"}
	for i, text := range policies {
		p.Documents = append(p.Documents, access.Document{Name: fmt.Sprint("inline ", i), Text: text})
	}
	return p
}

const allHere = `"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/*"`

// Amazon ECR user guide, "Private registry permissions": a registry policy is
// enforced on every request (scope V2), grants as repository policies do, and
// a Deny in it wins.
func TestRegistryPolicyIsEnforced(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, app := t.Context(), f.Repo("team/app", ecr.Mutable)
	f.Repo("other/app", ecr.Mutable)
	get := func(p access.Principal, to ecr.Repo) error {
		_, err := f.Registry.As(p).DescribeImages(ctx, to, nil)
		return err
	}
	everyone := policyOf(`"Principal":"*","Action":"ecr:*"`)
	if _, err := f.SetPolicy(ctx, app, everyone, false); err != nil {
		t.Fatal(err)
	}

	// A Deny beats the grants of both sides, and the administrator.
	setRegistryPolicy(f, policyOf(`"Sid":"closed","Effect":"Deny","Principal":"*","Action":"ecr:DescribeImages","Resource":"arn:aws:ecr:us-east-1:000000000000:repository/team/*"`))
	testkit.WantCode(t, get(testkit.Admin, app), ecr.CodeAccessDenied, "not authorized to perform: ecr:DescribeImages on resource: arn:aws:ecr:us-east-1:000000000000:repository/team/app with an explicit deny in a resource-based policy")
	testkit.WantCode(t, get(testkit.Alien, app), ecr.CodeAccessDenied)
	if err := get(testkit.Admin, testkit.At("other/app")); err != nil {
		t.Errorf("a repository that it does not name: %v", err)
	}
	if _, err := f.DeleteRegistryPolicy(ctx, testkit.Home); err != nil {
		t.Fatal(err)
	}
	if err := get(testkit.Alien, app); err != nil {
		t.Errorf("after it was removed: %v", err)
	}

	// It grants across accounts what the other account's policies allow, too.
	setRegistryPolicy(f, policyOf(`"Principal":{"AWS":"999999999999"},"Action":["ecr:DescribeImages","ecr:CreateRepository"],`+
		`"Resource":"arn:aws:ecr:us-east-1:000000000000:repository/other/*"`))
	if err := get(testkit.Alien, testkit.At("other/app")); err != nil {
		t.Errorf("granted across accounts: %v", err)
	}
	testkit.WantCode(t, get(user(testkit.Alien.Account), testkit.At("other/app")), ecr.CodeAccessDenied, "because no identity-based policy allows the ecr:DescribeImages action")
	testkit.WantCode(t, get(user("888888888888", policyOf(`"Action":"ecr:*","Resource":"*"`)), testkit.At("other/app")), ecr.CodeAccessDenied,
		"because no resource-based policy allows the ecr:DescribeImages action")
	create := func(p access.Principal, name string) error {
		_, err := f.Registry.As(p).CreateRepository(ctx, registry.NewRepository{Repo: testkit.At(name)})
		return err
	}
	if err := create(testkit.Alien, "other/new"); err != nil {
		t.Errorf("CreateRepository, which only a registry policy can grant: %v", err)
	}
	testkit.WantCode(t, create(testkit.Alien, "mine"), ecr.CodeAccessDenied)

	// In scope V1 it governs three actions.
	setRegistryPolicy(f, policyOf(`"Effect":"Deny","Principal":{"AWS":"999999999999"},"Action":["ecr:DescribeImages","ecr:CreateRepository"],"Resource":"*"`,
		`"Principal":{"AWS":"999999999999"},"Action":"ecr:CreateRepository",`+allHere))
	if err := f.SetAccountSetting(ctx, testkit.Home, "REGISTRY_POLICY_SCOPE", "V1"); err != nil {
		t.Fatal(err)
	}
	if err := get(testkit.Alien, app); err != nil {
		t.Errorf("a Deny beyond scope V1: %v", err)
	}
	testkit.WantCode(t, create(testkit.Alien, "mine"), ecr.CodeAccessDenied, "with an explicit deny in a resource-based policy")
}

// What ECR refuses, and what would lock out everybody.
func TestPoliciesThatAreRefused(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, app := t.Context(), f.Repo("app", ecr.Mutable)
	err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		if err := tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDAJANE", Account: testkit.Home.Account, Name: "jane", Path: "/team/", CreatedAt: f.Now()}); err != nil {
			return err
		}
		return tx.Identities().InsertRole(ctx, meta.Role{UniqueID: "AROACI", Account: testkit.Home.Account, Name: "ci", Path: "/", CreatedAt: f.Now(), Trust: policyOf(), MaxSession: time.Hour})
	})
	if err != nil {
		t.Fatal(err)
	}
	const (
		invalid  = "Invalid parameter at 'PolicyText' failed to satisfy constraint: "
		notFound = invalid + "'Principal not found'"
	)
	tests := []struct{ name, statement, want string }{
		// ECR.md 6.5: "Nonexistent principal since 2024: 'Principal not found'"
		{"a user", `"Principal":{"AWS":"arn:aws:iam::000000000000:user/team/jane"}`, ""},
		{"a role", `"Principal":{"AWS":["arn:aws:iam::000000000000:role/ci","333333333333"]}`, ""},
		{"a session of a role", `"Principal":{"AWS":"arn:aws:sts::000000000000:assumed-role/ci/build-7"}`, ""},
		{"an account", `"Principal":{"AWS":"arn:aws:iam::000000000000:root"}`, ""},
		{"everyone", `"Principal":{"AWS":"*"}`, ""},
		{"a service", `"Principal":{"Service":"codebuild.amazonaws.com"}`, ""},
		{"a user of an account that is not hosted here", `"Principal":{"AWS":"arn:aws:iam::333333333333:user/whoever"}`, ""},
		{"no such user", `"Principal":{"AWS":"arn:aws:iam::000000000000:user/team/john"}`, notFound},
		{"a user under another path", `"Principal":{"AWS":"arn:aws:iam::000000000000:user/jane"}`, notFound},
		{"a user in other letter case", `"Principal":{"AWS":"arn:aws:iam::000000000000:user/team/Jane"}`, notFound},
		{"no such role", `"Principal":{"AWS":["333333333333","arn:aws:iam::000000000000:role/cd"]}`, notFound},
		{"a session of no role", `"Principal":{"AWS":"arn:aws:sts::000000000000:assumed-role/cd/build-7"}`, notFound},
		{"who is not meant does not exist", `"Effect":"Deny","NotPrincipal":{"AWS":["000000000000","arn:aws:iam::000000000000:user/team/john"]}`, notFound},

		{"a Deny on a key that is never there", `"Effect":"Deny","Principal":"*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`,
			"'aws:SourceVpce'"},
		{"a Deny on a variable that is never there", `"Effect":"Deny","Principal":"*","Condition":{"StringNotEquals":{"aws:username":"${aws:SourceVpc}"}}`,
			"'aws:SourceVpc'"},
		{"an Allow on a key that is never there", `"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`, ""},
		{"a Deny on keys that are", `"Effect":"Deny","Principal":"*","Condition":{"NotIpAddress":{"AWS:sourceip":"0.0.0.0/0"},` +
			`"StringEquals":{"ecr:ResourceTag/x":"y","aws:PrincipalTag/z":"${aws:username}"},"Null":{"aws:SourceArn":"false"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(kind string, err error) {
				t.Helper()
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("%s policy: %v", kind, err)
				case tt.want != "":
					testkit.WantCode(t, err, ecr.CodeInvalidParameter, invalid, tt.want)
				}
			}
			_, err := f.SetPolicy(ctx, app, policyOf(tt.statement+`,"Action":"ecr:PutImage"`), true)
			check("repository", err)
			_, err = f.SetRegistryPolicy(ctx, testkit.Home, policyOf(tt.statement+`,"Action":"ecr:PutImage",`+allHere))
			check("registry", err)
		})
	}
	if _, err := f.DeleteRegistryPolicy(ctx, testkit.Home); err != nil {
		t.Fatal(err)
	}
	_, err = f.SetRegistryPolicy(ctx, testkit.Home, policyOf(`"Effect":"Deny","Principal":"*","Action":"ecr:Put*","Resource":"*"`))
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, invalid, "The policy would keep you from setting another one")
	_, err = f.RegistryPolicy(ctx, testkit.Home)
	testkit.WantCode(t, err, ecr.CodeRegistryPolicyNotFound)
	// Whether a principal exists is told only to those who may set policies.
	_, err = f.Registry.As(user(testkit.Home.Account)).SetPolicy(ctx, app, policyOf(`"Principal":{"AWS":"arn:aws:iam::000000000000:user/team/john"},"Action":"ecr:*"`), false)
	testkit.WantCode(t, err, ecr.CodeAccessDenied)
}

// Conditions on tags of repositories and requests, and on account settings
// (Service authorization reference, "Actions, resources, and condition keys
// for Amazon Elastic Container Registry").
func TestConditionsOfOperations(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	red, blue := f.Repo("red", ecr.Mutable), f.Repo("blue", ecr.Mutable)
	for repo, color := range map[ecr.Repo]string{red: "red", blue: "blue"} {
		if err := f.TagResource(ctx, repo, map[string]string{"Color": color}); err != nil {
			t.Fatal(err)
		}
	}
	p := user(testkit.Home.Account,
		policyOf(`"Action":"ecr:PutImageScanningConfiguration","Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/Color":"red"}}`,
			`"Action":"ecr:PutImageTagMutability","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/color":"${aws:PrincipalTag/team}"}}`,
			`"Action":["ecr:CreateRepository","ecr:TagResource"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/Color":"red"},"ForAllValues:StringEquals":{"aws:TagKeys":["Color","Stage"]}}`,
			`"Action":"ecr:UntagResource","Resource":"*","Condition":{"ForAllValues:StringNotEquals":{"aws:TagKeys":"Color"}}`,
			`"Action":"ecr:PutAccountSetting","Resource":"*","Condition":{"StringEquals":{"ecr:AccountSetting":"BLOB_MOUNTING"}}`))
	p.Tags = map[string]string{"Team": "blue"}
	c := f.Registry.As(p)
	create := func(name string, tags map[string]string) error {
		_, err := c.CreateRepository(ctx, registry.NewRepository{Repo: testkit.At(name), Tags: tags})
		return err
	}
	tests := []struct {
		name    string
		err     error
		allowed bool
	}{
		{"a repository with the tag", c.SetScanOnPush(ctx, red, true), true},
		{"with another", c.SetScanOnPush(ctx, blue, true), false},
		{"with the caller's tag", c.SetTagMutability(ctx, blue, ecr.Mutability{Mode: ecr.Mutable}), true},
		{"with another than the caller's", c.SetTagMutability(ctx, red, ecr.Mutability{Mode: ecr.Mutable}), false},
		{"a new one with the tag", create("new", map[string]string{"Color": "red", "Stage": "x"}), true},
		{"a new one without", create("newer", nil), false},
		{"a new one with a tag too many", create("newer", map[string]string{"Color": "red", "Owner": "me"}), false},
		{"to tag", c.TagResource(ctx, blue, map[string]string{"Color": "red"}), true},
		{"to tag otherwise", c.TagResource(ctx, blue, map[string]string{"Color": "green"}), false},
		{"to take a tag", c.UntagResource(ctx, blue, []string{"Stage"}), true},
		{"to take the tag", c.UntagResource(ctx, blue, []string{"Stage", "Color"}), false},
		{"a setting", c.SetAccountSetting(ctx, testkit.Home, "BLOB_MOUNTING", "ENABLED"), true},
		{"another setting", c.SetAccountSetting(ctx, testkit.Home, "BASIC_SCAN_TYPE_VERSION", "CLAIR"), false},
	}
	for _, tt := range tests {
		if tt.allowed && tt.err != nil {
			t.Errorf("%s: %v", tt.name, tt.err)
		} else if !tt.allowed {
			testkit.WantCode(t, tt.err, ecr.CodeAccessDenied)
		}
	}
}

// A list leaves out what the caller is denied, on every page, and needs the
// action on all repositories, as on ECR.
func TestListsShowWhatTheCallerMaySee(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	var want []ecr.RepositoryName
	for i := range 12 {
		to := f.Repo(fmt.Sprintf("app%02d", i), ecr.Mutable)
		switch i % 3 {
		case 0:
			want = append(want, to.Name)
		case 1:
			if err := f.TagResource(ctx, to, map[string]string{"secret": "yes"}); err != nil {
				t.Fatal(err)
			}
		case 2:
			if _, err := f.SetPolicy(ctx, to, policyOf(`"Effect":"Deny","Principal":"*","Action":"ecr:Describe*","Condition":{"StringEquals":{"aws:username":"someone"}}`), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := user(testkit.Home.Account, policyOf(`"Action":"ecr:DescribeRepositories","Resource":"*"`,
		`"Effect":"Deny","Action":"ecr:*","Resource":"*","Condition":{"StringEquals":{"ecr:ResourceTag/secret":"yes"}}`))
	for _, limit := range []int{1, 2, 3, 100} {
		var got []ecr.RepositoryName
		for after, more := ecr.RepositoryName(""), true; more; {
			var list []registry.Repository
			var err error
			if list, more, err = f.Registry.As(p).ListRepositories(ctx, testkit.Home, after, limit); err != nil {
				t.Fatal(err)
			}
			if len(list) > limit || more && len(list) < limit {
				t.Errorf("a page of %d of %d, more %v", len(list), limit, more)
			}
			for _, r := range list {
				got = append(got, r.Name)
				after = r.Name
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, d)
		}
	}
	some := user(testkit.Home.Account, policyOf(`"Action":"ecr:DescribeRepositories","Resource":"arn:aws:ecr:*:*:repository/app*"`))
	_, _, err := f.Registry.As(some).ListRepositories(ctx, testkit.Home, "", 10)
	testkit.WantCode(t, err, ecr.CodeAccessDenied, "on resource: arn:aws:ecr:us-east-1:000000000000:repository/* because no identity-based policy allows")
}

// Whatever policies there are, on both sides: who is denied in another account
// is told the same of a repository that is there and of one that is not.
func TestOtherAccountsCannotTellWhatExists(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx := t.Context()
	there, missing := f.Repo("there", ecr.Mutable), testkit.At("gone1") // of the same length
	if err := f.TagResource(ctx, there, map[string]string{"color": "red"}); err != nil {
		t.Fatal(err)
	}
	sentence := func(t *rapid.T, of string, head ...string) string {
		return rapid.SampledFrom(head).Draw(t, of+" head") + rapid.SampledFrom([]string{
			`,"Action":"ecr:*"`, `,"Action":"ecr:DescribeImages"`, `,"Action":"ecr:PutImage"`, `,"NotAction":"ecr:PutImage"`,
		}).Draw(t, of+" action") + rapid.SampledFrom([]string{
			``, `,"Condition":{"StringEquals":{"ecr:ResourceTag/color":"red"}}`, `,"Condition":{"Null":{"aws:ResourceTag/color":"true"}}`,
			`,"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, `,"Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}`,
		}).Draw(t, of+" condition")
	}
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		const deny = `"Effect":"Deny",`
		if err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			row, err := tx.Repository(ctx, testkit.Home, there.Name)
			if err != nil {
				return err
			}
			row.PolicyText = policyOf(sentence(t, "repository", `"Principal":"*"`, deny+`"Principal":"*"`, `"Principal":{"AWS":"999999999999"}`, `"Principal":{"AWS":"333333333333"}`))
			return tx.UpdateRepository(ctx, row)
		}); err != nil {
			t.Fatal(err)
		}
		p := user(testkit.Alien.Account, policyOf(sentence(t, "identity", `"Resource":"*"`, deny+`"Resource":"*"`)), policyOf(`"Action":"ecr:PutImage","Resource":"*"`))
		p.Request = access.RequestInfo{At: f.Now(), Source: netip.MustParseAddr("192.0.2.1")}
		c := f.Registry.As(p)
		_, errThere := c.DescribeImages(ctx, there, nil)
		_, errMissing := c.DescribeImages(ctx, missing, nil)
		seen[string(ecr.CodeOf(errThere))] = true
		if errThere == nil {
			return // it may know
		}
		if got, want := strings.ReplaceAll(fmt.Sprint(errMissing), "gone1", "there"), fmt.Sprint(errThere); got != want {
			t.Fatalf("tells what exists:\n%s\n%s", got, want)
		}
	})
	if race.Enabled {
		return // so few policies need not have all outcomes
	}
	if !seen[""] || !seen[string(ecr.CodeAccessDenied)] {
		t.Errorf("outcomes: %v", seen)
	}
}
