package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/policy"
)

// some draws a list of one to three different elements.
func some(t *rapid.T, label string, from ...string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, min(3, len(from)), rapid.ID).Draw(t, label)
}

func genPrincipals(t *rapid.T) policy.Principals {
	if rapid.Bool().Draw(t, "everyone") {
		return policy.Principals{Everyone: true}
	}
	p := policy.Principals{AWS: some(t, "aws", "*", "111111111111", "222222222222", "arn:aws:iam::333333333333:root",
		"arn:aws:iam::111111111111:role/a", "arn:aws:sts::111111111111:assumed-role/a/b")}
	if rapid.Bool().Draw(t, "services") {
		p.Service = some(t, "service", "lambda.amazonaws.com", "codebuild.amazonaws.com")
	}
	return p
}

// genDocument draws valid repository policies with all elements.
func genDocument(t *rapid.T) policy.Document {
	actions := []string{"ecr:*", "ecr:PutImage", "ecr:Get*", "ecr:BatchGetImage", "ecr:List?mages"}
	resources := []string{"*", "arn:aws:ecr:us-east-1:111111111111:repository/a", "arn:aws:ecr:*:*:repository/b-*"}
	d := policy.Document{Version: rapid.SampledFrom([]policy.Version{"", policy.Version2008, policy.Version2012}).Draw(t, "version")}
	d.ID = rapid.SampledFrom([]string{"", "id \"ä\""}).Draw(t, "id")
	sids := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9 _-]{0,8}`), 1, 4, rapid.ID).Draw(t, "sids")
	for _, sid := range sids {
		s := policy.Statement{Sid: sid, Effect: rapid.SampledFrom([]policy.Effect{policy.Allow, policy.Deny}).Draw(t, "effect")}
		if s.Effect == policy.Deny && rapid.Bool().Draw(t, "not principal") {
			s.NotPrincipal = genPrincipals(t)
		} else {
			s.Principal = genPrincipals(t)
		}
		if rapid.Bool().Draw(t, "not action") {
			s.NotAction = some(t, "actions", actions...)
		} else {
			s.Action = some(t, "actions", actions...)
		}
		switch rapid.IntRange(0, 2).Draw(t, "resource") {
		case 0:
			s.Resource = some(t, "resources", resources...)
		case 1:
			s.NotResource = some(t, "resources", resources...)
		}
		for _, operator := range []string{"StringEquals", "ForAnyValue:ArnLikeIfExists"} {
			if rapid.Bool().Draw(t, "condition") {
				for _, key := range some(t, "keys", "aws:PrincipalOrgID", "aws:SourceArn", "ecr:ResourceTag/ä \"x\"") {
					s.Condition = append(s.Condition, policy.Condition{Operator: operator, Key: key,
						Values: some(t, "values", "", "o-1", "arn:aws:*", "<&>\n\"")})
				}
			}
		}
		d.Statements = append(d.Statements, s)
	}
	return d
}

func TestParsePrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDocument(t)
		if err := policy.Validate(d, policy.Repository); err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		for _, text := range []string{d.String(), d.Pretty()} {
			got, err := policy.ParseFor([]byte(text), policy.Repository)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(d, got); diff != "" {
				t.Fatalf("(-built +parsed):\n%s", diff)
			}
			if !policy.Equal(d, got) {
				t.Fatalf("not equal to itself: %s", d)
			}
		}
	})
}

// shuffled is d with the same meaning and everything in another order or form.
func shuffled(t *rapid.T, d policy.Document) policy.Document {
	again := func(list []string, form func(string) string) []string {
		if list == nil {
			return nil
		}
		out := rapid.Permutation(list).Draw(t, "order")
		for i := range out {
			out[i] = form(out[i])
		}
		return append(out, out[0])
	}
	same := func(s string) string { return s }
	who := func(p policy.Principals) policy.Principals {
		if p.Everyone {
			return policy.Principals{AWS: []string{"*"}}
		}
		return policy.Principals{AWS: again(p.AWS, func(s string) string {
			if id := policy.AccountOf(s); id == s {
				return "arn:aws:iam::" + id + ":root"
			} else if id != "" {
				return id
			}
			return s
		}), Service: again(p.Service, same)}
	}
	out := policy.Document{Version: d.Version, Statements: rapid.Permutation(d.Statements).Draw(t, "order")}
	for i, s := range out.Statements {
		s.Sid = ""
		s.Principal, s.NotPrincipal = who(s.Principal), who(s.NotPrincipal)
		s.Action, s.NotAction = again(s.Action, strings.ToUpper), again(s.NotAction, strings.ToUpper)
		s.Resource, s.NotResource = again(s.Resource, same), again(s.NotResource, same)
		s.Condition = rapid.Permutation(s.Condition).Draw(t, "order")
		for j := range s.Condition {
			s.Condition[j].Key = strings.ToUpper(s.Condition[j].Key)
			s.Condition[j].Values = again(s.Condition[j].Values, same)
		}
		out.Statements[i] = s
	}
	return out
}

func TestEqualIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDocument(t)
		before := d.String()
		e := shuffled(t, d)
		if !policy.Equal(d, e) || !policy.Equal(e, d) {
			t.Fatalf("not equal:\n%s\n%s", d, e)
		}
		if d.String() != before {
			t.Fatal("Equal changed its argument")
		}
	})
}

func TestEqualSeesEachChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genDocument(t)
		e := policy.Document{Version: d.Version, Statements: slices.Clone(d.Statements)}
		s := &e.Statements[rapid.IntRange(0, len(e.Statements)-1).Draw(t, "statement")]
		switch rapid.IntRange(0, 6).Draw(t, "change") {
		case 0:
			s.Effect += "x"
		case 1:
			s.Action = append(slices.Clone(s.Action), "ecr:New")
		case 2:
			s.Principal.Service = append(slices.Clone(s.Principal.Service), "new.amazonaws.com")
			s.Principal.Everyone = false
		case 3:
			all := func(r string) bool { return r == "*" } // a new one adds nothing to it
			s.NotResource = append(slices.DeleteFunc(slices.Clone(s.NotResource), all), "arn:aws:ecr:*:*:repository/new")
		case 4:
			s.Condition = append(slices.Clone(s.Condition), policy.Condition{Operator: "Bool", Key: "a:b", Values: []string{"true"}})
		case 5:
			e.Version = "2030-01-01"
		case 6:
			e.Statements = append(e.Statements, policy.Statement{Effect: policy.Deny, NotPrincipal: policy.Principals{AWS: []string{"444444444444"}}, Action: []string{"ecr:*"}})
		}
		if policy.Equal(d, e) || policy.Equal(e, d) {
			t.Fatalf("equal:\n%s\n%s", d, e)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, c := range documented {
		f.Add([]byte(c.text))
	}
	f.Add([]byte(`{"Version":"","Statement":{"Principal":{"AWS":[null,1]},"Condition":{"Null":{"a":[true,1e9]}},"Action":{}}}`))
	f.Add([]byte(`{"Statement":[{"Effect":"Allow","Effect":"Deny"}]} {`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := policy.Parse(text)
		if err != nil {
			for _, e := range err.(policy.Errors) {
				if e.Detail == "" || e.Offset > len(text) || e.Line < 1 || e.Column < 1 {
					t.Errorf("odd error %#v", e)
				}
			}
			return
		}
		for _, printed := range []string{d.String(), d.Pretty()} {
			again, err := policy.Parse([]byte(printed))
			if err != nil {
				t.Fatalf("%s: %v", printed, err)
			}
			if !policy.Equal(d, again) || d.String() != again.String() {
				t.Fatalf("%s re-parses as %s", printed, again)
			}
		}
		for _, kind := range []policy.Kind{policy.Repository, policy.Registry, policy.RegistryV1, policy.Identity, policy.Trust} {
			_, err := policy.ParseFor(text, kind)
			if err == nil && policy.Validate(d, kind) != nil {
				t.Fatalf("ParseFor %s accepts what Validate refuses: %v", kind, policy.Validate(d, kind))
			}
		}
	})
}
