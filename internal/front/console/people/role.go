package people

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/policy"
)

// rolePage is the page of one role: who may assume it, and what it may do then.
func (v *holderVisit) rolePage() error {
	editName, editText, trustText := v.Query("policy"), "", ""
	l := parts.Layout{}
	if v.Post() {
		bad, err := "", error(nil)
		do := v.R.PostFormValue("do")
		switch do {
		case "remove":
			return v.remove()
		case "trust":
			bad, err = v.changeTrust()
		default:
			bad, err = v.changePolicies()
		}
		if err != nil || bad == "" {
			return err
		}
		v.Status = http.StatusBadRequest
		l.Message = &parts.Message{Kind: "bad", Text: t("The policy is not valid: %s", bad)}
		if do == "trust" {
			trustText = v.R.PostFormValue("text")
		} else {
			editName, editText = v.R.PostFormValue("policy"), v.R.PostFormValue("text")
		}
	}
	as := v.Req.IAM.As(v.Req.Principal)
	role, err := as.Role(v.R.Context(), v.name)
	if err != nil {
		return err
	}
	if trustText == "" {
		trustText = parts.PrettyJSON(role.Trust)
	}
	data := map[string]any{
		"To": v.url(), "ARN": identity.RoleARN(as.Partition(), role), "Description": parts.Clean(role.Description), "Created": words.Moment(role.CreatedAt),
		"Session": span(role.MaxSession), "Boundary": lastPart(role.Boundary), "Tags": tagTexts(role.Tags), "Trust": trustText, "TrustTable": trustTable("trust", t("Who may assume the role"), t("No statement lets anyone assume the role."), trusted(role.Trust)),
	}
	if err := v.policiesPart(data, editName, editText); err != nil {
		return err
	}
	trust := data["TrustTable"].(*parts.Table)
	trust.Same = []parts.Command{{Label: "aws", Text: v.cli("", "get-*", "").Text}}
	if wrote, err := v.Parts("role-"+v.name, trust, data["Policies"]); wrote || err != nil {
		return err
	}
	l.Title, l.Crumbs, l.Data = t("Role %s", role.Name), peopleCrumbs(), data
	l.Commands = []parts.Command{v.cli(t("The role"), "get-*", ""), v.cli(t("Its managed policies"), "list-attached-*-policies", ""), v.cli(t("Its inline policies"), "list-*-policies", "")}
	return v.show("role", l)
}

// span is a time span in hours, or in less.
func span(d time.Duration) string {
	if d%time.Hour == 0 {
		return words.Count(int(d/time.Hour), t("hour"), t("hours"))
	}
	return words.Count(int(d/time.Minute), t("minute"), t("minutes"))
}

// trust is one way in to a role.
type trust struct{ who, how, when, effect string }

// trusted are the ways in that a trust policy has, one for each principal and action.
func trusted(text string) (out []trust) {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return nil
	}
	for _, s := range doc.Statements {
		var when []string
		for _, c := range s.Condition {
			when = append(when, strings.TrimSpace(c.Operator+" "+c.Key+": "+strings.Join(c.Values, ", ")))
		}
		who := slices.Concat(s.Principal.AWS, s.Principal.Federated, s.Principal.Service)
		for _, n := range slices.Concat(s.NotPrincipal.AWS, s.NotPrincipal.Federated, s.NotPrincipal.Service) {
			who = append(who, t("everyone but %s", n))
		}
		for _, w := range who {
			for _, a := range append(slices.Clone(s.Action), not(s.NotAction)...) {
				out = append(out, trust{w, a, strings.Join(when, "; "), string(s.Effect)})
			}
		}
	}
	return out
}

func not(actions []string) (out []string) {
	for _, a := range actions {
		out = append(out, t("all but %s", a))
	}
	return out
}

func trustTable(id, caption, empty string, list []trust) *parts.Table {
	x := &parts.Table{ID: id, Caption: caption, Empty: empty, Count: words.Count(len(list), t("way in"), t("ways in")), Columns: []parts.Column{
		{Key: "who", Label: t("Who")}, {Key: "action", Label: t("Through")}, {Key: "effect", Label: t("Effect")}, {Key: "condition", Label: t("On condition that")},
	}}
	for _, w := range list {
		effect := parts.Cell{Kind: "keep", Text: t("allowed")}
		if w.effect == "Deny" {
			effect = parts.Cell{Kind: "go", Text: t("denied")}
		}
		when := parts.Cell{Text: parts.Clean(w.when)}
		if w.when == "" {
			when = parts.Cell{Text: t("always"), Soft: true}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(w.who)}, {Text: parts.Clean(w.how)}, effect, when}})
	}
	return x
}

// changeTrust shows who another trust policy lets in and keeps out, and saves it when that
// was confirmed. bad is what is wrong with it.
func (v *holderVisit) changeTrust() (bad string, err error) {
	text := v.R.PostFormValue("text")
	if !json.Valid([]byte(text)) {
		return t("it is not JSON"), nil
	}
	if _, err := policy.Parse([]byte(text)); err != nil {
		return parts.Clean(err.Error()), nil
	}
	done, err := v.Confirm(func(in *parts.Visit) (q parts.Question, err error) {
		role, err := in.Req.IAM.As(in.Req.Principal).Role(in.R.Context(), v.name)
		if err != nil {
			return q, err
		}
		before, after := trusted(role.Trust), trusted(text)
		without := func(list, others []trust) (out []trust) {
			for _, w := range list {
				if !slices.Contains(others, w) {
					out = append(out, w)
				}
			}
			return out
		}
		q = parts.Question{To: v.url(), Back: v.url(), Do: t("Save this policy"), Hidden: [][2]string{{"do", "trust"}, {"text", text}}, Of: role.Trust,
			Tables: []*parts.Table{
				trustTable("gained", t("What comes"), t("No way in comes."), without(after, before)),
				trustTable("lost", t("What goes"), t("No way in goes."), without(before, after)),
			},
			Says: []string{t("Sessions that run go on until they end. What the role may do stays as it is.")},
		}
		q.Layout = parts.Layout{Title: t("Save the trust policy of %s?", v.name), Crumbs: append(peopleCrumbs(), parts.Link{Label: v.name, To: v.url()}), Commands: []parts.Command{
			v.cli(t("The same"), "update-assume-role-policy", " --policy-document file://policy.json"),
		}}
		return q, nil
	}, func(ctx context.Context) error {
		return v.Req.IAM.As(v.Req.Principal).UpdateAssumeRolePolicy(ctx, v.name, text)
	})
	if ecr.CodeOf(err) == iam.CodeMalformedPolicyDocument {
		_, _, said := parts.Told(err, v.Req.ID)
		return parts.Clean(said), nil
	}
	if !done {
		return "", err
	}
	return "", v.Finish(v.url(), "trust")
}

// createRole makes a role that an account, a user or a role may assume.
func (v *visit) createRole() error {
	who := strings.TrimSpace(v.R.PostFormValue("who"))
	trust, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Principal": map[string]string{"AWS": who}, "Action": "sts:AssumeRole"}}})
	if err != nil {
		return err
	}
	role, err := v.Req.IAM.As(v.Req.Principal).CreateRole(v.R.Context(), iam.NewRole{Name: strings.TrimSpace(v.R.PostFormValue("name")), Description: strings.TrimSpace(v.R.PostFormValue("description")), Trust: string(trust)})
	if err != nil {
		return err
	}
	return v.Finish(holderURL(iam.OfRole, role.Name), "created")
}
