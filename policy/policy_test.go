package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/policy"
)

// In the shape of the samples of the Amazon ECR user guide, pages "Private
// repository policy examples", "Private registry policy examples" and
// "Identity-based policy examples", and of the IAM user guide, "Create a role".
var documented = map[string]struct {
	kind policy.Kind
	text string
}{
	"allow users to push and pull": {policy.Repository, `{"Version":"2012-10-17","Statement":[{"Sid":"AllowPushPull","Effect":"Allow",` +
		`"Principal":{"AWS":["arn:aws:iam::111111111111:user/push-pull-user-1","arn:aws:iam::111111111111:user/push-pull-user-2"]},` +
		`"Action":["ecr:BatchGetImage","ecr:BatchCheckLayerAvailability","ecr:CompleteLayerUpload","ecr:GetDownloadUrlForLayer",` +
		`"ecr:InitiateLayerUpload","ecr:PutImage","ecr:UploadLayerPart"],"Resource":"*"}]}`},
	"allow another account": {policy.Repository, `{"Version":"2012-10-17","Statement":[{"Sid":"AllowCrossAccountPush","Effect":"Allow",` +
		`"Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:BatchCheckLayerAvailability","ecr:PutImage"],"Resource":"*"}]}`},
	"allow all accounts": {policy.Repository, `{"Version":"2008-10-17","Statement":[{"Sid":"new statement","Effect":"Allow",` +
		`"Principal":"*","Action":"ecr:BatchGetImage"}]}`},
	"deny by address": {policy.Repository, `{"Version":"2012-10-17","Id":"ECRPolicyId1","Statement":[{"Sid":"IPAllow","Effect":"Allow","Principal":"*",` +
		`"Action":"ecr:*","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.188/32"},"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}`},
	"allow a service": {policy.Repository, `{"Version":"2012-10-17","Statement":[{"Sid":"CodeBuildAccess","Effect":"Allow",` +
		`"Principal":{"Service":"codebuild.amazonaws.com"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*",` +
		`"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:codebuild:us-east-1:123456789012:project/project-name"},` +
		`"StringEquals":{"aws:SourceAccount":"123456789012"}}}]}`},
	"replication from an account": {policy.Registry, `{"Version":"2012-10-17","Statement":[{"Sid":"ReplicationAccessCrossAccount","Effect":"Allow",` +
		`"Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:CreateRepository","ecr:ReplicateImage"],` +
		`"Resource":"arn:aws:ecr:us-west-2:222222222222:repository/prod-*"}]}`},
	"one repository for a user": {policy.Identity, `{"Version":"2012-10-17","Statement":[{"Sid":"GetAuthorizationToken","Effect":"Allow",` +
		`"Action":"ecr:GetAuthorizationToken","Resource":"*"},{"Effect":"Deny","NotAction":"ecr:*","NotResource":"arn:aws:ecr:us-east-1:111111111111:repository/my-repo",` +
		`"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`},
	"a role for EC2": {policy.Trust, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`},
	"a role for an OIDC provider": {policy.Trust, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
		`"Principal":{"Federated":"arn:aws:iam::111111111111:oidc-provider/token.example.com"},"Action":"sts:AssumeRoleWithWebIdentity",` +
		`"Condition":{"StringLike":{"token.example.com:sub":"repo:${org}/*"}}}]}`},
}

func TestParseDocumented(t *testing.T) {
	for name, c := range documented {
		t.Run(name, func(t *testing.T) {
			d, err := policy.ParseFor([]byte(c.text), c.kind)
			if err != nil {
				t.Fatal(err)
			}
			// these texts are in AWS's order and without spaces already
			if diff := cmp.Diff(c.text, d.String()); diff != "" {
				t.Errorf("printed (-text +printed):\n%s", diff)
			}
			if err := policy.Validate(d, c.kind); err != nil {
				t.Errorf("Validate: %v", err)
			}
			again, err := policy.ParseFor([]byte(d.Pretty()), c.kind)
			if diff := cmp.Diff(d, again); err != nil || diff != "" {
				t.Errorf("from Pretty: %v\n%s", err, diff)
			}
		})
	}
}

func TestParseValues(t *testing.T) {
	got, err := policy.Parse([]byte(` { "Id": "i", "Statement": { "Effect": "Deny", "NotAction": "ecr:Get*", "Resource": ["*"], "Sid": "",
		"NotPrincipal": {"AWS": "111111111111", "Service": ["a.amazonaws.com"], "Federated": "f.example.com", "CanonicalUser": "c"},
		"Condition": {"Bool": {"aws:SecureTransport": false, "x:Y": ["true"]}, "NumericEquals": {"n:M": [1, 2.5]}} } }`))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Document{ID: "i", Statements: []policy.Statement{{
		Effect:    policy.Deny,
		NotAction: []string{"ecr:Get*"},
		Resource:  []string{"*"},
		NotPrincipal: policy.Principals{AWS: []string{"111111111111"}, Service: []string{"a.amazonaws.com"},
			Federated: []string{"f.example.com"}, CanonicalUser: []string{"c"}},
		Condition: []policy.Condition{
			{Operator: "Bool", Key: "aws:SecureTransport", Values: []string{"false"}},
			{Operator: "Bool", Key: "x:Y", Values: []string{"true"}},
			{Operator: "NumericEquals", Key: "n:M", Values: []string{"1", "2.5"}},
		},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Amazon ECR API reference, SetRepositoryPolicy: the form of policyText in the
// sample response.
func TestPretty(t *testing.T) {
	d, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Principal":{"AWS":["111111111111","222222222222"]},"Action":["ecr:PutImage","ecr:BatchGetImage"],` +
		`"Sid":"A","Effect":"Allow","Condition":{"StringEquals":{"aws:PrincipalOrgID":["o-1"]}}},{"Action":"ecr:*","Effect":"Deny","Principal":"*"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "Version" : "2012-10-17",
  "Statement" : [ {
    "Sid" : "A",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : [ "111111111111", "222222222222" ]
    },
    "Action" : [ "ecr:PutImage", "ecr:BatchGetImage" ],
    "Condition" : {
      "StringEquals" : {
        "aws:PrincipalOrgID" : "o-1"
      }
    }
  }, {
    "Effect" : "Deny",
    "Principal" : "*",
    "Action" : "ecr:*"
  } ]
}`
	if diff := cmp.Diff(want, d.Pretty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// refusals is the errors as "code path: detail", after checking their type.
func refusals(t *testing.T, err error) []string {
	t.Helper()
	var es policy.Errors
	if err != nil && !errors.As(err, &es) {
		t.Fatalf("%T is not an Errors", err)
	}
	var out []string
	for _, e := range es {
		out = append(out, fmt.Sprintf("%s %s: %s", e.Code, e.Path, e.Detail))
	}
	return out
}

// statement is the text of a policy of one statement, which allows ecr:* but
// for the members given.
func statement(members string) string {
	for name, value := range map[string]string{"Effect": `"Allow"`, "Action": `"ecr:*"`, "Principal": `"*"`} {
		if !strings.Contains(members, `"`+name+`"`) && !strings.Contains(members, `"Not`+name+`"`) {
			members += `,"` + name + `":` + value
		}
	}
	return `{"Version":"2012-10-17","Statement":[{` + strings.TrimPrefix(members, ",") + `}]}`
}

func aws(principal string) string { return statement(`"Principal":{"AWS":"` + principal + `"}`) }

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		kind policy.Kind
		text string
		want []string
	}{
		// IAM JSON policy reference: grammar of the JSON policy language
		{"no text", policy.Repository, "", []string{"syntax : end of text where a value should be"}},
		{"trailing data", policy.Repository, statement("") + "x", []string{"syntax : 'x' after the end of the document"}},
		{"a key twice", policy.Repository, statement(`"Sid":"a","Sid":"b"`), []string{"syntax Statement[0].Sid: given twice, first at 1:39"}},
		{"no object", policy.Repository, `[]`, []string{"grammar : want object, have array"}},
		{"statement absent", policy.Repository, `{}`, []string{"grammar : Statement is missing"}},
		{"no statements", policy.Repository, `{"Statement":[]}`, []string{"grammar Statement: a policy needs a statement"}},
		{"statement a string", policy.Repository, `{"Statement":["x"]}`, []string{"grammar Statement[0]: want object, have string"}},
		{"unknown elements", policy.Repository, `{"version":"2012-10-17",` + statement(`"Actions":"x"`)[1:], []string{
			"grammar version: unknown element; possible are Version, Id, Statement",
			"grammar Statement[0].Actions: unknown element; possible are Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition"}},
		{"version unknown", policy.Repository, strings.Replace(statement(""), "2012-10-17", "2012-10-18", 1), []string{
			`grammar Version: version "2012-10-18" is unknown; use "2012-10-17" (or the older "2008-10-17")`}},
		{"version empty", policy.Repository, strings.Replace(statement(""), "2012-10-17", "", 1), []string{
			`grammar Version: version "" is unknown; use "2012-10-17" (or the older "2008-10-17")`}},
		{"statement empty", policy.Repository, `{"Statement":{}}`, []string{
			"grammar Statement[0].Effect: Effect is missing: Allow or Deny",
			"grammar Statement[0]: Action is missing",
			"kind Statement[0]: Principal is missing; statements of repository policies need it"}},
		{"effect in lower case", policy.Repository, statement(`"Effect":"allow"`), []string{`grammar Statement[0].Effect: want Allow or Deny, have "allow"`}},
		{"effect null", policy.Repository, statement(`"Effect":null`), []string{`grammar Statement[0].Effect: want string, have null`}},
		{"both actions", policy.Repository, statement(`"Action":"ecr:*","NotAction":"ecr:*"`), []string{
			"grammar Statement[0].NotAction: Action and NotAction exclude each other"}},
		{"both principals", policy.Repository, statement(`"Principal":"*","NotPrincipal":"*"`), []string{
			"grammar Statement[0].NotPrincipal: Principal and NotPrincipal exclude each other"}},
		{"both resources", policy.Repository, statement(`"Resource":"*","NotResource":"*"`), []string{
			"grammar Statement[0].NotResource: Resource and NotResource exclude each other"}},
		{"wrong types in lists", policy.Repository, statement(`"Action":1,"Resource":["*",{}]`), []string{
			"grammar Statement[0].Action: want string or a list of strings, have number",
			"grammar Statement[0].Resource[1]: want string, have object"}},
		{"empty action", policy.Repository, statement(`"Action":["ecr:*",""]`), []string{"grammar Statement[0].Action[1]: is empty"}},
		{"action without service", policy.Repository, statement(`"Action":["PutImage"]`), []string{
			`grammar Statement[0].Action[0]: "PutImage" is not an action; want SERVICE:NAME, such as "ecr:BatchGetImage" or "ecr:*"`}},
		{"service a wildcard", policy.Repository, statement(`"Action":"e*:PutImage"`), []string{
			`grammar Statement[0].Action[0]: "e*:PutImage" is not an action; want SERVICE:NAME, such as "ecr:BatchGetImage" or "ecr:*"`}},
		{"resource a name", policy.Repository, statement(`"Resource":"team/app"`), []string{
			`grammar Statement[0].Resource[0]: "team/app" is not a resource; want an ARN or "*"`}},
		{"principal an ARN", policy.Repository, statement(`"Principal":"arn:x"`), []string{
			`grammar Statement[0].Principal: want "*" or an object such as {"AWS": "arn:x"}`}},
		{"principal type unknown", policy.Repository, statement(`"Principal":{"Aws":"*"}`), []string{
			"grammar Statement[0].Principal.Aws: unknown element; possible are AWS, Service, Federated, CanonicalUser"}},
		{"principal null", policy.Repository, statement(`"Principal":null`), []string{"grammar Statement[0].Principal: want object, have null"}},
		// IAM JSON policy elements: Condition operators
		{"operator unknown", policy.Repository, statement(`"Condition":{"StringEqual":{"a:b":"c"}}`), []string{
			`grammar Statement[0].Condition.StringEqual: unknown condition operator "StringEqual"`}},
		{"Null has no IfExists", policy.Repository, statement(`"Condition":{"NullIfExists":{"a:b":"true"}}`), []string{
			`grammar Statement[0].Condition.NullIfExists: unknown condition operator "NullIfExists"`}},
		{"operator without key", policy.Repository, statement(`"Condition":{"Bool":{}}`), []string{
			`grammar Statement[0].Condition.Bool: the operator has no condition key`}},
		{"operator a list", policy.Repository, statement(`"Condition":{"Bool":[]}`), []string{`grammar Statement[0].Condition.Bool: want object, have array`}},
		{"key empty", policy.Repository, statement(`"Condition":{"Bool":{"":"true"}}`), []string{
			`grammar Statement[0].Condition.Bool[""]: "" is not a condition key`}},
		{"key twice", policy.Repository, statement(`"Condition":{"Bool":{"a:b":"true","a:B":"true"}}`), []string{
			`grammar Statement[0].Condition.Bool["a:B"]: condition key given twice; letter case does not count`}},
		{"values", policy.Repository, statement(`"Condition":{"ForAnyValue:NumericLessThan":{"a:b":["1","x"]},"DateEquals":{"a:b":"1.3.2026"},"IpAddress":{"a:b":"192.0.2"}}`), []string{
			`grammar Statement[0].Condition["ForAnyValue:NumericLessThan"]["a:b"][1]: ForAnyValue:NumericLessThan compares with a number, not "x"`,
			`grammar Statement[0].Condition.DateEquals["a:b"][0]: DateEquals compares with a date such as 2026-03-01T12:00:00Z, not "1.3.2026"`,
			`grammar Statement[0].Condition.IpAddress["a:b"][0]: IpAddress compares with an address or range such as 203.0.113.0/24, not "192.0.2"`}},
		// IAM JSON policy elements: Principal
		{"account of 11 digits", policy.Repository, aws("11111111111"), []string{
			`kind Statement[0].Principal.AWS[0]: "11111111111" is not an account id; it has 12 digits`}},
		{"ARN of such an account", policy.Repository, aws("arn:aws:iam::1111:root"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::1111:root": "1111" is not an account id; it has 12 digits`}},
		{"group", policy.Repository, aws("arn:aws:iam::111111111111:group/g"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::111111111111:group/g": groups cannot be principals`}},
		{"all of an account", policy.Repository, aws("arn:aws:iam::111111111111:*"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::111111111111:*": wildcards in principals are not allowed, except "*" for everyone`}},
		{"roles by wildcard", policy.Repository, aws("arn:aws:iam::111111111111:role/ci-*"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::111111111111:role/ci-*": wildcards in principals are not allowed, except "*" for everyone`}},
		{"no name", policy.Repository, aws("arn:aws:iam::111111111111:role/"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::111111111111:role/" is not the ARN of an account, user, role or session`}},
		{"other resource", policy.Repository, aws("arn:aws:sts::111111111111:assumed-role/r"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:sts::111111111111:assumed-role/r" is not the ARN of an account, user, role or session`}},
		{"other service", policy.Repository, aws("arn:aws:s3:::b"), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:s3:::b" is not a principal; want an account id, the ARN of an account, user, role or session, or "*"`}},
		{"deleted", policy.Repository, aws("AROAEXAMPLEEXAMPLEEXA"), []string{
			`kind Statement[0].Principal.AWS[0]: "AROAEXAMPLEEXAMPLEEXA" is the id of a principal that no longer exists`}},
		{"every service", policy.Repository, statement(`"Principal":{"Service":"*"}`), []string{
			`kind Statement[0].Principal.Service[0]: "*" is not a service; want a name such as codebuild.amazonaws.com`}},
		{"federated wildcard", policy.Trust, statement(`"Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":["*"]}`), []string{
			`kind Statement[0].Principal.Federated[0]: "*": wildcards are not allowed here`}},
		{"canonical user", policy.Repository, statement(`"Effect":"Deny","NotPrincipal":{"CanonicalUser":"x"}`), []string{
			`kind Statement[0].NotPrincipal.CanonicalUser: canonical users are for Amazon S3 only; use AWS`}},
		// Private repository policies
		{"no principal", policy.Repository, `{"Statement":[{"Effect":"Allow","Action":"ecr:*"}]}`, []string{
			"kind Statement[0]: Principal is missing; statements of repository policies need it"}},
		{"action of another service", policy.Repository, statement(`"Action":["ecr:*","s3:GetObject"]`), []string{
			`kind Statement[0].Action[1]: "s3:GetObject": repository policies are for actions of ecr, such as ecr:*`}},
		{"all actions", policy.Repository, statement(`"NotAction":"*"`), []string{
			`kind Statement[0].NotAction[0]: "*": repository policies are for actions of ecr, such as ecr:*`}},
		{"resource of another service", policy.Repository, statement(`"Resource":"arn:aws:s3:::b"`), []string{
			`kind Statement[0].Resource[0]: "arn:aws:s3:::b": repository policies are for resources of ecr`}},
		{"bad Sid", policy.Repository, statement(`"Sid":"a/b"`), []string{
			`kind Statement[0].Sid: "a/b" has characters that a Sid cannot have in repository policies`}},
		{"Sid twice", policy.Identity, `{"Statement":[{"Sid":"a","Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"ecr:*","Resource":"*"}]}`, []string{
			`kind Statement[1].Sid: "a" is the Sid of Statement[0] already`}},
		{"10241 characters", policy.Repository, statement("") + strings.Repeat(" ", 10_241-len(statement(""))), []string{
			"size : the repository policy has 10241 characters, at most 10240 are allowed"}},
		// Private registry permissions
		{"registry without resource", policy.Registry, statement(""), []string{
			"kind Statement[0]: Resource is missing; statements of registry policies need it"}},
		// IAM: identity-based policies, role trust policies
		{"identity with principal", policy.Identity, statement(`"Resource":"*"`), []string{"kind Statement[0].Principal: identity policies have no Principal"}},
		{"identity with not-principal", policy.Identity, statement(`"Resource":"*","NotPrincipal":"*"`), []string{
			"kind Statement[0].NotPrincipal: identity policies have no NotPrincipal"}},
		{"identity with a space in Sid", policy.Identity, `{"Statement":{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}}`, []string{
			`kind Statement[0].Sid: "a b" has characters that a Sid cannot have in identity policies`}},
		{"trust with resource", policy.Trust, statement(`"Action":"sts:AssumeRole","Resource":"*","Principal":{"AWS":"*"}`), []string{"kind Statement[0].Resource: trust policies have no Resource"}},
		{"trust for ecr", policy.Trust, statement(`"Principal":{"AWS":"*"}`), []string{`kind Statement[0].Action[0]: "ecr:*": trust policies are for actions of sts, such as sts:*`}},
		{"trust for everyone", policy.Trust, statement(`"Action":"sts:AssumeRole","Principal":"*"`), []string{
			`kind Statement[0].Principal: trust policies do not allow "*" here; to mean everyone, write {"AWS": "*"}`}},
		{"trust with not-principal", policy.Trust, statement(`"Effect":"Deny","Action":"sts:AssumeRole","NotPrincipal":{"AWS":"111111111111"}`), []string{
			"kind Statement[0].NotPrincipal: trust policies have no NotPrincipal; name the principals in Principal"}},
		// "AWS JSON policy elements: NotPrincipal", NotPrincipal with Allow
		{"allow with not-principal", policy.Repository, statement(`"NotPrincipal":{"AWS":"111111111111"}`), []string{
			"kind Statement[0].NotPrincipal: NotPrincipal with Allow would allow everyone else, and AWS refuses it; name the principals in Principal"}},
		{"allow with not-principal in a registry policy", policy.Registry, statement(`"Resource":"*","NotPrincipal":"*"`), []string{
			"kind Statement[0].NotPrincipal: NotPrincipal with Allow would allow everyone else, and AWS refuses it; name the principals in Principal"}},
		{"federated", policy.Repository, statement(`"Principal":{"Federated":"cognito-identity.amazonaws.com"}`), []string{
			"kind Statement[0].Principal.Federated: repository policies cannot have Federated principals; only trust policies of roles can"}},
		// Service Authorization Reference: actions of ECR, and on what they are
		{"action misspelt", policy.Repository, statement(`"Action":["ecr:PutImages","ecr:batchgetimage"]`), []string{
			`kind Statement[0].Action[0]: Amazon ECR has no action "ecr:PutImages"; did you mean ecr:PutImage?`}},
		{"action that is none", policy.Registry, statement(`"Resource":"*","NotAction":"ecr:FlyAway"`), []string{
			`kind Statement[0].NotAction[0]: Amazon ECR has no action "ecr:FlyAway"`}},
		{"pattern of no action", policy.Repository, statement(`"Action":"ecr:Fly*"`), []string{
			`kind Statement[0].Action[0]: "ecr:Fly*": Amazon ECR has no such action`}},
		{"token", policy.Repository, statement(`"Action":["ecr:*","ecr:getauthorizationtoken"]`), []string{
			`kind Statement[0].Action[1]: "ecr:getauthorizationtoken" is not about a repository, and only policies of users and roles can allow it`}},
		{"token in a registry policy", policy.Registry, statement(`"Resource":"*","Action":["ecr:Get*","ecr:GetAuth*"]`), []string{
			`kind Statement[0].Action[1]: "ecr:GetAuth*" is not about a repository, and only policies of users and roles can allow it`}},
		{"action of the registry", policy.Repository, statement(`"Action":["ecr:PutRegistryPolicy","ecr:*RegistryPolicy"]`), []string{
			`kind Statement[0].Action[0]: "ecr:PutRegistryPolicy" is not about a repository; policies of users and roles can allow it`,
			`kind Statement[0].Action[1]: "ecr:*RegistryPolicy" is not about a repository; policies of users and roles can allow it`}},
		{"V1", policy.RegistryV1, statement(`"Resource":"*","Action":["ecr:ReplicateImage","ecr:Batch*","ecr:BatchGetImage"]`), []string{
			`kind Statement[0].Action[2]: "ecr:BatchGetImage": with the account setting REGISTRY_POLICY_SCOPE at V1, registry policies are for ecr:BatchImportUpstreamImage, ecr:CreateRepository, ecr:ReplicateImage only`}},
		// services of AWS
		{"service misspelt", policy.Identity, `{"Statement":{"Effect":"Allow","Action":["ecrr:PutImage","*","kontor:ListLeases"],"Resource":["arn:aws:ec2:*:*:*","arn:aws:ekr:*:*:*"]}}`, []string{
			`kind Statement[0].Action[0]: "ecrr:PutImage": AWS has no service "ecrr"; did you mean ecr?`,
			`kind Statement[0].Resource[1]: "arn:aws:ekr:*:*:*": AWS has no service "ekr"; did you mean ecr?`}},
		{"service principals", policy.Trust, statement(`"Action":"sts:AssumeRole","Principal":{"Service":["ec2.amazonaws.com","ec2.amazonaws.con","EC2.amazonaws.com","ec2"]}`), []string{
			`kind Statement[0].Principal.Service[1]: "ec2.amazonaws.con" is not a service; want a name such as codebuild.amazonaws.com`,
			`kind Statement[0].Principal.Service[2]: "EC2.amazonaws.com" is not a service; want a name such as codebuild.amazonaws.com`,
			`kind Statement[0].Principal.Service[3]: "ec2" is not a service; want a name such as codebuild.amazonaws.com`}},
		// IAM user guide, "Amazon Resource Names (ARNs)": wildcards
		{"resource type a wildcard", policy.Repository, statement(`"Resource":["arn:aws:ecr:*:*:*","arn:aws:ecr:*:*:repo*","arn:aws:ecr:*:*:*/app","arn:aws:ecr:*:repository/x*"]`), []string{
			`kind Statement[0].Resource[1]: "arn:aws:ecr:*:*:repo*": "repo*" is the type of the resource, which cannot have wildcards`,
			`kind Statement[0].Resource[2]: "arn:aws:ecr:*:*:*/app": "*" is the type of the resource, which cannot have wildcards`}},
		{"users by wildcard", policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":["arn:aws:iam::*:u*","arn:aws:s3:::b*/x"]}}`, []string{
			`kind Statement[0].Resource[0]: "arn:aws:iam::*:u*": "u*" is the type of the resource, which cannot have wildcards`}},
		{"service a wildcard in an ARN", policy.Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":["arn:aws:ec*:*:*:*","arn:aws:*"]}}`, []string{
			`kind Statement[0].Resource[0]: "arn:aws:ec*:*:*:*": "ec*" is the service, which cannot have wildcards`,
			`kind Statement[0].Resource[1]: "arn:aws:*": "*" is the service, which cannot have wildcards`}},
		// "Invalid condition key format", "Invalid variable for operator" and what
		// follows of the "IAM policy validation check reference"
		{"keys", policy.Repository, statement(`"Condition":{"StringEquals":{"PrincipalOrgID":"o-1","aws:":"x",":x":"y"}}`), []string{
			`kind Statement[0].Condition.StringEquals.PrincipalOrgID: "PrincipalOrgID" is not a condition key; want SERVICE:NAME, such as aws:PrincipalOrgID`,
			`kind Statement[0].Condition.StringEquals["aws:"]: "aws:" is not a condition key; want SERVICE:NAME, such as aws:PrincipalOrgID`,
			`kind Statement[0].Condition.StringEquals[":x"]: ":x" is not a condition key; want SERVICE:NAME, such as aws:PrincipalOrgID`}},
		{"variables and operators", policy.Repository, statement(`"Condition":{"NumericLessThan":{"a:b":"${x:y}"},"DateEquals":{"a:b":"${x:y}"},"NotIpAddress":{"a:b":["10.0.0.0/8","${x:y}"]},` +
			`"Null":{"a:b":"${x:y}"},"BinaryEquals":{"a:b":"${x:y}"},"Bool":{"a:b":"${x:y}"},"ArnLike":{"a:b":"${x:y}"},"StringNotLikeIfExists":{"a:b":"${x:y}*${*}"}}`), []string{
			`kind Statement[0].Condition.NumericLessThan["a:b"][0]: NumericLessThan does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators`,
			`kind Statement[0].Condition.DateEquals["a:b"][0]: DateEquals does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators`,
			`kind Statement[0].Condition.NotIpAddress["a:b"][1]: NotIpAddress does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators`,
			`kind Statement[0].Condition.Null["a:b"][0]: Null does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators`,
			`kind Statement[0].Condition.BinaryEquals["a:b"][0]: BinaryEquals does not support variables such as ${aws:username}; use them in values of the String, Arn and Bool operators`}},
		{"variables that are none", policy.Repository, statement(`"Resource":["arn:aws:ecr:*:*:repository/${aws:username","arn:aws:ecr:*:*:repository/${}"],` +
			`"Condition":{"StringLike":{"a:b":["${aws: username}","${a:b, x}","${a:b,'x}","${a:b, 'x y'}-${","$ {$} ${$}${?}"]}}`), []string{
			`kind Statement[0].Resource[0]: "arn:aws:ecr:*:*:repository/${aws:username": ${ begins a variable, which needs a } at its end; write ${$} for the character $`,
			`kind Statement[0].Resource[1]: "arn:aws:ecr:*:*:repository/${}": the variable has no name; want one such as ${aws:username}`,
			`kind Statement[0].Condition.StringLike["a:b"][0]: "${aws: username}": the name of the variable ${aws: username} has a space`,
			`kind Statement[0].Condition.StringLike["a:b"][1]: "${a:b, x}": the default value of the variable ${a:b, x} needs single quotes, as in ${a:b, 'value'}`,
			`kind Statement[0].Condition.StringLike["a:b"][2]: "${a:b,'x}": the default value of the variable ${a:b,'x} needs single quotes, as in ${a:b, 'value'}`,
			`kind Statement[0].Condition.StringLike["a:b"][3]: "-${": ${ begins a variable, which needs a } at its end; write ${$} for the character $`}},
		{"variables in principals", policy.Trust, statement(`"Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::111111111111:user/${aws:username}","Federated":"${x:y}","Service":"${x:y}.amazonaws.com"}`), []string{
			`kind Statement[0].Principal.AWS[0]: "arn:aws:iam::111111111111:user/${aws:username}": variables are not allowed in principals`,
			`kind Statement[0].Principal.Federated[0]: "${x:y}": variables are not allowed in principals`,
			`kind Statement[0].Principal.Service[0]: "${x:y}.amazonaws.com" is not a service; want a name such as codebuild.amazonaws.com`}},
		{"unknown kind", "bucket", statement(""), []string{`kind : unknown kind of policy "bucket"`}},
		// several at once, in the order of the text
		{"several", policy.Repository, `{"Statement":[{"Effect":"x","Action":"s3:*","Principal":{"AWS":["*","1"]}},{"Effect":"Allow","Action":1,"Principal":{"AWS":"1"}}]}`, []string{
			`grammar Statement[0].Effect: want Allow or Deny, have "x"`,
			`kind Statement[0].Action[0]: "s3:*": repository policies are for actions of ecr, such as ecr:*`,
			`kind Statement[0].Principal.AWS[1]: "1" is not an account id; it has 12 digits`,
			`grammar Statement[1].Action: want string or a list of strings, have number`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := policy.ParseFor([]byte(c.text), c.kind)
			if diff := cmp.Diff(c.want, refusals(t, err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if d.Statements != nil {
				t.Error("returned statements with an error")
			}
			// Parse refuses the same, except for what depends on the kind
			kindly := len(c.want) > 0 && (strings.HasPrefix(c.want[0], "kind") || strings.HasPrefix(c.want[0], "size"))
			if d, err := policy.Parse([]byte(c.text)); (err == nil) != kindly {
				t.Errorf("Parse: %v", err)
			} else if kindly && !strings.HasPrefix(c.want[0], "size") && policy.Validate(d, c.kind) == nil {
				t.Error("Validate accepts what ParseFor refuses")
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	for name, text := range map[string]string{
		"account id":        aws("111111111111"),
		"root ARN":          aws("arn:aws-cn:iam::111111111111:root"),
		"role with path":    aws("arn:aws-us-gov:iam::111111111111:role/team/a/b_c+=,.@-"),
		"session":           aws("arn:aws:sts::111111111111:assumed-role/r/i-0123"),
		"federated session": aws("arn:aws:sts::111111111111:federated-user/bob"),
		"everyone in AWS":   aws("*"),
		"no version":        `{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:Put?mage"}}`,
		"empty Sids":        `{"Statement":[{"Sid":"","Effect":"Allow","Principal":"*","Action":"ECR:*"},{"Sid":"","Effect":"Deny","NotPrincipal":{"AWS":"*"},"NotAction":"ecr:*"}]}`,
		"no conditions":     statement(`"Condition":{}`),
		"partial ARNs":      statement(`"Resource":["arn:aws:ecr:*","arn:aws:ecr","arn:aws:ecr:us-east-1","arn:aws:ecr:us-east-1:111111111111","arn:aws:ecr:*:repository/team/*"]`),
		"Sid twice":         `{"Statement":[{"Sid":"a","Effect":"Allow","Principal":"*","Action":"ecr:*"},{"Sid":"a","Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`,
		"empty lists":       statement(`"Action":[],"Resource":[],"Principal":{"AWS":[]},"Condition":{"StringLike":{"a:b":[]}}`),
		"no principal":      statement(`"Principal":{}`),
		"Boolean values":    statement(`"Condition":{"Bool":{"a:b":"yes"},"Null":{"a:b":["1"]}}`),
		"actions":           statement(`"Action":["ecr:CreateRepository","ecr:REPLICATEIMAGE","ecr:Get*","ecr:?utImage"]`),
		"old variables":     strings.Replace(statement(`"Resource":"arn:aws:ecr:*:*:repository/${"`), "2012-10-17", "2008-10-17", 1),
		"services":          statement(`"Principal":{"Service":["lambda.amazonaws.com","ec2.amazonaws.com.cn","replication.ecr.amazonaws.com","alexa-appkit.amazon.com"]}`),
		"conditions": statement(`"Condition":{"ForAllValues:StringEqualsIfExists":{"a:b":["",1]},"Null":{"a:b":true},"NumericEquals":{"a:b":-1.5e2},` +
			`"DateLessThan":{"a:b":["2026-03-01","1772366400","2026-03-01T12:00Z","2026"]},"NotIpAddress":{"a:b":["2001:db8::/32","192.0.2.1"]}}`),
		"10240 characters, not bytes": statement(`"Sid":"a"`) + strings.Repeat(" ", 10_240-len(statement(`"Sid":"a"`))),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.ParseFor([]byte(text), policy.Repository); err != nil {
				t.Error(err)
			}
		})
	}
	if policy.Size("ä\n ") != 3 {
		t.Errorf("Size counts %d", policy.Size("ä\n "))
	}
	// IAM does not count white space, ECR does
	long := `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}` + strings.Repeat("\n\t ", 5000)
	if _, err := policy.ParseFor([]byte(long), policy.Identity); err != nil {
		t.Error(err)
	}
}

func TestErrorPlaces(t *testing.T) {
	const text = "{\n  \"Statement\": {\"Effect\": \"Allow\", \"Action\": \"ecr:*\",\n    \"Principal\": {\"AWS\": [\"*\",\n  \"ä\"]}}}"
	_, err := policy.ParseFor([]byte(text), policy.Repository)
	var es policy.Errors
	if !errors.As(err, &es) || len(es) != 1 {
		t.Fatalf("got %v", err)
	}
	want := policy.Error{Code: policy.CodeKind, Path: "Statement[0].Principal.AWS[1]", Offset: strings.Index(text, `"ä"`), Line: 4, Column: 3,
		Detail: `"ä" is not a principal; want an account id, the ARN of an account, user, role or session, or "*"`}
	if diff := cmp.Diff(want, *es[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := err.Error(); got != "4:3: Statement[0].Principal.AWS[1]: "+want.Detail {
		t.Errorf("got %s", got)
	}
	var one *policy.Error
	if !errors.As(err, &one) || one != es[0] {
		t.Error("errors.As does not find the Error")
	}
}

func TestValidateBuilt(t *testing.T) {
	ok := policy.Statement{Effect: policy.Allow, Principal: policy.Principals{Everyone: true}, Action: []string{"ecr:*"}}
	for _, c := range []struct {
		name string
		d    policy.Document
		want []string
	}{
		{"good", policy.Document{Statements: []policy.Statement{ok}}, nil},
		{"zero", policy.Document{}, []string{"grammar Statement: a policy needs a statement"}},
		{"zero statement", policy.Document{Statements: make([]policy.Statement, 1)}, []string{
			"grammar Statement[0].Effect: Effect is missing: Allow or Deny", "grammar Statement[0]: Action is missing",
			"kind Statement[0]: Principal is missing; statements of repository policies need it"}},
		{"everyone and others", policy.Document{Statements: []policy.Statement{{Effect: policy.Allow, Action: []string{"ecr:*"},
			Principal: policy.Principals{Everyone: true, AWS: []string{"111111111111"}}}}}, []string{
			`grammar Statement[0].Principal: "*" excludes other principals`}},
		{"not UTF-8", policy.Document{ID: "\xff", Statements: []policy.Statement{{Sid: "\xff", Effect: policy.Allow, Action: []string{"ecr:*"}, Resource: []string{"\xff"},
			Principal: policy.Principals{AWS: []string{}}, Condition: []policy.Condition{{Operator: "StringLike", Key: "a:b", Values: []string{"\xff"}}, {Operator: "Bool", Key: "a:b"}}}}}, []string{
			"grammar Id: is not valid UTF-8", "grammar Statement[0].Sid: is not valid UTF-8",
			"grammar Statement[0].Resource[0]: is not valid UTF-8", `grammar Statement[0].Condition.StringLike["a:b"][0]: is not valid UTF-8`,
			`kind Statement[0].Sid: "\xff" has characters that a Sid cannot have in repository policies`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, refusals(t, policy.Validate(c.d, policy.Repository))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	var accounts []string
	for i := range 1000 {
		accounts = append(accounts, fmt.Sprintf("%012d", i))
	}
	ok.Principal = policy.Principals{AWS: accounts}
	long := policy.Document{Statements: []policy.Statement{ok}}
	if got := refusals(t, policy.Validate(long, policy.Repository)); len(got) != 1 || !strings.HasPrefix(got[0], "size : ") {
		t.Errorf("got %q", got)
	}
}

func TestEqual(t *testing.T) {
	const account, root = "111111111111", "arn:aws:iam::111111111111:root"
	for _, c := range []struct {
		name string
		a, b string
		want bool
	}{
		// IAM JSON policy elements: Principal: the same principal in both forms
		{"account and root ARN", aws(account), aws(root), true},
		{"account and root ARN in one list", statement(`"Principal":{"AWS":["` + account + `","` + root + `"]}`), aws(root), true},
		{"account and user", aws(account), aws("arn:aws:iam::111111111111:user/root"), false},
		{"everyone", statement(`"Principal":"*"`), aws("*"), true},
		{"everyone as NotPrincipal", statement(`"Principal":"*"`), statement(`"NotPrincipal":"*"`), false},
		{"service is not AWS", statement(`"Principal":{"Service":"a.b"}`), statement(`"Principal":{"Federated":"a.b"}`), false},
		{"roles differ by case", aws("arn:aws:iam::111111111111:role/a"), aws("arn:aws:iam::111111111111:role/A"), false},
		// IAM JSON policy elements: Action: names are case-insensitive
		{"letter case of actions", statement(`"Action":"ecr:PutImage"`), statement(`"Action":["ECR:putimage"]`), true},
		{"action and NotAction", statement(`"Action":"ecr:PutImage"`), statement(`"NotAction":"ecr:PutImage"`), false},
		{"one action more", statement(`"Action":"ecr:PutImage"`), statement(`"Action":["ecr:PutImage","ecr:Get*"]`), false},
		{"resources differ by case", statement(`"Resource":"arn:aws:ecr:*:*:repository/a"`), statement(`"Resource":"arn:aws:ecr:*:*:repository/A"`), false},
		{"no resource", statement(`"Resource":"*"`), statement(``), true},
		{"NotResource is not no resource", statement(`"NotResource":"*"`), statement(``), false},
		// IAM JSON policy elements: Condition: key names are case-insensitive
		{"condition keys", statement(`"Condition":{"Bool":{"aws:SecureTransport":false}}`), statement(`"Condition":{"Bool":{"AWS:securetransport":["false"]}}`), true},
		{"condition values", statement(`"Condition":{"StringLike":{"a:b":["x","y"],"a:c":"z"}}`), statement(`"Condition":{"StringLike":{"a:c":"z","a:b":["y","x","x"]}}`), true},
		{"condition operator", statement(`"Condition":{"StringLike":{"a:b":"x"}}`), statement(`"Condition":{"StringEquals":{"a:b":"x"}}`), false},
		{"condition value", statement(`"Condition":{"StringLike":{"a:b":"x"}}`), statement(`"Condition":{"StringLike":{"a:b":"X"}}`), false},
		{"empty condition", statement(`"Condition":{}`), statement(``), true},
		// Sid and Id have no effect on access
		{"Sid", statement(`"Sid":"a"`), statement(`"Sid":"b"`), true},
		{"Id", `{"Id":"x",` + statement("")[1:], statement(""), true},
		{"effect", statement(`"Effect":"Allow"`), statement(`"Effect":"Deny"`), false},
		// IAM JSON policy elements: Version: the default is 2008-10-17
		{"default version", `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`,
			`{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}`, true},
		{"version", statement(""), strings.Replace(statement(""), "2012", "2008", 1), false},
		{"a statement repeated", `{"Version":"2012-10-17","Statement":[` + strings.Repeat(`{"Effect":"Allow","Principal":"*","Action":"ecr:*"},`, 2) +
			`{"Sid":"x","Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`, statement(""), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := policy.Parse([]byte(c.a))
			if err != nil {
				t.Fatal(err)
			}
			b, err := policy.Parse([]byte(c.b))
			if err != nil {
				t.Fatal(err)
			}
			if policy.Equal(a, b) != c.want || policy.Equal(b, a) != c.want {
				t.Errorf("Equal is not %v:\n%s\n%s", c.want, a, b)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	type plan struct{ Policy policy.Document }
	d, err := policy.Parse([]byte(statement(`"Condition":{"StringEquals":{"a:b":"<&>"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan{d})
	if err != nil {
		t.Fatal(err)
	}
	var back plan
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan{d}, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := json.Unmarshal([]byte(`{"Policy":{"statement":[]}}`), &back); err == nil {
		t.Error("an unknown element is accepted")
	}
}
