package people

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// compared is how many repositories a change of a user's policies is shown for.
const compared = 25

// holderVisit is a visit of the page of one user or role.
type holderVisit struct {
	*visit
	of   iam.Holder
	name string
}

// on is v with another visit: see parts.Visit.In.
func (v *holderVisit) on(in *parts.Visit) *holderVisit { return &holderVisit{&visit{in}, v.of, v.name} }

// url is the page.
func (v *holderVisit) url() string { return holderURL(v.of, v.name) }

func holderURL(of iam.Holder, name string) string {
	return parts.Root + "people/" + strings.ToLower(string(of)) + "s/" + url.PathEscape(name)
}

// cli is a command of the AWS CLI about the user or role; of verbs such as attach-*-policy.
func (v *holderVisit) cli(label, verb, flags string) parts.Command {
	kind := strings.ToLower(string(v.of))
	return v.AWS(label, "iam", strings.Replace(verb, "*", kind, 1)+" --"+kind+"-name "+parts.Quoted(v.name)+flags)
}

// policyChange is a change of a user's or role's policies that a form asks for.
type policyChange struct {
	title string
	done  string // key of dones
	apply func(ctx context.Context) error
	// documents are those of the user or role with the change.
	documents func([]access.Document) []access.Document
	question  parts.Question
	command   parts.Command
	state     string // what else it is of
}

// changePolicies shows what a user or role gains and loses by a change of its policies, and
// makes it when that was confirmed. bad is what is wrong with a policy in the form.
func (v *holderVisit) changePolicies() (bad string, err error) {
	c, _, bad, err := v.policyChange()
	if err != nil || bad != "" {
		return bad, err
	}
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) { return v.on(in).policyQuestion() }, c.apply)
	if !done {
		return "", err
	}
	return "", v.Finish(v.url(), c.done)
}

// policyQuestion says what a change of policies changes.
func (v *holderVisit) policyQuestion() (q parts.Question, err error) {
	c, arn, bad, err := v.policyChange()
	if err == nil && bad != "" {
		err = parts.ErrChanged // it was right before
	}
	if err != nil {
		return q, err
	}
	q = c.question
	q.Of = c.state
	if q.Tables, q.Says, err = v.gains(arn, c.documents); err != nil {
		return q, err
	}
	q.To, q.Back = v.url(), v.url()
	q.Layout = parts.Layout{Title: c.title, Crumbs: append(peopleCrumbs(), parts.Link{Label: v.name, To: v.url()}), Commands: []parts.Command{c.command}}
	return q, nil
}

// peopleCrumbs lead to a user.
func peopleCrumbs() []parts.Link {
	return []parts.Link{{Label: t("Users and roles"), To: parts.Root + "people"}}
}

// holder is the user or role: its ARN and its inline policies.
func (v *holderVisit) holder() (arn string, inline map[string]string, err error) {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	if v.of == iam.OfRole {
		r, err := as.Role(ctx, v.name)
		return identity.RoleARN(as.Partition(), r), r.Inline, err
	}
	u, err := as.User(ctx, v.name)
	return identity.UserARN(as.Partition(), u), u.Inline, err
}

// policyChange reads the change from the form. arn is the user's or role's.
func (v *holderVisit) policyChange() (c policyChange, holder, bad string, err error) {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	holder, inlines, err := v.holder()
	if err != nil {
		return c, "", "", err
	}
	attached, err := as.Attached(ctx, v.of, v.name)
	if err != nil {
		return c, "", "", err
	}
	do, arn, name, text := v.R.PostFormValue("do"), v.R.PostFormValue("arn"), strings.TrimSpace(v.R.PostFormValue("policy")), v.R.PostFormValue("text")
	without := func(gone string) func([]access.Document) []access.Document {
		return func(all []access.Document) []access.Document {
			return slices.DeleteFunc(slices.Clone(all), func(d access.Document) bool { return d.Name == gone })
		}
	}
	inline := "inline policy " + name // as proof's documents are called
	c.question.Hidden = [][2]string{{"do", do}}
	switch do {
	case "attach":
		m, err := as.ManagedPolicy(ctx, arn)
		if err != nil {
			return c, "", "", err
		}
		c.title, c.done, c.question.Do = t("Attach %s to %s?", m.Name, v.name), "attached", t("Attach")
		c.state = fmt.Sprintln(m.ARN, m.Default, m.Versions[m.Default].Text)
		c.documents = func(all []access.Document) []access.Document {
			if slices.ContainsFunc(attached, func(a iam.ManagedPolicy) bool { return a.ARN == arn }) {
				return all
			}
			return append(slices.Clone(all), access.Document{Name: m.Name, Text: m.Versions[m.Default].Text})
		}
		c.apply = func(ctx context.Context) error { return as.Attach(ctx, v.of, v.name, arn) }
		c.command = v.cli(t("The same"), "attach-*-policy", " --policy-arn "+parts.Quoted(arn))
		c.question.Hidden = append(c.question.Hidden, [2]string{"arn", arn})
	case "detach":
		c.title, c.done, c.question.Do, c.question.Danger = t("Detach %s from %s?", arn[strings.LastIndexByte(arn, '/')+1:], v.name), "detached", t("Detach"), true
		c.documents = func(all []access.Document) []access.Document { return withoutPolicy(all, attached, arn) }
		c.apply = func(ctx context.Context) error { return as.Detach(ctx, v.of, v.name, arn) }
		c.command = v.cli(t("The same"), "detach-*-policy", " --policy-arn "+parts.Quoted(arn))
		c.question.Hidden = append(c.question.Hidden, [2]string{"arn", arn})
	case "put":
		if !json.Valid([]byte(text)) {
			return c, "", t("it is not JSON"), nil
		}
		if _, err := proof.New(proof.World{Principals: []proof.Principal{{ARN: holder, Documents: []access.Document{{Name: inline, Text: text}}}}}); err != nil {
			return c, "", parts.Clean(err.Error()), nil
		}
		c.title, c.done, c.question.Do = t("Save the inline policy %s of %s?", name, v.name), "saved", t("Save this policy")
		c.documents = func(all []access.Document) []access.Document {
			return append(without(inline)(all), access.Document{Name: inline, Text: text})
		}
		c.apply = func(ctx context.Context) error { return as.PutInline(ctx, v.of, v.name, name, text) }
		c.command = v.cli(t("The same"), "put-*-policy", " --policy-name "+parts.Quoted(name)+" --policy-document file://policy.json")
		c.question.Hidden = append(c.question.Hidden, [2]string{"policy", name}, [2]string{"text", text})
	case "unput":
		c.title, c.done, c.question.Do, c.question.Danger = t("Delete the inline policy %s of %s?", name, v.name), "unput", t("Delete"), true
		c.documents = without(inline)
		c.apply = func(ctx context.Context) error { return as.DeleteInline(ctx, v.of, v.name, name) }
		c.command = v.cli(t("The same"), "delete-*-policy", " --policy-name "+parts.Quoted(name))
		c.question.Hidden = append(c.question.Hidden, [2]string{"policy", name})
	default:
		return c, "", "", parts.NoPage()
	}
	// What the change is of: if it differs, it is shown again.
	for _, m := range attached {
		c.state += fmt.Sprintln(m.ARN, m.Default, m.Versions[m.Default].Text)
	}
	for _, n := range slices.Sorted(maps.Keys(inlines)) {
		c.state += fmt.Sprintln(n, inlines[n])
	}
	return c, holder, "", nil
}

// withoutPolicy are documents without that of one attached policy. Policies of the
// account may have the names of built-in ones.
func withoutPolicy(all []access.Document, attached []iam.ManagedPolicy, arn string) []access.Document {
	at := slices.IndexFunc(attached, func(m iam.ManagedPolicy) bool { return m.ARN == arn })
	if at < 0 {
		return all
	}
	m := attached[at]
	gone := slices.Index(all, access.Document{Name: m.Name, Text: m.Versions[m.Default].Text})
	if gone < 0 {
		gone = slices.IndexFunc(all, func(d access.Document) bool { return d.Name == m.Name })
	}
	if gone < 0 {
		return all
	}
	return slices.Delete(slices.Clone(all), gone, gone+1)
}

// gains are the rights that a user or role gains and loses with other policies, repository by
// repository.
func (v *holderVisit) gains(arn string, change func([]access.Document) []access.Document) (tables []*parts.Table, says []string, err error) {
	list, next, err := v.Config.Inspect.As(v.Req.Principal).Repositories(v.R.Context(), v.Req.Registry, inspect.Listing{Limit: compared})
	if err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied {
		return nil, nil, err
	}
	var names []ecr.RepositoryName
	for _, r := range list {
		may, err := v.May(r.Repo, "ecr:GetRepositoryPolicy")
		if err != nil {
			return nil, nil, err
		}
		if may["ecr:GetRepositoryPolicy"] {
			names = append(names, r.Name)
		}
	}
	w, notes, err := v.sides(names)
	if err != nil {
		return nil, nil, err
	}
	said, err := v.one(&w, arn)
	if err != nil {
		return nil, nil, err
	}
	notes = append(notes, said...)
	at := slices.IndexFunc(w.Principals, func(p proof.Principal) bool { return p.ARN == arn })
	if at < 0 || len(names) == 0 {
		return nil, append(notes, t("What %s gains or loses cannot be shown: you may not read what decides about it.", v.name)), nil
	}
	before, err := proof.New(w)
	if err != nil {
		return nil, nil, fmt.Errorf("policies of %s: %w", arn, err)
	}
	w.Principals = slices.Clone(w.Principals)
	w.Principals[at].Documents = change(w.Principals[at].Documents)
	after, err := proof.New(w)
	if err != nil {
		return nil, nil, ecr.Errorf(iam.CodeMalformedPolicyDocument, "%s", parts.Clean(err.Error()))
	}
	columns := []parts.Column{{Key: "repository", Label: t("Repository")}, {Key: "right", Label: t("Right")}, {Key: "before", Label: t("Now")}, {Key: "after", Label: t("Then")}}
	gained := &parts.Table{ID: "gained", Caption: t("What %s gains", v.name), Empty: t("%s gains nothing.", v.name), Columns: columns}
	lost := &parts.Table{ID: "lost", Caption: t("What %s loses", v.name), Empty: t("%s loses nothing.", v.name), Columns: columns}
	for _, name := range names {
		for _, right := range proof.Rights() {
			var out [2]proof.Outcome
			for i, p := range []*proof.Prover{before, after} {
				a, err := p.Check(arn, right.Actions(), v.Req.Registry, name)
				if err != nil {
					return nil, nil, err
				}
				out[i] = a.Outcome
			}
			if out[0] == out[1] {
				continue
			}
			x := lost
			if slices.Index(fromNone, out[1]) > slices.Index(fromNone, out[0]) {
				x = gained
			}
			x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: string(name)}, {Text: string(right)}, outcome(out[0]), outcome(out[1])}})
		}
	}
	for _, x := range []*parts.Table{gained, lost} {
		x.Count = words.Count(len(x.Rows), t("change"), t("changes"))
	}
	says = append(notes, t("Compared for %s. Rights outside repositories, such as those over users, are not compared.", words.Count(len(names), t("repository"), t("repositories"))))
	if next != "" {
		says = append(says, t("There are more repositories: these are the first, by name."))
	}
	return []*parts.Table{gained, lost}, says, nil
}

// policyTable are the policies of a user; seen is false where the caller may not list
// the inline ones.
func (v *holderVisit) policyTable(attached []iam.ManagedPolicy, inline []string, seen bool) *parts.Table {
	to := v.url()
	x := &parts.Table{ID: "policies", Caption: t("Policies"), Columns: []parts.Column{{Key: "policy", Label: t("Policy")}, {Key: "kind", Label: t("Kind")}, {Key: "edit", Label: ""}, {Key: "remove", Label: ""}},
		Empty: t("%s has no policy and may do only what repository policies allow.", v.name), Count: words.Count(len(attached)+len(inline), t("policy"), t("policies"))}
	if !seen {
		x.Count = t("%s, inline policies not shown", words.Count(len(attached), t("managed policy"), t("managed policies")))
		x.Empty = t("No managed policy is attached. Inline policies are not shown: you may not list them (iam:List%sPolicies).", v.of)
	}
	for _, m := range attached {
		kind := t("of the account")
		if m.AWS {
			kind = t("built in")
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: m.Name, Sub: m.ARN}, {Text: kind}, {}, {Action: &parts.Action{To: to, Label: t("Detach"), Danger: true, Hidden: [][2]string{{"do", "detach"}, {"arn", m.ARN}}}}}})
	}
	for _, name := range inline {
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: name}, {Text: t("inline")}, {Text: t("Edit"), Link: to + "?policy=" + url.QueryEscape(name) + "#inline"},
			{Action: &parts.Action{To: to, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "unput"}, {"policy", name}}}}}})
	}
	return x
}

// attachable are managed policies that the user does not have.
func (v *holderVisit) attachable(attached []iam.ManagedPolicy) (out []parts.Link, err error) {
	list, _, err := v.Req.IAM.As(v.Req.Principal).ManagedPolicies(v.R.Context(), iam.Page{Uncounted: true}, iam.ScopeAll, false)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return nil, nil
	}
	for _, m := range list {
		linked := strings.HasPrefix(m.Path, "/aws-service-role/") // for AWS's own roles only
		if !linked && !slices.ContainsFunc(attached, func(a iam.ManagedPolicy) bool { return a.ARN == m.ARN }) {
			out = append(out, parts.Link{Label: m.Name, To: m.ARN})
		}
	}
	return out, err
}
