package render

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/policy"
)

// mostKept is up to how many members of a list that stays are named.
const mostKept = 3

// statementChange is how a statement of a repository policy changes: a line with
// what stays of it, then one for each kind of what comes and goes, for example "+
// account 444444444444". It is nil for other parts, and where a statement becomes so
// different that before and after say more.
func statementChange(f plan.Field, x plan.Part) []line {
	if f != plan.FieldPolicy || x.Action != plan.Modify {
		return nil
	}
	old, ok := onlyStatement(x.Old)
	now, also := onlyStatement(x.New)
	if !ok || !also || old.Effect != now.Effect || special(old) || special(now) {
		return nil
	}
	lists := []within{
		{"", principalNames(old.Principal), principalNames(now.Principal)},
		{"", actionNames(old.Action), actionNames(now.Action)},
		{"on ", orAll(old.Resource), orAll(now.Resource)},
		{"when ", conditions(old), conditions(now)},
	}
	kept := []string{string(now.Effect)}
	var out []line
	for i, l := range lists {
		added, removed := l.added(), l.removed()
		for _, change := range []struct {
			action plan.Action
			list   []string
		}{{plan.Add, added}, {plan.Remove, removed}} {
			if len(change.list) > 0 {
				mark, _ := sign(change.action)
				out = append(out, line{change.action, fmt.Sprintf("%s %s%s", mark, l.word, strings.Join(change.list, ", "))})
			}
		}
		if len(added)+len(removed) > 0 {
			continue
		}
		switch n := len(l.now); {
		case i == 0 && n <= mostKept:
			kept = append(kept, strings.Join(l.now, ", "))
		case i == 0:
			kept = append(kept, count(n, "principal", "principals"))
		case i == 1 && n <= mostKept:
			kept = append(kept, strings.Join(l.now, ", "))
		case i == 1:
			kept = append(kept, count(n, "action", "actions"))
		case i == 3 && n > 0:
			kept = append(kept, "when "+strings.Join(l.now, " and "))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return append([]line{{plan.Modify, clean(strings.Join(kept, ", "))}}, cleaned(out)...)
}

func cleaned(list []line) []line {
	for i := range list {
		list[i].text = clean(list[i].text)
	}
	return list
}

func onlyStatement(text string) (policy.Statement, bool) {
	d, err := policy.Parse([]byte(text))
	if err != nil || len(d.Statements) != 1 {
		return policy.Statement{}, false
	}
	return d.Statements[0], true
}

// special reports whether s says whom or what it is not about.
func special(s policy.Statement) bool {
	return !s.NotPrincipal.IsZero() || s.NotAction != nil || s.NotResource != nil
}

// orAll is the resources of a statement; none means all in a repository policy.
func orAll(resources []string) []string {
	if len(resources) == 0 {
		return []string{"*"}
	}
	return resources
}

// conditions are each with its values.
func conditions(s policy.Statement) []string {
	var out []string
	for _, c := range s.Condition {
		out = append(out, c.Key+" "+c.Operator+" "+strings.Join(c.Values, " or "))
	}
	return out
}
