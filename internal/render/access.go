package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/policy"
)

// accessWords say an outcome of a question.
var accessWords = map[proof.Outcome]string{
	proof.Allowed: "may", proof.Denied: "may not", proof.Depends: "may, under conditions,",
	proof.Unseen: "may, as far as was seen,", proof.Partly: "may only partly",
}

var accessColors = map[proof.Outcome]color{
	proof.Allowed: green, proof.Denied: red, proof.Depends: yellow, proof.Unseen: yellow, proof.Partly: red,
}

// Access writes the answer: action by action, by which statement, and what
// would allow what is denied.
func Access(w io.Writer, a report.Access, o Options) error {
	p := newPrinter(o)
	who := words.Principal(a.Principal)
	if a.Token != nil {
		who = "token " + clean(a.Token.Name) + " of " + who
	}
	p.linef(accessColors[a.Outcome], "%s %s %s %s", who, accessWords[a.Outcome], clean(a.Right), clean(a.Repository))
	p.linef(plain, "")
	rows := make([][2]string, len(a.Actions))
	for i, action := range a.Actions {
		rows[i] = [2]string{action.Action, fmt.Sprintf("%-8s %s", action.Outcome, whyAccess(action))}
	}
	for i, line := range align("  ", rows) {
		p.linef(accessColors[a.Actions[i].Outcome], "%s", line)
	}
	p.near(a)
	if len(a.Tokens) > 0 {
		p.linef(plain, "")
		p.tokens(a.Tokens, "")
	}
	if a.Missing {
		p.linef(plain, "")
		p.linef(plain, "There is no such user or role in its account.")
	} else if len(a.Changes) > 0 {
		p.linef(plain, "")
		p.linef(bold, "The smallest change that allows it:")
		for _, change := range a.Changes {
			p.accessChange(a, change)
			if change.Grants() && a.Field != "" {
				p.linef(faint, "    in the file: %s", clean(a.Field))
			}
		}
	} else if a.Token != nil && (a.Outcome == proof.Denied || a.Outcome == proof.Partly) {
		p.linef(plain, "")
		if a.Token.Off {
			p.linef(plain, "%s", clean(report.TokensOff))
		} else if a.Token.Expired {
			p.linef(plain, "The token has expired. Create another one: kontor access token create.")
		} else {
			p.linef(plain, "A token keeps its scope. Create another one: kontor access token create.")
		}
	} else if a.Outcome == proof.Denied || a.Outcome == proof.Partly {
		p.linef(plain, "")
		p.linef(plain, "Changing these policies alone cannot allow it.")
	}
	for _, n := range a.Notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// whyAccess is what decided about an action.
func whyAccess(a report.AccessAction) string {
	var by []string
	for _, s := range []*report.Statement{a.IdentityAllow, a.ResourceAllow} {
		if s != nil {
			by = append(by, clean(s.String()))
		}
	}
	switch {
	case a.Outcome == proof.Allowed && by == nil:
		return "the account's own root user"
	case a.Outcome == proof.Allowed:
		return strings.Join(by, "; ")
	case a.Outcome == proof.Depends:
		return "on " + clean(strings.Join(a.DependsOn, ", "))
	case a.Deny != nil:
		return "by " + clean(a.Deny.String())
	case a.Outcome == proof.Denied && a.Lacking == nil:
		return "there is no such user or role"
	}
	var lacking []string
	for _, s := range a.Lacking {
		lacking = append(lacking, string(s))
	}
	if a.Outcome == proof.Unseen {
		text := "what was seen allows; " + clean(a.Unseen)
		if len(a.DependsOn) > 0 {
			text += "; depends on " + clean(strings.Join(a.DependsOn, ", "))
		}
		return text
	}
	return "no " + strings.Join(lacking, ", and no ") + " allows it"
}

// near writes the statements that would allow what is denied except for one
// element.
func (p *printer) near(a report.Access) {
	var order []string
	would := map[string][]string{}
	for _, action := range a.Actions {
		for _, n := range action.Near {
			why := clean(n.String()) + ", whose " + n.Element + " does not match"
			if n.Key != "" {
				why += fmt.Sprintf(" (%s %s)", clean(n.Operator), clean(n.Key))
			}
			if would[why] == nil {
				order = append(order, why)
			}
			would[why] = append(would[why], strings.TrimPrefix(action.Action, "ecr:"))
		}
	}
	for _, why := range order {
		p.linef(faint, "  nearly allowed by %s: %s", why, strings.Join(would[why], ", "))
	}
}

func (p *printer) accessChange(a report.Access, c report.AccessChange) {
	who := words.Principal(a.Principal)
	of := "a policy of " + who
	switch c.In {
	case policy.ResourceBased:
		of = "the policy of the repository"
	case policy.BoundaryPolicy:
		of = "the permissions boundary of " + who
	}
	verb := "in"
	if c.IfMissing {
		verb = "unless it is there, in"
	}
	if c.Add == nil {
		p.linef(plain, "  account %s: remove or narrow %s", c.Account, clean(c.Remove.String()))
		return
	}
	p.linef(plain, "  account %s: %s %s, add", c.Account, verb, of)
	p.linef(plain, "    %s", clean(oneLine(c.Add)))
}

// oneLine is JSON without white space, as it is when it cannot be read.
func oneLine(doc json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, doc) != nil {
		return string(doc)
	}
	return b.String()
}

// WhoCan writes the answers for all that may do something.
func WhoCan(w io.Writer, r report.WhoCan, o Options) error {
	p := newPrinter(o)
	rows := make([][2]string, len(r.Answers))
	for i, a := range r.Answers {
		rows[i] = [2]string{words.Principals(a.Principal, a.Outcome == proof.Unseen), fmt.Sprintf("%-8s %s", a.Outcome, summaryOf(a))}
	}
	for i, line := range align("", rows) {
		p.linef(accessColors[r.Answers[i].Outcome], "%s", line)
		p.tokens(r.Answers[i].Tokens, "  ")
	}
	if len(r.Answers) == 0 {
		p.linef(plain, "No one can %s.", clean(r.Right))
	}
	for _, n := range r.Notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// tokens writes what the machine tokens of a user may, a line for each.
func (p *printer) tokens(list []report.AccessToken, indent string) {
	rows := make([][2]string, len(list))
	for i, t := range list {
		why := ""
		switch {
		case t.Off:
			why = "machine tokens are off"
		case t.Expired:
			why = "it has expired"
		case t.Outcome == proof.Partly, t.Outcome == proof.Denied:
			why = "not " + clean(strings.Join(t.Denied, ", "))
		case len(t.DependsOn) > 0:
			why = "on " + clean(strings.Join(t.DependsOn, ", "))
		}
		rows[i] = [2]string{"token " + clean(t.Name), strings.TrimSpace(fmt.Sprintf("%-8s %s", t.Outcome, why))}
	}
	for i, line := range align(indent, rows) {
		p.linef(accessColors[list[i].Outcome], "%s", line)
	}
}

// summaryOf names each reason once.
func summaryOf(a report.Access) string {
	var out []string
	seen := map[string]bool{}
	for _, action := range a.Actions {
		why := strings.Split(whyAccess(action), "; ")
		if a.Outcome == proof.Partly && action.Outcome == proof.Denied {
			why = []string{"not " + action.Action}
		}
		for _, s := range why {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, "; ")
}

// Matrix writes who may do what, a line for each principal and repository.
// Nothing is said of repositories in which a principal may do nothing.
func Matrix(w io.Writer, m report.Matrix, o Options) error {
	p := newPrinter(o)
	for i, principal := range m.Principals {
		var rows [][2]string
		for _, c := range m.Row(i) {
			if s := cell(c); s != "" {
				rows = append(rows, [2]string{clean(c.Repository), s})
			}
		}
		p.linef(bold, "%s", words.Principals(principal, m.Unseen(i)))
		for _, line := range align("  ", rows) {
			p.linef(plain, "%s", line)
		}
		if rows == nil {
			p.linef(faint, "  nothing")
		}
	}
	for _, n := range m.Notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// marks of outcomes behind a right.
var marks = map[proof.Outcome]string{proof.Allowed: "", proof.Depends: " (under conditions)", proof.Unseen: " (as far as was seen)", proof.Partly: " (partly)"}

func cell(c report.Cell) string {
	var out []string
	for _, right := range proof.Rights() {
		if mark, ok := marks[c.Rights[right]]; ok {
			out = append(out, string(right)+mark)
		}
	}
	return strings.Join(out, ", ")
}
