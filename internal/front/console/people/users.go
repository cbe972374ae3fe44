package people

import (
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
)

const peoplePage = 50

// names are the last parts of ARNs or names of policies.
func policyNames(ids []string, inline map[string]string) parts.Cell {
	var out []string
	for _, id := range ids {
		out = append(out, id[strings.LastIndexByte(id, '/')+1:])
	}
	for name := range inline {
		out = append(out, t("inline: %s", name))
	}
	if len(out) == 0 {
		return parts.Cell{Text: t("none"), Soft: true}
	}
	return parts.Cell{Text: parts.Clean(strings.Join(out, ", "))}
}

// people lists users and roles of the caller's account.
func (v *visit) people() error {
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	if v.Post() {
		u, err := as.CreateUser(ctx, iam.NewUser{Name: strings.TrimSpace(v.R.PostFormValue("name"))})
		if err != nil {
			return err
		}
		return v.Finish(parts.Root+"people/users/"+u.Name, "created")
	}
	users, next, err := as.Users(ctx, iam.Page{Limit: v.Limit(peoplePage), Marker: v.Query("after")})
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "users", CSVHas: parts.FirstRows(parts.ListCSV), Caption: t("Users"), Columns: []parts.Column{{Key: "user", Label: t("User")}, {Key: "policies", Label: t("Policies")}, {Key: "created", Label: t("Created")}, {Key: "arn", Label: t("ARN")}},
		Count: words.Count(len(users), t("user"), t("users")), Empty: t("There are no users."), Hint: t("Create one:"), Command: "kontor admin user create NAME"}
	now := v.Config.Now()
	// Lists of the API tell no policies; who may read all of them sees them here.
	_, _, err = as.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers}, iam.Page{Limit: 1})
	if err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
		return err
	}
	policies := func(ids []string, inline map[string]string) parts.Cell {
		if err != nil {
			return parts.Cell{Text: t("not shown"), Soft: true}
		}
		return policyNames(attachedNames(ids), inline)
	}
	for _, u := range users {
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: u.Name, Link: parts.Root + "people/users/" + u.Name}, policies(u.Policies, u.Inline), parts.CellTime(now, u.CreatedAt), {Text: identity.UserARN(as.Partition(), u), Soft: true},
		}})
	}
	if next != "" {
		x.Next = parts.With(v.R.URL, "after", next, "roles", "")
	}
	if wrote, err := v.CSV("users", x); wrote || err != nil {
		return err
	}
	data := map[string]any{"Users": x, "Account": v.Req.Principal.Account}
	roles, more, failed := as.Roles(ctx, iam.Page{Limit: peoplePage, Marker: v.Query("roles")})
	switch {
	case ecr.CodeOf(failed) == ecr.CodeAccessDenied:
		data["Unseen"] = parts.Clean(failed.Error())
	case failed != nil:
		return failed
	default:
		y := &parts.Table{ID: "roles", Caption: t("Roles"), Columns: []parts.Column{{Key: "role", Label: t("Role")}, {Key: "policies", Label: t("Policies")}, {Key: "trusts", Label: t("Created")}, {Key: "arn", Label: t("ARN")}},
			Count: words.Count(len(roles), t("role"), t("roles")), Empty: t("There are no roles."), Hint: t("A role lets workloads and people of other accounts in for a while:"), Command: "kontor admin role create NAME --trust WHO"}
		for _, r := range roles {
			y.Rows = append(y.Rows, parts.Row{Cells: []parts.Cell{
				{Text: r.Name, Sub: parts.Clean(r.Description)}, policies(r.Policies, r.Inline), parts.CellTime(now, r.CreatedAt), {Text: identity.RoleARN(as.Partition(), r), Soft: true},
			}})
		}
		if more != "" {
			y.Next = parts.With(v.R.URL, "roles", more)
		}
		data["Roles"] = y
	}
	return v.show("people", parts.Layout{Title: t("Users and roles"), Data: data, Commands: []parts.Command{
		{Label: t("Users"), Text: "kontor admin user list"}, v.AWS(t("Users"), "iam", "list-users"),
	}})
}

// attachedNames are policies as they are attached, without ids of customer-managed
// ones, whose names need another look.
func attachedNames(ids []string) []string {
	var out []string
	for _, id := range ids {
		if identity.IsPolicyID(id) {
			id = t("a policy of the account")
		}
		out = append(out, id)
	}
	return out
}

// user is the page of one user, with its access keys.
func (v *userVisit) page() error {
	name := v.user
	ctx, as := v.R.Context(), v.Req.IAM.As(v.Req.Principal)
	here := userURL(name)
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
	data := map[string]any{"Keys": x, "ARN": identity.UserARN(as.Partition(), u), "To": here, "Secret": secret, "Token": token, "TokensOn": v.Config.MachineTokens(v.Req.Registry)}
	switch attached, err := as.Attached(ctx, iam.OfUser, name); {
	case err == nil:
		inline, err := as.InlineNames(ctx, iam.OfUser, name)
		seen := err == nil
		if err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied {
			return v.failedPage(err, secret, token)
		}
		data["Policies"] = v.policyTable(attached, inline, seen)
		if data["Attachable"], err = v.attachable(attached); err != nil {
			return v.failedPage(err, secret, token)
		}
		if !v.Post() && editName != "" {
			if editText, err = as.Inline(ctx, iam.OfUser, name, editName); err != nil {
				return v.failedPage(err, secret, token)
			}
			editText = parts.PrettyJSON(editText)
		}
		data["InlineName"], data["InlineText"] = editName, editText
	case ecr.CodeOf(err) != ecr.CodeAccessDenied:
		return v.failedPage(err, secret, token)
	}
	tokens, err := v.tokenTable()
	if err != nil {
		return v.failedPage(err, secret, token)
	}
	if tokens != nil {
		data["Tokens"] = tokens
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
func (v *userVisit) failedPage(err error, secret *identity.Credentials, token string) error {
	if secret == nil && token == "" {
		return err
	}
	_, _, text := parts.Told(err, v.Req.ID)
	return v.show("user", parts.Layout{
		Title: t("User %s", v.user), Crumbs: peopleCrumbs(), Message: &parts.Message{Kind: "warn", Text: t("The rest of the page cannot be shown. %s", parts.Clean(text))},
		Data: map[string]any{"To": userURL(v.user), "Secret": secret, "Token": token},
	})
}
