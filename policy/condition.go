package policy

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// condition is a Condition prepared for evaluation ("IAM JSON policy elements:
// Condition operators"; "Single-valued vs. multivalued context keys").
type condition struct {
	operator string // as written
	key      contextKey
	each     quantifier
	ifExists bool
	negated  bool
	family   family
	values   []operand
	// unknown says that there is no such operator. The condition holds in a Deny
	// only.
	unknown bool
}

type quantifier uint8

const (
	single quantifier = iota
	forAll            // ForAllValues:
	forAny            // ForAnyValue:
)

// family is what operators compare, and how.
type family uint8

const (
	text family = iota
	textFold
	textLike
	arns
	numbers
	dates
	booleans
	binary
	addresses
	null
)

// relation is between a request's number or date and the policy's.
type relation uint8

const (
	equal relation = iota
	less
	lessEqual
	greater
	greaterEqual
)

func (r relation) holds(order int) bool {
	switch r {
	case less:
		return order < 0
	case lessEqual:
		return order <= 0
	case greater:
		return order > 0
	case greaterEqual:
		return order >= 0
	}
	return order == 0
}

// operand is one value of a condition; its operator's family says which
// members it has.
type operand struct {
	// unreadable values are not of the operator's type, such as "yes" for Bool.
	// They match nothing.
	unreadable bool
	pattern    pattern
	arn        *arnPattern
	number     float64
	date       time.Time
	prefix     netip.Prefix
	relation   relation
	absent     bool // of null
}

func compileCondition(c Condition, variables bool) condition {
	out := condition{operator: c.Operator, key: compileKey(c.Key)}
	op := c.Operator
	if rest, ok := strings.CutPrefix(op, "ForAllValues:"); ok {
		op, out.each = rest, forAll
	} else if rest, ok := strings.CutPrefix(op, "ForAnyValue:"); ok {
		op, out.each = rest, forAny
	}
	op, out.ifExists = strings.CutSuffix(op, "IfExists")
	var rel relation
	switch op {
	case "StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "ArnNotEquals", "ArnNotLike",
		"NumericNotEquals", "DateNotEquals", "NotIpAddress":
		out.negated = true
		op = strings.Replace(op, "Not", "", 1)
	}
	switch op {
	case "StringEquals":
		out.family = text
	case "StringEqualsIgnoreCase":
		out.family = textFold
	case "StringLike":
		out.family = textLike
	case "ArnEquals", "ArnLike": // behave identically
		out.family = arns
	case "Bool":
		out.family = booleans
	case "BinaryEquals":
		out.family = binary
	case "IpAddress":
		out.family = addresses
	case "Null":
		out.family = null
	default:
		var ok bool
		if op, ok = strings.CutPrefix(op, "Numeric"); ok {
			out.family = numbers
		} else if op, ok = strings.CutPrefix(op, "Date"); ok {
			out.family = dates
		}
		rel, ok = map[string]relation{"Equals": equal, "LessThan": less, "LessThanEquals": lessEqual,
			"GreaterThan": greater, "GreaterThanEquals": greaterEqual}[op]
		out.unknown = !ok
	}
	for _, v := range c.Values {
		operand, ok := out.family.compile(v, variables)
		operand.relation, operand.unreadable = rel, !ok
		out.values = append(out.values, operand)
	}
	return out
}

// compile reads one value; ok is false when the value is not of the operator's
// type.
func (f family) compile(s string, variables bool) (o operand, ok bool) {
	var err error
	switch f {
	case text, textFold:
		o.pattern = compilePattern(s, false, variables)
	case textLike:
		o.pattern = compilePattern(s, true, variables)
	case booleans: // takes variables, says "Condition operators"
		o.pattern = compilePattern(s, false, variables)
		return o, o.pattern.variables != nil || wantBool(s) == ""
	case arns:
		o.arn, ok = compileFullARN(s, variables)
		return o, ok
	case numbers:
		o.number, err = strconv.ParseFloat(s, 64)
		return o, err == nil && wantNumber(s) == ""
	case dates:
		o.date, ok = parseDate(s)
		return o, ok
	case binary:
		var b []byte
		b, err = base64.StdEncoding.DecodeString(s)
		o.pattern.literal = string(b)
		return o, err == nil
	case addresses:
		o.prefix, ok = parsePrefix(s)
		return o, ok
	case null:
		o.absent = strings.EqualFold(s, "true")
		return o, wantBool(s) == ""
	}
	return o, true
}

// holds decides the condition in a statement of the effect. It adds the unknown
// keys that decide to e.keys.
func (c *condition) holds(e *evaluation, effect Effect) truth {
	if c.unknown {
		return truthOf(effect == Deny)
	}
	if c.family == null && c.each != single {
		return truthOf(c.each == forAll) // "they always return a true or false respectively"
	}
	before := len(e.keys)
	t := c.evaluate(e, e.lookup(&c.key), effect)
	if t != maybe {
		e.keys = e.keys[:before]
	}
	return t
}

func (c *condition) evaluate(e *evaluation, v values, effect Effect) truth {
	switch {
	case v.unknown:
		e.keys = append(e.keys, c.key.name)
		return maybe
	case c.family == null:
		for i := range c.values {
			if !c.values[i].unreadable && c.values[i].absent == (v.n == 0) {
				return yes
			}
		}
		return no
	case v.n == 0 && c.each != forAll && c.ifExists:
		return yes
	case v.n == 0 && c.each == single:
		return truthOf(c.negated)
	case c.each == single && v.n > 1:
		return truthOf(effect == Deny) // a key with several values needs a set operator
	case c.each == single:
		return c.compare(e, v.at(0))
	}
	// Without values, ForAllValues holds and ForAnyValue does not; an empty string
	// does not count as a value.
	t := truthOf(c.each == forAll)
	for i := range v.n {
		s := v.at(i)
		switch {
		case s == "":
		case c.each == forAll:
			t = min(t, c.compare(e, s))
		default:
			t = max(t, c.compare(e, s))
		}
	}
	return t
}

// compare reports whether any value of the condition matches s, a value of the
// request, or for a negated operator, whether none does.
func (c *condition) compare(e *evaluation, s string) truth {
	t := no
	for i := range c.values {
		t = max(t, c.values[i].matches(e, c.family, s))
	}
	if c.negated {
		return t.not()
	}
	return t
}

func (o *operand) matches(e *evaluation, f family, s string) truth {
	if o.unreadable {
		return no
	}
	switch f {
	case text, textLike:
		return o.pattern.matches(e, s, false)
	case textFold:
		return o.pattern.matches(e, s, true)
	case booleans:
		if wantBool(s) != "" {
			return no
		}
		return o.pattern.matches(e, s, true)
	case arns:
		parts, isARN := splitParts(s)
		return o.arn.matches(e, &parts, isARN)
	case numbers:
		x, err := strconv.ParseFloat(s, 64)
		switch {
		case err != nil || x != x:
			return no
		case x < o.number:
			return truthOf(o.relation.holds(-1))
		case x > o.number:
			return truthOf(o.relation.holds(1))
		}
		return truthOf(o.relation.holds(0))
	case dates:
		d, ok := parseDate(s)
		return truthOf(ok && o.relation.holds(d.Compare(o.date)))
	case binary:
		return truthOf(o.pattern.literal == s)
	case addresses:
		a, err := netip.ParseAddr(s)
		return truthOf(err == nil && o.prefix.Contains(a.Unmap().WithZone("")))
	}
	return no
}

// dateLayouts are the W3C profiles of ISO 8601 (https://www.w3.org/TR/NOTE-datetime).
var dateLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly, "2006-01", "2006"}

// parseDate also reads seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	for _, layout := range dateLayouts {
		if d, err := time.Parse(layout, s); err == nil {
			return d, true
		}
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(seconds, 0), err == nil
}

// parsePrefix reads a range, or an address as the range of itself. A range of
// IPv4 addresses written in IPv6 is one of IPv4.
func parsePrefix(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p, true
}
