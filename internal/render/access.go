package render

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/policy"
)

// AccessCheck is the answer to one question about access.
type AccessCheck struct {
	Answer proof.Answer
	// Right is what was asked for, such as "pull" or "ecr:PutImage".
	Right string
	// Field is the field of the file that would grant the repository's side,
	// such as `pull_principals: ["..."]`; "" for none.
	Field string
	// Notes are what could not be seen, and why.
	Notes []string
}

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
func Access(w io.Writer, c AccessCheck, o Options) error {
	p := newPrinter(o)
	a := c.Answer
	p.linef(accessColors[a.Outcome], "%s %s %s %s", who(a.Principal), accessWords[a.Outcome], clean(c.Right), clean(a.Repository))
	p.linef(plain, "")
	rows := make([][2]string, len(a.Actions))
	for i, action := range a.Actions {
		rows[i] = [2]string{string(action.Action), fmt.Sprintf("%-8s %s", action.Outcome, whyAccess(action))}
	}
	for i, line := range align("  ", rows) {
		p.linef(accessColors[a.Actions[i].Outcome], "%s", line)
	}
	p.near(a)
	if a.Missing {
		p.linef(plain, "")
		p.linef(plain, "There is no such user or role in its account.")
	} else if len(a.Changes) > 0 {
		p.linef(plain, "")
		p.linef(bold, "The smallest change that allows it:")
		for _, change := range a.Changes {
			p.accessChange(a, change)
			if grants(change) && c.Field != "" {
				p.linef(faint, "    in the file: %s", clean(c.Field))
			}
		}
	} else if a.Outcome == proof.Denied || a.Outcome == proof.Partly {
		p.linef(plain, "")
		p.linef(plain, "No change of these policies alone allows it.")
	}
	for _, n := range c.Notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// grants reports whether c is what a field of the file could do.
func grants(c proof.Change) bool { return c.In == policy.ResourceBased && c.Add != nil }

// whoIs is who an answer is about: an account that was not seen stands for its
// users and roles.
func whoIs(arn string, unseen bool) string {
	if id := policy.AccountOf(arn); unseen && id != "" {
		return "users and roles of account " + id
	}
	return who(arn)
}

func who(arn string) string {
	switch {
	case arn == proof.Anyone:
		return "every other AWS account"
	case policy.AccountOf(arn) != "":
		return "account " + policy.AccountOf(arn)
	}
	return clean(arn)
}

// whyAccess is what decided about an action.
func whyAccess(a proof.ActionAnswer) string {
	var by []string
	for _, ref := range []policy.Ref{a.IdentityAllow, a.ResourceAllow} {
		if ref != (policy.Ref{}) {
			by = append(by, clean(ref.String()))
		}
	}
	switch {
	case a.Outcome == proof.Allowed && by == nil:
		return "the account's own root user"
	case a.Outcome == proof.Allowed:
		return strings.Join(by, "; ")
	case a.Outcome == proof.Depends:
		return "on " + clean(strings.Join(a.DependsOn, ", "))
	case a.Deny != policy.Ref{}:
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

// near writes the statements that would allow what is denied but for one
// element, other than the action: those are many and say little.
func (p *printer) near(a proof.Answer) {
	var order []string
	would := map[string][]string{}
	for _, action := range a.Actions {
		for _, n := range action.Near {
			if action.Outcome != proof.Denied || n.Effect != policy.Allow || strings.HasSuffix(n.Element, "Action") {
				continue
			}
			why := clean(n.Ref.String()) + ", whose " + n.Element + " does not match"
			if n.Key != "" {
				why += fmt.Sprintf(" (%s %s)", clean(n.Operator), clean(n.Key))
			}
			if would[why] == nil {
				order = append(order, why)
			}
			would[why] = append(would[why], strings.TrimPrefix(string(action.Action), "ecr:"))
		}
	}
	for _, why := range order {
		p.linef(faint, "  nearly allowed by %s: %s", why, strings.Join(would[why], ", "))
	}
}

func (p *printer) accessChange(a proof.Answer, c proof.Change) {
	of := "a policy of " + who(a.Principal)
	switch c.In {
	case policy.ResourceBased:
		of = "the policy of the repository"
	case policy.BoundaryPolicy:
		of = "the permissions boundary of " + who(a.Principal)
	}
	verb := "in"
	if c.Wanted {
		verb = "unless it is there, in"
	}
	if c.Add == nil {
		p.linef(plain, "  account %s: remove or narrow %s", c.Account, clean(c.Remove.String()))
		return
	}
	p.linef(plain, "  account %s: %s %s, add", c.Account, verb, of)
	p.linef(plain, "    %s", clean(statementText(*c.Add)))
}

// statementText is a statement as JSON.
func statementText(s policy.Statement) string {
	doc := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{s}}
	var parts struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(doc.String()), &parts); err != nil {
		return doc.String()
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(parts.Statement), "["), "]")
}

// WhoCan writes the answers for all that may do something.
func WhoCan(w io.Writer, right string, list []proof.Answer, notes []string, o Options) error {
	p := newPrinter(o)
	rows := make([][2]string, len(list))
	for i, a := range list {
		rows[i] = [2]string{whoIs(a.Principal, a.Outcome == proof.Unseen), fmt.Sprintf("%-8s %s", a.Outcome, summaryOf(a))}
	}
	for i, line := range align("", rows) {
		p.linef(accessColors[list[i].Outcome], "%s", line)
	}
	if len(list) == 0 {
		p.linef(plain, "Nobody can %s.", clean(right))
	}
	for _, n := range notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// summaryOf names each reason once.
func summaryOf(a proof.Answer) string {
	var out []string
	seen := map[string]bool{}
	for _, action := range a.Actions {
		why := strings.Split(whyAccess(action), "; ")
		if a.Outcome == proof.Partly && action.Outcome == proof.Denied {
			why = []string{"not " + string(action.Action)}
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
func Matrix(w io.Writer, m proof.Matrix, notes []string, o Options) error {
	p := newPrinter(o)
	for i, principal := range m.Principals {
		var rows [][2]string
		for j, repository := range m.Repositories {
			if s := cell(m.Cells[i][j]); s != "" {
				rows = append(rows, [2]string{clean(repository), s})
			}
		}
		p.linef(bold, "%s", whoIs(principal, hasUnseen(m.Cells[i])))
		for _, line := range align("  ", rows) {
			p.linef(plain, "%s", line)
		}
		if rows == nil {
			p.linef(faint, "  nothing")
		}
	}
	for _, n := range notes {
		p.linef(faint, "note: %s", clean(n))
	}
	return p.flush(w)
}

// hasUnseen reports whether something of what decides about a row was not seen.
func hasUnseen(row [][]proof.Outcome) bool {
	return slices.ContainsFunc(row, func(cell []proof.Outcome) bool { return slices.Contains(cell, proof.Unseen) })
}

// marks of outcomes behind a right.
var marks = map[proof.Outcome]string{proof.Allowed: "", proof.Depends: " (under conditions)", proof.Unseen: " (as far as was seen)", proof.Partly: " (partly)"}

func cell(outcomes []proof.Outcome) string {
	var out []string
	for i, right := range proof.Rights() {
		if mark, ok := marks[outcomes[i]]; ok {
			out = append(out, string(right)+mark)
		}
	}
	return strings.Join(out, ", ")
}

// MatrixHTML writes the matrix as a page of its own, without scripts: a row
// for each principal, a column for each repository.
func MatrixHTML(w io.Writer, m proof.Matrix, notes []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, htmlHead, "Who may do what")
	b.WriteString(matrixStyle)
	b.WriteString("<main>\n<h1>Who may do what</h1>\n<p class=\"key\">")
	for _, o := range []proof.Outcome{proof.Allowed, proof.Unseen, proof.Depends, proof.Partly, proof.Denied} {
		fmt.Fprintf(&b, "<span class=\"r %s\">%s</span> ", o, escape(keyWords[o]))
	}
	b.WriteString("</p>\n<div class=\"scroll\"><table class=\"matrix\">\n<tr><th></th>")
	for _, repository := range m.Repositories {
		name, registry := repository, ""
		if arn := strings.SplitN(repository, ":", 6); len(arn) == 6 {
			name, registry = strings.TrimPrefix(arn[5], "repository/"), arn[3]+" "+arn[4]
		}
		fmt.Fprintf(&b, "<th title=\"%s\">%s<small>%s</small></th>", escape(repository), escape(name), escape(registry))
	}
	b.WriteString("</tr>\n")
	for i, principal := range m.Principals {
		fmt.Fprintf(&b, "<tr><th class=\"who\">%s</th>", escape(whoIs(principal, hasUnseen(m.Cells[i]))))
		for j := range m.Repositories {
			b.WriteString("<td>")
			for k, right := range proof.Rights() {
				o := m.Cells[i][j][k]
				fmt.Fprintf(&b, "<span class=\"r %s\" title=\"%s: %s\">%s</span>", o, right, escape(keyWords[o]), right)
			}
			b.WriteString("</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></div>\n")
	for _, n := range notes {
		fmt.Fprintf(&b, "<p class=\"note\">%s</p>\n", escape(n))
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var keyWords = map[proof.Outcome]string{
	proof.Allowed: "allowed", proof.Unseen: "allowed as far as was seen", proof.Depends: "under conditions",
	proof.Partly: "partly", proof.Denied: "denied",
}

const matrixStyle = `<style>
main { max-width: none; }
.scroll { overflow-x: auto; }
.matrix th small { display: block; font-weight: normal; color: #66727f; }
.matrix th.who { text-align: left; white-space: nowrap; }
.matrix td { white-space: nowrap; }
.r { display: inline-block; padding: 1px 6px; margin: 1px; border-radius: 3px; font-size: 12px; }
.r.allowed { background: #d5ead9; color: #14532d; }
.r.unseen { background: #e3edf7; color: #1e3a5f; }
.r.depends { background: #fbeecb; color: #6b4a00; }
.r.partly { background: #fde2c8; color: #7a3b00; }
.r.denied { background: transparent; color: #b8c0c8; }
</style>
`

// AccessTests writes which of the file's access_tests hold.
func AccessTests(w io.Writer, l report.AccessTests, o Options) error {
	p := newPrinter(o)
	for _, r := range l.Tests {
		if r.Failure == "" {
			p.linef(green, "ok    %s %s %s %s", who(r.Principal), r.Expect, clean(r.Right), clean(r.Repository))
			continue
		}
		p.linef(red, "FAIL  %s %s %s %s: %s", who(r.Principal), r.Expect, clean(r.Right), clean(r.Repository), clean(r.Failure))
	}
	p.linef(plain, "%s, %d failed", count(len(l.Tests), "access test", "access tests"), len(l.Failed()))
	return p.flush(w)
}
