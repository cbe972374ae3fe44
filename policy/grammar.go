package policy

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// grammar checks what holds in every kind of policy, except in statements whose
// index is in broken.
func grammar(doc Document, broken map[int]bool) []finding {
	c := checker{code: CodeGrammar}
	if doc.Version != "" && doc.Version != Version2012 && doc.Version != Version2008 {
		c.fail(jsonpos.Path{"Version"}, "%s", wrongVersion(doc.Version))
	}
	c.utf8(jsonpos.Path{"Id"}, doc.ID)
	for i, s := range doc.Statements {
		if !broken[i] {
			c.statement(jsonpos.Path{"Statement", i}, s)
		}
	}
	return c.found
}

func wrongVersion(v Version) string {
	return fmt.Sprintf("version %q is unknown; use %q (or the older %q)", v, Version2012, Version2008)
}

type checker struct {
	code  Code
	found []finding
}

func (c *checker) fail(path jsonpos.Path, format string, args ...any) {
	c.found = append(c.found, finding{code: c.code, path: path, detail: fmt.Sprintf(format, args...)})
}

func (c *checker) utf8(path jsonpos.Path, s string) {
	if !utf8.ValidString(s) {
		c.fail(path, "is not valid UTF-8")
	}
}

func (c *checker) statement(at jsonpos.Path, s Statement) {
	c.utf8(at.At("Sid"), s.Sid)
	switch s.Effect {
	case Allow, Deny:
	case "":
		c.fail(at.At("Effect"), "Effect is missing: %s or %s", Allow, Deny)
	default:
		c.fail(at.At("Effect"), "want %s or %s, have %q", Allow, Deny, s.Effect)
	}
	if !s.Principal.IsZero() && !s.NotPrincipal.IsZero() {
		c.fail(at.At("NotPrincipal"), "Principal and NotPrincipal exclude each other")
	}
	c.principals(at.At("Principal"), s.Principal)
	c.principals(at.At("NotPrincipal"), s.NotPrincipal)
	switch {
	case s.Action != nil && s.NotAction != nil:
		c.fail(at.At("NotAction"), "Action and NotAction exclude each other")
	case s.Action == nil && s.NotAction == nil:
		c.fail(at, "Action is missing")
	}
	c.list(at.At("Action"), s.Action, wrongAction)
	c.list(at.At("NotAction"), s.NotAction, wrongAction)
	if s.Resource != nil && s.NotResource != nil {
		c.fail(at.At("NotResource"), "Resource and NotResource exclude each other")
	}
	c.list(at.At("Resource"), s.Resource, wrongResource)
	c.list(at.At("NotResource"), s.NotResource, wrongResource)
	for i, cond := range s.Condition {
		c.condition(at.At("Condition", cond.Operator), cond, s.Condition[:i])
	}
}

// principals checks the shape only: who may be named depends on the kind.
func (c *checker) principals(at jsonpos.Path, p Principals) {
	lists := p.lists()
	if p.Everyone && slices.ContainsFunc(lists, func(l principalList) bool { return l.ids != nil }) {
		c.fail(at, `"*" excludes other principals`)
	}
	for _, l := range lists {
		c.list(at.At(l.name), l.ids, nil)
	}
}

type principalList struct {
	name string
	ids  []string
}

// lists is the lists of p by their names, in the order of the documentation.
func (p Principals) lists() []principalList {
	return []principalList{{"AWS", p.AWS}, {"Service", p.Service}, {"Federated", p.Federated}, {"CanonicalUser", p.CanonicalUser}}
}

// list checks each element of a list by wrong, which returns "" for a good
// one; nil for wrong takes everything. A list may be empty: nothing matches it.
func (c *checker) list(at jsonpos.Path, list []string, wrong func(string) string) {
	for i, s := range list {
		if s == "" {
			c.fail(at.At(i), "is empty")
		}
		c.utf8(at.At(i), s)
	}
	if wrong != nil {
		c.each(at, list, wrong)
	}
}

// each checks the elements of a list that are not empty and valid UTF-8.
func (c *checker) each(at jsonpos.Path, list []string, wrong func(string) string) {
	for i, s := range list {
		if s == "" || !utf8.ValidString(s) {
			continue
		}
		if reason := wrong(s); reason != "" {
			c.fail(at.At(i), "%s", reason)
		}
	}
}

// actionPattern is IAM's: the service is written out, the name may have
// wildcards.
var actionPattern = lazyregexp.New(`^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$`)

func wrongAction(s string) string {
	if s == "*" || actionPattern.MatchString(s) {
		return ""
	}
	return fmt.Sprintf(`%q is not an action; want SERVICE:NAME, such as "ecr:BatchGetImage" or "ecr:*"`, s)
}

// wrongResource also takes an incomplete ARN, such as "arn:aws:ecr", whose
// missing parts count as "*".
func wrongResource(s string) string {
	parts := strings.SplitN(s, ":", 6)
	complete := len(parts) == 6 && parts[5] != ""
	incomplete := 3 <= len(parts) && len(parts) < 6 || strings.ContainsAny(s, "*?$")
	if s == "*" || parts[0] == "arn" && (complete || incomplete) && !slices.Contains(parts[1:min(3, len(parts))], "") {
		return ""
	}
	return fmt.Sprintf(`%q is not a resource; want an ARN or "*"`, s)
}

// arn is arn:partition:service:region:account:resource.
type arn struct{ partition, service, region, account, resource string }

func splitARN(s string) (arn, bool) {
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[1] == "" || p[2] == "" || p[5] == "" {
		return arn{}, false
	}
	return arn{p[1], p[2], p[3], p[4], p[5]}, true
}

func (c *checker) condition(at jsonpos.Path, cond Condition, before []Condition) {
	wrong, ok := operators[baseOperator(cond.Operator)]
	if !ok {
		c.fail(at, "unknown condition operator %q", cond.Operator)
		return
	}
	at = at.At(cond.Key)
	if cond.Key == "" || !utf8.ValidString(cond.Key) {
		c.fail(at, "%q is not a condition key", cond.Key)
	}
	for _, b := range before {
		if b.Operator == cond.Operator && strings.EqualFold(b.Key, cond.Key) {
			c.fail(at, "condition key given twice; letter case does not count")
		}
	}
	for i, v := range cond.Values {
		switch {
		case !utf8.ValidString(v):
			c.fail(at.At(i), "is not valid UTF-8")
		case wrong == nil || strings.Contains(v, "${"): // variables are checked by kind
		default:
			if want := wrong(v); want != "" {
				c.fail(at.At(i), "%s compares with %s, not %q", cond.Operator, want, v)
			}
		}
	}
}

// baseOperator is an operator without ForAllValues:, ForAnyValue: and IfExists.
// "Null" does not take IfExists.
func baseOperator(s string) string {
	if rest, ok := strings.CutPrefix(s, "ForAllValues:"); ok {
		s = rest
	} else if rest, ok := strings.CutPrefix(s, "ForAnyValue:"); ok {
		s = rest
	}
	if base, ok := strings.CutSuffix(s, "IfExists"); ok && base != "Null" {
		s = base
	}
	return s
}

// operators has the check of each operator's values: it returns what is wanted, ""
// for a good value; nil accepts every value. AWS accepts any text for Bool and Null,
// too; what is neither true nor false matches nothing.
var operators = map[string]func(string) string{
	"StringEquals": nil, "StringNotEquals": nil, "StringEqualsIgnoreCase": nil, "StringNotEqualsIgnoreCase": nil,
	"StringLike": nil, "StringNotLike": nil, "BinaryEquals": nil,
	"ArnEquals": nil, "ArnNotEquals": nil, "ArnLike": nil, "ArnNotLike": nil,
	"NumericEquals": wantNumber, "NumericNotEquals": wantNumber, "NumericLessThan": wantNumber, "NumericLessThanEquals": wantNumber,
	"NumericGreaterThan": wantNumber, "NumericGreaterThanEquals": wantNumber,
	"DateEquals": wantDate, "DateNotEquals": wantDate, "DateLessThan": wantDate, "DateLessThanEquals": wantDate,
	"DateGreaterThan": wantDate, "DateGreaterThanEquals": wantDate,
	"Bool": nil, "Null": nil,
	"IpAddress": wantAddress, "NotIpAddress": wantAddress,
}

func wantBool(s string) string {
	if strings.EqualFold(s, "true") || strings.EqualFold(s, "false") {
		return ""
	}
	return "true or false"
}

func wantNumber(s string) string {
	if f, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
		return ""
	}
	return "a number"
}

// wantDate wants one of the W3C profiles of ISO 8601 or seconds since 1970.
func wantDate(s string) string {
	if _, ok := parseDate(s); ok {
		return ""
	}
	return "a date such as 2026-03-01T12:00:00Z"
}

func wantAddress(s string) string {
	if _, err := netip.ParsePrefix(s); err == nil {
		return ""
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return ""
	}
	return "an address or range such as 203.0.113.0/24"
}
