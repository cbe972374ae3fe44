package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/policy"
)

const (
	home      = "111111111111"
	away      = "222222222222"
	repo      = "arn:aws:ecr:us-east-1:111111111111:repository/team/app"
	alice     = "arn:aws:iam::111111111111:user/team/alice"
	bob       = "arn:aws:iam::222222222222:user/bob"
	ciRole    = "arn:aws:iam::111111111111:role/ci"
	ciSession = "arn:aws:sts::111111111111:assumed-role/ci/build-7"
	awayRole  = "arn:aws:iam::222222222222:role/node"
	awayNode  = "arn:aws:sts::222222222222:assumed-role/node/i-1"
	rootHome  = "arn:aws:iam::111111111111:root"
	rootAway  = "arn:aws:iam::222222222222:root"
)

// compiled reads the statements of a policy, each a JSON object without its
// braces; an Effect of Allow, the Action ecr:* and the Resource * may be left
// out.
func compiled(t testing.TB, statements ...string) *policy.Compiled {
	t.Helper()
	d, err := policy.Parse([]byte(policyText(statements...)))
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return policy.Compile(d)
}

func policyText(statements ...string) string {
	for i, s := range statements {
		for name, value := range map[string]string{"Effect": "Allow", "Action": "ecr:*", "Resource": "*"} {
			if !strings.Contains(s, `"`+name+`"`) && !strings.Contains(s, `"Not`+name+`"`) {
				s += `,"` + name + `":"` + value + `"`
			}
		}
		statements[i] = "{" + strings.TrimPrefix(s, ",") + "}"
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func named(name string, p *policy.Compiled) []policy.Named {
	return []policy.Named{{Name: name, Policy: p}}
}

func caller(t testing.TB, arn string) policy.Caller {
	t.Helper()
	c, err := policy.ParseCaller(arn)
	if err != nil {
		t.Fatal(err)
	}
	switch c.Type {
	case policy.User:
		c.UniqueID = "AIDAEXAMPLEUSER1"
	case policy.RoleSession:
		c.UniqueID = "AROAEXAMPLEROLE1"
	}
	return c
}

// verdict is the decision in one line.
func verdict(d policy.Decision) string {
	switch {
	case d.Outcome == policy.Allowed:
		return "allowed"
	case d.Outcome == policy.Depends:
		return "depends on " + strings.Join(d.DependsOn, ", ")
	case d.Deny != policy.Ref{}:
		return "denied by " + d.Deny.String()
	}
	return fmt.Sprintf("denied, lacking %v", d.Lacking)
}

// Who must allow: IAM user guide, "Policy evaluation logic", with the table
// "Resource-based policies and implicit denies in other policy types (same
// account)"; "Cross-account policy evaluation logic"; "Permissions boundaries
// for IAM entities"; Amazon ECR user guide, "Private repository policies".
func TestWhoMustAllow(t *testing.T) {
	const (
		all        = `"Sid":"All"`     // allows ecr:*
		elsewhere  = `"Action":"s3:*"` // allows nothing here
		forbidding = `"Effect":"Deny"` // denies all
		everyone   = `"Principal":"*"` // in the repository's policy
		unmatched  = `"Principal":"*",` + elsewhere
	)
	to := func(arn string) string { return `"Principal":{"AWS":"` + arn + `"}` }
	for _, c := range []struct {
		name                                   string
		who                                    string
		identity, boundary, session, scp, repo string // one statement each; "" is no policy
		want                                   string
	}{
		// "By default, all requests are implicitly denied with the exception of the AWS account root user, which has full access."
		{name: "nothing at all", who: alice, want: "denied, lacking [identity-based policy]"},
		{name: "root user", who: rootHome, want: "allowed"},
		{name: "root user, and a policy for others", who: rootHome, repo: unmatched, want: "allowed"},
		{name: "root user, denied", who: rootHome, repo: forbidding + "," + everyone, want: "denied by repository policy, statement 1"},
		{name: "root user, beyond the organization", who: rootHome, scp: elsewhere, want: "denied, lacking [service control policy]"},
		{name: "root user of another account", who: rootAway, want: "denied, lacking [resource-based policy]"},
		{name: "root user of another account, granted", who: rootAway, repo: to(away), want: "allowed"},

		// "If an action is allowed by an identity-based policy, a resource-based policy, or both, then AWS allows the action."
		{name: "identity only", who: alice, identity: all, want: "allowed"},
		{name: "resource only", who: alice, repo: to(alice), want: "allowed"},
		{name: "both", who: alice, identity: all, repo: to(alice), want: "allowed"},
		{name: "one allows, the other is about something else", who: alice, identity: all, repo: unmatched, want: "allowed"},
		// "An explicit deny in either of these policies overrides the allow."
		{name: "identity denies", who: alice, identity: forbidding, repo: to(alice), want: "denied by identity, statement 1"},
		{name: "resource denies", who: alice, identity: all, repo: forbidding + "," + to(alice), want: "denied by repository policy, statement 1"},
		{name: "boundary denies", who: alice, identity: all, boundary: forbidding, repo: to(alice), want: "denied by boundary, statement 1"},
		{name: "session denies", who: ciSession, identity: all, session: forbidding, repo: to(ciSession), want: "denied by session, statement 1"},
		{name: "organization denies", who: alice, identity: all, scp: forbidding, want: "denied by scp, statement 1"},

		// "When you specify an AWS account ... This delegates authority to the account."
		{name: "own account granted, nothing in it", who: alice, repo: to(home), want: "denied, lacking [identity-based policy]"},
		{name: "own account's root ARN granted, nothing in it", who: ciSession, repo: to(rootHome), want: "denied, lacking [identity-based policy]"},
		// "For IAM users and role principals within your account, no other permissions are required." (Principal: all principals)
		{name: "everyone granted", who: alice, repo: everyone, want: "allowed"},
		{name: "everyone granted, boundary and session elsewhere", who: ciSession, boundary: elsewhere, session: elsewhere, repo: everyone, want: "allowed"},

		// "IAM user ... not limited by an implicit deny in an identity-based policy or permissions boundary"
		{name: "user granted, boundary elsewhere", who: alice, boundary: elsewhere, repo: to(alice), want: "allowed"},
		{name: "identity allows, boundary elsewhere", who: alice, identity: all, boundary: elsewhere, want: "denied, lacking [permissions boundary]"},
		{name: "identity and boundary allow", who: alice, identity: all, boundary: all, want: "allowed"},
		{name: "boundary alone grants nothing", who: alice, boundary: all, want: "denied, lacking [identity-based policy]"},
		// "IAM role - ... limited by an implicit deny in a permissions boundary or session policy"
		{name: "role granted", who: ciSession, repo: to(ciRole), want: "allowed"},
		{name: "role granted, boundary elsewhere", who: ciSession, boundary: elsewhere, repo: to(ciRole), want: "denied, lacking [permissions boundary]"},
		{name: "role granted, session elsewhere", who: ciSession, session: elsewhere, repo: to(ciRole), want: "denied, lacking [session policy]"},
		{name: "role granted, boundary and session allow", who: ciSession, boundary: all, session: all, repo: to(ciRole), want: "allowed"},
		{name: "role by its unique id", who: ciSession, session: elsewhere, repo: to("AROAEXAMPLEROLE1"), want: "denied, lacking [session policy]"},
		// "IAM role session - ... not limited by an implicit deny in an identity-based policy, a permissions boundary, or session policy"
		{name: "session granted, all elsewhere", who: ciSession, identity: elsewhere, boundary: elsewhere, session: elsewhere, repo: to(ciSession), want: "allowed"},
		{name: "identity allows, session elsewhere", who: ciSession, identity: all, session: elsewhere, want: "denied, lacking [session policy]"},
		{name: "session alone grants nothing", who: ciSession, session: all, want: "denied, lacking [identity-based policy]"},
		// "If there is an SCP, ... identity-based and resource-based policies grant permissions ... only if those policies and the SCP allow"
		{name: "granted, organization elsewhere", who: alice, scp: elsewhere, repo: to(alice), want: "denied, lacking [service control policy]"},
		{name: "organization allows", who: alice, identity: all, scp: all, want: "allowed"},
		{name: "organization alone grants nothing", who: alice, scp: all, want: "denied, lacking [identity-based policy]"},

		// "The request is allowed only if both evaluations return a decision of Allow."
		{name: "foreign: nothing", who: bob, want: "denied, lacking [resource-based policy identity-based policy]"},
		{name: "foreign: identity only", who: bob, identity: all, want: "denied, lacking [resource-based policy]"},
		{name: "foreign: resource only", who: bob, repo: to(away), want: "denied, lacking [identity-based policy]"},
		{name: "foreign: resource names the user", who: bob, repo: to(bob), want: "denied, lacking [identity-based policy]"},
		{name: "foreign: both, account", who: bob, identity: all, repo: to(rootAway), want: "allowed"},
		{name: "foreign: both, user", who: bob, identity: all, repo: to(bob), want: "allowed"},
		{name: "foreign: both, everyone", who: bob, identity: all, repo: everyone, want: "allowed"},
		{name: "foreign: both, role", who: awayNode, identity: all, repo: to(awayRole), want: "allowed"},
		{name: "foreign: another account", who: bob, identity: all, repo: to("333333333333"), want: "denied, lacking [resource-based policy]"},
		{name: "foreign: boundary elsewhere", who: bob, identity: all, boundary: elsewhere, repo: to(bob), want: "denied, lacking [permissions boundary]"},
		{name: "foreign: session granted, session policy elsewhere", who: awayNode, identity: all, session: elsewhere, repo: to(awayNode), want: "denied, lacking [session policy]"},
		{name: "foreign: denied at home", who: bob, identity: forbidding, repo: to(bob), want: "denied by identity, statement 1"},

		// Principal, "AWS service principals": there is no identity-based policy
		{name: "service", who: "codebuild.amazonaws.com", repo: `"Principal":{"Service":"codebuild.amazonaws.com"}`, want: "allowed"},
		{name: "another service", who: "lambda.amazonaws.com", repo: `"Principal":{"Service":"codebuild.amazonaws.com"}`, want: "denied, lacking [resource-based policy]"},
		{name: "service, and an account", who: "lambda.amazonaws.com", repo: to(home), want: "denied, lacking [resource-based policy]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := policy.Request{Principal: caller(t, c.who), Action: "ecr:PutImage", Resource: repo, Owner: home}
			if c.identity != "" {
				r.Identity = named("identity", compiled(t, c.identity))
			}
			if c.boundary != "" {
				r.Boundary = named("boundary", compiled(t, c.boundary))[0]
			}
			if c.session != "" {
				r.Session = named("session", compiled(t, c.session))
			}
			if c.scp != "" {
				r.ServiceControl = [][]policy.Named{named("scp", compiled(t, c.scp))}
			}
			if c.repo != "" {
				r.ResourceBased = named("repository policy", compiled(t, c.repo))
			}
			if got := verdict(policy.Evaluate(r)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// "Each level must allow": AWS Organizations user guide, "SCP evaluation".
func TestServiceControlLevels(t *testing.T) {
	yes, no := named("yes", compiled(t, ``)), named("no", compiled(t, `"Action":"s3:*"`))
	for want, levels := range map[string][][]policy.Named{
		"allowed": {yes, append(no, yes...)},
		"denied, lacking [service control policy]": {yes, no},
	} {
		t.Run(want, func(t *testing.T) {
			got := policy.Evaluate(policy.Request{Principal: caller(t, alice), Action: "ecr:PutImage", Resource: repo,
				Identity: named("p", compiled(t, ``)), ServiceControl: levels})
			if verdict(got) != want {
				t.Errorf("%s, want %s", verdict(got), want)
			}
		})
	}
}

// "Private repository policies": to get a token, users need an identity-based
// policy. "Private registry permissions" V2: a Deny concerns every request.
func TestAuthorizationToken(t *testing.T) {
	r := policy.Request{Principal: caller(t, bob), Action: "ecr:GetAuthorizationToken", Resource: "*", Owner: home,
		ResourceBased: named("registry policy", compiled(t, `"Principal":"*"`))}
	if got := verdict(policy.Evaluate(r)); got != "denied, lacking [identity-based policy]" {
		t.Error(got)
	}
	r.Identity = named("p", compiled(t, ``))
	if got := verdict(policy.Evaluate(r)); got != "allowed" {
		t.Error(got)
	}
	r.ResourceBased = named("registry policy", compiled(t, `"Effect":"Deny","Principal":"*"`))
	if got := verdict(policy.Evaluate(r)); got != "denied by registry policy, statement 1" {
		t.Error(got)
	}
}

// "Private registry permissions" V2: Allow grants like a repository policy,
// Deny concerns the repositories that Resource names.
func TestRegistryPolicy(t *testing.T) {
	registry := compiled(t, `"Principal":{"AWS":"222222222222"},"Action":"ecr:Batch*","Resource":"arn:aws:ecr:us-east-1:111111111111:repository/team/*"`,
		`"Effect":"Deny","Principal":"*","Resource":"arn:aws:ecr:*:*:repository/locked/*"`)
	repository := compiled(t, `"Principal":"*"`)
	for _, c := range []struct{ action, repository, want string }{
		{"ecr:BatchGetImage", "team/app", "allowed"},
		{"ecr:PutImage", "team/app", "denied, lacking [resource-based policy]"},
		{"ecr:BatchGetImage", "other", "denied, lacking [resource-based policy]"},
		{"ecr:BatchGetImage", "locked/a", "denied by registry policy, statement 2"},
	} {
		t.Run(c.action+" "+c.repository, func(t *testing.T) {
			r := policy.Request{Principal: caller(t, bob), Action: c.action, Owner: home,
				Resource: "arn:aws:ecr:us-east-1:111111111111:repository/" + c.repository,
				Identity: named("p", compiled(t, ``)), ResourceBased: named("registry policy", registry)}
			if strings.HasPrefix(c.repository, "locked") {
				r.ResourceBased = append(named("repository policy", repository), r.ResourceBased...)
			}
			if got := verdict(policy.Evaluate(r)); got != c.want {
				t.Errorf("%s on %s: %s, want %s", c.action, c.repository, got, c.want)
			}
		})
	}
}

// "IAM role trust policies ... must explicitly allow access for principals":
// "Policy evaluation logic", Resource-based policies.
func TestTrustPolicy(t *testing.T) {
	for _, c := range []struct {
		name, who, identity, trust, want string
	}{
		{"identity alone", alice, `"Action":"sts:*"`, `"Principal":{"AWS":"222222222222"}`, "denied, lacking [resource-based policy]"},
		{"account trusted, nothing in it", alice, "", `"Principal":{"AWS":"111111111111"}`, "denied, lacking [identity-based policy]"},
		{"account trusted, and identity", alice, `"Action":"sts:*"`, `"Principal":{"AWS":"111111111111"}`, "allowed"},
		{"user trusted", alice, "", `"Principal":{"AWS":"` + alice + `"}`, "allowed"},
		{"role trusted", ciSession, "", `"Principal":{"AWS":"` + ciRole + `"}`, "allowed"},
		{"foreign user trusted", bob, "", `"Principal":{"AWS":"` + bob + `"}`, "denied, lacking [identity-based policy]"},
		{"foreign user trusted, and identity", bob, `"Action":"sts:AssumeRole"`, `"Principal":{"AWS":"` + bob + `"}`, "allowed"},
		{"provider", "", "", `"Principal":{"Federated":"token.example.com"}`, "allowed"},
		{"another provider", "", "", `"Principal":{"Federated":"other.example.com"}`, "denied, lacking [resource-based policy]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := policy.ParseFor([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"],`+c.trust+`}}`), policy.Trust)
			if err != nil {
				t.Fatal(err)
			}
			r := policy.Request{Action: "sts:AssumeRole", Resource: ciRole, Owner: home, ResourceMustAllow: true,
				ResourceBased: named("trust policy", policy.Compile(d))}
			if c.who == "" {
				r.Action, r.Principal = "sts:AssumeRoleWithWebIdentity", policy.Caller{Type: policy.Federated, ARN: "token.example.com"}
			} else {
				r.Principal = caller(t, c.who)
			}
			if c.identity != "" {
				r.Identity = named("p", compiled(t, c.identity))
			}
			if got := verdict(policy.Evaluate(r)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	r := policy.Request{Principal: caller(t, bob), Action: "ecr:PutImage", Resource: repo, Owner: home, Explain: true,
		Identity: append(named("Pull", compiled(t, `"Sid":"Read","Action":["ecr:BatchGetImage"]`)),
			named("Push", compiled(t, `"Effect":"Deny","Resource":"arn:aws:ecr:*:*:repository/prod/*"`, `"Sid":"Write","NotAction":"ecr:Delete*"`))...),
		ResourceBased: named("repository policy", compiled(t,
			`"Sid":"Friends","Principal":{"AWS":"333333333333"}`,
			`"Principal":{"AWS":"333333333333"},"Action":"ecr:BatchGetImage"`, // fails on two
			`"Principal":{"AWS":"222222222222"},"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"},"Bool":{"aws:SecureTransport":"true"}}`,
			`"NotPrincipal":{"AWS":"222222222222"}`,
			`"Principal":"*","NotResource":"arn:aws:ecr:*:*:repository/team/*"`,
			`"Principal":"*","NotAction":"ecr:Put*"`))}
	r.Context.Set("aws:SecureTransport", "true")
	miss := func(p string, i int, sid string, effect policy.Effect, element, operator, key string) policy.NearMiss {
		source := policy.ResourceBased
		if p != "repository policy" {
			source = policy.IdentityBased
		}
		return policy.NearMiss{Ref: policy.Ref{Source: source, Policy: p, Index: i, Sid: sid}, Effect: effect, Element: element, Operator: operator, Key: key}
	}
	want := policy.Decision{
		Outcome:       policy.Denied,
		IdentityAllow: policy.Ref{Source: policy.IdentityBased, Policy: "Push", Index: 1, Sid: "Write"},
		Lacking:       []policy.Source{policy.ResourceBased},
		Near: []policy.NearMiss{
			miss("Pull", 0, "Read", policy.Allow, "Action", "", ""),
			miss("Push", 0, "", policy.Deny, "Resource", "", ""),
			miss("repository policy", 0, "Friends", policy.Allow, "Principal", "", ""),
			miss("repository policy", 2, "", policy.Allow, "Condition", "StringEquals", "aws:PrincipalOrgID"),
			miss("repository policy", 3, "", policy.Allow, "NotPrincipal", "", ""),
			miss("repository policy", 4, "", policy.Allow, "NotResource", "", ""),
			miss("repository policy", 5, "", policy.Allow, "NotAction", "", ""),
		},
	}
	if d := cmp.Diff(want, policy.Evaluate(r)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := want.IdentityAllow.String(); got != `Push, statement 2 "Write"` {
		t.Error(got)
	}

	r.Principal.OrganizationID = "o-1"
	want.Outcome, want.Lacking = policy.Allowed, nil
	want.ResourceAllow = policy.Ref{Source: policy.ResourceBased, Policy: "repository policy", Index: 2}
	want.Near = append(want.Near[:3:3], want.Near[4:]...)
	if d := cmp.Diff(want, policy.Evaluate(r)); d != "" {
		t.Errorf("in the organization (-want +got):\n%s", d)
	}
}

func TestDepends(t *testing.T) {
	const office = `"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`
	for _, c := range []struct {
		name, identity, repo string
		address              string
		want                 string
	}{
		{"an Allow in doubt", office, "", "", "depends on aws:SourceIp"},
		{"an Allow in doubt, one is sure", office, `"Principal":"*"`, "", "allowed"},
		{"a Deny in doubt", ``, `"Principal":"*","Effect":"Deny",` + office, "", "depends on aws:SourceIp"},
		{"a Deny in doubt, nothing allows", `"Action":"s3:*"`, `"Principal":"*","Effect":"Deny",` + office, "", "denied, lacking [identity-based policy]"},
		{"a Deny in doubt, another is sure", `"Effect":"Deny"`, `"Principal":"*","Effect":"Deny",` + office, "", "denied by identity, statement 1"},
		{"known after all", office, "", "192.0.2.1", "allowed"},
		{"known, and wrong", office, "", "192.0.3.1", "denied, lacking [identity-based policy]"},
		{"in doubt, but another condition fails", `"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"Null":{"aws:PrincipalArn":"true"}}`, "", "",
			"denied, lacking [identity-based policy]"},
		{"if it exists", `"Condition":{"IpAddressIfExists":{"aws:SourceIp":"192.0.2.0/24"}}`, "", "", "depends on aws:SourceIp"},
		{"whether it exists", `"Condition":{"Null":{"aws:SourceIp":"false"}}`, "", "", "depends on aws:SourceIp"},
		{"two keys", `"Condition":{"Bool":{"x:B":"true"},"StringLike":{"x:A":"*"}}`, "", "", "depends on x:A, x:B"},
		{"a variable", `"Resource":"arn:aws:ecr:*:*:repository/${x:Team}/*"`, "", "", "depends on x:Team"},
		{"a variable that does not matter", `"Resource":["arn:aws:ecr:*:*:repository/${x:Team}/*","*"]`, "", "", "allowed"},
		{"a variable in a condition", `"Condition":{"StringNotEquals":{"aws:PrincipalAccount":["${x:Team}"]}}`, "", "", "depends on x:Team"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := policy.Request{Principal: caller(t, alice), Action: "ecr:PutImage", Resource: repo,
				Unknown: []string{"AWS:source*", "x:*"}, Identity: named("identity", compiled(t, c.identity))}
			if c.repo != "" {
				r.ResourceBased = named("repository policy", compiled(t, c.repo))
			}
			if c.address != "" {
				r.Context.Set("aws:SourceIp", c.address)
			}
			if got := verdict(policy.Evaluate(r)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// What Validate refuses grants nothing, and denies as much as it can.
func TestInvalidDocuments(t *testing.T) {
	statement := func(effect policy.Effect, operator string) policy.Document {
		return policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{Effect: effect, Action: []string{"ecr:*"},
			Resource: []string{"*"}, Condition: []policy.Condition{{Operator: operator, Key: "a:b", Values: []string{"c"}}}}}}
	}
	ask := func(d ...policy.Document) string {
		r := policy.Request{Principal: caller(t, alice), Action: "ecr:PutImage", Resource: repo}
		for _, d := range d {
			r.Identity = append(r.Identity, policy.Named{Name: "p", Policy: policy.Compile(d)})
		}
		return verdict(policy.Evaluate(r))
	}
	if got := ask(statement(policy.Allow, "StringNotEqual")); got != "denied, lacking [identity-based policy]" {
		t.Error(got)
	}
	if got := ask(statement(policy.Deny, "StringNotEqual"), statement(policy.Allow, "StringNotEquals")); got != "denied by p, statement 1" {
		t.Error(got)
	}
	newer := statement(policy.Allow, "StringNotEquals")
	newer.Version = "2030-01-01"
	if got := ask(newer); got != "denied, lacking [identity-based policy]" {
		t.Error(got)
	}
	if got := ask(statement("", "StringNotEquals"), statement(policy.Allow, "StringNotEquals")); got != "denied by p, statement 1" {
		t.Error(got)
	}
	for _, c := range []policy.Caller{{}, {Type: policy.User, ARN: alice}} {
		t.Run("type "+string(c.Type), func(t *testing.T) {
			if d := policy.Evaluate(policy.Request{Principal: c, Action: "ecr:PutImage", Resource: repo,
				Identity: named("p", compiled(t, ``)), ResourceBased: named("r", compiled(t, `"Principal":"*"`))}); d.Outcome != policy.Denied {
				t.Errorf("%+v: %s", c, verdict(d))
			}
		})
	}
}

func TestParseCaller(t *testing.T) {
	for s, want := range map[string]policy.Caller{
		home:                                {Type: policy.RootUser, Account: home, ARN: rootHome},
		"arn:aws-cn:iam::111111111111:root": {Type: policy.RootUser, Account: home, ARN: "arn:aws-cn:iam::111111111111:root"},
		alice:                               {Type: policy.User, Account: home, ARN: alice},
		awayNode:                            {Type: policy.RoleSession, Account: away, ARN: awayNode, RoleARN: awayRole},
		"codebuild.amazonaws.com":           {Type: policy.Service, ARN: "codebuild.amazonaws.com"},
	} {
		t.Run(s, func(t *testing.T) {
			got, err := policy.ParseCaller(s)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Errorf("%v\n%s", err, d)
			}
		})
	}
	for _, s := range []string{"", "*", "alice", ciRole, "arn:aws:iam::111111111111:group/g", "arn:aws:sts::111111111111:assumed-role/x", repo, "AIDAEXAMPLEUSER1"} {
		t.Run(s, func(t *testing.T) {
			if got, err := policy.ParseCaller(s); err == nil {
				t.Errorf("%q is %+v", s, got)
			}
		})
	}
}
