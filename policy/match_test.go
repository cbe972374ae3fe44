package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/policy"
)

// applies reports whether an Allow and a Deny of the statement apply, in a
// resource-based policy.
func applies(t *testing.T, who policy.Caller, action, resource, statement string) (allow, deny bool) {
	t.Helper()
	ask := func(effect string) policy.Decision {
		return policy.Evaluate(policy.Request{Principal: who, Action: action, Resource: resource, Owner: "999999999999",
			Identity:      named("all", compiled(t, `"Action":"*"`)),
			ResourceBased: named("r", compiled(t, `"Effect":"`+effect+`",`+statement))})
	}
	return ask("Allow").Outcome == policy.Allowed, ask("Deny").Deny != policy.Ref{}
}

// "AWS JSON policy elements: Principal" and "NotPrincipal".
func TestPrincipal(t *testing.T) {
	session := caller(t, ciSession)
	callers := map[string]policy.Caller{"root": caller(t, rootHome), "user": caller(t, alice), "session": session,
		"other session": {Type: policy.RoleSession, Account: home, ARN: "arn:aws:sts::111111111111:assumed-role/ci/other", RoleARN: ciRole, UniqueID: session.UniqueID},
		"foreigner":     caller(t, bob), "service": caller(t, "codebuild.amazonaws.com")}
	everybody := slices.Sorted(maps.Keys(callers))
	except := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(everybody), func(s string) bool { return slices.Contains(names, s) })
	}
	for _, c := range []struct {
		principal   string
		allow, deny []string // whom it covers
	}{
		{`"Principal":"*"`, everybody, everybody},
		{`"Principal":{"AWS":"*"}`, everybody, everybody},
		{`"Principal":{"AWS":"111111111111"}`, []string{"other session", "root", "session", "user"}, nil},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, []string{"other session", "root", "session", "user"}, nil},
		{`"Principal":{"AWS":"` + alice + `"}`, []string{"user"}, nil},
		{`"Principal":{"AWS":"arn:aws:iam::111111111111:user/team/Alice"}`, nil, nil}, // "case sensitive"
		{`"Principal":{"AWS":["333333333333","` + bob + `"]}`, []string{"foreigner"}, nil},
		{`"Principal":{"AWS":"` + ciRole + `"}`, []string{"other session", "session"}, nil},
		{`"Principal":{"AWS":"` + ciSession + `"}`, []string{"session"}, nil},
		{`"Principal":{"AWS":"AROAEXAMPLEROLE1"}`, []string{"other session", "session"}, nil},
		{`"Principal":{"AWS":"AIDAEXAMPLEUSER1"}`, []string{"foreigner", "user"}, nil},
		{`"Principal":{"Service":"codebuild.amazonaws.com"}`, []string{"service"}, nil},
		{`"Principal":{"Service":"lambda.amazonaws.com","CanonicalUser":"x","Federated":"y"}`, nil, nil},
		{`"NotPrincipal":"*"`, nil, []string{}},
		{`"NotPrincipal":{"AWS":"111111111111"}`, []string{"foreigner", "service"}, except("root")},
		{`"NotPrincipal":{"AWS":"` + alice + `"}`, except("user"), everybody},
		// "When you use NotPrincipal with Deny, you must also specify the account ARN of the not-denied principal."
		{`"NotPrincipal":{"AWS":["` + alice + `","111111111111"]}`, []string{"foreigner", "service"}, except("root", "user")},
		// "AWS might validate the account first, then the role, and then the assumed-role user."
		{`"NotPrincipal":{"AWS":["` + ciSession + `","111111111111"]}`, []string{"foreigner", "service"}, except("root")},
		{`"NotPrincipal":{"AWS":["` + ciSession + `","` + ciRole + `","111111111111"]}`, []string{"foreigner", "service"}, except("root", "session")},
		{`"NotPrincipal":{"Service":"codebuild.amazonaws.com"}`, except("service"), except("service")},
	} {
		t.Run(c.principal, func(t *testing.T) {
			if c.deny == nil {
				c.deny = c.allow
			}
			for _, name := range everybody {
				allow, deny := applies(t, callers[name], "ecr:PutImage", repo, c.principal)
				if allow != slices.Contains(c.allow, name) || deny != slices.Contains(c.deny, name) {
					t.Errorf("%s and the %s: allows %v, denies %v", c.principal, name, allow, deny)
				}
			}
		})
	}
}

// "IAM JSON policy elements: Action" and "NotAction".
func TestAction(t *testing.T) {
	for _, c := range []struct {
		element, action string
		want            bool
	}{
		{`"Action":"*"`, "iam:CreateUser", true},
		{`"Action":"ecr:*"`, "ecr:PutImage", true},
		{`"Action":"ecr:*"`, "ecr-public:PutImage", false},
		{`"Action":"ECR:putIMAGE"`, "ecr:PutImage", true}, // "not case sensitive"
		{`"Action":"ecr:PutImage"`, "ecr:PutImageTagMutability", false},
		{`"Action":"ecr:Put*"`, "ecr:PutImageTagMutability", true},
		{`"Action":"ecr:*Image"`, "ecr:BatchGetImage", true},
		{`"Action":"ecr:P?tImage"`, "ecr:PutImage", true},
		{`"Action":"ecr:?utImage?"`, "ecr:PutImage", false},
		{`"Action":["ecr:Get*","ecr:Put*"]`, "ecr:PutImage", true},
		{`"NotAction":["ecr:Get*","ecr:Put*"]`, "ecr:PutImage", false},
		{`"NotAction":["ecr:Get*","ecr:Put*"]`, "ecr:BatchGetImage", true},
		{`"NotAction":"iam:*"`, "ecr:PutImage", true},
	} {
		t.Run(c.element+" "+c.action, func(t *testing.T) {
			allow, deny := applies(t, caller(t, alice), c.action, repo, `"Principal":"*",`+c.element)
			if allow != c.want || deny != c.want {
				t.Errorf("%s and %s: allows %v, denies %v", c.element, c.action, allow, deny)
			}
		})
	}
}

// "IAM JSON policy elements: Resource" and "NotResource"; "IAM policy elements:
// Variables and tags".
func TestResource(t *testing.T) {
	for _, c := range []struct {
		element, resource string
		want              bool
	}{
		{`"Resource":"*"`, "*", true},
		{`"Resource":"*"`, repo, true},
		{`"Resource":"arn:aws:ecr:*:*:*"`, "*", false},
		{`"Resource":"` + repo + `"`, repo, true},
		{`"Resource":"` + repo + `"`, repo + "x", false},
		{`"Resource":"arn:aws:ecr:us-east-1:111111111111:repository/team/*"`, repo, true},
		{`"Resource":"arn:aws:ecr:us-east-1:111111111111:repository/Team/*"`, repo, false},
		{`"Resource":"arn:aws:ecr:us-east-?:1*:repository/*/a?p"`, repo, true},
		{`"Resource":"arn:aws:ecr:us-west-2:*:repository/*"`, repo, false},
		// "If the * wildcard is the last character of a resource ARN segment, it can
		// expand to match beyond the colon boundaries."
		{`"Resource":"arn:aws:ecr:*:repository/*"`, repo, true},
		{`"Resource":"arn:aws:ecr:*:repository/team/*"`, repo, true},
		{`"Resource":"arn:aws:ecr:*:repository/other/*"`, repo, false},
		{`"Resource":"arn:aws:ecr:us-*:repository/team/a?p"`, repo, true},
		{`"Resource":"arn:aws:ecr:eu-*:repository/team/a?p"`, repo, false},
		{`"Resource":"arn:*:111111111111:repository/team/app"`, repo, true},
		{`"Resource":"arn:*:222222222222:repository/team/app"`, repo, false},
		{`"Resource":"arn:aws:*:repository/*:tail"`, repo + ":and:tail", true},
		{`"Resource":"arn:aws:ecr:*:*:repository/x"`, "arn:aws:ecr:us-east-1:1:repository/y:repository/x", true},
		{`"NotResource":"arn:aws:ecr:*:repository/team/*"`, repo, false},
		{`"NotResource":"arn:aws:ecr:*:repository/other/*"`, repo, true},
		// but * elsewhere in a segment, and ?, cannot
		{`"Resource":"arn:aws:ecr:*1:repository/team/*"`, repo, false},
		{`"Resource":"arn:aws:ecr:*-?:repository/team/*"`, repo, false},
		{`"Resource":"arn:aws:ecr?us-east-1:111111111111:repository/team/app"`, repo, false},
		// an incomplete ARN "automatically completes"
		{`"Resource":"arn:aws:ecr"`, repo, true},
		{`"Resource":"arn:aws:ecr:us-east-1"`, repo, true},
		{`"Resource":"arn:aws:ecr:eu-west-1"`, repo, false},
		{`"Resource":"arn:aws:ecr-public"`, repo, false},
		{`"Resource":"arn:aws:ecr:us-east-1:111111111111"`, repo, true},
		{`"Resource":"arn:aws:e*:us-east-1"`, repo, true},
		{`"Resource":"arn:aws:*:x:y"`, "arn:aws:a:b:x:y:c", true}, // completed, and beyond
		{`"NotResource":"arn:aws:ecr"`, repo, false},
		{`"Resource":"arn:aws:*"`, repo, true}, // completed by wildcards
		{`"Resource":["arn:aws:s3:::x","` + repo + `"]`, repo, true},
		{`"NotResource":["arn:aws:s3:::x","` + repo + `"]`, repo, false},
		{`"NotResource":"arn:aws:ecr:*:*:repository/prod/*"`, repo, true},
		{`"NotResource":"arn:aws:ecr:*:*:repository/prod/*"`, "*", true},
		{`"Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/*"`, repo, true},
		{`"Resource":"arn:aws:ecr:*:*:repository/${aws:username}/*"`, repo, false},
		{`"Resource":"arn:aws:ecr:*:*:repository/${aws:none, 'team'}/${*}"`, repo, false},
		{`"Resource":"arn:aws:ecr:*:*:repository/${aws:none,'team'}/*"`, repo, true},
		{`"Resource":"arn:aws:ecr:*:${aws:PrincipalAccount}:repository/*"`, repo, false}, // only after the fifth colon
		{`"Resource":"arn:aws:ecr:*:${none, '111111111111'}:repository/*"`, repo, false},
	} {
		t.Run(c.element+" "+c.resource, func(t *testing.T) {
			who := caller(t, alice)
			who.Tags = map[string]string{"Team": "team"}
			allow, deny := applies(t, who, "ecr:PutImage", c.resource, `"Principal":"*",`+c.element)
			if allow != c.want || deny != c.want {
				t.Errorf("%s and %s: allows %v, denies %v", c.element, c.resource, allow, deny)
			}
		})
	}
	// "the resource that includes a policy variable with no value will not match
	// any resource", and an empty value is none
	who := caller(t, alice)
	who.Tags = map[string]string{"team": ""}
	for element, want := range map[string]bool{
		`"Resource":"arn:aws:ecr:*:*:repository/${aws:none}*"`:                       false,
		`"Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}*"`:          false,
		`"Resource":"arn:aws:ecr:*:repository/${aws:PrincipalTag/team}*"`:            false,
		`"Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'team'}/*"`: true,
		`"NotResource":"arn:aws:ecr:*:*:repository/${aws:none}*"`:                    true,
		`"NotResource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}*"`:       true,
		`"NotResource":["arn:aws:ecr:*:*:repository/${aws:none}","` + repo + `"]`:    false,
	} {
		t.Run(element, func(t *testing.T) {
			if allow, deny := applies(t, who, "ecr:PutImage", repo, `"Principal":"*",`+element); allow != want || deny != want {
				t.Errorf("allows %v, denies %v", allow, deny)
			}
		})
	}
}

// "IAM policy validation check reference", Empty array action, principal and
// resource: such a statement provides no permissions. The Not form of a Deny
// excludes nothing, so the Deny applies.
func TestEmptyLists(t *testing.T) {
	for _, c := range []struct {
		element     string
		allow, deny bool
	}{
		{`"Principal":"*","Action":[]`, false, false},
		{`"Principal":"*","NotAction":[]`, false, true},
		{`"Principal":"*","Resource":[]`, false, false},
		{`"Principal":"*","NotResource":[]`, false, true},
		{`"Principal":{"AWS":[]}`, false, false},
		{`"Principal":{}`, false, false},
		{`"NotPrincipal":{"AWS":[]}`, false, true},
		{`"NotPrincipal":{}`, false, true},
	} {
		t.Run(c.element, func(t *testing.T) {
			allow, deny := applies(t, caller(t, alice), "ecr:PutImage", repo, c.element)
			if allow != c.allow || deny != c.deny {
				t.Errorf("allows %v, denies %v", allow, deny)
			}
		})
	}
}

// "The NotPrincipal element with a Deny effect will always deny any IAM
// principal that has a permissions boundary policy attached, regardless of the
// values specified in the NotPrincipal element."
func TestNotPrincipalAndBoundaries(t *testing.T) {
	all := compiled(t, ``)
	for _, c := range []struct {
		who     string
		bounded bool
		effect  string
		spared  string // of NotPrincipal
		want    bool
	}{
		{alice, false, "Deny", `{"AWS":["111111111111","` + alice + `"]}`, true},
		{alice, true, "Deny", `{"AWS":["111111111111","` + alice + `"]}`, false},
		{alice, true, "Deny", `"*"`, false},
		{alice, false, "Deny", `"*"`, true},
		{ciSession, true, "Deny", `{"AWS":["111111111111","` + ciRole + `","` + ciSession + `"]}`, false},
		{ciSession, false, "Deny", `{"AWS":["111111111111","` + ciRole + `","` + ciSession + `"]}`, true},
		{bob, true, "Deny", `{"AWS":["222222222222","` + bob + `"]}`, false},
		{rootHome, true, "Deny", `{"AWS":"111111111111"}`, true}, // root users have no boundary
		{"codebuild.amazonaws.com", true, "Deny", `{"Service":"codebuild.amazonaws.com"}`, true},
		{alice, true, "Allow", `{"AWS":"333333333333"}`, true},
	} {
		t.Run(fmt.Sprintf("%s bounded %t %s %s", c.who, c.bounded, c.effect, c.spared), func(t *testing.T) {
			r := policy.Request{Principal: caller(t, c.who), Action: "ecr:PutImage", Resource: repo, Owner: home, Identity: named("all", all),
				ResourceBased: named("r", compiled(t, `"Principal":"*"`, `"Effect":"`+c.effect+`","NotPrincipal":`+c.spared))}
			if c.bounded {
				r.Boundary = named("boundary", all)[0]
			}
			if d := policy.Evaluate(r); (d.Outcome == policy.Allowed) != c.want {
				t.Errorf("%s, boundary %v, %s with NotPrincipal %s: %s", c.who, c.bounded, c.effect, c.spared, verdict(d))
			}
		})
	}
}

// A caller that matches any session of its role: what names one session
// depends on the session's name. What varies is unknown, whatever its value.
func TestAnySession(t *testing.T) {
	any := caller(t, "arn:aws:sts::111111111111:assumed-role/ci/x")
	any.AnySession, any.Varies = true, []string{"aws:PrincipalTag/*", "aws:userid"}
	any.Tags = map[string]string{"team": "a"}
	const named1, other = `"Principal":{"AWS":"` + ciSession + `"}`, `"Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/ci2/x"}`
	for _, c := range []struct {
		statement   string
		allow, deny string
	}{
		{named1, "depends on sts:RoleSessionName", "depends on sts:RoleSessionName"},
		{`"Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/ci/x"}`, "depends on sts:RoleSessionName", "depends on sts:RoleSessionName"},
		{other, "denied, lacking [identity-based policy]", "allowed"},
		{`"Principal":{"AWS":["` + ciSession + `","` + ciRole + `"]}`, "allowed", "denied by r, statement 1"},
		{`"NotPrincipal":{"AWS":"` + ciSession + `"}`, "depends on sts:RoleSessionName", "denied by r, statement 1"},
		{`"NotPrincipal":{"AWS":["` + ciSession + `","` + ciRole + `","111111111111"]}`, "denied, lacking [identity-based policy]", "depends on sts:RoleSessionName"},
		{`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}`, "depends on aws:PrincipalTag/team", "depends on aws:PrincipalTag/team"},
		{`"Principal":"*","Condition":{"StringLike":{"aws:userid":"AROA*"}}`, "depends on aws:userid", "depends on aws:userid"},
		{`"Principal":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"` + ciRole + `"}}`, "allowed", "denied by r, statement 1"},
	} {
		t.Run(c.statement, func(t *testing.T) {
			r := policy.Request{Principal: any, Action: "ecr:PutImage", Resource: repo, Owner: home, ResourceBased: named("r", compiled(t, c.statement))}
			if got := verdict(policy.Evaluate(r)); got != c.allow {
				t.Errorf("%s, want %s", got, c.allow)
			}
			r.Identity = named("all", compiled(t, ``))
			r.ResourceBased = named("r", compiled(t, `"Effect":"Deny",`+c.statement))
			if got := verdict(policy.Evaluate(r)); got != c.deny {
				t.Errorf("Deny %s: %s, want %s", c.statement, got, c.deny)
			}
		})
	}
	// A boundary limits what is granted to the role, and not what is granted to
	// the session.
	r := policy.Request{Principal: any, Action: "ecr:PutImage", Resource: repo, Owner: home, Boundary: named("b", compiled(t, `"Action":"s3:*"`))[0],
		ResourceBased: named("r", compiled(t, `"Principal":{"AWS":["`+ciSession+`","`+ciRole+`"]}`))}
	if got := verdict(policy.Evaluate(r)); got != "depends on sts:RoleSessionName" {
		t.Error(got)
	}
}

// "AWS global condition context keys": properties of the principal; "IAM policy
// elements: Variables and tags", Principal key values.
func TestPrincipalKeys(t *testing.T) {
	org := func(c policy.Caller) policy.Caller {
		c.OrganizationID, c.OrganizationPaths = "o-1", []string{"o-1/r-1/ou-1/"}
		return c
	}
	for _, c := range []struct {
		who  policy.Caller
		keys map[string]string // "-" is an absent key
	}{
		{org(caller(t, alice)), map[string]string{"PrincipalArn": alice, "PrincipalAccount": home, "PrincipalType": "User", "username": "alice",
			"userid": "AIDAEXAMPLEUSER1", "PrincipalOrgID": "o-1", "PrincipalOrgPaths": "o-1/r-1/ou-1/", "PrincipalIsAWSService": "false",
			"ResourceAccount": "999999999999", "PrincipalServiceName": "-", "PrincipalTag/x": "-", "SourceIp": "-"}},
		{caller(t, rootHome), map[string]string{"PrincipalArn": rootHome, "PrincipalType": "Account", "username": "-", "userid": home, "PrincipalOrgID": "-"}},
		{caller(t, ciSession), map[string]string{"PrincipalArn": ciRole, "PrincipalAccount": home, "PrincipalType": "AssumedRole",
			"username": "-", "userid": "AROAEXAMPLEROLE1:build-7"}},
		{caller(t, "codebuild.amazonaws.com"), map[string]string{"PrincipalArn": "-", "PrincipalAccount": "-", "PrincipalType": "-", "userid": "-",
			"PrincipalIsAWSService": "true", "PrincipalServiceName": "codebuild.amazonaws.com", "PrincipalServiceNamesList": "codebuild.amazonaws.com"}},
	} {
		t.Run(c.who.ARN, func(t *testing.T) {
			for key, value := range c.keys {
				condition := `"Principal":"*","Condition":{"StringEquals":{"AWS:` + key + `":"` + value + `"}}`
				if value == "-" {
					condition = `"Principal":"*","Condition":{"Null":{"aws:` + key + `":"true"}}`
				}
				if allow, _ := applies(t, c.who, "ecr:PutImage", repo, condition); !allow {
					t.Errorf("%s is not %q", key, value)
				}
			}
		})
	}
	// a caller cannot set its own global keys
	r := policy.Request{Principal: caller(t, alice), Action: "ecr:PutImage", Resource: repo,
		Identity: named("p", compiled(t, `"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`))}
	r.Context.Set("aws:PrincipalOrgID", "o-1")
	if d := policy.Evaluate(r); d.Outcome != policy.Denied {
		t.Errorf("with an aws: key set by the caller: %s", verdict(d))
	}
	r.Context.Set("a:b", "c")
	r.Context.Set("A:B")
	r.Identity = named("p", compiled(t, `"Condition":{"Null":{"a:b":"true"}}`))
	if d := policy.Evaluate(r); d.Outcome != policy.Allowed {
		t.Errorf("a key taken away is still there: %s", verdict(d))
	}
}

func TestManagedPolicies(t *testing.T) {
	all := policy.ManagedPolicies()
	if !slices.IsSortedFunc(all, func(a, b policy.ManagedPolicy) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not in order")
	}
	for _, m := range all {
		if err := policy.Validate(m.Document, policy.Identity); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	may := func(t *testing.T, name, action, resource string, set ...string) bool {
		t.Helper()

		i := slices.IndexFunc(all, func(m policy.ManagedPolicy) bool { return m.Name == name })
		r := policy.Request{Principal: caller(t, alice), Action: action, Resource: resource, Identity: named(name, policy.Compile(all[i].Document))}
		if len(set) > 0 {
			r.Context.Set(set[0], set[1:]...)
		}
		return policy.Evaluate(r).Outcome == policy.Allowed
	}
	const prefix = "AmazonEC2ContainerRegistry"
	for _, c := range []struct {
		name, action, resource string
		set                    []string
		want                   bool
	}{
		{"AdministratorAccess", "iam:CreateUser", "*", nil, true},
		{prefix + "FullAccess", "ecr:DeleteRepository", repo, nil, true},
		{prefix + "FullAccess", "iam:CreateServiceLinkedRole", "*", nil, false},
		{prefix + "FullAccess", "iam:CreateServiceLinkedRole", "*", []string{"iam:AWSServiceName", "replication.ecr.amazonaws.com"}, true},
		{prefix + "PowerUser", "ecr:PutImage", repo, nil, true},
		{prefix + "PowerUser", "ecr:SetRepositoryPolicy", repo, nil, false},
		{prefix + "PowerUser", "ecr:BatchImportUpstreamImage", repo, nil, false},
		{prefix + "ReadOnly", "ecr:DescribeImages", repo, nil, true},
		{prefix + "ReadOnly", "ecr:PutImage", repo, nil, false},
		{prefix + "PullOnly", "ecr:BatchImportUpstreamImage", repo, nil, true},
		{prefix + "PullOnly", "ecr:DescribeImages", repo, nil, false},
		{"ECRReplicationServiceRolePolicy", "ecr:ReplicateImage", repo, nil, true},
		{"ECRTemplateServiceRolePolicy", "ecr:ReplicateImage", repo, nil, false},
		{"AWSECRPullThroughCache_ServiceRolePolicy", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111111111111:secret:ecr-pullthroughcache/x", nil, true},
		{"AWSECRPullThroughCache_ServiceRolePolicy", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:111111111111:secret:other", nil, false},
	} {
		t.Run(c.name+" "+c.action, func(t *testing.T) {
			if got := may(t, c.name, c.action, c.resource, c.set...); got != c.want {
				t.Errorf("%s %s: %v", c.name, c.action, got)
			}
		})
	}
	if got := all[0].ARN("aws-cn"); got != "arn:aws-cn:iam::aws:policy/aws-service-role/AWSECRPullThroughCache_ServiceRolePolicy" {
		t.Error(got)
	}
}
