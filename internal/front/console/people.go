package console

import (
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const peoplePage = 50

// names are the last parts of ARNs or names of policies.
func policyNames(ids []string, inline map[string]string) cell {
	var out []string
	for _, id := range ids {
		out = append(out, id[strings.LastIndexByte(id, '/')+1:])
	}
	for name := range inline {
		out = append(out, t("inline: %s", name))
	}
	if len(out) == 0 {
		return cell{Text: t("none"), Soft: true}
	}
	return cell{Text: clean(strings.Join(out, ", "))}
}

// people lists users and roles of the caller's account.
func (v *visit) people() error {
	ctx, as := v.r.Context(), v.req.IAM.As(v.req.Principal)
	if v.post() {
		u, err := as.CreateUser(ctx, iam.NewUser{Name: strings.TrimSpace(v.r.PostFormValue("name"))})
		if err != nil {
			return err
		}
		return v.finish(Root+"people/users/"+u.Name, "created")
	}
	users, next, err := as.Users(ctx, iam.Page{Limit: v.limit(peoplePage), Marker: v.query("after")})
	if err != nil {
		return err
	}
	x := &table{ID: "users", CSVHas: firstRows(listCSV), Caption: t("Users"), Columns: []column{{Key: "user", Label: t("User")}, {Key: "policies", Label: t("Policies")}, {Key: "created", Label: t("Created")}, {Key: "arn", Label: t("ARN")}},
		Count: words.Count(len(users), t("user"), t("users")), Empty: t("There are no users."), Hint: t("Create one:"), Command: "kontor admin user create NAME"}
	now := v.h.cfg.Now()
	// Lists of the API tell no policies; who may read all of them sees them here.
	_, _, err = as.AccountDetails(ctx, []iam.DetailKind{iam.DetailUsers}, iam.Page{Limit: 1})
	if err != nil && ecr.CodeOf(err) != ecr.CodeAccessDenied && ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
		return err
	}
	policies := func(ids []string, inline map[string]string) cell {
		if err != nil {
			return cell{Text: t("not shown"), Soft: true}
		}
		return policyNames(attachedNames(ids), inline)
	}
	for _, u := range users {
		x.Rows = append(x.Rows, row{Cells: []cell{
			{Text: u.Name, Link: Root + "people/users/" + u.Name}, policies(u.Policies, u.Inline), cellTime(now, u.CreatedAt), {Text: identity.UserARN(as.Partition(), u), Soft: true},
		}})
	}
	if next != "" {
		x.Next = with(v.r.URL, "after", next, "roles", "")
	}
	if wrote, err := v.csv("users", x); wrote || err != nil {
		return err
	}
	data := map[string]any{"Users": x, "Account": v.req.Principal.Account}
	roles, more, failed := as.Roles(ctx, iam.Page{Limit: peoplePage, Marker: v.query("roles")})
	switch {
	case ecr.CodeOf(failed) == ecr.CodeAccessDenied:
		data["Unseen"] = clean(failed.Error())
	case failed != nil:
		return failed
	default:
		y := &table{ID: "roles", Caption: t("Roles"), Columns: []column{{Key: "role", Label: t("Role")}, {Key: "policies", Label: t("Policies")}, {Key: "trusts", Label: t("Created")}, {Key: "arn", Label: t("ARN")}},
			Count: words.Count(len(roles), t("role"), t("roles")), Empty: t("There are no roles."), Hint: t("A role lets workloads and people of other accounts in for a while:"), Command: "kontor admin role create NAME --trust WHO"}
		for _, r := range roles {
			y.Rows = append(y.Rows, row{Cells: []cell{
				{Text: r.Name, Sub: clean(r.Description)}, policies(r.Policies, r.Inline), cellTime(now, r.CreatedAt), {Text: identity.RoleARN(as.Partition(), r), Soft: true},
			}})
		}
		if more != "" {
			y.Next = with(v.r.URL, "roles", more)
		}
		data["Roles"] = y
	}
	return v.show("people", layout{Title: t("Users and roles"), Data: data, Commands: []command{
		{t("Users"), "kontor admin user list"}, v.aws(t("Users"), "iam", "list-users"),
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
	ctx, as := v.r.Context(), v.req.IAM.As(v.req.Principal)
	here := userURL(name)
	var secret *identity.Credentials
	token, editName, editText := "", v.query("policy"), ""
	l := layout{}
	if v.post() {
		id := v.r.PostFormValue("key")
		switch v.r.PostFormValue("do") {
		case "create":
			_, k, text, err := as.CreateAccessKey(ctx, name)
			if err != nil {
				return err
			}
			// Shown in the answer to the form, and nowhere again.
			secret = &identity.Credentials{AccessKeyID: k.ID, SecretAccessKey: text}
		case "off", "on":
			on := v.r.PostFormValue("do") == "on"
			if err := as.SetAccessKeyActive(ctx, name, id, on); err != nil {
				return err
			}
			return v.finish(here, map[bool]string{true: "keyon", false: "keyoff"}[on])
		case "delete":
			if err := as.DeleteAccessKey(ctx, name, id); err != nil {
				return err
			}
			return v.finish(here, "keygone")
		case "token":
			var err error
			if token, err = v.createToken(); err != nil {
				return err
			}
		case "revoke":
			if _, err := as.Tokens().Delete(ctx, name, v.r.PostFormValue("token")); err != nil {
				return err
			}
			return v.finish(here, "revoked")
		default:
			bad, err := v.changePolicies()
			if err != nil || bad == "" {
				return err
			}
			v.status = http.StatusBadRequest
			l.Message = &message{Kind: "bad", Text: t("The policy is not valid: %s", bad)}
			editName, editText = v.r.PostFormValue("policy"), v.r.PostFormValue("text")
		}
	}
	u, keys, err := as.AccessKeys(ctx, name)
	if err != nil {
		return v.failedPage(err, secret, token)
	}
	now := v.h.cfg.Now()
	x := &table{ID: "keys", Caption: t("Access keys"), Count: words.Count(len(keys), t("access key"), t("access keys")), Columns: []column{
		{Key: "key", Label: t("Key")}, {Key: "state", Label: t("State")}, {Key: "created", Label: t("Created")}, {Key: "used", Label: t("Last used")}, {Key: "switch", Label: ""}, {Key: "delete", Label: ""},
	}, Empty: t("The user has no access key and cannot log in.")}
	for _, k := range keys {
		state, to := cell{Kind: "keep", Text: t("active")}, action{To: here, Label: t("Switch off"), Hidden: [][2]string{{"key", k.ID}, {"do", "off"}}}
		if !k.Active {
			state, to = cell{Kind: "plain", Text: t("off")}, action{To: here, Label: t("Switch on"), Hidden: [][2]string{{"key", k.ID}, {"do", "on"}}}
		}
		used := cellTime(now, k.LastUsed.At)
		used.Sub = clean(strings.TrimSpace(k.LastUsed.Service + " " + k.LastUsed.Region))
		gone := cell{}
		if !k.Active { // first off, then away: what uses it is found in between
			gone.Action = &action{To: here, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"key", k.ID}, {"do", "delete"}}}
		}
		x.Rows = append(x.Rows, row{Cells: []cell{{Text: k.ID, Mono: true}, state, cellTime(now, k.CreatedAt), used, {Action: &to}, gone}})
	}
	data := map[string]any{"Keys": x, "ARN": identity.UserARN(as.Partition(), u), "To": here, "Secret": secret, "Token": token, "TokensOn": v.h.cfg.MachineTokens(v.req.Registry)}
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
		if !v.post() && editName != "" {
			if editText, err = as.Inline(ctx, iam.OfUser, name, editName); err != nil {
				return v.failedPage(err, secret, token)
			}
			editText = prettyJSON(editText)
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
	l.Commands = []command{
		{t("A new key, and the old one off"), "kontor admin user keys rotate " + quoted(u.Name)}, v.aws(t("The keys"), "iam", "list-access-keys --user-name "+quoted(u.Name)),
		{t("A machine token"), "kontor access token create NAME --user " + quoted(u.Name)},
	}
	return v.show("user", l)
}

// failedPage is the page of a user of which the rest cannot be shown because of err. A
// secret that was just made is shown all the same: it is shown nowhere again.
func (v *userVisit) failedPage(err error, secret *identity.Credentials, token string) error {
	if secret == nil && token == "" {
		return err
	}
	_, _, text := told(err, v.req.ID)
	return v.show("user", layout{
		Title: t("User %s", v.user), Crumbs: peopleCrumbs(), Message: &message{Kind: "warn", Text: t("The rest of the page cannot be shown. %s", clean(text))},
		Data: map[string]any{"To": userURL(v.user), "Secret": secret, "Token": token},
	})
}

// sessions lists logins to the console.
func (v *visit) sessions() error {
	ctx, as := v.r.Context(), v.req.IAM.Console(v.req.Principal)
	if v.post() {
		id := v.r.PostFormValue("id")
		if err := as.End(ctx, id); err != nil {
			return err
		}
		if id == v.req.Session.ID {
			v.setCookie("")
			return v.to(Root + "login")
		}
		return v.finish(Root+"sessions?"+v.r.URL.RawQuery, "ended")
	}
	all := v.query("all") != ""
	limit := v.limit(peoplePage)
	list, err := as.Sessions(ctx, all, v.query("after"), limit+1)
	if err != nil {
		return err
	}
	more := len(list) > limit
	list = list[:min(len(list), limit)]
	x := &table{ID: "sessions", CSVHas: firstRows(listCSV), Caption: t("Sessions"), Count: words.Count(len(list), t("session"), t("sessions")), Columns: []column{
		{Key: "who", Label: t("Who")}, {Key: "from", Label: t("From")}, {Key: "since", Label: t("Logged in")}, {Key: "used", Label: t("Last request")}, {Key: "until", Label: t("Ends")}, {Key: "end", Label: ""},
	}, Empty: t("There are no sessions.")}
	now := v.h.cfg.Now()
	for _, s := range list {
		x.Rows = append(x.Rows, v.sessionRow(s, cellTime(now, s.CreatedAt), cellTime(now, s.UsedAt), cellTime(now, s.ExpiresAt)))
	}
	if more {
		x.Next = with(v.r.URL, "after", list[limit-1].ID)
		x.Count = t("%s on this page", x.Count)
	}
	if wrote, err := v.csv("sessions", x); wrote || err != nil {
		return err
	}
	return v.show("sessions", layout{Title: t("Sessions"), Data: map[string]any{"Table": x, "All": all}})
}

func (v *visit) sessionRow(s meta.ConsoleSession, since, used, until cell) row {
	who := cell{Text: v.who(s.Principal), Sub: t("with %s", s.KeyID)}
	switch {
	case s.Link:
		who.Sub, used = t("a link that nobody has opened yet"), cell{}
	case s.ID == v.req.Session.ID:
		who.Sub += ", " + t("this session")
	}
	to := Root + "sessions"
	if v.query("all") != "" {
		to += "?all=yes"
	}
	end := cell{Action: &action{To: to, Label: t("End"), Danger: true, Hidden: [][2]string{{"id", s.ID}}}}
	return row{Cells: []cell{who, {Text: s.Source, Sub: clean(s.UserAgent)}, since, used, until, end}}
}
