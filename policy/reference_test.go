package policy_test

import (
	"encoding/base64"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/policy"
)

// The reference decides requests straight from the IAM user guide's "Policy
// evaluation logic", page by page and slowly: texts become regular expressions,
// each question is asked again, and nothing is shared with the package. It knows
// no unknown keys.
type reference struct{ question }

func (f reference) allowed() bool {
	var all []policy.Document
	all = append(all, f.identity...)
	all = append(all, f.boundary...)
	all = append(all, f.session...)
	for _, level := range f.scp {
		all = append(all, level...)
	}
	// "Deny evaluation: ... If the enforcement code finds even one explicit deny
	// that applies, the code returns a final decision of Deny."
	for _, d := range all {
		if f.any(d, policy.Deny, nil) {
			return false
		}
	}
	for _, d := range f.resource {
		if f.any(d, policy.Deny, f.covers) {
			return false
		}
	}
	c := f.request.Principal
	token := f.request.Action == "ecr:GetAuthorizationToken"
	owner := f.request.Owner
	if owner == "" || token {
		owner = c.Account
	}
	granted := func(levels ...string) bool {
		return !token && slices.ContainsFunc(f.resource, func(d policy.Document) bool {
			return f.any(d, policy.Allow, func(s policy.Statement) bool { return slices.Contains(levels, f.level(s)) })
		})
	}
	allows := func(docs []policy.Document) bool {
		return slices.ContainsFunc(docs, func(d policy.Document) bool { return f.any(d, policy.Allow, nil) })
	}
	if c.Type == policy.Service || c.Type == policy.Federated {
		return granted("account", "role", "direct")
	}
	// "Organizations SCPs ... at each level"
	for _, level := range f.scp {
		if !allows(level) {
			return false
		}
	}
	root := c.Type == policy.RootUser
	identity := root || allows(f.identity)
	limits := root || (len(f.boundary) == 0 || allows(f.boundary[:1])) && (len(f.session) == 0 || allows(f.session))
	if owner != c.Account {
		return granted("account", "role", "direct") && identity && limits
	}
	// "Resource-based policies and implicit denies in other policy types (same account)"
	if granted("direct") || granted("role") && limits {
		return true
	}
	return identity && limits && (!f.request.ResourceMustAllow || granted("account", "role", "direct"))
}

// any reports whether a statement of the effect applies, and is of the kind
// wanted.
func (f reference) any(d policy.Document, effect policy.Effect, wanted func(policy.Statement) bool) bool {
	return slices.ContainsFunc(d.Statements, func(s policy.Statement) bool {
		return s.Effect == effect && (wanted == nil || wanted(s)) && f.action(s) && f.onResource(s, d.Version) && f.conditions(s, d.Version)
	})
}

func (f reference) covers(s policy.Statement) bool { return f.level(s) != "" }

// level is how a statement of a resource-based policy names the caller: "" for
// not at all.
func (f reference) level(s policy.Statement) string {
	c := f.request.Principal
	list := func(p policy.Principals, names ...string) bool {
		return p.Everyone || slices.Contains(p.AWS, "*") || slices.ContainsFunc(names, func(n string) bool { return n != "" && slices.Contains(p.AWS, n) })
	}
	name := func(p policy.Principals) string {
		accounts := []string{c.Account, "arn:aws:iam::" + c.Account + ":root"}
		switch {
		case list(p):
			return "direct"
		case c.Type == policy.Service && slices.Contains(p.Service, c.ARN), c.Type == policy.Federated && slices.Contains(p.Federated, c.ARN):
			return "direct"
		case c.Type == policy.Service, c.Type == policy.Federated:
			return ""
		case c.Type == policy.RootUser && list(p, accounts...):
			return "direct"
		case c.Type == policy.User && list(p, c.ARN, c.UniqueID), c.Type == policy.RoleSession && list(p, c.ARN):
			return "direct"
		case c.Type == policy.RoleSession && list(p, c.RoleARN, c.UniqueID):
			return "role"
		case list(p, accounts...):
			return "account"
		}
		return ""
	}
	not := s.NotPrincipal
	if not.IsZero() {
		return name(s.Principal)
	}
	if s.Effect == policy.Allow {
		if name(not) != "" || !not.Everyone && len(not.AWS)+len(not.Service)+len(not.Federated) == 0 {
			return ""
		}
		return "direct"
	}
	// "will always deny any IAM principal that has a permissions boundary"
	person := c.Type == policy.User || c.Type == policy.RoleSession
	if person && len(f.boundary) > 0 {
		return "direct"
	}
	spared := name(not) != ""
	if person && !list(not) {
		// "AWS might validate the account first, then the role, and then the assumed-role user"
		spared = name(not) == "direct" && list(not, c.Account, "arn:aws:iam::"+c.Account+":root") &&
			(c.Type == policy.User || list(not, c.RoleARN, c.UniqueID))
	}
	if spared {
		return ""
	}
	return "direct"
}

func (f reference) action(s policy.Statement) bool {
	in := slices.ContainsFunc(slices.Concat(s.Action, s.NotAction), func(a string) bool {
		return matches("(?i)", wild(a, ".*", "."), f.request.Action)
	})
	if s.NotAction != nil {
		return !in && (len(s.NotAction) > 0 || s.Effect == policy.Deny)
	}
	return in
}

// wild is a text with wildcards as a regular expression.
func wild(text, run, one string) string {
	return strings.NewReplacer(`\*`, run, `\?`, one).Replace(regexp.QuoteMeta(text))
}

// compiledExpressions saves time, not thought.
var compiledExpressions = map[string]*regexp.Regexp{}

func matches(flags, expression, s string) bool {
	text := "(?s)" + flags + "^(?:" + expression + ")$"
	r := compiledExpressions[text]
	if r == nil {
		r = regexp.MustCompile(text)
		compiledExpressions[text] = r
	}
	return r.MatchString(s)
}

func (f reference) onResource(s policy.Statement, v policy.Version) bool {
	if s.Resource == nil && s.NotResource == nil {
		return true
	}
	in := slices.ContainsFunc(slices.Concat(s.Resource, s.NotResource), func(text string) bool {
		if text == "*" || !strings.HasPrefix(f.request.Resource, "arn:") {
			return text == "*"
		}
		var parts []string
		for i, part := range strings.SplitN(text, ":", 6) {
			if i == 5 {
				resolved, ok := f.resolve(part, v, ".*", ".")
				if !ok {
					return false
				}
				parts = append(parts, resolved)
				continue
			}
			// "If the * wildcard is the last character of a resource ARN segment, it can
			// expand to match beyond the colon boundaries."
			last := ""
			if cut, ok := strings.CutSuffix(part, "*"); ok {
				part, last = cut, ".*"
			}
			parts = append(parts, wild(part, "[^:]*", "[^:]")+last)
		}
		expression := strings.Join(parts, ":")
		// "an incomplete ARN ... AWS automatically completes the ARN by adding wildcard
		// characters (*) to all missing fields"
		return matches("", expression, f.request.Resource) ||
			matches("", expression+strings.Repeat(":.*", 6-len(parts)), f.request.Resource)
	})
	if s.NotResource != nil {
		return !in && (len(s.NotResource) > 0 || s.Effect == policy.Deny)
	}
	return in
}

var variablePattern = regexp.MustCompile(`\$\{([^}]*)\}`)

// resolve is a text with wildcards and variables as a regular expression; false
// when a variable has no value.
func (f reference) resolve(text string, v policy.Version, run, one string) (string, bool) {
	if v != policy.Version2012 {
		return wild(text, run, one), true
	}
	out, ok := "", true
	for {
		at := variablePattern.FindStringSubmatchIndex(text)
		if at == nil {
			return out + wild(text, run, one), ok
		}
		out += wild(text[:at[0]], run, one)
		name, fallback, has := strings.Cut(text[at[2]:at[3]], ",")
		text = text[at[1]:]
		values := f.values(name)
		switch {
		case name == "*" || name == "?" || name == "$":
			out += regexp.QuoteMeta(name)
		case len(values) == 1 && values[0] != "":
			out += regexp.QuoteMeta(values[0])
		case has && len(values) < 2:
			out += regexp.QuoteMeta(strings.Trim(strings.TrimSpace(fallback), "'"))
		default:
			ok = false
		}
	}
}

// values are the request's for a condition key.
func (f reference) values(key string) []string {
	c := f.request.Principal
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	last := c.ARN[strings.LastIndexByte(c.ARN, '/')+1:]
	switch key = strings.ToLower(key); key {
	case "aws:principalarn":
		switch c.Type {
		case policy.RoleSession:
			return one(c.RoleARN)
		case policy.User, policy.RootUser:
			return one(c.ARN)
		}
		return nil
	case "aws:principalaccount":
		return one(c.Account)
	case "aws:principalorgid":
		return one(c.OrganizationID)
	case "aws:username":
		if c.Type == policy.User {
			return one(last)
		}
		return nil
	case "aws:userid":
		switch c.Type {
		case policy.User:
			return one(c.UniqueID)
		case policy.RootUser:
			return one(c.Account)
		case policy.RoleSession:
			return one(c.UniqueID + ":" + last)
		}
		return nil
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		for k, v := range c.Tags {
			if strings.EqualFold(k, tag) {
				return []string{v}
			}
		}
		return nil
	}
	return f.context[key]
}

func (f reference) conditions(s policy.Statement, v policy.Version) bool {
	for _, c := range s.Condition {
		if !f.holds(c, s.Effect, v) {
			return false
		}
	}
	return true
}

var operatorPattern = regexp.MustCompile(`^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$`)

func (f reference) holds(c policy.Condition, effect policy.Effect, v policy.Version) bool {
	m := operatorPattern.FindStringSubmatch(c.Operator)
	set, operator, ifExists := m[1], m[2], m[3] != ""
	have := f.values(c.Key)
	if operator == "Null" {
		switch set {
		case "ForAllValues":
			return true
		case "ForAnyValue":
			return false
		}
		want := "false"
		if len(have) == 0 {
			want = "true"
		}
		return slices.ContainsFunc(c.Values, func(s string) bool { return strings.EqualFold(s, want) })
	}
	negated := strings.Contains(operator, "Not")
	holds := func(value string) bool {
		in := slices.ContainsFunc(c.Values, func(p string) bool { return f.compares(strings.Replace(operator, "Not", "", 1), value, p, v) })
		return in != negated
	}
	switch {
	case len(have) == 0 && set == "ForAllValues":
		return true
	case len(have) == 0 && ifExists:
		return true
	case len(have) == 0:
		return negated && set == ""
	case set == "" && len(have) > 1:
		return effect == policy.Deny
	case set == "":
		return holds(have[0])
	}
	have = slices.DeleteFunc(slices.Clone(have), func(s string) bool { return s == "" }) // "an empty string" is a null data set
	if set == "ForAnyValue" {
		return slices.ContainsFunc(have, holds)
	}
	return !slices.ContainsFunc(have, func(s string) bool { return !holds(s) })
}

// compares asks a positive operator about one value of the request and one of
// the policy.
func (f reference) compares(operator, value, of string, v policy.Version) bool {
	texts := func(flags, run, one string) bool {
		expression, ok := f.resolve(of, v, run, one)
		return ok && matches(flags, expression, value)
	}
	switch operator {
	case "StringEquals":
		return texts("", `\*`, `\?`)
	case "StringEqualsIgnoreCase":
		return texts("(?i)", `\*`, `\?`)
	case "StringLike":
		return texts("", ".*", ".")
	case "Bool":
		return slices.Contains([]string{"true", "false"}, strings.ToLower(value)) && texts("(?i)", `\*`, `\?`)
	case "ArnEquals", "ArnLike":
		if of == "*" {
			return true
		}
		if v == policy.Version2012 { // colons within variables do not part an ARN
			of = variablePattern.ReplaceAllStringFunc(of, func(s string) string { return strings.ReplaceAll(s, ":", "\x01") })
		}
		parts := strings.SplitN(of, ":", 6)
		have := strings.SplitN(value, ":", 6)
		if len(parts) != 6 || len(have) != 6 || have[0] != "arn" {
			return false
		}
		for i, part := range parts {
			expression, ok := f.resolve(strings.ReplaceAll(part, "\x01", ":"), v, ".*", ".")
			if !ok || !matches("", expression, have[i]) {
				return false
			}
		}
		return true
	case "BinaryEquals":
		b, err := base64.StdEncoding.DecodeString(of)
		return err == nil && string(b) == value
	case "IpAddress":
		of, length, whole := strings.Cut(of, "/")
		network, errA := netip.ParseAddr(of)
		address, errB := netip.ParseAddr(value)
		if errA != nil || errB != nil || network.Zone()+address.Zone() != "" || network.Unmap().Is4() != address.Unmap().Is4() {
			return false
		}
		bits := network.BitLen()
		if whole {
			n, err := strconv.ParseUint(length, 10, 8)
			if err != nil || int(n) > bits || length != strconv.FormatUint(n, 10) {
				return false
			}
			bits = int(n)
		}
		if network.Is4() {
			bits += 96
		}
		number := func(a netip.Addr) *big.Int {
			b := a.As16()
			n := new(big.Int).SetBytes(b[:])
			return n.Rsh(n, uint(128-bits))
		}
		return number(network).Cmp(number(address)) == 0
	}
	var order int
	if strings.HasPrefix(operator, "Numeric") {
		a, errA := strconv.ParseFloat(value, 64)
		b, errB := strconv.ParseFloat(of, 64)
		if errA != nil || errB != nil {
			return false
		}
		order = map[bool]int{true: 1}[a > b] - map[bool]int{true: 1}[a < b]
	} else {
		a, okA := dateOf(value)
		b, okB := dateOf(of)
		if !okA || !okB {
			return false
		}
		order = a.Compare(b)
	}
	switch strings.TrimPrefix(strings.TrimPrefix(operator, "Numeric"), "Date") {
	case "Equals":
		return order == 0
	case "LessThan":
		return order < 0
	case "LessThanEquals":
		return order <= 0
	case "GreaterThan":
		return order > 0
	}
	return order >= 0
}

var datePattern = regexp.MustCompile(`^(\d{4})(-\d\d)?(-\d\d)?(T\d\d:\d\d)?(:\d\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?$`)

// dateOf reads the W3C profiles by filling in what is left out, and else seconds.
func dateOf(s string) (time.Time, bool) {
	m := datePattern.FindStringSubmatch(s)
	if m == nil {
		seconds, err := strconv.ParseInt(s, 10, 64)
		return time.Unix(seconds, 0), err == nil
	}
	if (m[4] == "") != (m[6] == "") || m[4] == "" && m[5] != "" || m[3] == "" && m[4] != "" || m[2] == "" && m[3] != "" {
		return time.Time{}, false
	}
	for i, usual := range []string{"", "", "-01", "-01", "T00:00", ":00", "Z"} {
		if m[i] == "" {
			m[i] = usual
		}
	}
	t, err := time.Parse(time.RFC3339, strings.Join(m[1:], ""))
	return t, err == nil
}

// What genFull draws from. Values are few, so that they often meet.
var (
	fullCallers = []policy.Caller{
		{Type: policy.RootUser, Account: home, ARN: rootHome},
		{Type: policy.RootUser, Account: away, ARN: rootAway},
		{Type: policy.User, Account: home, ARN: alice, UniqueID: "AIDAALICE", Tags: map[string]string{"Team": "team"}},
		{Type: policy.User, Account: home, ARN: "arn:aws:iam::111111111111:user/eve", Tags: map[string]string{"team": ""}},
		{Type: policy.User, Account: away, ARN: bob, OrganizationID: "o-1", Tags: map[string]string{"team": ""}},
		{Type: policy.RoleSession, Account: home, ARN: ciSession, RoleARN: ciRole, UniqueID: "AROACI", Tags: map[string]string{"team": "other"}},
		{Type: policy.RoleSession, Account: away, ARN: awayNode, RoleARN: awayRole, UniqueID: "AROANODE"},
		{Type: policy.Service, ARN: "lambda.amazonaws.com"},
		{Type: policy.Federated, ARN: "token.example.com"},
	}
	fullPrincipals = []string{"*", home, rootHome, away, alice, bob, ciRole, ciSession, awayRole, awayNode, "AIDAALICE", "AROACI", "333333333333"}
	fullActions    = []string{"*", "ecr:*", "ecr:*", "ecr:PutImage", "ecr:put*", "ecr:Get*", "ecr:?atchGetImage", "s3:*"}
	fullResources  = []string{
		"*", repo, "arn:aws:ecr:*:*:repository/team/*", "arn:aws:ecr:*:repository/team/*", "arn:aws:ecr:*:repository/other/*", "arn:*:repository/team/a?p",
		"arn:aws:ecr", "arn:aws:ecr:us-east-1", "arn:aws:ecr:eu-west-1", "arn:aws:ecr:us-*-1:*:repository/*", "arn:aws:e*:repository/team/app", "arn:aws:ecr:*1:repository/*",
		"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}*", "arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team, 'team'}/*",
		"arn:aws:ecr:*:*:repository/${k:none}*", "arn:aws:ecr:*:*:repository/team/${*}", "arn:aws:ecr:*:*:repository/t?am/${k:text}",
	}
	fullOperators = map[string][]string{ // with the values to compare with
		"StringEquals":              {"app", "APP", "", "${k:text}", "${k:none}", "${aws:PrincipalTag/team}", "team", "${k:many}"},
		"StringNotEquals":           {"app", "", "${k:text}", "${k:none}", "${k:none, 'app'}", "${aws:PrincipalTag/team}", "${k:many, 'x'}"},
		"StringEqualsIgnoreCase":    {"App", "${k:text}", "TEAM"},
		"StringLike":                {"a?p", "*", "t*", "*${k:none}*", "${aws:PrincipalTag/team}*", "${*}"},
		"StringNotLike":             {"a*", "*${k:none}*", "${aws:PrincipalTag/team}*"},
		"NumericEquals":             {"10", "1e1", "${k:num}", "0"},
		"NumericNotEquals":          {"10", "${k:num}"},
		"NumericLessThanEquals":     {"10", "9.5", "${k:num}"},
		"NumericGreaterThan":        {"9", "${k:num}"},
		"DateEquals":                {"2026", "2026-01-01", "1767225600", "${k:date}"},
		"DateNotEquals":             {"2026-01-01T00:00Z", "${k:date}"},
		"DateLessThan":              {"2026", "2027", "2026-03", "${k:date}"},
		"DateGreaterThanEquals":     {"2026", "2026-01-01T01:00:00+01:00", "${k:date}"},
		"Bool":                      {"true", "False", "yes", "${k:bool}", "${k:none}"},
		"Null":                      {"true", "false", "yes"},
		"BinaryEquals":              {"YXBw", "%"},
		"IpAddress":                 {"10.0.0.0/8", "10.1.2.3", "::ffff:10.0.0.0/104", "2001:db8::/32", "${k:ip}"},
		"NotIpAddress":              {"10.0.0.0/8", "0.0.0.0/0", "${k:ip}"},
		"ArnLike":                   {"arn:aws:iam::*:user/*", "arn:aws", "*", "arn:aws:iam::${aws:PrincipalAccount}:*", "arn:aws:iam:*:role/ci", ciRole},
		"ArnNotEquals":              {"arn:aws:iam::*:user/*", "arn:aws", "arn:aws:iam::111111111111:*${k:none}", alice},
		"StringNotEqualsIgnoreCase": {"APP", "${k:none}"},
	}
	fullKeys = []string{"k:text", "k:none", "k:many", "k:empty", "k:num", "k:date", "k:bool", "k:ip", "aws:PrincipalTag/team", "aws:PrincipalArn",
		"aws:principalaccount", "aws:username", "aws:userid", "aws:PrincipalOrgID"}
	fullContext = map[string][]string{
		"k:text": {"app", "App", "team", "a*p", "app:x"}, "k:num": {"10", "9.5", "x"}, "k:date": {"2026-01-01T00:00:00Z", "2026", "1767225600", "2026-06-01"},
		"k:bool": {"true", "FALSE", "yes"}, "k:ip": {"10.1.2.3", "192.0.2.1", "2001:db8::1", "::ffff:10.9.9.9", "x"},
	}
)

// suitedKey is a key whose values are of the operator's type, "" for texts.
func suitedKey(operator string) string {
	for prefix, key := range map[string]string{"Numeric": "k:num", "Date": "k:date", "Bool": "k:bool", "Ip": "k:ip", "NotIp": "k:ip", "Arn": "aws:PrincipalArn"} {
		if strings.HasPrefix(operator, prefix) {
			return key
		}
	}
	return ""
}

// few draws none to three different elements; none is rare.
func few(t *rapid.T, label string, from []string) []string {
	if rapid.IntRange(0, 15).Draw(t, label+" empty") == 0 {
		return []string{}
	}
	return some(t, label, from...)
}

// genFull draws a policy of everything there is, for requests of the caller;
// principals only where it is a resource's.
func genFull(t *rapid.T, ofResource bool, caller policy.Caller) policy.Document {
	d := policy.Document{Version: rapid.SampledFrom([]policy.Version{policy.Version2012, policy.Version2012, policy.Version2008}).Draw(t, "version")}
	for range rapid.IntRange(1, 3).Draw(t, "statements") {
		s := policy.Statement{Effect: rapid.SampledFrom([]policy.Effect{policy.Allow, policy.Allow, policy.Allow, policy.Deny}).Draw(t, "effect")}
		if ofResource {
			p := policy.Principals{Everyone: rapid.IntRange(0, 5).Draw(t, "everyone") == 0}
			if !p.Everyone {
				p.AWS = few(t, "aws", fullPrincipals)
				if rapid.IntRange(0, 3).Draw(t, "on all levels") == 0 {
					for _, name := range []string{caller.Account, caller.ARN, caller.RoleARN} {
						if name != "" {
							p.AWS = append(p.AWS, name)
						}
					}
				}
				if rapid.IntRange(0, 3).Draw(t, "others") == 0 {
					p.Service, p.Federated = []string{"lambda.amazonaws.com"}, []string{"token.example.com"}
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "not principal") == 0 {
				s.NotPrincipal = p
			} else {
				s.Principal = p
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "not action") == 0 {
			s.NotAction = few(t, "action", fullActions)
		} else {
			s.Action = few(t, "action", fullActions)
		}
		switch rapid.IntRange(0, 4).Draw(t, "resource") {
		case 0:
		case 1:
			s.NotResource = few(t, "resource", fullResources)
		default:
			s.Resource = few(t, "resource", fullResources)
		}
		most := 2
		if s.Effect == policy.Deny {
			most = 3 // or nearly everything is denied
		}
		for range rapid.IntRange(most-2, most).Draw(t, "conditions") {
			op := rapid.SampledFrom(slices.Sorted(mapKeys(fullOperators))).Draw(t, "operator")
			keys := fullKeys
			if suited := suitedKey(op); suited != "" && rapid.Bool().Draw(t, "suited") {
				keys = []string{suited}
			}
			c := policy.Condition{Key: rapid.SampledFrom(keys).Draw(t, "key"), Values: few(t, "values", fullOperators[op]),
				Operator: rapid.SampledFrom([]string{"", "", "ForAllValues:", "ForAnyValue:"}).Draw(t, "set") + op}
			if op != "Null" && rapid.IntRange(0, 3).Draw(t, "if exists") == 0 {
				c.Operator += "IfExists"
			}
			if !slices.ContainsFunc(s.Condition, func(o policy.Condition) bool { return o.Operator == c.Operator && strings.EqualFold(o.Key, c.Key) }) {
				s.Condition = append(s.Condition, c)
			}
		}
		d.Statements = append(d.Statements, s)
	}
	return d
}

// genFullQuestion draws a request with policies of all kinds.
func genFullQuestion(t *rapid.T) question {
	caller := rapid.SampledFrom(fullCallers).Draw(t, "caller")
	everything := policy.Document{Statements: []policy.Statement{{Effect: policy.Allow, Action: []string{"*"}, Resource: []string{"*"}}}}
	list := func(label string, most int, ofResource bool) []policy.Document {
		var out []policy.Document
		for range rapid.IntRange(0, most).Draw(t, label) {
			if !ofResource && rapid.Bool().Draw(t, "everything") {
				out = append(out, everything)
			} else {
				out = append(out, genFull(t, ofResource, caller))
			}
		}
		return out
	}
	q := question{
		request: policy.Request{
			Principal: caller,
			Action:    rapid.SampledFrom([]string{"ecr:PutImage", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"}).Draw(t, "action"),
			Resource:  rapid.SampledFrom([]string{repo, repo, "arn:aws:ecr:us-east-1:111111111111:repository/other/app", "*", repo + ":repository/team/app"}).Draw(t, "resource"),
			Owner:     rapid.SampledFrom([]string{home, home, ""}).Draw(t, "owner"),

			ResourceMustAllow: rapid.IntRange(0, 4).Draw(t, "must") == 0,
		},
		identity: list("identity", 2, false), boundary: list("boundary", 1, false), session: list("session", 2, false), resource: list("resource", 2, true),
		context: map[string][]string{},
	}
	for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "levels") {
		q.scp = append(q.scp, list("scp", 2, false))
	}
	for _, key := range slices.Sorted(mapKeys(fullContext)) {
		if rapid.IntRange(0, 3).Draw(t, key+" absent") > 0 {
			q.context[key] = []string{rapid.SampledFrom(fullContext[key]).Draw(t, key)}
		}
	}
	q.context["k:many"] = rapid.SampledFrom([][]string{{"app", "team"}, {"app", ""}, {"app", "app"}}).Draw(t, "many")
	q.context["k:empty"] = []string{""}
	for key, values := range q.context {
		q.request.Context.Set(key, values...)
	}
	return q
}

// The engine and the reference agree on every request.
func TestReferenceAgrees(t *testing.T) {
	seen := map[policy.Outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 { // more than rapid draws on its own
			q := genFullQuestion(t)
			want := policy.Denied
			if (reference{q}).allowed() {
				want = policy.Allowed
			}
			got := q.ask()
			seen[want]++
			if got.Outcome != want {
				t.Fatalf("%s, want %s: %+v\nidentity %s\nboundary %s\nsession %s\nscp %s\nresource %s\ncontext %v",
					verdict(got), want, q.request.Principal, q.identity, q.boundary, q.session, q.scp, q.resource, q.context)
			}
		}
	})
	t.Logf("drawn: %v", seen)
	if all := seen[policy.Allowed] + seen[policy.Denied]; seen[policy.Allowed] < all/10 || seen[policy.Denied] < all/10 {
		t.Errorf("the outcomes drawn are %v", seen)
	}
}

// What is decided although keys are unknown, or the session is any one, is so
// for all of their values.
func TestUnknownsAreNoGuess(t *testing.T) {
	depends, decided := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			q := genFullQuestion(t)
			open := q
			hidden := some(t, "hidden", "k:*", "k:?????", "aws:PrincipalTag/*", "aws:user*", "aws:principalarn")
			open.request.Principal.Varies = hidden
			open.request.Principal.AnySession = q.request.Principal.Type == policy.RoleSession
			got := open.ask()
			if (got.Outcome == policy.Depends) != (len(got.DependsOn) > 0) {
				t.Fatalf("%+v", got)
			}
			if got.Outcome == policy.Depends {
				depends++
				continue
			}
			decided++
			for range 4 {
				again := q
				again.context = map[string][]string{}
				again.request.Context = policy.Context{}
				for key, values := range q.context {
					if slices.ContainsFunc(hidden, func(h string) bool { return matches("(?i)", wild(h, ".*", "."), key) }) {
						values = rapid.SampledFrom([][]string{nil, {rapid.SampledFrom(fullContext["k:text"]).Draw(t, "text")}, {"10"}, {"true"}, {"10.1.2.3"}, {"app", "x"}, {""}}).Draw(t, key)
					}
					again.context[key] = values
				}
				p := &again.request.Principal
				if p.Type == policy.RoleSession {
					p.ARN = p.ARN[:strings.LastIndexByte(p.ARN, '/')+1] + rapid.SampledFrom([]string{"build-7", "i-1", "x"}).Draw(t, "session")
				}
				if slices.Contains(hidden, "aws:PrincipalTag/*") {
					p.Tags = rapid.SampledFrom([]map[string]string{nil, {"team": "team"}, {"team": ""}, {"TEAM": "app"}}).Draw(t, "tags")
				}
				if want := (reference{again}).allowed(); want != (got.Outcome == policy.Allowed) {
					t.Fatalf("%s with %q hidden, but %v for %+v\nidentity %s\nboundary %s\nsession %s\nscp %s\nresource %s\ncontext %v",
						verdict(got), hidden, want, p, q.identity, q.boundary, q.session, q.scp, q.resource, again.context)
				}
			}
		}
	})
	t.Logf("%d depend, %d are decided", depends, decided)
	if all := depends + decided; depends < all/100 || decided < all/4 {
		t.Error("the questions drawn are too much alike")
	}
}
