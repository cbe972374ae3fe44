package policy_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/policy"
)

// holds evaluates an Allow and a Deny with the conditions, given as the inside
// of a Condition element, and reports whether each applies.
func holds(t *testing.T, version policy.Version, conditions string, c policy.Context) (allow, deny bool) {
	t.Helper()
	ask := func(effect string) policy.Decision {
		text := strings.Replace(policyText(`"Effect":"`+effect+`","Condition":{`+conditions+`}`), "2012-10-17", string(version), 1)
		d, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		who := caller(t, alice)
		who.Tags = map[string]string{"Team": "blue", "stars": "a*c", "none": ""}
		return policy.Evaluate(policy.Request{Principal: who, Action: "ecr:PutImage", Resource: repo, Context: c,
			Identity: []policy.Named{{Name: "p", Policy: policy.Compile(d)}}})
	}
	return ask("Allow").Outcome == policy.Allowed, ask("Deny").Deny != policy.Ref{}
}

// IAM user guide, "IAM JSON policy elements: Condition operators". The key k:k
// has the values given, separated by '|'; "-" is an absent key.
func TestConditionOperators(t *testing.T) {
	for _, c := range []struct {
		operator, values string // JSON
		yes, no          []string
	}{
		// String condition operators
		{"StringEquals", `"Ab*"`, []string{"Ab*"}, []string{"ab*", "Abc", "", "-"}},
		{"StringEquals", `["a","b"]`, []string{"a", "b"}, []string{"c", "-"}},
		{"StringNotEquals", `["a","b"]`, []string{"c", "A", "", "-"}, []string{"a", "b"}},
		{"StringEqualsIgnoreCase", `"Ab"`, []string{"ab", "AB"}, []string{"b", "-"}},
		{"StringNotEqualsIgnoreCase", `"Ab"`, []string{"b", "-"}, []string{"aB"}},
		{"StringLike", `"a?c*"`, []string{"abc", "abcd", "aéc"}, []string{"ac", "Abc", "xabc", "-"}},
		{"StringLike", `"*/a/*b"`, []string{"/a/b", "x/a/bb", "x/a/y/a/b"}, []string{"a/b", "/a/bc"}},
		{"StringLike", `"*"`, []string{"", "x"}, []string{"-"}},
		{"StringNotLike", `["a*","b*"]`, []string{"c", "-"}, []string{"a", "bb"}},
		// Numeric
		{"NumericEquals", `10`, []string{"10", "10.0", "1e1"}, []string{"11", "x", "", "-"}},
		{"NumericNotEquals", `"10"`, []string{"11", "-"}, []string{"10"}},
		{"NumericLessThan", `"10"`, []string{"9.9", "-5"}, []string{"10", "-", "NaN"}},
		{"NumericLessThanEquals", `"10"`, []string{"10"}, []string{"10.1", "-"}},
		{"NumericGreaterThan", `["10","100"]`, []string{"11"}, []string{"10", "-"}},
		{"NumericGreaterThanEquals", `"10"`, []string{"10", "11"}, []string{"9", "-"}},
		// Date: W3C profiles of ISO 8601, or epoch time
		{"DateEquals", `"2026-03-01T00:00:00Z"`, []string{"2026-03-01", "2026-03", "2026-03-01T01:00:00+01:00", "1772323200"}, []string{"2026-03-02", "x", "-"}},
		{"DateNotEquals", `"2026-03-01"`, []string{"2026-03-02", "-"}, []string{"2026-03-01T00:00Z"}},
		{"DateLessThan", `"2026-03-01"`, []string{"2026-02-28T23:59:59.9Z"}, []string{"2026-03-01", "-"}},
		{"DateLessThanEquals", `"2026-03-01"`, []string{"2026-03-01"}, []string{"2026-03-01T00:00:01Z"}},
		{"DateGreaterThan", `"2026-03-01"`, []string{"2026-03-01T00:00:01Z"}, []string{"2026-03-01"}},
		{"DateGreaterThanEquals", `1772323200`, []string{"2026-03-01", "2027-01", "2027"}, []string{"2026-02-28", "2026", "-"}},
		{"DateGreaterThanEquals", `"2026"`, []string{"2026-01-01T00:00:00Z", "2026"}, []string{"2025-12-31T23:59:59Z", "2025", "2027-13", "-"}},
		{"DateLessThan", `2026`, []string{"1970-01-02", "86400"}, []string{"1772323200"}},
		// Boolean
		{"Bool", `true`, []string{"true", "True"}, []string{"false", "1", "", "-"}},
		{"Bool", `"False"`, []string{"false"}, []string{"true", "-"}},
		// Binary: "byte for byte against a base-64 encoded representation"
		{"BinaryEquals", `"QmluYXJ5"`, []string{"Binary"}, []string{"QmluYXJ5", "binary", "-"}},
		// IP address
		{"IpAddress", `"203.0.113.0/24"`, []string{"203.0.113.7", "::ffff:203.0.113.7"}, []string{"203.0.114.7", "2001:db8::1", "x", "-"}},
		{"IpAddress", `["203.0.113.9","2001:DB8:1234:5678::/64"]`, []string{"203.0.113.9", "2001:db8:1234:5678::1"}, []string{"203.0.113.8", "2001:db8:1234:5679::"}},
		{"IpAddress", `"::ffff:10.0.0.0/104"`, []string{"10.1.2.3"}, []string{"11.0.0.0"}},
		{"IpAddress", `"0.0.0.0/0"`, []string{"10.1.2.3"}, []string{"::1", "-"}},
		{"NotIpAddress", `"203.0.113.0/24"`, []string{"203.0.114.7", "2001:db8::1", "-"}, []string{"203.0.113.7"}},
		// ARN: "Each of the six colon-delimited components of the ARN is checked separately"
		{"ArnLike", `"arn:aws:someservice:*:111122223333:finance/*"`,
			[]string{"arn:aws:someservice:us-east-2:111122223333:finance/document.txt", "arn:aws:someservice::111122223333:finance/a:b"},
			[]string{"arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", "finance/x", "-"}},
		{"ArnEquals", `"arn:aws:s*:us-?:1:Topic"`, []string{"arn:aws:sns:us-1:1:Topic"}, []string{"arn:aws:sns:us-1:1:topic"}},
		{"ArnEquals", `"*"`, []string{"arn:aws:sns:us-1:1:t", "x"}, []string{"-"}},
		{"ArnNotEquals", `"arn:aws:sns:*:1:*"`, []string{"arn:aws:sns:a:2:t", "-"}, []string{"arn:aws:sns:a:1:t"}},
		{"ArnNotLike", `"arn:aws:sns:*:1:*"`, []string{"arn:aws:sns:a:2:t", "-"}, []string{"arn:aws:sns:a:1:t"}},
		// ...IfExists: "If the key is not present, evaluate the condition element as true"
		{"StringEqualsIfExists", `"a"`, []string{"a", "-"}, []string{"b"}},
		{"StringNotEqualsIfExists", `"a"`, []string{"b", "-"}, []string{"a"}},
		{"BoolIfExists", `"true"`, []string{"true", "-"}, []string{"false"}},
		{"IpAddressIfExists", `"10.0.0.0/8"`, []string{"10.0.0.1", "-"}, []string{"11.0.0.1"}},
		// Null: "true (the key doesn't exist ...) or false (the key exists ...)"
		{"Null", `"true"`, []string{"-"}, []string{"", "a", "a|b"}},
		{"Null", `false`, []string{"", "a", "a|b"}, []string{"-"}},
		// "Single-valued vs. multivalued context keys": set operators; "ForAllValues ...
		// returns true if there are no context keys in the request", ForAnyValue false
		{"ForAllValues:StringEquals", `["a","b"]`, []string{"a", "a|b", "-", ""}, []string{"a|c", "c"}},
		{"ForAnyValue:StringEquals", `["a","b"]`, []string{"a", "c|b"}, []string{"c", "-", ""}},
		{"ForAllValues:StringNotEquals", `["a","b"]`, []string{"c", "c|d", "-"}, []string{"a", "c|a"}},
		{"ForAnyValue:StringNotEquals", `["a","b"]`, []string{"c", "c|a"}, []string{"a|b", "-"}},
		{"ForAllValues:StringLike", `"t-*"`, []string{"t-1|t-2"}, []string{"t-1|u"}},
		{"ForAnyValue:ArnLikeIfExists", `"arn:*:*:*:*:x"`, []string{"arn:a:b:c:d:x|y", "-"}, []string{"y"}},
		{"ForAllValues:StringEqualsIfExists", `"a"`, []string{"a", "-"}, []string{"a|b"}},
		{"ForAnyValue:NumericLessThan", `"5"`, []string{"9|4"}, []string{"9|5"}},
		// "IAM policy validation check reference", Null with qualifier: "they always
		// return a true or false respectively"
		{"ForAnyValue:Null", `"true"`, nil, []string{"-", "a", ""}},
		{"ForAnyValue:Null", `"false"`, nil, []string{"-", "a", ""}},
		{"ForAllValues:Null", `"true"`, []string{"-", "a", "a|b"}, nil},
		{"ForAllValues:Null", `false`, []string{"-", "a", "a|b"}, nil},
		// a value that is not of the operator's type matches nothing; the other values
		// still count ("evaluated using a logical OR"); absent keys come first
		{"Bool", `"yes"`, nil, []string{"true", "false", "yes", "", "-"}},
		{"Bool", `["yes","true"]`, []string{"true"}, []string{"false", "-"}},
		{"BoolIfExists", `"1"`, []string{"-"}, []string{"true", "false", "1"}},
		{"Null", `"yes"`, nil, []string{"-", "a"}},
		{"IpAddress", `["${k:k}","10.0.0.0/8"]`, []string{"10.1.1.1"}, []string{"11.0.0.1", "-"}},
		{"NotIpAddress", `["${k:k}","10.0.0.0/8"]`, []string{"11.0.0.1", "-"}, []string{"10.1.1.1"}},
		{"NotIpAddress", `"${k:k}"`, []string{"11.0.0.1", "-"}, nil},
		{"NumericEquals", `"${k:k}"`, nil, []string{"1", "-"}},
		{"NumericNotEquals", `["${k:k}","1"]`, []string{"2", "-"}, []string{"1"}},
		{"NumericLessThanIfExists", `"${k:k}"`, []string{"-"}, []string{"1"}},
		{"DateLessThan", `["${k:k}","2026-03-01"]`, []string{"2026-02-01"}, []string{"2026-04-01", "-"}},
		{"BinaryEquals", `["%","QQ=="]`, []string{"A"}, []string{"%", "B", "-"}},
		{"ArnLike", `["arn:aws","arn:a:b:c:d:*"]`, []string{"arn:a:b:c:d:e"}, []string{"arn:aws", "arn:aws:b:c:d:e", "-"}},
		{"ArnNotLike", `"arn:aws"`, []string{"arn:aws", "arn:aws:b:c:d:e", "-"}, nil},
		{"ForAllValues:NumericEquals", `["${k:k}","1"]`, []string{"1", "1|1", "-"}, []string{"1|2"}},
		{"ForAnyValue:Bool", `["no","true"]`, []string{"true|false"}, []string{"false", "no", "-"}},
		// an empty list: nothing matches (Empty array condition)
		{"StringEquals", `[]`, nil, []string{"a", "", "-"}},
		{"StringNotEquals", `[]`, []string{"a", "", "-"}, nil},
		{"StringEqualsIfExists", `[]`, []string{"-"}, []string{"a"}},
		{"ForAllValues:StringEquals", `[]`, []string{"-"}, []string{"a"}},
		{"ForAnyValue:StringEquals", `[]`, nil, []string{"a", "-"}},
		{"Null", `[]`, nil, []string{"a", "-"}},
	} {
		t.Run(c.operator+" "+c.values, func(t *testing.T) {
			for i, list := range [][]string{c.yes, c.no} {
				for _, v := range list {
					var ctx policy.Context
					if v != "-" {
						ctx.Set("K:K", strings.Split(v, "|")...)
					}
					allow, deny := holds(t, policy.Version2012, `"`+c.operator+`":{"k:k":`+c.values+`}`, ctx)
					if want := i == 0; allow != want || deny != want {
						t.Errorf("%s %s of %q: allows %v, denies %v, want %v", c.operator, c.values, v, allow, deny, want)
					}
				}
			}
		})
	}
}

// Where AWS does not say what happens, an Allow does not apply and a Deny does:
// a key with several values and no set operator.
func TestSeveralValuesWithoutSetOperator(t *testing.T) {
	for _, condition := range []string{
		`"StringEquals":{"k:k":"a"}`,
		`"StringNotEquals":{"k:k":"a"}`,
		`"StringEqualsIfExists":{"k:k":"a"}`,
		`"NumericLessThan":{"k:k":"1"}`,
	} {
		t.Run(condition, func(t *testing.T) {
			var ctx policy.Context
			ctx.Set("k:k", "a", "b")
			if allow, deny := holds(t, policy.Version2012, condition, ctx); allow || !deny {
				t.Errorf("allows %v, denies %v", allow, deny)
			}
		})
	}
}

// "If your policy has multiple condition operators or multiple keys attached to
// a single condition operator, the conditions are evaluated using a logical AND."
func TestSeveralConditions(t *testing.T) {
	var ctx policy.Context
	ctx.Set("a:a", "1")
	ctx.Set("b:b", "2")
	for condition, want := range map[string]bool{
		`"StringEquals":{"a:a":"1","b:b":"2"}`:                          true,
		`"StringEquals":{"a:a":"1","b:b":"3"}`:                          false,
		`"StringEquals":{"a:a":"1"},"NumericLessThan":{"b:b":"3"}`:      true,
		`"StringEquals":{"a:a":"2"},"NumericLessThan":{"b:b":"3"}`:      false,
		`"StringEquals":{"a:a":"1"},"StringEqualsIfExists":{"c:c":"3"}`: true,
	} {
		t.Run(condition, func(t *testing.T) {
			if allow, deny := holds(t, policy.Version2012, condition, ctx); allow != want || deny != want {
				t.Errorf("allows %v, denies %v", allow, deny)
			}
		})
	}
}

// "IAM policy elements: Variables and tags": special characters, defaults,
// "If you don't include the Version element ..., variables ... are treated as
// literal strings"; "any attempt to match [a key that is not present] fails".
func TestVariablesInConditions(t *testing.T) {
	var ctx policy.Context
	ctx.Set("k:k", "alice-blue")
	ctx.Set("k:star", "a*c")
	ctx.Set("k:dollar", "${aws:username}")
	ctx.Set("k:many", "x", "y")
	ctx.Set("k:empty", "")
	ctx.Set("k:t", "true")
	for _, c := range []struct {
		condition   string
		version     policy.Version
		allow, deny bool
	}{
		{`"StringEquals":{"k:k":"${aws:username}-${aws:PrincipalTag/team}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:k":"${AWS:UserName}-${aws:principaltag/TEAM}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:k":"${aws:username}-${aws:PrincipalTag/team}"}`, policy.Version2008, false, false},
		{`"StringEquals":{"k:dollar":"${aws:username}"}`, policy.Version2008, true, true},
		{`"StringLike":{"k:k":"${aws:username}-*"}`, policy.Version2012, true, true},
		{`"StringLike":{"k:star":"a${*}c"}`, policy.Version2012, true, true},
		{`"StringLike":{"k:k":"${*}"}`, policy.Version2012, false, false},
		{`"StringLike":{"k:k":"alice${?}blue"}`, policy.Version2012, false, false},
		{`"StringEquals":{"k:dollar":"${$}{aws:username}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:dollar":"${aws:username"}`, policy.Version2012, false, false},
		// the value of a variable has no wildcards
		{`"StringLike":{"k:star":"${aws:PrincipalTag/stars}"}`, policy.Version2012, true, true},
		{`"StringLike":{"k:k":"${k:star}"}`, policy.Version2012, false, false},
		{`"StringEquals":{"k:k":"${k:none, 'alice-blue'}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:k":"${aws:username,'x'}-${k:none,'blue'}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:k":"${k:none}"}`, policy.Version2012, false, false},
		{`"StringEquals":{"k:k":["${k:none}","alice-blue"]}`, policy.Version2012, true, true},
		// "Inverted condition operators ... do match against a null value"
		{`"StringNotEquals":{"k:k":"${k:none}"}`, policy.Version2012, true, true},
		{`"StringNotEquals":{"k:k":["${k:none}","alice-blue"]}`, policy.Version2012, false, false},
		{`"StringNotLike":{"k:k":"*${k:none}*"}`, policy.Version2012, true, true},
		{`"StringNotLike":{"k:k":"*${k:none,'blue'}"}`, policy.Version2012, false, false},
		{`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:user/*${k:none}"}`, policy.Version2012, true, true},
		{`"StringNotEquals":{"k:k":"${k:many}"}`, policy.Version2012, true, true},
		// an empty value is null, too
		{`"StringEquals":{"k:k":"alice-blue${k:empty}"}`, policy.Version2012, false, false},
		{`"StringNotEquals":{"k:k":"alice-blue${k:empty}"}`, policy.Version2012, true, true},
		{`"StringLike":{"k:k":"${aws:PrincipalTag/none}*"}`, policy.Version2012, false, false},
		{`"StringEquals":{"k:k":"${k:empty,'alice'}-blue"}`, policy.Version2012, true, true},
		{`"StringNotEquals":{"k:k":"${k:star}"}`, policy.Version2012, true, true},
		{`"StringEquals":{"k:k":"${k:many}"}`, policy.Version2012, false, false},
		{`"Bool":{"k:t":"${k:t}"}`, policy.Version2012, true, true},
		{`"Bool":{"k:t":"${k:t}"}`, policy.Version2008, false, false},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/*/${aws:username}"}`, policy.Version2012, true, true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${k:k}:user/*"}`, policy.Version2012, false, false},
	} {
		t.Run(string(c.version)+" "+c.condition, func(t *testing.T) {
			if allow, deny := holds(t, c.version, c.condition, ctx); allow != c.allow || deny != c.deny {
				t.Errorf("%s %s: allows %v, denies %v", c.version, c.condition, allow, deny)
			}
		})
	}
}
