package rollout

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/policy"
)

// mostKept is up to how many members of a list that stays are named.
const mostKept = 3

// statementChange is how a statement of a repository policy changes: what stays of
// it, and what comes and goes. Both are empty for other parts, and where a statement
// becomes so different that before and after say more.
func statementChange(f plan.Field, x plan.Part) (kept string, lines []Line) {
	old, ok := onlyStatement(f, x.Old)
	now, also := onlyStatement(f, x.New)
	if !ok || !also || old.Effect != now.Effect || special(old) || special(now) {
		return "", nil
	}
	stays := []string{string(now.Effect)}
	for _, l := range []struct {
		before    string // of each member
		one, many string // what to count where they stay; "" to name them all, or none
		old, now  []string
	}{
		{"", "principal", "principals", words.PrincipalNames(old.Principal), words.PrincipalNames(now.Principal)},
		{"", "action", "actions", words.ActionNames(old.Action), words.ActionNames(now.Action)},
		{"on ", "", "", orAll(old.Resource), orAll(now.Resource)},
		{"when ", "", "", conditions(old), conditions(now)},
	} {
		added, removed := missing(l.now, l.old), missing(l.old, l.now)
		if len(added) > 0 {
			lines = append(lines, Line{plan.Add, l.before + strings.Join(added, ", ")})
		}
		if len(removed) > 0 {
			lines = append(lines, Line{plan.Remove, l.before + strings.Join(removed, ", ")})
		}
		switch n := len(l.now); {
		case len(added)+len(removed) > 0:
		case l.one != "" && n > mostKept:
			stays = append(stays, words.Count(n, l.one, l.many))
		case l.one != "":
			stays = append(stays, strings.Join(l.now, ", "))
		case l.before == "when " && n > 0:
			stays = append(stays, "when "+strings.Join(l.now, " and "))
		}
	}
	if len(lines) == 0 {
		return "", nil
	}
	return strings.Join(stays, ", "), lines
}

// brief is a statement with a number in the place of many actions; "" for others.
func brief(f plan.Field, text string) string {
	if s, ok := onlyStatement(f, text); ok && len(s.Action) > mostKept {
		s.Action = []string{words.Count(len(s.Action), "action", "actions")}
		return words.Statement(s)
	}
	return ""
}

// onlyStatement is the statement of a part of a repository policy.
func onlyStatement(f plan.Field, text string) (policy.Statement, bool) {
	if f != plan.FieldPolicy {
		return policy.Statement{}, false
	}
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

// missing are the members of a that b has not, in a's order.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
