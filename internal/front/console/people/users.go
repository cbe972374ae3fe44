package people

import (
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
	if v.Post() && v.R.PostFormValue("do") == "role" {
		return v.createRole()
	}
	if v.Post() {
		u, err := as.CreateUser(ctx, iam.NewUser{Name: strings.TrimSpace(v.R.PostFormValue("name"))})
		if err != nil {
			return err
		}
		return v.Finish(holderURL(iam.OfUser, u.Name), "created")
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
			{Text: u.Name, Link: holderURL(iam.OfUser, u.Name)}, policies(u.Policies, u.Inline), parts.CellTime(now, u.CreatedAt), {Text: identity.UserARN(as.Partition(), u), Soft: true},
		}})
	}
	if next != "" {
		x.Next = parts.With(v.R.URL, "after", next, "roles", "")
	}
	x.Same = v.Same("admin user list", "iam", "list-users")
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
		y := &parts.Table{ID: "roles", Caption: t("Roles"), Columns: []parts.Column{{Key: "role", Label: t("Role")}, {Key: "policies", Label: t("Policies")}, {Key: "created", Label: t("Created")}, {Key: "arn", Label: t("ARN")}},
			Count: words.Count(len(roles), t("role"), t("roles")), Empty: t("There are no roles."), Hint: t("A role lets workloads and people of other accounts in for a while:"), Command: "kontor admin role create NAME --trust WHO"}
		for _, r := range roles {
			y.Rows = append(y.Rows, parts.Row{Cells: []parts.Cell{
				{Text: r.Name, Sub: parts.Clean(r.Description), Link: holderURL(iam.OfRole, r.Name)}, policies(r.Policies, r.Inline), parts.CellTime(now, r.CreatedAt), {Text: identity.RoleARN(as.Partition(), r), Soft: true},
			}})
		}
		if more != "" {
			y.Next = parts.With(v.R.URL, "roles", more)
		}
		y.Same = v.Same("admin role list", "iam", "list-roles")
		if more != "" || v.Query("roles") != "" {
			y.Ordered = true // by name, page by page
		}
		if wrote, err := v.Part("roles", y); wrote || err != nil {
			return err
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
