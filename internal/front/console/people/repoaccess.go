package people

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// repositoryAccess is who may do what in one repository, through which statements, and
// what another policy would change.
func (v *repoVisit) repositoryAccess() error {
	here := parts.RepoURL(v.repo.Name, "access")
	as := v.Config.Registry.As(v.Req.Principal)
	if v.Post() && v.R.PostFormValue("do") == "remove" {
		return v.removePolicy()
	}
	w, notes, err := v.sides([]ecr.RepositoryName{v.repo.Name})
	if err != nil {
		return err
	}
	may, err := v.May(v.repo, "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy")
	if err != nil {
		return err
	}
	policy := w.Repositories[0].Policy
	var refused *parts.Message
	if v.Post() && v.R.PostFormValue("do") == "save" {
		text := v.R.PostFormValue("text")
		refused, err = v.SaveTried(func(in *parts.Visit) (parts.Tried, error) { return v.on(in).tried(text) }, func(ctx context.Context) error {
			_, err := as.SetPolicy(ctx, v.repo, text, false)
			return err
		})
		if err != nil {
			return err
		}
		if refused == nil {
			return v.Finish(here, "policy")
		}
	}
	name := parts.Quoted(string(v.repo.Name))
	data := map[string]any{
		"Action": here, "Text": parts.Indented(policy), "Saved": policy != "", "MaySave": may["ecr:SetRepositoryPolicy"], "MayRemove": may["ecr:DeleteRepositoryPolicy"] && policy != "",
		"Who": v.Query("who"), "Right": v.Query("right"), "Rights": proof.Rights(),
	}
	l := parts.Layout{Title: t("Access to %s", v.repo.Name), Heading: string(v.repo.Name), Crumbs: parts.Crumbs(v.repo.Name), Tabs: parts.Tabs(v.repo.Name, "access"), Data: data, Commands: []parts.Command{
		v.Kontor(t("Who may pull"), "access who-can pull "+name), v.AWS(t("The policy"), "ecr", "get-repository-policy --repository-name "+name),
	}}
	if v.Post() {
		l.Message, data["Notes"] = refused, notes
		return v.tryPolicy(l, data)
	}
	if who := v.Query("who"); who != "" {
		of := w
		if _, err := v.one(&of, who); err != nil {
			return err
		}
		p, err := proof.New(of)
		if err == nil {
			err = v.check(p, data)
		}
		if err != nil {
			l.Message, v.Status = &parts.Message{Kind: "bad", Text: parts.Clean(err.Error())}, http.StatusBadRequest
		}
		l.Commands = append(l.Commands, v.Kontor(t("This question"), "access check "+parts.Quoted(who)+" "+parts.Quoted(data["Right"].(string))+" "+name))
	}
	x := &parts.Table{ID: "matrix", Caption: t("Who may do what here"), Columns: []parts.Column{{Key: "principal", Label: t("Who")}}, Empty: t("Nobody is known who may do anything here.")}
	for _, right := range proof.Rights() {
		x.Columns = append(x.Columns, parts.Column{Key: string(right), Label: words.Sentence(string(right))})
	}
	x.Columns = append(x.Columns, parts.Column{Key: "why", Label: t("Through")})
	said, next, err := v.matrix(w, func(m report.Matrix, p *proof.Prover, i int) error {
		who, c := m.Principals[i], m.Row(i)[0]
		r := parts.Row{Cells: []parts.Cell{v.whoCell(who, m.Unseen(i), here+"?who="+url.QueryEscape(who))}}
		best := proof.Right("")
		for _, right := range proof.Rights() {
			r.Cells = append(r.Cells, outcome(c.Rights[right]))
			if best == "" && c.Rights[right] != proof.Denied {
				best = right
			}
		}
		why := parts.Cell{Text: t("no statement"), Soft: true}
		if best != "" {
			var err error
			if why, err = v.through(p, who, best); err != nil {
				why = parts.Cell{Text: t("not shown"), Soft: true}
			}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: append(r.Cells, why)})
		return nil
	}, x)
	if err != nil {
		return err
	}
	data["Notes"] = append(notes, said...)
	x.Count = words.Count(len(x.Rows), t("user, role or account"), t("users, roles and accounts"))
	if next != "" {
		x.Count = t("%s on this page", x.Count)
		if v.Query("format") != "csv" {
			x.Next = parts.With(v.R.URL, "from", next)
		}
	}
	x.CSVHas = parts.FirstRows(mostAccess)
	if len(x.Rows) > mostAccess {
		x.CutAt(mostAccess)
	}
	x.Same = v.Same("access matrix", "ecr", "get-repository-policy --repository-name "+name)
	if answer, ok := data["Actions"].(*parts.Table); ok {
		answer.Same = v.Same("access check "+parts.Quoted(v.Query("who"))+" "+parts.Quoted(data["Right"].(string))+" "+name, "", "")
		if wrote, err := v.Part(string(v.repo.Name)+"-access", answer); wrote || err != nil {
			return err
		}
	}
	if wrote, err := v.CSV(string(v.repo.Name)+"-access", x); wrote || err != nil {
		return err
	}
	data["Matrix"] = x
	return v.show("repoaccess", l)
}

// statements are those that decided, as far as they were seen.
func statements(x report.AccessAction) (names []string) {
	for _, s := range []*report.Statement{x.Deny, x.IdentityAllow, x.ResourceAllow} {
		if s != nil && s.Policy != proof.UnseenPolicies {
			names = append(names, s.String())
		}
	}
	return names
}

// through are the statements by which a principal has a right.
func (v *repoVisit) through(p *proof.Prover, who string, right proof.Right) (parts.Cell, error) {
	actions, err := proof.ParseRight(string(right))
	if err != nil {
		return parts.Cell{}, err
	}
	a, err := v.answer(p, who, actions)
	if err != nil {
		return parts.Cell{}, err
	}
	var names []string
	for _, x := range report.NewAccess(string(right), a, "", nil).Actions {
		for _, s := range statements(x) {
			if !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
	}
	return parts.Cell{Text: parts.Clean(strings.Join(names, "; ")), Soft: true}, nil
}

// answer is what a principal may do here: one that can be asked about, or one of those
// that a matrix has besides.
func (v *repoVisit) answer(p *proof.Prover, who string, actions []access.Action) (proof.Answer, error) {
	if proof.CheckPrincipal(who) == nil {
		return p.Check(who, actions, v.Req.Registry, v.repo.Name)
	}
	all, err := p.WhoCan(actions, v.Req.Registry, v.repo.Name)
	for _, a := range all {
		if a.Principal == who {
			return a, err
		}
	}
	if err == nil {
		err = proof.CheckPrincipal(who)
	}
	return proof.Answer{}, err
}

// check answers whether someone may do something, and why not.
func (v *repoVisit) check(p *proof.Prover, data map[string]any) error {
	who, right := v.Query("who"), v.Query("right")
	if right == "" {
		right = string(proof.Pull)
	}
	actions, err := proof.ParseRight(right)
	if err != nil {
		return err
	}
	a, err := v.answer(p, who, actions)
	if err != nil {
		return err
	}
	answer := report.NewAccess(right, a, "", nil)
	x := &parts.Table{ID: "answer", Caption: t("Action by action"), Columns: []parts.Column{{Key: "action", Label: t("Action")}, {Key: "answer", Label: t("Answer")}, {Key: "by", Label: t("By")}, {Key: "lacking", Label: t("What is missing")}}}
	for _, act := range answer.Actions {
		by, lacking := statements(act), []string(nil)
		for _, s := range act.Lacking {
			lacking = append(lacking, t("an allow in the %s", s))
		}
		if act.Deny != nil && act.Outcome == proof.Denied {
			lacking = append(lacking, t("a statement denies it"))
		}
		for _, n := range act.Near {
			lacking = append(lacking, t("%s would, except for its %s", n.Statement.String(), strings.TrimSpace(n.Element+" "+n.Key)))
		}
		lacking = append(lacking, act.DependsOn...)
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: act.Action}, outcome(act.Outcome), {Text: parts.Clean(strings.Join(by, "; ")), Soft: true}, {Text: parts.Clean(strings.Join(lacking, "; "))}}})
	}
	x.Count = words.Count(len(x.Rows), t("action"), t("actions"))
	kind := map[proof.Outcome]string{proof.Allowed: "keep", proof.Denied: "go"}[answer.Outcome]
	if kind == "" {
		kind = "soon"
	}
	data["Answer"], data["AnswerKind"], data["Actions"], data["Right"] = v.sentence(answer), kind, x, right
	var changes []parts.Figure
	for _, c := range answer.Changes {
		switch {
		case c.Add != nil:
			changes = append(changes, parts.Figure{Label: t("Add to the %s of account %s:", c.In, c.Account), Value: parts.PrettyJSON(string(c.Add)), Sub: ""})
		case c.Remove != nil:
			changes = append(changes, parts.Figure{Label: t("Remove or narrow in account %s:", c.Account), Value: c.Remove.String(), Sub: ""})
		}
	}
	data["Changes"] = changes
	return nil
}

// sentence is an answer in words.
func (v *repoVisit) sentence(a report.Access) string {
	who := v.Who(a.Principal)
	if a.Principal == proof.Anyone {
		who = t("Every other account")
	}
	switch a.Outcome {
	case proof.Allowed:
		return t("%s may %s.", who, a.Right)
	case proof.Denied:
		return t("%s may not %s.", who, a.Right)
	case proof.Partly:
		return t("%s may do a part of what %s needs.", who, a.Right)
	case proof.Depends:
		return t("Whether %s may %s depends on conditions.", who, a.Right)
	}
	return t("%s may %s, as far as was seen.", who, a.Right)
}

// tryPolicy says who gains and loses what by the policy in the form.
func (v *repoVisit) tryPolicy(l parts.Layout, data map[string]any) error {
	text := v.R.PostFormValue("text")
	data["Text"] = text
	gained, lost, inForce, err := v.compare(text)
	var bad badPolicy
	if errors.As(err, &bad) {
		v.Status = http.StatusBadRequest
		l.Message = &parts.Message{Kind: "bad", Text: t("The policy is not valid: %s", parts.Clean(bad.Error()))}
		return v.show("repoaccess", l)
	}
	if err != nil {
		return err
	}
	tried, err := parts.NewTried(text, inForce, gained, lost)
	if err != nil {
		return err
	}
	data["Gained"], data["Lost"], data["Tried"] = gained, lost, &tried
	return v.show("repoaccess", l)
}

// badPolicy is what is wrong with a policy of a form.
type badPolicy struct{ error }

// tried are the fingerprints of a policy and of what it changes now.
func (v *repoVisit) tried(text string) (parts.Tried, error) {
	gained, lost, inForce, err := v.compare(text)
	var bad badPolicy
	if errors.As(err, &bad) { // the API says it, too
		return parts.Tried{Saved: parts.Fingerprint(inForce)}, nil
	}
	if err != nil {
		return parts.Tried{}, err
	}
	return parts.NewTried(text, inForce, gained, lost)
}

// compare says who gains and loses what by another policy; "" for none. It looks at
// all users and roles.
func (v *repoVisit) compare(text string) (gained, lost *parts.Table, inForce string, err error) {
	w, _, err := v.sides([]ecr.RepositoryName{v.repo.Name})
	if err == nil {
		_, _, err = v.some(&w, "", 0)
	}
	if err != nil {
		return nil, nil, "", err
	}
	before, after := w.Repositories[0], w.Repositories[0]
	inForce = before.Policy
	if text != "" && !json.Valid([]byte(text)) {
		return nil, nil, inForce, badPolicy{errors.New(t("it is not JSON"))}
	}
	after.Policy = text
	then := w
	then.Repositories = []proof.Repository{after}
	if _, err := proof.New(then); err != nil {
		return nil, nil, inForce, badPolicy{err}
	}
	p, err := proof.New(w)
	if err != nil {
		return nil, nil, inForce, fmt.Errorf("policies of %s: %w", v.repo.Name, err)
	}
	c, err := p.Compare(before, after)
	if err != nil {
		return nil, nil, inForce, badPolicy{err}
	}
	list := func(id, caption, none string, all []proof.Difference) *parts.Table {
		x := &parts.Table{ID: id, Caption: caption, Empty: none, Columns: []parts.Column{{Key: "who", Label: t("Who")}, {Key: "right", Label: t("Right")}, {Key: "before", Label: t("Now")}, {Key: "after", Label: t("Then")}}}
		for _, d := range all {
			x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: v.Who(d.Principal)}, {Text: string(d.Right)}, outcome(d.Before), outcome(d.After)}})
		}
		x.Count = words.Count(len(all), t("change"), t("changes"))
		return x
	}
	var more, less []proof.Difference
	for _, d := range c.Differences {
		if slices.Index(fromNone, d.After) > slices.Index(fromNone, d.Before) {
			more = append(more, d)
		} else {
			less = append(less, d)
		}
	}
	return list("gained", t("Who gains"), t("Nobody gains anything."), more), list("lost", t("Who loses"), t("Nobody loses anything."), less), inForce, nil
}

// removePolicy removes the policy, after it was shown who loses what.
func (v *repoVisit) removePolicy() error {
	here := parts.RepoURL(v.repo.Name, "access")
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) {
		gained, lost, inForce, err := v.on(in).compare("")
		return parts.Question{
			Layout: parts.Layout{Title: t("Remove the repository policy?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
				v.AWS(t("The same"), "ecr", "delete-repository-policy --repository-name "+parts.Quoted(string(v.repo.Name))),
			}},
			To: here, Back: here, Do: t("Remove the policy"), Danger: true, Hidden: [][2]string{{"do", "remove"}}, Of: inForce, Tables: []*parts.Table{lost, gained},
			Says: []string{t("Other accounts lose what the policy gives them. The policy is kept in the journal.")},
		}, err
	}, func(ctx context.Context) error {
		_, err := v.Config.Registry.As(v.Req.Principal).DeletePolicy(ctx, v.repo)
		return err
	})
	if !done {
		return err
	}
	return v.Finish(here, "nopolicy")
}
