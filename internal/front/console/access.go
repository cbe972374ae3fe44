package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// accessPage is how many repositories a matrix has, and mostAccess how many rows.
const (
	accessPage = 10
	mostAccess = 2000
)

// anyoneFirst are the places of a matrix's principals: every other account first, which
// concerns most people and must not be what is cut.
func anyoneFirst(m report.Matrix) []int {
	var order []int
	for i, who := range m.Principals {
		if who == proof.Anyone {
			order = slices.Insert(order, 0, i)
		} else {
			order = append(order, i)
		}
	}
	return order
}

// cutAt says that a matrix has more than n rows, which the table does not have.
func (x *table) cutAt(n int) {
	x.Cut, x.CSVHas = true, firstRows(n)
	x.Count = t("The first %s", words.Count(n, t("row"), t("rows")))
	last := row{Cells: make([]cell, len(x.Columns))}
	last.Cells[0] = cell{Text: t("There are more rows: these are the first %d.", n), Soft: true}
	x.Rows = append(x.Rows[:n], last)
}

// world is what the caller may see of who may do what, and notes on what it may not.
func (v *visit) world(names []ecr.RepositoryName) (w proof.World, notes []string, err error) {
	ctx, in := v.r.Context(), v.req.Registry
	as := v.h.cfg.Registry.As(v.req.Principal)
	registry := proof.Registry{}
	may, err := v.may(in.Repo(""), "ecr:GetRegistryPolicy", "ecr:GetAccountSetting")
	if err != nil {
		return w, nil, err
	}
	if may["ecr:GetRegistryPolicy"] {
		registry.Policy, err = as.RegistryPolicy(ctx, in)
		if ecr.CodeOf(err) == ecr.CodeRegistryPolicyNotFound {
			err = nil
		}
		if err != nil {
			return w, nil, err
		}
	} else {
		registry.Unseen = t("you may not read the registry policy (ecr:GetRegistryPolicy)")
		notes = append(notes, words.Sentence(registry.Unseen)+".")
	}
	if registry.Scope = proof.ScopeUnseen; may["ecr:GetAccountSetting"] {
		scope, err := as.AccountSetting(ctx, in, gate.SettingPolicyScope)
		if err != nil {
			return w, nil, err
		}
		registry.Scope = proof.Scope(scope)
	}
	w.Registries = map[ecr.RegistryID]proof.Registry{in: registry}
	for _, name := range names {
		r := proof.Repository{In: in, Name: name}
		r.Policy, err = as.Policy(ctx, in.Repo(name))
		if ecr.CodeOf(err) == ecr.CodeRepositoryPolicyNotFound {
			err = nil
		}
		if err != nil {
			return w, nil, err
		}
		rights, err := v.may(in.Repo(name), "ecr:ListTagsForResource")
		if err == nil && rights["ecr:ListTagsForResource"] {
			r.Tags, err = as.ResourceTags(ctx, in.Repo(name))
		}
		if err != nil {
			return w, nil, err
		}
		w.Repositories = append(w.Repositories, r)
	}
	people := v.req.IAM.As(v.req.Principal)
	for marker := ""; ; {
		d, next, err := people.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers, iam.DetailRoles}, iam.Page{Marker: marker})
		if ecr.CodeOf(err) == ecr.CodeAccessDenied || ecr.CodeOf(err) == ecr.CodeUnrecognizedClient {
			return w, append(notes, t("You may not read users and roles (iam:GetAccountAuthorizationDetails), so only those that policies name are shown.")), nil
		}
		if err != nil {
			return w, nil, err
		}
		for _, h := range d.Holders {
			w.Principals = append(w.Principals, h.Principal(people.Partition()))
		}
		if marker = next; marker == "" {
			w.Seen = append(w.Seen, string(v.req.Principal.Account))
			return w, notes, nil
		}
	}
}

// outcome is an answer for a table.
func outcome(o proof.Outcome) cell {
	switch o {
	case proof.Allowed:
		return cell{Kind: "keep", Text: t("yes")}
	case proof.Denied:
		return cell{Text: t("no"), Soft: true}
	case proof.Depends:
		return cell{Kind: "soon", Text: t("on conditions")}
	case proof.Partly:
		return cell{Kind: "soon", Text: t("in part")}
	case proof.Unseen:
		return cell{Kind: "plain", Text: t("as far as seen")}
	}
	return cell{Text: clean(string(o))}
}

// access is the matrix of all repositories.
func (v *visit) access() error {
	q := v.query("q")
	want := func(n ecr.RepositoryName) bool { return strings.Contains(string(n), q) }
	list, next, err := v.h.cfg.Inspect.As(v.req.Principal).Repositories(v.r.Context(), v.req.Registry, want, ecr.RepositoryName(v.query("after")), accessPage, 0)
	if err != nil {
		return err
	}
	var names []ecr.RepositoryName
	for _, r := range list {
		may, err := v.may(r.Repo, "ecr:GetRepositoryPolicy")
		if err != nil {
			return err
		}
		if may["ecr:GetRepositoryPolicy"] {
			names = append(names, r.Name)
		}
	}
	x := &table{ID: "matrix", Caption: t("Who may do what"), Empty: t("There is no repository whose policy you may read."), Hint: t("Permission to read policies is ecr:GetRepositoryPolicy."),
		Columns: []column{{Key: "principal", Label: t("Who")}, {Key: "repository", Label: t("Repository")}}}
	for _, right := range proof.Rights() {
		x.Columns = append(x.Columns, column{Key: string(right), Label: words.Sentence(string(right))})
	}
	if next != "" && v.query("format") != "csv" {
		x.Next = with(v.r.URL, "after", string(next))
	}
	var notes []string
	if len(names) < len(list) {
		notes = append(notes, t("Repositories whose policy you may not read are left out."))
	}
	if len(names) > 0 {
		w, unseen, err := v.world(names)
		if err != nil {
			return err
		}
		notes = append(notes, unseen...)
		p, err := proof.New(w)
		if err != nil {
			return err
		}
		m := report.NewMatrix(p.Matrix(), notes)
		for _, i := range anyoneFirst(m) {
			who := m.Principals[i]
			for _, c := range m.Row(i) {
				if len(x.Rows) > mostAccess {
					break // it is cut below
				}
				_, name, _ := strings.Cut(c.Repository, ":repository/")
				r := row{Cells: []cell{v.whoCell(who, m.Unseen(i), ""), {Text: name, Link: repoURL(ecr.RepositoryName(name), "access") + "?who=" + url.QueryEscape(who)}}}
				any := false
				for _, right := range proof.Rights() {
					r.Cells = append(r.Cells, outcome(c.Rights[right]))
					any = any || c.Rights[right] != proof.Denied
				}
				if any || v.query("none") != "" {
					x.Rows = append(x.Rows, r)
				}
			}
		}
	}
	x.Count = t("%s of %s; those who may do nothing are left out", words.Count(len(x.Rows), t("row"), t("rows")), words.Count(len(names), t("repository"), t("repositories")))
	if v.query("none") != "" {
		x.Count = words.Count(len(x.Rows), t("row"), t("rows"))
	}
	x.CSVHas = t("of these repositories")
	if len(x.Rows) > mostAccess {
		x.cutAt(mostAccess)
	}
	if wrote, err := v.csv("access", x); wrote || err != nil {
		return err
	}
	x.CSV = with(v.r.URL, "format", "csv")
	return v.show("access", layout{Title: t("Who may do what"), Data: map[string]any{"Q": q, "None": v.query("none"), "Table": x, "Notes": notes},
		Commands: []command{v.kontor(t("The matrix"), "access matrix")}})
}

// repositoryAccess is who may do what in one repository, through which statements, and
// what another policy would change.
func (v *repoVisit) repositoryAccess() error {
	here := repoURL(v.repo.Name, "access")
	as := v.h.cfg.Registry.As(v.req.Principal)
	ctx := v.r.Context()
	if v.post() && v.r.PostFormValue("do") == "remove" {
		if _, err := as.DeletePolicy(ctx, v.repo); err != nil {
			return err
		}
		return v.finish(here, "nopolicy")
	}
	w, notes, err := v.world([]ecr.RepositoryName{v.repo.Name})
	if err != nil {
		return err
	}
	may, err := v.may(v.repo, "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy")
	if err != nil {
		return err
	}
	p, err := proof.New(w)
	if err != nil {
		return err
	}
	policy := w.Repositories[0].Policy
	var refused *message
	if v.post() && v.r.PostFormValue("do") == "save" {
		if refused = v.notTried(v.r.PostFormValue("text"), policy); refused == nil {
			if _, err := as.SetPolicy(ctx, v.repo, v.r.PostFormValue("text"), false); err == nil {
				return v.finish(here, "policy")
			} else if refused, err = v.refused(err); err != nil {
				return err
			}
		}
	}
	name := quoted(string(v.repo.Name))
	data := map[string]any{
		"Action": here, "Text": indented(policy), "Saved": policy != "", "Notes": notes, "MaySave": may["ecr:SetRepositoryPolicy"], "MayRemove": may["ecr:DeleteRepositoryPolicy"] && policy != "",
		"Who": v.query("who"), "Right": v.query("right"), "Rights": proof.Rights(),
	}
	l := layout{Title: t("Access to %s", v.repo.Name), Heading: string(v.repo.Name), Crumbs: v.crumbs(), Tabs: v.tabs("access"), Data: data, Commands: []command{
		v.kontor(t("Who may pull"), "access who-can pull "+name), v.aws(t("The policy"), "ecr", "get-repository-policy --repository-name "+name),
	}}
	if v.post() {
		l.Message = refused
		return v.tryPolicy(w, l, data)
	}
	if v.query("who") != "" {
		if err := v.check(p, l.Data.(map[string]any)); err != nil {
			l.Message, v.status = &message{Kind: "bad", Text: clean(err.Error())}, http.StatusBadRequest
		}
	}
	m := report.NewMatrix(p.Matrix(), notes)
	x := &table{ID: "matrix", Caption: t("Who may do what here"), Columns: []column{{Key: "principal", Label: t("Who")}}, Empty: t("Nobody is known who may do anything here.")}
	for _, right := range proof.Rights() {
		x.Columns = append(x.Columns, column{Key: string(right), Label: words.Sentence(string(right))})
	}
	x.Columns = append(x.Columns, column{Key: "why", Label: t("Through")})
	for _, i := range anyoneFirst(m) {
		if len(x.Rows) > mostAccess {
			break // it is cut below
		}
		who, c := m.Principals[i], m.Row(i)[0]
		r := row{Cells: []cell{v.whoCell(who, m.Unseen(i), here+"?who="+url.QueryEscape(who))}}
		best := proof.Right("")
		for _, right := range proof.Rights() {
			r.Cells = append(r.Cells, outcome(c.Rights[right]))
			if best == "" && c.Rights[right] != proof.Denied {
				best = right
			}
		}
		why := cell{Text: t("no statement"), Soft: true}
		if best != "" {
			if why, err = v.through(p, who, best); err != nil {
				why = cell{Text: t("not shown"), Soft: true}
			}
		}
		x.Rows = append(x.Rows, row{Cells: append(r.Cells, why)})
	}
	x.Count = words.Count(len(x.Rows), t("user, role or account"), t("users, roles and accounts"))
	if len(x.Rows) > mostAccess {
		x.cutAt(mostAccess)
	}
	if wrote, err := v.csv(string(v.repo.Name)+"-access", x); wrote || err != nil {
		return err
	}
	data["Matrix"] = x
	return v.show("repoaccess", l)
}

// whoCell names a principal in a table.
func (v *visit) whoCell(arn string, unseen bool, to string) cell {
	text := words.Principals(arn, unseen)
	if short := v.who(arn); strings.HasPrefix(arn, "arn:") && !unseen {
		text = short
	}
	return cell{Text: text, Raw: arn, Link: to}
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
func (v *repoVisit) through(p *proof.Prover, who string, right proof.Right) (cell, error) {
	actions, err := proof.ParseRight(string(right))
	if err != nil {
		return cell{}, err
	}
	a, err := v.answer(p, who, actions)
	if err != nil {
		return cell{}, err
	}
	var names []string
	for _, x := range report.NewAccess(string(right), a, "", nil).Actions {
		for _, s := range statements(x) {
			if !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
	}
	return cell{Text: clean(strings.Join(names, "; ")), Soft: true}, nil
}

// answer is what a principal may do here: one that can be asked about, or one of those
// that a matrix has besides.
func (v *repoVisit) answer(p *proof.Prover, who string, actions []access.Action) (proof.Answer, error) {
	if proof.CheckPrincipal(who) == nil {
		return p.Check(who, actions, v.req.Registry, v.repo.Name)
	}
	all, err := p.WhoCan(actions, v.req.Registry, v.repo.Name)
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
	who, right := v.query("who"), v.query("right")
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
	x := &table{ID: "answer", Caption: t("Action by action"), Columns: []column{{Key: "action", Label: t("Action")}, {Key: "answer", Label: t("Answer")}, {Key: "by", Label: t("By")}, {Key: "lacking", Label: t("What is missing")}}}
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
		x.Rows = append(x.Rows, row{Cells: []cell{{Text: act.Action}, outcome(act.Outcome), {Text: clean(strings.Join(by, "; ")), Soft: true}, {Text: clean(strings.Join(lacking, "; "))}}})
	}
	x.Count = words.Count(len(x.Rows), t("action"), t("actions"))
	kind := map[proof.Outcome]string{proof.Allowed: "keep", proof.Denied: "go"}[answer.Outcome]
	if kind == "" {
		kind = "soon"
	}
	data["Answer"], data["AnswerKind"], data["Actions"], data["Right"] = v.sentence(answer), kind, x, right
	var changes []figure
	for _, c := range answer.Changes {
		switch {
		case c.Add != nil:
			changes = append(changes, figure{t("Add to the %s of account %s:", c.In, c.Account), prettyJSON(string(c.Add)), ""})
		case c.Remove != nil:
			changes = append(changes, figure{t("Remove or narrow in account %s:", c.Account), c.Remove.String(), ""})
		}
	}
	data["Changes"] = changes
	return nil
}

// sentence is an answer in words.
func (v *repoVisit) sentence(a report.Access) string {
	who := v.who(a.Principal)
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
func (v *repoVisit) tryPolicy(w proof.World, l layout, data map[string]any) error {
	text := v.r.PostFormValue("text")
	data["Text"] = text
	refuse := func(err error) error {
		v.status = http.StatusBadRequest
		l.Message = &message{Kind: "bad", Text: t("The policy is not valid: %s", clean(err.Error()))}
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
	list := func(id, caption, none string, all []proof.Difference) *table {
		x := &table{ID: id, Caption: caption, Empty: none, Columns: []column{{Key: "who", Label: t("Who")}, {Key: "right", Label: t("Right")}, {Key: "before", Label: t("Now")}, {Key: "after", Label: t("Then")}}}
		for _, d := range all {
			x.Rows = append(x.Rows, row{Cells: []cell{{Text: v.who(d.Principal)}, {Text: string(d.Right)}, outcome(d.Before), outcome(d.After)}})
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
	data["Tried"] = &tried{fingerprint(text), fingerprint(before.Policy)}
	return v.show("repoaccess", l)
}

// fromNone are the outcomes, from the least to the most.
var fromNone = []proof.Outcome{proof.Denied, proof.Partly, proof.Depends, proof.Unseen, proof.Allowed}
