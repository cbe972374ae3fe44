package policy_test

import (
	"crypto/sha256"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/policy"
)

// question is a Request before its policies are compiled.
type question struct {
	request                               policy.Request
	identity, boundary, session, resource []policy.Document
	scp                                   [][]policy.Document
	context                               map[string][]string // that of request, for the reference
}

func (q question) ask() policy.Decision {
	r := q.request
	list := func(docs []policy.Document) []policy.Named {
		var out []policy.Named
		for _, d := range docs {
			out = append(out, policy.Named{Name: "p", Policy: policy.Compile(d)})
		}
		return out
	}
	r.Identity, r.Session, r.ResourceBased = list(q.identity), list(q.session), list(q.resource)
	if len(q.boundary) > 0 {
		r.Boundary = list(q.boundary)[0]
	}
	for _, level := range q.scp {
		r.ServiceControl = append(r.ServiceControl, list(level))
	}
	return policy.Evaluate(r)
}

// genDocuments draws policies; those that belong to the caller name no one.
func genDocuments(t *rapid.T, label string, most int, conditions bool, principals bool) []policy.Document {
	var out []policy.Document
	for range rapid.IntRange(0, most).Draw(t, label) {
		d := genDocument(t)
		for i := range d.Statements {
			s := &d.Statements[i]
			if rapid.IntRange(0, 3).Draw(t, "mostly allow") > 0 {
				s.Effect = policy.Allow
			}
			if !conditions {
				s.Condition = nil
			}
			if !principals {
				s.Principal, s.NotPrincipal = policy.Principals{}, policy.Principals{}
			}
		}
		out = append(out, d)
	}
	return out
}

func genQuestion(t *rapid.T, conditions bool) question {
	callers := []policy.Caller{
		{Type: policy.RootUser, Account: home, ARN: rootHome},
		{Type: policy.User, Account: home, ARN: alice},
		{Type: policy.User, Account: away, ARN: bob, OrganizationID: "o-1"},
		{Type: policy.RoleSession, Account: home, ARN: "arn:aws:sts::111111111111:assumed-role/a/b", RoleARN: "arn:aws:iam::111111111111:role/a"},
		{Type: policy.RoleSession, Account: "333333333333", ARN: "arn:aws:sts::333333333333:assumed-role/x/y", RoleARN: "arn:aws:iam::333333333333:role/x"},
		{Type: policy.Service, ARN: "lambda.amazonaws.com"},
	}
	q := question{
		request: policy.Request{
			Principal: rapid.SampledFrom(callers).Draw(t, "caller"),
			Action:    rapid.SampledFrom([]string{"ecr:PutImage", "ecr:BatchGetImage", "ecr:ListImages", "ecr:GetAuthorizationToken"}).Draw(t, "action"),
			Resource:  rapid.SampledFrom([]string{"*", "arn:aws:ecr:us-east-1:111111111111:repository/a", "arn:aws:ecr:us-east-1:111111111111:repository/b-1"}).Draw(t, "resource"),
			Owner:     home,
			Explain:   rapid.Bool().Draw(t, "explain"),
		},
		identity: genDocuments(t, "identity", 2, conditions, false),
		boundary: genDocuments(t, "boundary", 1, conditions, false),
		session:  genDocuments(t, "session", 1, conditions, false),
		resource: genDocuments(t, "resource", 2, conditions, true),
	}
	if rapid.Bool().Draw(t, "source") {
		q.request.Context.Set("aws:SourceArn", "arn:aws:s3:::x")
	}
	return q
}

// place draws one of the lists of policies; nil when all are empty.
func (q *question) place(t *rapid.T, grants bool) *policy.Document {
	lists := [][]policy.Document{q.identity, q.resource}
	if !grants {
		lists = append(lists, q.boundary, q.session)
	}
	var all []*policy.Document
	for _, l := range lists {
		for i := range l {
			all = append(all, &l[i])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return rapid.SampledFrom(all).Draw(t, "place")
}

// added is q with one statement of the effect more, somewhere.
func (q question) added(t *rapid.T, effect policy.Effect) question {
	s := genDocument(t).Statements[0]
	s.Effect = effect
	p := q.place(t, effect == policy.Allow)
	if p == nil {
		return q
	}
	p.Statements = append(slices.Clone(p.Statements), s)
	return q
}

func TestADenyNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuestion(t, true)
		before := q.ask()
		after := q.added(t, policy.Deny).ask()
		if before.Outcome != policy.Allowed && after.Outcome == policy.Allowed {
			t.Fatalf("was %s, is %s", verdict(before), verdict(after))
		}
	})
}

func TestAnAllowNeverNarrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuestion(t, true)
		before := q.ask()
		after := q.added(t, policy.Allow).ask()
		if before.Outcome == policy.Allowed && after.Outcome != policy.Allowed {
			t.Fatalf("was %s, is %s", verdict(before), verdict(after))
		}
	})
}

func TestOrderIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuestion(t, true)
		before := q.ask()
		for _, docs := range []*[]policy.Document{&q.identity, &q.boundary, &q.session, &q.resource} {
			*docs = rapid.Permutation(*docs).Draw(t, "policies")
			for i := range *docs {
				(*docs)[i] = shuffled(t, (*docs)[i])
			}
		}
		after := q.ask()
		if before.Outcome != after.Outcome || !slices.Equal(before.Lacking, after.Lacking) || (before.Deny == policy.Ref{}) != (after.Deny == policy.Ref{}) {
			t.Fatalf("was %s, is %s", verdict(before), verdict(after))
		}
	})
}

func TestAcrossAccountsBothMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuestion(t, true)
		c := q.request.Principal
		d := q.ask()
		if c.Type == policy.Service || c.Account == home || d.Outcome != policy.Allowed || q.request.Action == "ecr:GetAuthorizationToken" {
			return
		}
		if d.IdentityAllow == (policy.Ref{}) || d.ResourceAllow == (policy.Ref{}) {
			t.Fatalf("%+v", d)
		}
		one, other := q, q
		one.identity, other.resource = nil, nil
		if one.ask().Outcome == policy.Allowed || other.ask().Outcome == policy.Allowed {
			t.Fatal("allowed by one side")
		}
	})
}

func FuzzEvaluate(f *testing.F) {
	for _, c := range documented {
		f.Add([]byte(c.text), "ecr:PutImage", repo, "aws:SourceIp", "192.0.2.1")
	}
	f.Add([]byte(policyText(`"Resource":"arn:aws:ecr:*:*:${a:b, 'c'}*${*}","Condition":{"ForAllValues:StringLikeIfExists":{"a:b":["*${a:b}?","${"]},`+
		`"NotIpAddress":{"a:b":"::ffff:1.2.3.4/100"},"DateLessThan":{"a:b":"2026"},"Null":{"a:c":"true"}}`)), "ecr:x", "a:b:c:d:e:f:g", "a:b", "")
	f.Fuzz(func(t *testing.T, text []byte, action, resource, key, value string) {
		d, err := policy.Parse(text)
		if err != nil {
			return
		}
		p := named("p", policy.Compile(d))
		for _, who := range []string{rootHome, alice, ciSession, bob, "codebuild.amazonaws.com"} {
			r := policy.Request{Principal: caller(t, who), Action: action, Resource: resource, Owner: home, Explain: true,
				Identity: p, Boundary: p[0], Session: p, ServiceControl: [][]policy.Named{p}, ResourceBased: p}
			r.Context.Set(key, value)
			first := policy.Evaluate(r)
			if first.Outcome == policy.Depends || first.Outcome == policy.Allowed && (first.Deny != policy.Ref{} || first.Lacking != nil) {
				t.Fatalf("%+v", first)
			}
			r.Unknown = []string{"a*", key}
			if open := policy.Evaluate(r); open.Outcome != policy.Depends && open.Outcome != first.Outcome {
				t.Fatalf("%s, but %s", verdict(open), verdict(first))
			}
		}
	})
}

// Five policies of five statements, of which the last one allows.
func BenchmarkEvaluate(b *testing.B) {
	var policies []policy.Named
	for i := range 5 {
		var statements []string
		for j := range 5 {
			s := `"Action":["ecr:Describe*","ecr:ListImages","ecr:GetLifecyclePolicy"]`
			switch {
			case j == 1:
				s = `"Resource":["arn:aws:ecr:us-east-1:111111111111:repository/other/*","arn:aws:ecr:*:*:repository/${aws:username}/*"]`
			case j == 2:
				s = `"Effect":"Deny","Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","2001:db8::/32"]},"Bool":{"aws:SecureTransport":"true"}}`
			case j == 3:
				s = `"Effect":"Deny","Action":"ecr:*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":["o-0","o-1"]}}`
			case i == 4 && j == 4:
				s = `"Action":"ecr:Put*","Resource":"arn:aws:ecr:us-east-1:*:repository/team/*"`
			}
			statements = append(statements, s)
		}
		policies = append(policies, policy.Named{Name: "p", Policy: compiled(b, statements...)})
	}
	r := policy.Request{Principal: caller(b, alice), Action: "ecr:PutImage", Resource: repo, Owner: home, Identity: policies}
	r.Principal.OrganizationID = "o-1"
	r.Context.Set("aws:SourceIp", "192.0.2.1")
	r.Context.Set("aws:SecureTransport", "true")
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Evaluate(r); d.Outcome != policy.Allowed {
			b.Fatal(verdict(d))
		}
	}
}

// BenchmarkReference is what BenchmarkEvaluate can be held against on any
// machine, in the same run: 8 KiB of SHA-256.
func BenchmarkReference(b *testing.B) {
	block := make([]byte, 8<<10)
	for b.Loop() {
		sha256.Sum256(block)
	}
}
