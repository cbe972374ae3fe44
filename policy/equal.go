package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Equal reports whether a and b say the same. Order is irrelevant, and so are
// repetitions: of statements, principals, actions, resources, conditions and
// their values. The same are
//   - "*" and {"AWS": "*"}, also with other AWS principals in the list, and an
//     account's id and its root ARN;
//   - actions and condition keys whatever their letter case;
//   - an absent Resource, "*", and a list that has it (a policy that may leave
//     it out is about one resource);
//   - ArnEquals and ArnLike, which AWS says behave identically;
//   - condition values that are the same to their operator: true and True, 10
//     and 10.0, one point in time or one range of addresses written in two
//     ways, and letter case where the operator ignores it;
//   - a Principal without principals, however it is written;
//   - an absent Version and Version2008.
//
// Sid and ID do not count: they have no effect on access.
//
// Equal does not reason about wildcards, nor about one statement that replaces
// two: equal documents mean the same; different ones may mean the same, too.
func Equal(a, b Document) bool {
	return normalVersion(a) == normalVersion(b) && slices.Equal(normal(a), normal(b))
}

func normalVersion(d Document) Version {
	if d.Version == "" {
		return Version2008
	}
	return d.Version
}

// normal is the statements of d in the one form that equal ones have, sorted.
func normal(d Document) []string {
	var out []string
	for _, s := range d.Statements {
		s.Sid = ""
		s.Principal, s.NotPrincipal = s.Principal.normal(), s.NotPrincipal.normal()
		s.Action, s.NotAction = set(s.Action, strings.ToLower), set(s.NotAction, strings.ToLower)
		s.Resource, s.NotResource = starOr(set(s.Resource, nil)), starOr(set(s.NotResource, nil))
		if s.Resource == nil && s.NotResource == nil {
			s.Resource = []string{"*"}
		}
		s.Condition = slices.Clone(s.Condition)
		for i, c := range s.Condition {
			s.Condition[i] = c.normal()
		}
		slices.SortFunc(s.Condition, func(a, b Condition) int {
			return cmp.Or(strings.Compare(a.Operator, b.Operator), strings.Compare(a.Key, b.Key), slices.Compare(a.Values, b.Values))
		})
		s.Condition = slices.CompactFunc(s.Condition, func(a, b Condition) bool {
			return a.Operator == b.Operator && a.Key == b.Key && slices.Equal(a.Values, b.Values)
		})
		out = append(out, string(s.tree().compact(nil)))
	}
	return set(out, nil)
}

func (p Principals) normal() Principals {
	if p.Everyone {
		return Principals{AWS: []string{"*"}}
	}
	account := func(s string) string {
		if id := AccountOf(s); id != "" {
			return id
		}
		return s
	}
	out := Principals{AWS: starOr(set(p.AWS, account)), Service: set(p.Service, nil), Federated: set(p.Federated, nil),
		CanonicalUser: set(p.CanonicalUser, nil)}
	if p.IsZero() {
		return out
	}
	// An empty list adds nothing to the others.
	for _, l := range []*[]string{&out.AWS, &out.Service, &out.Federated, &out.CanonicalUser} {
		if len(*l) == 0 {
			*l = nil
		}
	}
	if out.IsZero() {
		out.AWS = []string{}
	}
	return out
}

// starOr is the list, or only "*" if the list has it, as the others add nothing.
func starOr(list []string) []string {
	if slices.Contains(list, "*") {
		return []string{"*"}
	}
	return list
}

// normal is c with one form of the operator, the key and each value.
func (c Condition) normal() Condition {
	operator := c.Operator
	base := baseOperator(operator)
	value := func(s string) string { return s }
	switch {
	case base == "ArnEquals" || base == "ArnNotEquals":
		operator = strings.Replace(operator, "Equals", "Like", 1)
	case base == "StringEqualsIgnoreCase" || base == "StringNotEqualsIgnoreCase", base == "Bool" || base == "Null":
		value = lower
	case operators[base] == nil: // these compare texts as they are
	case strings.HasPrefix(base, "Numeric"):
		value = normalNumber
	case strings.HasPrefix(base, "Date"):
		value = normalDate
	case strings.HasSuffix(base, "IpAddress"):
		value = normalAddress
	}
	return Condition{operator, strings.ToLower(c.Key), set(c.Values, value)}
}

// lower folds letter case as patterns do, rune by rune.
func lower(s string) string { return strings.Map(unicode.ToLower, s) }

// normalNumber leaves numbers of more than 15 digits as they are: comparing
// them as floating-point numbers would call different ones the same.
func normalNumber(s string) string {
	digits := 0
	for _, c := range s {
		if '0' <= c && c <= '9' {
			digits++
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || wantNumber(s) != "" || digits > 15 {
		return s
	}
	return strconv.FormatFloat(f+0, 'g', -1, 64) // -0 + 0 is 0
}

func normalDate(s string) string {
	d, ok := parseDate(s)
	if !ok {
		return s
	}
	return strconv.FormatInt(d.Unix(), 10) + "." + strconv.Itoa(d.Nanosecond())
}

func normalAddress(s string) string {
	p, ok := parsePrefix(s)
	if !ok {
		return s
	}
	return p.Masked().String()
}

// set is the list sorted, without repetitions, each element passed through
// form if there is one. Nil stays nil.
func set(list []string, form func(string) string) []string {
	if list == nil {
		return nil
	}
	out := slices.Clone(list)
	for i, s := range out {
		if form != nil {
			out[i] = form(s)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
