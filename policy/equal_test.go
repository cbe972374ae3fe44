package policy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/policy"
)

// Each pair is two documents, or where they begin with no brace, the members of
// one statement each, and whether they say the same. The reasons are those of
// the IAM user guide, "IAM JSON policy elements reference", of the pages "AWS
// JSON policy elements: Principal", "... Condition operators", "Grammar of the
// IAM JSON policy language", and of the Amazon ECR user guide, "Private
// repository policies".
func TestEqualTable(t *testing.T) {
	const two = `{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"},{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}`
	const owt = `{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"},{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}`
	const plain = `{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}`
	condition := func(members string) string { return `"Condition":{` + members + `}` }
	for _, c := range []struct {
		name, a, b string
		want       bool
	}{
		// The text.
		{"white space", `{"Version":"2012-10-17","Statement":[` + plain + `]}`, "{\n\t\"Version\" : \"2012-10-17\",\r\n  \"Statement\" : [ " + plain + " ]\n}\n", true},
		{"order of the members", `{"Version":"2012-10-17","Statement":[` + plain + `]}`, `{"Statement":[` + plain + `],"Version":"2012-10-17"}`, true},
		{"order within a statement", `"Action":"ecr:PutImage","Effect":"Allow","Principal":"*"`, `"Principal":"*","Effect":"Allow","Action":"ecr:PutImage"`, true},
		{"escapes", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"arn:aws:iam::111111111111:role\u002fa"}`, true},
		{"an escaped slash", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"arn:aws:iam::111111111111:role\/a"}`, true},
		{"an escaped letter", `"Action":"ecr:PutImage"`, `"Action":"\u0065cr:PutImage"`, true},

		// "The Statement element can contain a single statement or an array of individual statements."
		{"one statement without its list", `{"Version":"2012-10-17","Statement":[` + plain + `]}`, `{"Version":"2012-10-17","Statement":` + plain + `}`, true},
		{"order of statements", `{"Statement":[` + two + `]}`, `{"Statement":[` + owt + `]}`, true},
		{"a statement twice", `{"Statement":[` + two + `]}`, `{"Statement":[` + two + `,` + plain + `]}`, true},
		{"a statement more", `{"Statement":[` + plain + `]}`, `{"Statement":[` + two + `]}`, false},
		{"one statement that does the work of two", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":["ecr:PutImage","ecr:ListImages"]}]}`,
			`{"Statement":[` + plain + `,{"Effect":"Allow","Principal":"*","Action":"ecr:ListImages"}]}`, false},

		// "If you do not include a Version element, the value defaults to 2008-10-17", and only 2012-10-17 has variables.
		{"no version", `{"Statement":[` + plain + `]}`, `{"Version":"2008-10-17","Statement":[` + plain + `]}`, true},
		{"versions", `{"Version":"2012-10-17","Statement":[` + plain + `]}`, `{"Version":"2008-10-17","Statement":[` + plain + `]}`, false},
		{"no version is not the newer one", `{"Version":"2012-10-17","Statement":[` + plain + `]}`, `{"Statement":[` + plain + `]}`, false},
		// Id and Sid are for people: "optional identifier".
		{"Id", `{"Id":"a","Statement":[` + plain + `]}`, `{"Statement":[` + plain + `]}`, true},
		{"Sid absent", `"Sid":"a"`, ``, true},
		{"Sid empty", `"Sid":""`, ``, true},
		{"Sids", `"Sid":"a"`, `"Sid":"b"`, true},
		{"effect", `"Effect":"Allow"`, `"Effect":"Deny"`, false},

		// "Action": "ecr:PutImage" or a list; "prefix and action name are case insensitive".
		{"a list of one action", `"Action":"ecr:PutImage"`, `"Action":["ecr:PutImage"]`, true},
		{"order of actions", `"Action":["ecr:PutImage","ecr:ListImages"]`, `"Action":["ecr:ListImages","ecr:PutImage"]`, true},
		{"an action twice", `"Action":["ecr:PutImage","ecr:PutImage"]`, `"Action":"ecr:PutImage"`, true},
		{"letter case of actions", `"Action":["ecr:GetDownloadUrlForLayer"]`, `"Action":"ECR:getdownloadurlforlayer"`, true},
		{"an action twice in two cases", `"Action":["ecr:PutImage","ecr:putimage"]`, `"Action":"ecr:PutImage"`, true},
		{"an action more", `"Action":["ecr:PutImage","ecr:ListImages"]`, `"Action":["ecr:PutImage"]`, false},
		{"wildcards are not followed", `"Action":["ecr:*","ecr:ListImages"]`, `"Action":["ecr:*"]`, false},
		{"a list of one NotAction", `"NotAction":"ecr:PutImage"`, `"NotAction":["ecr:putImage"]`, true},
		{"Action is not NotAction", `"Action":"ecr:PutImage"`, `"NotAction":"ecr:PutImage"`, false},

		// "When you specify an AWS account, you can use the account ARN or the shortened form".
		{"an account and its root", `"Principal":{"AWS":"111111111111"}`, `"Principal":{"AWS":"arn:aws:iam::111111111111:root"}`, true},
		{"an account of China", `"Principal":{"AWS":"111111111111"}`, `"Principal":{"AWS":["arn:aws-cn:iam::111111111111:root"]}`, true},
		{"an account twice", `"Principal":{"AWS":["111111111111","arn:aws:iam::111111111111:root"]}`, `"Principal":{"AWS":"111111111111"}`, true},
		{"an account as NotPrincipal", `"NotPrincipal":{"AWS":"111111111111"}`, `"NotPrincipal":{"AWS":["arn:aws:iam::111111111111:root"]}`, true},
		{"order of principals", `"Principal":{"AWS":["111111111111","222222222222"]}`, `"Principal":{"AWS":["222222222222","111111111111"]}`, true},
		{"order of principal types", `"Principal":{"AWS":"111111111111","Service":"a.amazonaws.com"}`, `"Principal":{"Service":["a.amazonaws.com"],"AWS":["111111111111"]}`, true},
		{"another account", `"Principal":{"AWS":"111111111111"}`, `"Principal":{"AWS":"111111111112"}`, false},
		{"another partition's role", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"arn:aws-cn:iam::111111111111:role/a"}`, false},
		{"a role and its account", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"111111111111"}`, false},
		{"a role and its session", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/a/b"}`, false},
		{"letter case of a role", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"arn:aws:iam::111111111111:role/A"}`, false},
		// "the ARN transforms into the role's unique principal ID" when it is deleted; a new role of that name is another.
		{"a deleted role", `"Principal":{"AWS":"arn:aws:iam::111111111111:role/a"}`, `"Principal":{"AWS":"AROAEXAMPLEEXAMPLE12"}`, false},
		{"a deleted user", `"Principal":{"AWS":"arn:aws:iam::111111111111:user/a"}`, `"Principal":{"AWS":"AIDAEXAMPLEEXAMPLE12"}`, false},
		{"one deleted user and another", `"Principal":{"AWS":"AIDAEXAMPLEEXAMPLE11"}`, `"Principal":{"AWS":"AIDAEXAMPLEEXAMPLE12"}`, false},
		// `The following elements are equivalent: "Principal": "*" and "Principal": {"AWS": "*"}`.
		{"everyone", `"Principal":"*"`, `"Principal":{"AWS":"*"}`, true},
		{"everyone in a list", `"Principal":"*"`, `"Principal":{"AWS":["*"]}`, true},
		{"everyone and one", `"Principal":{"AWS":["*","111111111111"]}`, `"Principal":{"AWS":"*"}`, true},
		{"everyone and a service", `"Principal":{"AWS":"*","Service":"a.amazonaws.com"}`, `"Principal":"*"`, false},
		{"everyone and a service of all", `"Principal":"*"`, `"Principal":{"Service":"a.amazonaws.com"}`, false},
		{"Principal is not NotPrincipal", `"Principal":{"AWS":"111111111111"}`, `"NotPrincipal":{"AWS":"111111111111"}`, false},
		{"an account is no service", `"Principal":{"AWS":"a"}`, `"Principal":{"Federated":"a"}`, false},

		// A repository policy is about its repository, with or without "Resource".
		{"no resource", ``, `"Resource":"*"`, true},
		{"a list of one resource", `"Resource":["*"]`, `"Resource":"*"`, true},
		{"all resources and one", `"Resource":["arn:aws:ecr:us-east-1:111111111111:repository/a","*"]`, ``, true},
		{"order of resources", `"Resource":["arn:aws:ecr:*:*:repository/a","arn:aws:ecr:*:*:repository/b"]`, `"Resource":["arn:aws:ecr:*:*:repository/b","arn:aws:ecr:*:*:repository/a"]`, true},
		{"another resource", `"Resource":"arn:aws:ecr:*:*:repository/a"`, ``, false},
		{"letter case of resources", `"Resource":"arn:aws:ecr:*:*:repository/a"`, `"Resource":"arn:aws:ecr:*:*:repository/A"`, false},
		{"Resource is not NotResource", `"Resource":"arn:aws:ecr:*:*:repository/a"`, `"NotResource":"arn:aws:ecr:*:*:repository/a"`, false},

		// "Condition key names are not case-sensitive"; values are a string or a list.
		{"no conditions", `"Condition":{}`, ``, true},
		{"letter case of keys", condition(`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`), condition(`"StringEquals":{"AWS:principalorgid":["o-1"]}`), true},
		{"order of operators, keys and values", condition(`"StringEquals":{"a:b":["1","2"],"a:c":"3"},"Bool":{"a:d":"true"}`),
			condition(`"Bool":{"a:d":"true"},"StringEquals":{"a:c":"3","a:b":["2","1","2"]}`), true},
		{"a condition", condition(`"StringEquals":{"aws:PrincipalOrgID":"o-1"}`), ``, false},
		{"values", condition(`"StringEquals":{"a:b":"o-1"}`), condition(`"StringEquals":{"a:b":"o-2"}`), false},
		{"letter case of values", condition(`"StringEquals":{"a:b":"x"}`), condition(`"StringEquals":{"a:b":"X"}`), false},
		{"operators", condition(`"StringEquals":{"a:b":"x"}`), condition(`"StringLike":{"a:b":"x"}`), false},
		{"IfExists", condition(`"StringEquals":{"a:b":"x"}`), condition(`"StringEqualsIfExists":{"a:b":"x"}`), false},
		{"sets", condition(`"ForAllValues:StringEquals":{"a:b":"x"}`), condition(`"ForAnyValue:StringEquals":{"a:b":"x"}`), false},
		{"operators are case-sensitive", condition(`"StringEquals":{"a:b":"x"}`), condition(`"stringequals":{"a:b":"x"}`), false},
		// "StringEqualsIgnoreCase: exact matching, ignoring case".
		{"ignored case", condition(`"StringEqualsIgnoreCase":{"a:b":"x"}`), condition(`"StringEqualsIgnoreCase":{"a:b":"X"}`), true},
		{"ignored case, negated", condition(`"ForAllValues:StringNotEqualsIgnoreCaseIfExists":{"a:b":"x"}`), condition(`"ForAllValues:StringNotEqualsIgnoreCaseIfExists":{"a:b":"X"}`), true},
		// "ArnEquals and ArnLike behave identically."
		{"ArnEquals", condition(`"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::a*"}`), condition(`"ArnLike":{"aws:SourceArn":"arn:aws:s3:::a*"}`), true},
		{"ArnNotEquals", condition(`"ForAnyValue:ArnNotEqualsIfExists":{"a:b":"arn:aws:s3:::a"}`), condition(`"ForAnyValue:ArnNotLikeIfExists":{"a:b":"arn:aws:s3:::a"}`), true},
		{"ArnNotEquals and ArnLike", condition(`"ArnNotEquals":{"a:b":"arn:aws:s3:::a"}`), condition(`"ArnLike":{"a:b":"arn:aws:s3:::a"}`), false},
		// "you can use Boolean and number values without quotation marks".
		{"a Boolean", condition(`"Bool":{"aws:SecureTransport":"true"}`), condition(`"Bool":{"aws:SecureTransport":true}`), true},
		{"a Boolean's letter case", condition(`"Bool":{"aws:SecureTransport":"true"}`), condition(`"Bool":{"aws:SecureTransport":["True"]}`), true},
		{"Booleans", condition(`"Bool":{"aws:SecureTransport":"true"}`), condition(`"Bool":{"aws:SecureTransport":"false"}`), false},
		{"Null", condition(`"Null":{"aws:SourceArn":"true"}`), condition(`"Null":{"aws:SourceArn":true}`), true},
		{"a number", condition(`"NumericEquals":{"a:b":10}`), condition(`"NumericEquals":{"a:b":"10"}`), true},
		{"a number's fraction", condition(`"NumericLessThan":{"a:b":"10"}`), condition(`"NumericLessThan":{"a:b":[10.0,1e1]}`), true},
		{"minus zero", condition(`"NumericEquals":{"a:b":"-0"}`), condition(`"NumericEquals":{"a:b":0}`), true},
		{"numbers", condition(`"NumericEquals":{"a:b":10}`), condition(`"NumericEquals":{"a:b":11}`), false},
		{"long numbers", condition(`"NumericEquals":{"a:b":9007199254740993}`), condition(`"NumericEquals":{"a:b":9007199254740992}`), false},
		{"a number as text", condition(`"StringEquals":{"a:b":10}`), condition(`"StringEquals":{"a:b":"10"}`), true},
		{"numbers as text", condition(`"StringEquals":{"a:b":"10"}`), condition(`"StringEquals":{"a:b":"10.0"}`), false},
		// "one of the W3C implementations of the ISO 8601 date formats or in epoch (UNIX) time"
		{"a date", condition(`"DateLessThan":{"aws:CurrentTime":"2026-03-01"}`), condition(`"DateLessThan":{"aws:CurrentTime":"2026-03-01T01:00:00+01:00"}`), true},
		{"a date in seconds", condition(`"DateEquals":{"aws:CurrentTime":"2026-03-01T00:00:00Z"}`), condition(`"DateEquals":{"aws:CurrentTime":1772323200}`), true},
		{"dates", condition(`"DateEquals":{"aws:CurrentTime":"2026-03-01"}`), condition(`"DateEquals":{"aws:CurrentTime":"2026-03-02"}`), false},
		// "If you do not specify a prefix, the default value /32 is used."
		{"an address", condition(`"IpAddress":{"aws:SourceIp":"192.0.2.1"}`), condition(`"IpAddress":{"aws:SourceIp":"192.0.2.1/32"}`), true},
		{"a range", condition(`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`), condition(`"NotIpAddress":{"aws:SourceIp":"192.0.2.77/24"}`), true},
		{"an IPv6 range", condition(`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`), condition(`"IpAddress":{"aws:SourceIp":"2001:DB8:0:0::/32"}`), true},
		{"ranges", condition(`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`), condition(`"IpAddress":{"aws:SourceIp":"192.0.2.0/25"}`), false},
		{"the same twice in one statement", condition(`"ArnEquals":{"a:b":"arn:aws:s3:::a"},"ArnLike":{"a:b":"arn:aws:s3:::a"}`), condition(`"ArnLike":{"a:b":"arn:aws:s3:::a"}`), true},
		{"two of one operator in one statement", condition(`"ArnEquals":{"a:b":"arn:aws:s3:::a"},"ArnLike":{"a:b":"arn:aws:s3:::*"}`), condition(`"ArnEquals":{"a:b":"arn:aws:s3:::*"},"ArnLike":{"a:b":"arn:aws:s3:::a"}`), true},
		{"two of one operator and one of them", condition(`"ArnEquals":{"a:b":"arn:aws:s3:::a"},"ArnLike":{"a:b":"arn:aws:s3:::*"}`), condition(`"ArnLike":{"a:b":["arn:aws:s3:::a","arn:aws:s3:::*"]}`), false},
		// A variable's name is a condition key, but its text is kept as it is.
		{"variables", `"Resource":"arn:aws:ecr:*:*:repository/${aws:username}"`, `"Resource":"arn:aws:ecr:*:*:repository/${aws:userid}"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			docs := make([]policy.Document, 2)
			readable := true
			for i, text := range []string{c.a, c.b} {
				if !strings.HasPrefix(text, "{") {
					text = statement(text)
				}
				d, err := policy.Parse([]byte(text))
				if err != nil {
					readable = false
				}
				docs[i] = d
			}
			if !readable && c.want {
				t.Fatal("one of the two cannot be read")
			}
			for _, d := range docs {
				if !policy.Equal(d, d) {
					t.Errorf("not equal to itself: %s", d)
				}
			}
			if policy.Equal(docs[0], docs[1]) != c.want || policy.Equal(docs[1], docs[0]) != c.want {
				t.Errorf("want equal %v:\n%s\n%s", c.want, docs[0], docs[1])
			}
		})
	}
}

// Values that the operators of the family take: forms of the same value stand
// side by side.
var conditionForms = map[string][][]string{
	"Bool":                   {{"true", "True", "TRUE"}, {"false", "False"}},
	"Null":                   {{"true", "True"}, {"false", "FALSE"}},
	"NumericEquals":          {{"10", "10.0", "1e1"}, {"0", "-0", "0.0"}, {"7.5", "75e-1"}},
	"NumericLessThan":        {{"10", "10.00"}, {"8", "8.0"}},
	"DateGreaterThan":        {{"2026-03-01", "2026-03-01T00:00Z", "1772323200", "2026-03-01T01:00:00+01:00"}, {"2026-03", "2026-03-01T00:00:00Z"}, {"2027-01", "2027-01-01"}},
	"NotIpAddress":           {{"192.0.2.0/24", "192.0.2.9/24"}, {"192.0.2.1", "192.0.2.1/32"}, {"2001:db8::/32", "2001:DB8:0::7/32"}},
	"StringEqualsIgnoreCase": {{"Ab", "aB", "AB"}, {"ä", "Ä"}, {"c"}},
	"StringNotEquals":        {{"Ab"}, {"aB"}},
	"ArnEquals":              {{"arn:aws:s3:::a*"}, {"arn:aws:s3:::b"}},
	"ArnNotLike":             {{"arn:aws:s3:::a*"}, {"arn:aws:s3:::b"}},
}

// requestValues are what requests have for the conditions of genCondition.
var requestValues = []string{"", "true", "false", "10", "9.5", "0", "7.5", "2026-03-01", "2026-12-01T00:00:00Z", "2027-06", "192.0.2.1", "192.0.2.200",
	"198.51.100.1", "2001:db8::1", "ab", "Ab", "aB", "Ä", "c", "arn:aws:s3:::ab", "arn:aws:s3:::b", "x"}

// genConditions draws conditions of all families, all on one key.
func genConditions(t *rapid.T) []policy.Condition {
	var out []policy.Condition
	for _, op := range rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(mapKeys(conditionForms))), 0, 3, rapid.ID).Draw(t, "operators") {
		values := rapid.SliceOfN(rapid.SampledFrom(slices.Concat(conditionForms[op]...)), 1, 3).Draw(t, "values")
		prefix := rapid.SampledFrom([]string{"", "ForAllValues:", "ForAnyValue:"}).Draw(t, "set")
		suffix := rapid.SampledFrom([]string{"", "IfExists"}).Draw(t, "if exists")
		if op == "Null" {
			prefix, suffix = "", ""
		}
		out = append(out, policy.Condition{Operator: prefix + op + suffix, Key: "my:Key", Values: values})
	}
	return out
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// otherForm draws a way to write the value of a condition of operator.
func otherForm(t *rapid.T, operator, value string) string {
	base := strings.TrimSuffix(operator[strings.IndexByte(operator, ':')+1:], "IfExists")
	for _, same := range conditionForms[base] {
		if slices.Contains(same, value) {
			return rapid.SampledFrom(same).Draw(t, "form")
		}
	}
	return value
}

// rewritten is d with the same meaning by every rule of Equal: shuffled, and
// other forms of the values and operators of conditions, of everyone, and of
// the resource that is none.
func rewritten(t *rapid.T, d policy.Document) policy.Document {
	out := shuffled(t, d)
	if out.Version == "" || out.Version == policy.Version2008 {
		out.Version = rapid.SampledFrom([]policy.Version{"", policy.Version2008}).Draw(t, "version")
	}
	out.ID = rapid.SampledFrom([]string{"", "x"}).Draw(t, "id")
	for i := range out.Statements {
		s := &out.Statements[i]
		s.Sid = rapid.SampledFrom([]string{"", "S" + strconv.Itoa(i)}).Draw(t, "sid")
		if slices.Contains(s.Principal.AWS, "*") && rapid.Bool().Draw(t, "more") {
			s.Principal.AWS = append(s.Principal.AWS, "999999999999")
		}
		switch {
		case slices.Contains(s.Resource, "*") && rapid.Bool().Draw(t, "no resource"):
			s.Resource = nil
		case s.Resource == nil && s.NotResource == nil && rapid.Bool().Draw(t, "resource"):
			s.Resource = []string{"arn:aws:ecr:*:*:repository/x", "*"}
		}
		for j := range s.Condition {
			c := &s.Condition[j]
			for k := range c.Values {
				c.Values[k] = otherForm(t, c.Operator, c.Values[k])
			}
			if rapid.Bool().Draw(t, "arn") {
				from, to := "ArnEquals", "ArnLike"
				if strings.Contains(c.Operator, "ArnNotLike") {
					from, to = "ArnNotLike", "ArnNotEquals"
				}
				name := strings.Replace(c.Operator, from, to, 1)
				if !slices.ContainsFunc(s.Condition, func(o policy.Condition) bool { return o.Operator == name && strings.EqualFold(o.Key, c.Key) }) {
					c.Operator = name
				}
			}
		}
	}
	if rapid.Bool().Draw(t, "twice") {
		again := out.Statements[0]
		again.Sid = "Again"
		out.Statements = append(out.Statements, again)
	}
	return out
}

// genConditional is genDocument with conditions of every family.
func genConditional(t *rapid.T) policy.Document {
	d := genDocument(t)
	for i := range d.Statements {
		if rapid.Bool().Draw(t, "families") {
			d.Statements[i].Condition = genConditions(t)
		}
	}
	return d
}

// decisions are what d, as the policy of a repository, says to requests.
func decisions(t *rapid.T, q question, d policy.Document, values []string) string {
	q.resource = []policy.Document{d}
	q.request.Explain = false
	q.request.Context.Set("my:key", values...)
	got := q.ask()
	return fmt.Sprint(got.Outcome, got.Lacking, got.Deny.Source, got.ResourceAllow.Source)
}

// What is written again by the rules of Equal is equal, and AWS would decide
// every request by it as before; a change is told from it.
func TestEqualOfRewritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := genConditional(t)
		e := rewritten(t, d)
		for _, text := range []string{e.String(), e.Pretty()} {
			f, err := policy.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if !policy.Equal(d, f) || !policy.Equal(f, d) {
				t.Fatalf("not equal:\n%s\n%s", d, f)
			}
		}
		q := genQuestion(t, false)
		values := rapid.SliceOfN(rapid.SampledFrom(requestValues), 0, 2).Draw(t, "request's values")
		if a, b := decisions(t, q, d, values), decisions(t, q, e, values); a != b {
			t.Fatalf("%s, but rewritten %s:\n%s\n%s", a, b, d, e)
		}
	})
}

// Documents that Equal calls the same decide the same: no other mistake of
// Equal could let a change go unseen. The second document is the first with
// parts that other documents have.
func TestEqualDocumentsDecideTheSame(t *testing.T) {
	equal := 0
	rapid.Check(t, func(t *rapid.T) {
		d, other := genConditional(t), genConditional(t)
		e := rewritten(t, d)
		s, from := &e.Statements[rapid.IntRange(0, len(e.Statements)-1).Draw(t, "statement")], other.Statements[0]
		switch rapid.IntRange(0, 8).Draw(t, "part") {
		case 0:
			s.Effect = from.Effect
		case 1:
			s.Principal, s.NotPrincipal = from.Principal, from.NotPrincipal
		case 2:
			s.Action, s.NotAction = from.Action, from.NotAction
		case 3:
			s.Resource, s.NotResource = from.Resource, from.NotResource
		case 4:
			s.Condition = from.Condition
		case 5:
			e.Version = other.Version
		case 6:
			e.Statements = append(e.Statements, from)
		case 7:
			if len(s.Condition) > 0 {
				c := &s.Condition[0]
				c.Values = slices.Concat(c.Values[:len(c.Values)-1], []string{rapid.SampledFrom(requestValues).Draw(t, "value")})
			}
		case 8:
			if len(e.Statements) > 1 {
				e.Statements = e.Statements[1:]
			}
		}
		if policy.Validate(d, policy.Repository) != nil || policy.Validate(e, policy.Repository) != nil {
			return
		}
		same := policy.Equal(d, e)
		if same != policy.Equal(e, d) {
			t.Fatalf("Equal depends on the order:\n%s\n%s", d, e)
		}
		if same {
			equal++
		}
		for range 4 {
			q := genQuestion(t, false)
			values := rapid.SliceOfN(rapid.SampledFrom(requestValues), 0, 2).Draw(t, "request's values")
			a, b := decisions(t, q, d, values), decisions(t, q, e, values)
			if same && a != b {
				t.Fatalf("equal, but %s and %s:\n%s\n%s", a, b, d, e)
			}
		}
	})
	if equal == 0 {
		t.Error("no two that are drawn are equal")
	}
}
