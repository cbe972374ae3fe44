package proof

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Anyone represents the accounts that nothing names.
const Anyone = "*"

// Accounts are the accounts that policies with those texts name: by a principal,
// or by a condition on who calls. Texts that cannot be read name none.
func Accounts(texts ...string) []ecr.AccountID {
	var out []ecr.AccountID
	for _, text := range texts {
		doc, err := policy.Parse([]byte(text))
		if err != nil {
			continue
		}
		for _, name := range namesIn(doc) {
			if id := ecr.AccountID(accountIn(name)); id != "" && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

// namesIn are the principals that doc names, in Principal and NotPrincipal, and
// in conditions on the keys that say who calls, where they may have wildcards.
// An exception of a Deny names someone as well as an Allow does.
func namesIn(doc policy.Document) []string {
	var names []string
	for _, s := range doc.Statements {
		names = append(names, s.Principal.AWS...)
		names = append(names, s.NotPrincipal.AWS...)
		names = append(names, s.Principal.Service...)
		names = append(names, s.NotPrincipal.Service...)
		for _, c := range s.Condition {
			switch strings.ToLower(c.Key) {
			case "aws:principalaccount", "aws:principalarn", "aws:principalservicename", "aws:principalservicenameslist":
				names = append(names, c.Values...)
			}
		}
	}
	return names
}

// accountIn is the account in a name that may have wildcards, "" when it does
// not say one.
func accountIn(name string) string {
	if id := policy.AccountOf(name); id != "" {
		return id
	}
	if parts := strings.SplitN(name, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return policy.AccountOf(parts[4])
	}
	return ""
}

// documents are the policies that count in r.
func (r *repository) documents() []policy.Document {
	var out []policy.Document
	for _, n := range []*named{r.own, r.registry.policy} {
		if n != nil {
			out = append(out, n.doc)
		}
	}
	return out
}

// named are the names in all policies.
func (p *Prover) named() []string {
	var names []string
	for i := range p.repositories {
		names = append(names, namesOf(&p.repositories[i])...)
	}
	for _, r := range p.alsoNaming {
		names = append(names, namesOf(r)...)
	}
	return names
}

// candidates are the principals worth asking about, in byte order: those of the
// world, those that the policies name, and more. A user or role of an account
// that was seen must be there. For each account that was not seen, one stands
// for its users and roles; Anyone represents those of all other accounts.
func (p *Prover) candidates(r *repository, more ...string) []principal {
	out := slices.Clone(p.principals)
	known := map[string]bool{}
	for _, one := range out {
		known[one.ARN] = true
	}
	add := func(one principal, err error) {
		if err == nil && !one.missing && !known[one.ARN] {
			known[one.ARN] = true
			out = append(out, one)
		}
	}
	var accounts []string
	names := append([]string{string(r.In.Account)}, more...)
	for _, doc := range r.documents() {
		names = append(names, namesIn(doc)...)
	}
	for i, name := range names {
		id := accountIn(name)
		accounts = append(accounts, id)
		seen := slices.Contains(p.seen, id)
		if id != "" && !seen {
			add(r.peopleOf(id, id))
		}
		switch {
		case policy.AccountOf(name) == "":
			add(p.principal(name)) // not one with wildcards, nor the id of one that is gone
		case seen && i > 0:
			add(p.principal(id)) // its root user; that the registry's own may is not news
		}
	}
	for _, one := range out {
		accounts = append(accounts, one.caller.Account)
	}
	add(r.peopleOf(unusedAccount(accounts), Anyone))
	slices.SortFunc(out, func(a, b principal) int { return strings.Compare(a.ARN, b.ARN) })
	return out
}

// members are the principals of the account that there are or may be, except for
// its root user.
func (p *Prover) members(account string, r *repository) []principal {
	return slices.DeleteFunc(p.candidates(r, account), func(one principal) bool {
		return one.caller.Account != account || one.caller.Type == policy.RootUser
	})
}

// candidate is the one that represents name, as candidates calls it, in r.
func (p *Prover) candidate(name string, r *repository) (principal, error) {
	if id := policy.AccountOf(name); id != "" && !slices.Contains(p.seen, id) {
		return r.peopleOf(id, name)
	}
	return p.principal(name)
}

// someone is the name of the user that represents the principals of an account.
// No user has such a name, so no policy names it.
const someone = "(someone)"

// peopleOf represents the users and roles of an account that was not seen,
// under the name.
func (r *repository) peopleOf(account, name string) (principal, error) {
	one, err := newPrincipal(Principal{ARN: "arn:" + r.In.Region.Partition() + ":iam::" + account + ":user/" + someone})
	if err != nil {
		return one, err
	}
	one.ARN, one.Unseen, one.people = name, "the users and roles of the account were not seen", true
	one.caller.Varies = []string{"aws:PrincipalTag/*", "aws:PrincipalType", "aws:userid", "aws:username"}
	if r.tellsApart("aws:PrincipalArn", func(value string) bool { return sameForAll(value, account) }) {
		one.caller.Varies = append(one.caller.Varies, "aws:PrincipalArn")
	}
	if name == Anyone && r.tellsApart("aws:PrincipalAccount", func(value string) bool { return value == "*" || policy.AccountOf(value) == value }) {
		one.caller.Varies = append(one.caller.Varies, "aws:PrincipalAccount")
	}
	return one, nil
}

// tellsApart reports whether r's policies may say of some principals of a group
// what they do not say of others, by the condition key: a variable represents
// it, or a condition compares it with a value that is not the same for all.
func (r *repository) tellsApart(key string, same func(value string) bool) bool {
	for _, doc := range r.documents() {
		for _, s := range doc.Statements {
			for _, c := range s.Condition {
				operator := c.Operator[strings.LastIndexByte(c.Operator, ':')+1:]
				if !strings.EqualFold(c.Key, key) || operator == "Null" { // they all have one
					continue
				}
				texts := strings.HasPrefix(operator, "String") && !strings.Contains(operator, "IgnoreCase") || strings.HasPrefix(operator, "Arn")
				if !texts || slices.ContainsFunc(c.Values, func(v string) bool { return !same(v) }) {
					return true
				}
			}
			// Without the conditions on it, what is left are variables.
			s.Condition = slices.DeleteFunc(slices.Clone(s.Condition), func(c policy.Condition) bool { return strings.EqualFold(c.Key, key) })
			if slices.ContainsFunc(policy.KeysOf(s, doc.Version), func(k string) bool { return strings.EqualFold(k, key) }) {
				return true
			}
		}
	}
	return false
}

// sameForAll reports whether comparing with value gives the same for the ARNs of
// all principals of the account, except for those that are candidates themselves.
func sameForAll(value, account string) bool {
	parts := strings.SplitN(value, ":", 6)
	switch {
	case value == "*":
		return true
	case len(parts) < 6 || parts[0] != "arn" || strings.Contains(value, "${"):
		return false
	case policy.AccountOf(parts[4]) == parts[4] && parts[4] != account, !strings.ContainsAny(value, "*?"):
		return true // another account's, or one principal's
	}
	return parts[5] == "*" && parts[2] == "iam" && (parts[4] == account || parts[4] == "*")
}

// unusedAccount is an account that is not in list.
func unusedAccount(list []string) string {
	for id := []byte("999999999999"); ; {
		if !slices.Contains(list, string(id)) {
			return string(id)
		}
		for i := len(id) - 1; ; i-- {
			if id[i] > '0' {
				id[i]--
				break
			}
			id[i] = '9'
		}
	}
}
