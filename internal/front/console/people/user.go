package people

import (
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// userPage is the page of one user, with its access keys.
func (v *holderVisit) userPage() error {
	name := v.name
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	here := v.url()
	var secret *identity.Credentials
	token, editName, editText := "", v.Query("policy"), ""
	l := parts.Layout{}
	if v.Post() {
		id := v.R.PostFormValue("key")
		switch v.R.PostFormValue("do") {
		case "create":
			_, k, text, err := as.CreateAccessKey(ctx, name)
			if err != nil {
				return err
			}
			// Shown in the answer to the form, and nowhere again.
			secret = &identity.Credentials{AccessKeyID: k.ID, SecretAccessKey: text}
		case "off", "on":
			on := v.R.PostFormValue("do") == "on"
			if err := as.SetAccessKeyActive(ctx, name, id, on); err != nil {
				return err
			}
			return v.Finish(here, map[bool]string{true: "keyon", false: "keyoff"}[on])
		case "delete":
			if err := as.DeleteAccessKey(ctx, name, id); err != nil {
				return err
			}
			return v.Finish(here, "keygone")
		case "token":
			var err error
			if token, err = v.createToken(); err != nil {
				return err
			}
		case "remove":
			return v.remove()
		case "revoke":
			if _, err := as.Tokens().Delete(ctx, name, v.R.PostFormValue("token")); err != nil {
				return err
			}
			return v.Finish(here, "revoked")
		default:
			bad, err := v.changePolicies()
			if err != nil || bad == "" {
				return err
			}
			v.Status = http.StatusBadRequest
			l.Message = &parts.Message{Kind: "bad", Text: t("The policy is not valid: %s", bad)}
			editName, editText = v.R.PostFormValue("policy"), v.R.PostFormValue("text")
		}
	}
	u, keys, err := as.AccessKeys(ctx, name)
	if err != nil {
		return v.failedPage(err, secret, token)
	}
	now := v.Config.Now()
	x := &parts.Table{ID: "keys", Caption: t("Access keys"), Count: words.Count(len(keys), t("access key"), t("access keys")), Columns: []parts.Column{
		{Key: "key", Label: t("Key")}, {Key: "state", Label: t("State")}, {Key: "created", Label: t("Created")}, {Key: "used", Label: t("Last used")}, {Key: "switch", Label: ""}, {Key: "delete", Label: ""},
	}, Empty: t("The user has no access key and cannot log in.")}
	for _, k := range keys {
		state, to := parts.Cell{Kind: "keep", Text: t("active")}, parts.Action{To: here, Label: t("Switch off"), Hidden: [][2]string{{"key", k.ID}, {"do", "off"}}}
		if !k.Active {
			state, to = parts.Cell{Kind: "plain", Text: t("off")}, parts.Action{To: here, Label: t("Switch on"), Hidden: [][2]string{{"key", k.ID}, {"do", "on"}}}
		}
		used := parts.CellTime(now, k.LastUsed.At)
		used.Sub = parts.Clean(strings.TrimSpace(k.LastUsed.Service + " " + k.LastUsed.Region))
		gone := parts.Cell{}
		if !k.Active { // first off, then away: what uses it is found in between
			gone.Action = &parts.Action{To: here, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"key", k.ID}, {"do", "delete"}}}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: k.ID, Mono: true}, state, parts.CellTime(now, k.CreatedAt), used, {Action: &to}, gone}})
	}
	data := map[string]any{"Keys": x, "ARN": identity.UserARN(as.Partition(), u), "Created": words.Moment(u.CreatedAt), "Boundary": lastPart(u.Boundary), "Tags": tagTexts(u.Tags), "To": here, "Secret": secret, "Token": token, "TokensOn": v.Config.MachineTokens(v.Req.Registry)}
	if err := v.policiesPart(data, editName, editText); err != nil {
		return v.failedPage(err, secret, token)
	}
	tokens, err := v.tokenTable()
	if err != nil {
		return v.failedPage(err, secret, token)
	}
	if tokens != nil {
		data["Tokens"] = tokens
	}
	x.Same = v.Same("", "iam", "list-access-keys --user-name "+parts.Quoted(name))
	if tokens != nil {
		tokens.Same = v.Same("access token list --user "+parts.Quoted(name), "", "")
	}
	if wrote, err := v.Parts("user-"+name, x, data["Policies"], tokens); wrote || err != nil {
		return err
	}
	l.Title, l.Crumbs, l.Data = t("User %s", u.Name), peopleCrumbs(), data
	l.Commands = []parts.Command{
		{Label: t("A new key, and the old one off"), Text: "kontor admin user keys rotate " + parts.Quoted(u.Name)}, v.AWS(t("The keys"), "iam", "list-access-keys --user-name "+parts.Quoted(u.Name)),
		{Label: t("A machine token"), Text: "kontor access token create NAME --user " + parts.Quoted(u.Name)},
	}
	return v.show("user", l)
}

// failedPage is the page of a user of which the rest cannot be shown because of err. A
// secret that was just made is shown all the same: it is shown nowhere again.
func (v *holderVisit) failedPage(err error, secret *identity.Credentials, token string) error {
	if secret == nil && token == "" {
		return err
	}
	_, _, text := parts.Told(err, v.Req.ID)
	return v.show("user", parts.Layout{
		Title: t("User %s", v.name), Crumbs: peopleCrumbs(), Message: &parts.Message{Kind: "warn", Text: t("The rest of the page cannot be shown. %s", parts.Clean(text))},
		Data: map[string]any{"To": v.url(), "Secret": secret, "Token": token},
	})
}
