package policy

import (
	"slices"
	"strings"
)

// KeysOf returns the condition keys, as written, that s depends on in a policy of
// the version: those of its conditions and of its variables.
func KeysOf(s Statement, v Version) []string {
	var keys []string
	variables := func(texts []string) {
		if v != Version2012 {
			return
		}
		for _, text := range texts {
			for _, v := range compilePattern(text, false, true).variables {
				keys = append(keys, v.key.name)
			}
		}
	}
	variables(s.Resource)
	variables(s.NotResource)
	for _, c := range s.Condition {
		keys = append(keys, c.Key)
		variables(c.Values)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// contextKey is a condition key prepared for looking up.
type contextKey struct {
	name    string // as written
	lower   string
	derived derived
	tag     string // of a derived tag key
}

// derived are the keys that say who calls and who owns the resource ("AWS
// global condition context keys"). Their values come from the Request's
// Principal and Owner, never from its Context.
type derived uint8

const (
	fromContext derived = iota
	principalARN
	principalAccount
	principalType
	principalTag
	principalOrgID
	principalOrgPaths
	principalIsService
	principalServiceName
	userID
	userName
	resourceAccount
)

var derivedKeys = map[string]derived{
	"aws:principalarn":              principalARN,
	"aws:principalaccount":          principalAccount,
	"aws:principaltype":             principalType,
	"aws:principalorgid":            principalOrgID,
	"aws:principalorgpaths":         principalOrgPaths,
	"aws:principalisawsservice":     principalIsService,
	"aws:principalservicename":      principalServiceName,
	"aws:principalservicenameslist": principalServiceName,
	"aws:userid":                    userID,
	"aws:username":                  userName,
	"aws:resourceaccount":           resourceAccount,
}

func compileKey(name string) contextKey {
	k := contextKey{name: name, lower: strings.ToLower(name)}
	k.derived = derivedKeys[k.lower]
	if tag, ok := strings.CutPrefix(k.lower, "aws:principaltag/"); ok {
		k.derived, k.tag = principalTag, tag
	}
	return k
}

// values is what a request has for a key: n values, or unknown.
type values struct {
	unknown bool
	n       int
	one     string
	many    []string // if there are several
}

func (v values) at(i int) string {
	if v.many != nil {
		return v.many[i]
	}
	return v.one
}

func one(s string) values { return values{n: 1, one: s} }

func some(s string) values {
	if s == "" {
		return values{}
	}
	return one(s)
}

func (e *evaluation) lookup(k *contextKey) values {
	if matchesAny(e.r.Principal.Varies, k.lower) {
		return values{unknown: true}
	}
	v := e.find(k)
	switch {
	case v.n > 0:
	case e.r.Lookup != nil:
		list, known := e.r.Lookup(k.lower)
		return values{unknown: !known, n: len(list), many: list}
	case matchesAny(e.r.Unknown, k.lower):
		return values{unknown: true}
	}
	return v
}

// matchesAny reports whether one of patterns, with * and ?, matches s whatever
// the letter case.
func matchesAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(text string) bool {
		p := compilePattern(text, true, false)
		return p.matches(nil, s, true) == yes
	})
}

// find returns the key's values; those of the caller as in the tables of "AWS
// global condition context keys" and of "IAM policy elements: Variables and
// tags", Principal key values.
func (e *evaluation) find(k *contextKey) values {
	c := &e.r.Principal
	account := c.Type == RootUser || c.Type == User || c.Type == RoleSession
	switch k.derived {
	case fromContext:
		list := e.r.Context.values[k.lower]
		return values{n: len(list), many: list}
	case principalARN:
		if c.Type == RoleSession {
			return some(c.RoleARN)
		}
		if account {
			return some(c.ARN)
		}
	case principalAccount:
		return some(c.Account)
	case principalType:
		if account {
			return one(string(c.Type))
		}
	case principalTag:
		found, v := "", values{}
		for name, value := range c.Tags {
			// of names that differ in letter case only, always the same
			if strings.EqualFold(name, k.tag) && (v.n == 0 || name < found) {
				found, v = name, one(value)
			}
		}
		return v
	case principalOrgID:
		return some(c.OrganizationID)
	case principalOrgPaths:
		return values{n: len(c.OrganizationPaths), many: c.OrganizationPaths}
	case principalIsService:
		if c.Type == Service {
			return one("true")
		}
		return one("false")
	case principalServiceName:
		if c.Type == Service {
			return some(c.ARN)
		}
	case userID:
		switch c.Type {
		case RootUser:
			return some(c.Account)
		case User:
			return some(c.UniqueID)
		case RoleSession:
			if c.UniqueID != "" {
				return one(c.UniqueID + ":" + lastPart(c.ARN))
			}
		}
	case userName:
		if c.Type == User {
			return some(lastPart(c.ARN))
		}
	case resourceAccount:
		return some(e.owner)
	}
	return values{}
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
