package people

import (
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
	ctx := v.R.Context()
	if v.Post() && v.R.PostFormValue("do") == "remove" {
		if _, err := as.DeletePolicy(ctx, v.repo); err != nil {
			return err
		}
		return v.Finish(here, "nopolicy")
	}
	w, notes, err := v.world([]ecr.RepositoryName{v.repo.Name})
	if err != nil {
		return err
	}
	may, err := v.May(v.repo, "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy")
	if err != nil {
		return err
	}
	p, err := proof.New(w)
	if err != nil {
		return err
	}
	policy := w.Repositories[0].Policy
	var refused *parts.Message
	if v.Post() && v.R.PostFormValue("do") == "save" {
		if refused = v.NotTried(v.R.PostFormValue("text"), policy); refused == nil {
			if _, err := as.SetPolicy(ctx, v.repo, v.R.PostFormValue("text"), false); err == nil {
				return v.Finish(here, "policy")
			} else if refused, err = v.Refused(err); err != nil {
				return err
			}
		}
	}
	name := parts.Quoted(string(v.repo.Name))
	data := map[string]any{
		"Action": here, "Text": parts.Indented(policy), "Saved": policy != "", "Notes": notes, "MaySave": may["ecr:SetRepositoryPolicy"], "MayRemove": may["ecr:DeleteRepositoryPolicy"] && policy != "",
		"Who": v.Query("who"), "Right": v.Query("right"), "Rights": proof.Rights(),
	}
	l := parts.Layout{Title: t("Access to %s", v.repo.Name), Heading: string(v.repo.Name), Crumbs: parts.Crumbs(v.repo.Name), Tabs: parts.Tabs(v.repo.Name, "access"), Data: data, Commands: []parts.Command{
		v.Kontor(t("Who may pull"), "access who-can pull "+name), v.AWS(t("The policy"), "ecr", "get-repository-policy --repository-name "+name),
	}}
	if v.Post() {
		l.Message = refused
		return v.tryPolicy(w, l, data)
	}
	if v.Query("who") != "" {
		if err := v.check(p, l.Data.(map[string]any)); err != nil {
			l.Message, v.Status = &parts.Message{Kind: "bad", Text: parts.Clean(err.Error())}, http.StatusBadRequest
		}
	}
	m := report.NewMatrix(p.Matrix(), notes)
	x := &parts.Table{ID: "matrix", Caption: t("Who may do what here"), Columns: []parts.Column{{Key: "principal", Label: t("Who")}}, Empty: t("Nobody is known who may do anything here.")}
	for _, right := range proof.Rights() {
		x.Columns = append(x.Columns, parts.Column{Key: string(right), Label: words.Sentence(string(right))})
	}
	x.Columns = append(x.Columns, parts.Column{Key: "why", Label: t("Through")})
	for _, i := range anyoneFirst(m) {
		if len(x.Rows) > mostAccess {
			break // it is cut below
		}
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
			if why, err = v.through(p, who, best); err != nil {
				why = parts.Cell{Text: t("not shown"), Soft: true}
			}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: append(r.Cells, why)})
	}
	x.Count = words.Count(len(x.Rows), t("user, role or account"), t("users, roles and accounts"))
	if len(x.Rows) > mostAccess {
		x.CutAt(mostAccess)
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
			lacking = append(lacking, t("%s would, but for its %s", n.Statement.String(), strings.TrimSpace(n.Element+" "+n.Key)))
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
func (v *repoVisit) tryPolicy(w proof.World, l parts.Layout, data map[string]any) error {
	text := v.R.PostFormValue("text")
	data["Text"] = text
	refuse := func(err error) error {
		v.Status = http.StatusBadRequest
		l.Message = &parts.Message{Kind: "bad", Text: t("The policy is not valid: %s", parts.Clean(err.Error()))}
		return v.show("repoaccess", l)
	}
	if !json.Valid([]byte(text)) {
		return refuse(errors.New(t("it is not JSON")))
	}
	before, after := w.Repositories[0], w.Repositories[0]
	after.Policy = text
	then := w
	then.Repositories = []proof.Repository{after}
	if _, err := proof.New(then); err != nil {
		return refuse(err)
	}
	p, err := proof.New(w)
	if err != nil {
		return fmt.Errorf("policies of %s: %w", v.repo.Name, err)
	}
	c, err := p.Compare(before, after)
	if err != nil {
		return refuse(err)
	}
	list := func(id, caption, none string, all []proof.Difference) *parts.Table {
		x := &parts.Table{ID: id, Caption: caption, Empty: none, Columns: []parts.Column{{Key: "who", Label: t("Who")}, {Key: "right", Label: t("Right")}, {Key: "before", Label: t("Now")}, {Key: "after", Label: t("Then")}}}
		for _, d := range all {
			x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: v.Who(d.Principal)}, {Text: string(d.Right)}, outcome(d.Before), outcome(d.After)}})
		}
		x.Count = words.Count(len(all), t("change"), t("changes"))
		return x
	}
	var gained, lost []proof.Difference
	for _, d := range c.Differences {
		if slices.Index(fromNone, d.After) > slices.Index(fromNone, d.Before) {
			gained = append(gained, d)
		} else {
			lost = append(lost, d)
		}
	}
	data["Gained"] = list("gained", t("Who gains"), t("Nobody gains anything."), gained)
	data["Lost"] = list("lost", t("Who loses"), t("Nobody loses anything."), lost)
	data["Tried"] = &parts.Tried{Text: parts.Fingerprint(text), Saved: parts.Fingerprint(before.Policy)}
	return v.show("repoaccess", l)
}
