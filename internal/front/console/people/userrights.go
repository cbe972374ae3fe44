package people

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// compared is how many repositories a change of a user's policies is shown for.
const compared = 25

// userVisit is a visit of the page of one user.
type userVisit struct {
	*visit
	user string
}

// userURL is the page of a user.
func userURL(name string) string { return parts.Root + "people/users/" + url.PathEscape(name) }

// policyChange is a change of a user's policies that a form asks for.
type policyChange struct {
	title string
	done  string // key of dones
	apply func() error
	// documents are those of the user with the change.
	documents func([]access.Document) []access.Document
	question  parts.Question
	command   parts.Command
	state     string // what else it is of
}

// changePolicies shows who a change of a user's policies makes gain and lose what, and
// makes it when that was confirmed. bad is what is wrong with a policy in the form.
func (v *userVisit) changePolicies() (bad string, err error) {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	u, err := as.User(ctx, v.user)
	if err != nil {
		return "", err
	}
	attached, err := as.Attached(ctx, iam.OfUser, v.user)
	if err != nil {
		return "", err
	}
	c, bad, err := v.policyChange(u, attached)
	if err != nil || bad != "" {
		return bad, err
	}
	// What the change is of: if it differs, it is shown again.
	var state strings.Builder
	for _, m := range attached {
		fmt.Fprintln(&state, m.ARN, m.Default, m.Versions[m.Default].Text)
	}
	fmt.Fprintln(&state, c.state)
	for _, n := range slices.Sorted(maps.Keys(u.Inline)) {
		fmt.Fprintln(&state, n, u.Inline[n])
	}
	seen := parts.Fingerprint(fmt.Sprint(c.question.Hidden) + state.String())
	have := v.R.PostFormValue("seen")
	if have == seen {
		if err := c.apply(); err != nil {
			return "", err
		}
		return "", v.Finish(userURL(v.user), c.done)
	}
	if c.question.Tables, c.question.Says, err = v.gains(identity.UserARN(as.Partition(), u), c.documents); err != nil {
		return "", err
	}
	c.question.To, c.question.Back = userURL(v.user), userURL(v.user)
	return "", v.Ask(c.question, seen, have != "", parts.Layout{Title: c.title, Crumbs: append(peopleCrumbs(), parts.Link{Label: v.user, To: userURL(v.user)}), Commands: []parts.Command{c.command}})
}

// peopleCrumbs lead to a user.
func peopleCrumbs() []parts.Link {
	return []parts.Link{{Label: t("Users and roles"), To: parts.Root + "people"}}
}

// policyChange reads the change from the form.
func (v *userVisit) policyChange(u meta.User, attached []iam.ManagedPolicy) (c policyChange, bad string, err error) {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	do, arn, name, text := v.R.PostFormValue("do"), v.R.PostFormValue("arn"), strings.TrimSpace(v.R.PostFormValue("policy")), v.R.PostFormValue("text")
	user := parts.Quoted(u.Name)
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
			return c, "", err
		}
		c.title, c.done, c.question.Do = t("Attach %s to %s?", m.Name, u.Name), "attached", t("Attach")
		c.state = fmt.Sprintln(m.ARN, m.Default, m.Versions[m.Default].Text)
		c.documents = func(all []access.Document) []access.Document {
			if slices.ContainsFunc(attached, func(a iam.ManagedPolicy) bool { return a.ARN == arn }) {
				return all
			}
			return append(slices.Clone(all), access.Document{Name: m.Name, Text: m.Versions[m.Default].Text})
		}
		c.apply = func() error { return as.Attach(ctx, iam.OfUser, u.Name, arn) }
		c.command = v.AWS(t("The same"), "iam", "attach-user-policy --user-name "+user+" --policy-arn "+parts.Quoted(arn))
		c.question.Hidden = append(c.question.Hidden, [2]string{"arn", arn})
	case "detach":
		c.title, c.done, c.question.Do, c.question.Danger = t("Detach %s from %s?", arn[strings.LastIndexByte(arn, '/')+1:], u.Name), "detached", t("Detach"), true
		c.documents = func(all []access.Document) []access.Document { return withoutPolicy(all, attached, arn) }
		c.apply = func() error { return as.Detach(ctx, iam.OfUser, u.Name, arn) }
		c.command = v.AWS(t("The same"), "iam", "detach-user-policy --user-name "+user+" --policy-arn "+parts.Quoted(arn))
		c.question.Hidden = append(c.question.Hidden, [2]string{"arn", arn})
	case "put":
		if !json.Valid([]byte(text)) {
			return c, t("it is not JSON"), nil
		}
		if _, err := proof.New(proof.World{Principals: []proof.Principal{{ARN: identity.UserARN(as.Partition(), u), Documents: []access.Document{{Name: inline, Text: text}}}}}); err != nil {
			return c, parts.Clean(err.Error()), nil
		}
		c.title, c.done, c.question.Do = t("Save the inline policy %s of %s?", name, u.Name), "saved", t("Save this policy")
		c.documents = func(all []access.Document) []access.Document {
			return append(without(inline)(all), access.Document{Name: inline, Text: text})
		}
		c.apply = func() error { return as.PutInline(ctx, iam.OfUser, u.Name, name, text) }
		c.command = v.AWS(t("The same"), "iam", "put-user-policy --user-name "+user+" --policy-name "+parts.Quoted(name)+" --policy-document file://policy.json")
		c.question.Hidden = append(c.question.Hidden, [2]string{"policy", name}, [2]string{"text", text})
	case "unput":
		c.title, c.done, c.question.Do, c.question.Danger = t("Delete the inline policy %s of %s?", name, u.Name), "unput", t("Delete"), true
		c.documents = without(inline)
		c.apply = func() error { return as.DeleteInline(ctx, iam.OfUser, u.Name, name) }
		c.command = v.AWS(t("The same"), "iam", "delete-user-policy --user-name "+user+" --policy-name "+parts.Quoted(name))
		c.question.Hidden = append(c.question.Hidden, [2]string{"policy", name})
	default:
		err = parts.NoPage()
	}
	return c, "", err
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

// gains are the rights that a user gains and loses with other policies, repository by
// repository.
func (v *userVisit) gains(arn string, change func([]access.Document) []access.Document) (tables []*parts.Table, says []string, err error) {
	list, next, err := v.Config.Inspect.As(v.Req.Principal).Repositories(v.R.Context(), v.Req.Registry, func(ecr.RepositoryName) bool { return true }, "", compared, 0)
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
	w, notes, err := v.world(names)
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(w.Principals, func(p proof.Principal) bool { return p.ARN == arn })
	if at < 0 || len(names) == 0 {
		return nil, append(notes, t("What the user gains or loses cannot be shown: you may not read what decides about it.")), nil
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
	gained := &parts.Table{ID: "gained", Caption: t("What the user gains"), Empty: t("The user gains nothing."), Columns: columns}
	lost := &parts.Table{ID: "lost", Caption: t("What the user loses"), Empty: t("The user loses nothing."), Columns: columns}
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
func (v *userVisit) policyTable(attached []iam.ManagedPolicy, inline []string, seen bool) *parts.Table {
	to := userURL(v.user)
	x := &parts.Table{ID: "policies", Caption: t("Policies"), Columns: []parts.Column{{Key: "policy", Label: t("Policy")}, {Key: "kind", Label: t("Kind")}, {Key: "edit", Label: ""}, {Key: "remove", Label: ""}},
		Empty: t("The user has no policy and may do only what repository policies allow it."), Count: words.Count(len(attached)+len(inline), t("policy"), t("policies"))}
	if !seen {
		x.Count = t("%s, inline policies not shown", words.Count(len(attached), t("managed policy"), t("managed policies")))
		x.Empty = t("No managed policy is attached. Inline policies are not shown: you may not list them (iam:ListUserPolicies).")
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
func (v *userVisit) attachable(attached []iam.ManagedPolicy) (out []parts.Link, err error) {
	list, _, err := v.Req.IAM.As(v.Req.Principal).ManagedPolicies(v.R.Context(), iam.Page{}, iam.ScopeAll, false)
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

// createToken makes a machine token of a user; its password is shown in the answer.
func (v *userVisit) createToken() (made string, err error) {
	n := iam.NewMachineToken{User: v.user, Name: strings.TrimSpace(v.R.PostFormValue("name")), Off: !v.Config.MachineTokens(v.Req.Registry),
		Pull: strings.Fields(v.R.PostFormValue("pull")), Push: strings.Fields(v.R.PostFormValue("push"))}
	if days := strings.TrimSpace(v.R.PostFormValue("days")); days != "" {
		d, err := strconv.Atoi(days)
		if err != nil || d < 1 || d > 3650 {
			return "", ecr.InvalidParameter("days", "%s", t("write a number of days from 1 to 3650, or nothing"))
		}
		n.Expires = v.Config.Now().Add(time.Duration(d) * 24 * time.Hour)
	}
	_, made, err = v.Req.IAM.As(v.Req.Principal).Tokens().Create(v.R.Context(), n)
	return made, err
}

// tokenTable are the machine tokens of a user; nil where the caller may not list them.
func (v *userVisit) tokenTable() (*parts.Table, error) {
	list, err := v.Req.IAM.As(v.Req.Principal).Tokens().List(v.R.Context(), v.user)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied || errors.Is(err, meta.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	x := &parts.Table{ID: "tokens", Caption: t("Machine tokens"), Count: words.Count(len(list), t("token"), t("tokens")), Empty: t("The user has no machine token."), Columns: []parts.Column{
		{Key: "token", Label: t("Name")}, {Key: "scope", Label: t("Scope")}, {Key: "created", Label: t("Created")}, {Key: "ends", Label: t("Ends")}, {Key: "used", Label: t("Last used")}, {Key: "revoke", Label: ""},
	}}
	now := v.Config.Now()
	for _, k := range list {
		scope := parts.Cell{Text: t("what the user may")}
		if k.Policy != "" {
			scope = parts.Cell{Text: parts.Clean(scopeText(k.Policy))}
		}
		ends := parts.CellTime(now, k.ExpiresAt)
		if v.Req.IAM.Expired(k) {
			ends = parts.Cell{Kind: "go", Text: t("expired")}
		}
		used := parts.CellTime(now, k.LastUsed.At)
		if k.LastUsed.From != "" {
			used.Sub = t("from %s", parts.Clean(k.LastUsed.From))
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: k.Name, Sub: k.ID}, scope, parts.CellTime(now, k.CreatedAt), ends, used,
			{Action: &parts.Action{To: userURL(v.user), Label: t("Revoke"), Danger: true, Hidden: [][2]string{{"do", "revoke"}, {"token", k.ID}}}}}})
	}
	return x, nil
}

// scopeText names the repositories in the scope of a token that was made of patterns.
func scopeText(text string) string {
	var d struct {
		Statement []struct {
			Sid      string
			Resource []string
		}
	}
	if json.Unmarshal([]byte(text), &d) != nil {
		return t("a policy")
	}
	var out []string
	for _, s := range d.Statement {
		label := map[string]string{"Pull": t("pull"), "Push": t("pull and push")}[s.Sid]
		if label == "" {
			return t("a policy")
		}
		for i, r := range s.Resource {
			_, s.Resource[i], _ = strings.Cut(r, ":repository/")
		}
		out = append(out, label+" "+strings.Join(s.Resource, ", "))
	}
	return strings.Join(out, "; ")
}
