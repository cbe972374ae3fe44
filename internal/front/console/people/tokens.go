package people

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// createToken makes a machine token of a user; its password is shown in the answer.
func (v *holderVisit) createToken() (made string, err error) {
	n := iam.NewMachineToken{User: v.name, Name: strings.TrimSpace(v.R.PostFormValue("name")), Off: !v.Config.MachineTokens(v.Req.Registry),
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
func (v *holderVisit) tokenTable() (*parts.Table, error) {
	list, err := v.Req.IAM.As(v.Req.Principal).Tokens().List(v.R.Context(), v.name)
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
			{Action: &parts.Action{To: v.url(), Label: t("Revoke"), Danger: true, Hidden: [][2]string{{"do", "revoke"}, {"token", k.ID}}}}}})
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
