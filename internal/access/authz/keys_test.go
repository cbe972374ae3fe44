package authz_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/policy"
)

// request is one of a role's session, with everything there is.
func request() authz.Request {
	return authz.Request{
		Principal: access.Principal{
			Account: own, ARN: "arn:aws:sts::111122223333:assumed-role/ci/build-7", UniqueID: "AROACI", KeyID: "ASIAEXAMPLE",
			Tags: map[string]string{"Team": "blue"},
			Session: &access.Session{
				RoleARN: "arn:aws:iam::111122223333:role/team/ci", IssuedAt: time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC), MFA: true, SourceIdentity: "jane",
			},
			Request: access.RequestInfo{
				ID: "1", Source: netip.MustParseAddr("::ffff:192.0.2.7"), TLS: true, UserAgent: "docker/28", At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
			},
		},
		Action: "ecr:TagResource", Resource: repository(own), Owner: own, Region: "us-east-1",
		ResourceTags: map[string]string{"Color": "red"}, RequestTags: map[string]string{"Stage": "test"}, TagKeys: []string{"Stage"},
		AccountSetting: "BLOB_MOUNTING",
		Image: func(key string) ([]string, bool) {
			return []string{"build", "release"}, key == authz.KeySignedBy || key == authz.KeyMaxSeverity
		},
	}
}

// has reports whether a policy finds the key's value in r: "absent" when it is
// known not to be there, "unknown" when no one knows.
func has(r authz.Request, key, operator, value string) string {
	ask := func(condition string) bool {
		r.Principal.Documents = []access.Document{{Name: "test", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{` + condition + `}}]}`}}
		return authz.Decide(r).Allowed
	}
	switch {
	case ask(fmt.Sprintf(`%q:{%q:"true"}`, "Null", key)):
		return "absent"
	case !ask(fmt.Sprintf(`%q:{%q:"false"}`, "Null", key)):
		return "unknown"
	case ask(fmt.Sprintf(`%q:{%q:%q}`, operator, key, value)):
		return value
	}
	return "another value"
}

// IAM user guide, "AWS global condition context keys", and Service
// authorization reference, "Amazon Elastic Container Registry".
func TestConditionKeys(t *testing.T) {
	user := request()
	user.Principal.ARN, user.Principal.UniqueID, user.Principal.Session, user.Principal.Tags = "arn:aws:iam::111122223333:user/team/jane", "AIDAJANE", nil, nil
	user.Principal.Request = access.RequestInfo{}
	user.Region, user.ResourceTags, user.RequestTags, user.TagKeys, user.AccountSetting, user.Image = "", nil, nil, nil, "", nil
	const equals = "StringEquals"
	tests := []struct{ key, operator, session, user string }{
		{"aws:SourceIp", "IpAddress", "192.0.2.7", "unknown"},
		{"aws:SecureTransport", "Bool", "true", "unknown"},
		{"aws:UserAgent", equals, "docker/28", "unknown"},
		{"aws:CurrentTime", "DateEquals", "2026-11-23T12:00:00Z", "unknown"},
		{"aws:EpochTime", "NumericEquals", "1795435200", "unknown"},
		{"aws:TokenIssueTime", "DateEquals", "2026-11-23T11:00:00Z", "absent"},
		{"aws:MultiFactorAuthPresent", "Bool", "true", "absent"},
		{"aws:MultiFactorAuthAge", "NumericEquals", "3600", "absent"},
		{"aws:SourceIdentity", equals, "jane", "absent"},
		{"aws:PrincipalArn", "ArnEquals", "arn:aws:iam::111122223333:role/team/ci", "arn:aws:iam::111122223333:user/team/jane"},
		{"aws:PrincipalAccount", equals, "111122223333", "111122223333"},
		{"aws:PrincipalType", equals, "AssumedRole", "User"},
		{"aws:PrincipalTag/team", equals, "blue", "absent"},
		{"aws:PrincipalTag/other", equals, "absent", "absent"},
		{"aws:PrincipalIsAWSService", "Bool", "false", "false"},
		{"aws:PrincipalServiceName", equals, "absent", "absent"},
		{"aws:userid", equals, "AROACI:build-7", "AIDAJANE"},
		{"aws:username", equals, "absent", "jane"},
		{"aws:ResourceAccount", equals, "111122223333", "111122223333"},
		{"aws:RequestedRegion", equals, "us-east-1", "unknown"},
		{"aws:ViaAWSService", "Bool", "false", "false"},
		{"aws:CalledVia", "ForAnyValue:StringEquals", "absent", "absent"},
		{"aws:CalledViaFirst", equals, "absent", "absent"},
		{"aws:CalledViaLast", equals, "absent", "absent"},
		{"aws:PrincipalServiceNamesList", "ForAnyValue:StringEquals", "absent", "absent"},
		{"aws:SourceOrgID", equals, "absent", "absent"},
		{"aws:SourceOrgPaths", "ForAnyValue:StringEquals", "absent", "absent"},
		{"aws:SourceArn", "ArnLike", "absent", "absent"},
		{"aws:SourceAccount", equals, "absent", "absent"},
		{"aws:ResourceTag/Color", equals, "red", "absent"},
		{"ecr:ResourceTag/color", equals, "red", "absent"},
		{"ecr:ResourceTag/other", equals, "absent", "absent"},
		{"aws:RequestTag/Stage", equals, "test", "absent"},
		{"aws:RequestTag/Color", equals, "absent", "absent"},
		{"aws:TagKeys", "ForAnyValue:StringEquals", "Stage", "absent"},
		{"ecr:AccountSetting", equals, "BLOB_MOUNTING", "absent"},
		{"kontor:MaxSeverity", "ForAnyValue:StringEquals", "release", "absent"},
		{"kontor:SignedBy", "ForAnyValue:StringEquals", "release", "absent"},
		// No one here knows these.
		{"aws:PrincipalOrgID", equals, "unknown", "unknown"},
		{"aws:SourceVpce", equals, "unknown", "unknown"},
		{"aws:Referer", equals, "unknown", "unknown"},
		{"s3:prefix", equals, "unknown", "unknown"},
	}
	manual, err := os.ReadFile("../../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			if got := has(request(), tt.key, tt.operator, tt.session); got != tt.session {
				t.Errorf("%s of a session: %s, want %s", tt.key, got, tt.session)
			}
			if got := has(user, tt.key, tt.operator, tt.user); got != tt.user {
				t.Errorf("%s of a user without a request: %s, want %s", tt.key, got, tt.user)
			}
			tested[strings.ToLower(tt.key)] = true
		})
	}
	for _, key := range authz.Keys() {
		if !tested[key] && !slices.ContainsFunc(tests, func(tt struct{ key, operator, session, user string }) bool {
			return strings.HasSuffix(key, "/") && strings.HasPrefix(strings.ToLower(tt.key), key)
		}) {
			t.Errorf("%s is not tested", key)
		}
		if name := strings.TrimSuffix(key, "/"); !strings.Contains(strings.ToLower(string(manual)), "`"+name) {
			t.Errorf("%s is not in docs/access.md", key)
		}
	}
	unknown := "aws:SourceVpce"
	for _, tt := range tests {
		t.Run(tt.key, func(t *testing.T) {
			doc := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{
				{Effect: policy.Allow, Condition: []policy.Condition{{Operator: "StringEquals", Key: unknown, Values: []string{"x"}}}},
				{Effect: policy.Deny, Condition: []policy.Condition{{Operator: "StringEquals", Key: tt.key, Values: []string{"x"}}}},
			}}
			key, found := authz.DeniesByUnknown(doc, false)
			if want := tt.session == "unknown"; found != want || want && key != tt.key {
				t.Errorf("a Deny by %s: %s %v", tt.key, key, found)
			}
		})
	}
}

// Boundary, session and inline policies count, and one that cannot be read
// denies (IAM user guide, "Policy evaluation logic").
func TestPoliciesOfPrincipals(t *testing.T) {
	const (
		all  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`
		pull = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}]}`
		deny = `{"Version":"2012-10-17","Statement":[{"Sid":"no","Effect":"Deny","Action":"ecr:TagResource","Resource":"*"}]}`
	)
	const toSession = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/team/ci"},"Action":"ecr:*"}]}`
	why := "User: arn:aws:sts::111122223333:assumed-role/ci/build-7 is not authorized to perform: ecr:TagResource on resource: " + repository(own) + " "
	tests := []struct {
		name                      string
		inline, boundary, session string
		repository                string
		allowed                   bool
		by, message               string
		managed, sessionToo       string
	}{
		{name: "inline", inline: all, allowed: true, by: "inline, statement 1"},
		{name: "none", message: why + "because no identity-based policy allows the ecr:TagResource action"},
		{name: "within the boundary", inline: all, boundary: all, allowed: true, by: "inline, statement 1"},
		{name: "beyond the boundary", inline: all, boundary: pull, message: why + "because no permissions boundary allows the ecr:TagResource action"},
		{name: "a boundary grants nothing", boundary: all, message: why + "because no identity-based policy allows the ecr:TagResource action"},
		{name: "denied by the boundary", inline: all, boundary: deny, by: `boundary, statement 1 "no"`, message: why + "with an explicit deny in a permissions boundary"},
		{name: "within the session", inline: all, session: all, allowed: true, by: "inline, statement 1"},
		{name: "beyond the session", inline: all, session: pull, message: why + "because no session policy allows the ecr:TagResource action"},
		{name: "one of two session policies", inline: all, session: pull, sessionToo: all, allowed: true, by: "inline, statement 1"},
		{name: "an inline policy that cannot be read", inline: "{", managed: access.PolicyAdministrator, by: `inline, statement 1 "unreadable"`,
			message: why + "with an explicit deny in an identity-based policy"},
		{name: "a boundary that cannot be read", inline: all, boundary: "?", by: `boundary, statement 1 "unreadable"`, message: why + "with an explicit deny in a permissions boundary"},
		{name: "a session policy that cannot be read", inline: all, session: "?", by: `session, statement 1 "unreadable"`, message: why + "with an explicit deny in a session policy"},
		{name: "the role, with its path, in the repository's policy", repository: toSession, allowed: true, by: "repository policy, statement 1"},
		{name: "and beyond its session", repository: toSession, session: pull, message: why + "because no session policy allows the ecr:TagResource action"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request()
			r.RepositoryPolicy = tt.repository
			if tt.managed != "" {
				r.Principal.Policies = []string{tt.managed}
			}
			if tt.inline != "" {
				r.Principal.Documents = []access.Document{{Name: "inline", Text: tt.inline}}
			}
			if tt.boundary != "" {
				r.Principal.Boundary = &access.Document{Name: "boundary", Text: tt.boundary}
			}
			for _, text := range []string{tt.session, tt.sessionToo} {
				if text != "" {
					r.Principal.Session.Policies = append(r.Principal.Session.Policies, access.Document{Name: "session", Text: text})
				}
			}
			if d := cmp.Diff(authz.Decision{Allowed: tt.allowed, By: tt.by, Message: tt.message}, authz.Decide(r)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// BenchmarkDecide is what a request costs, with policies that were seen before.
func BenchmarkDecide(b *testing.B) {
	var statements []string
	for i := range 5 {
		statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":"22222222222%d"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}`, i))
	}
	r := request()
	r.Action = "ecr:BatchGetImage"
	r.Principal.Policies = []string{access.PolicyPushPull}
	r.RepositoryPolicy = `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
	r.RegistryPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`
	b.ReportAllocs()
	for b.Loop() {
		if d := authz.Decide(r); !d.Allowed {
			b.Fatal(d.Message)
		}
	}
}
