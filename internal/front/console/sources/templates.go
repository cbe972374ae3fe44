package sources

import (
	"context"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const templatesURL = parts.Root + "templates"

// templatesPage is how many templates a page has; a registry has at most 100.
const templatesPage = 100

// templates lists the repository creation templates.
func (v *visit) templates() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Templates.As(v.Req.Principal)
	if v.Post() {
		return v.changeTemplates()
	}
	list, _, err := as.ListTemplates(ctx, in, "", templatesPage)
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "ecr:CreateRepositoryCreationTemplate", "ecr:DeleteRepositoryCreationTemplate")
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "templates", Caption: t("Repository creation templates"), Count: words.Count(len(list), t("template"), t("templates")),
		Columns: []parts.Column{
			{Key: "prefix", Label: t("Repositories")}, {Key: "for", Label: t("Created by")}, {Key: "mutability", Label: t("Tags are")}, {Key: "lifecycle", Label: t("Lifecycle policy")}, {Key: "policy", Label: t("Repository policy")},
			{Key: "tags", Label: t("Resource tags")}, {Key: "created", Label: t("Created")}, {Key: "delete", Label: ""},
		},
		Empty: t("There is no template."), Hint: t("With one, a repository that is pushed to or pulled through for the first time is created with its settings:"),
		Command: v.AWS("", "ecr", "create-repository-creation-template --prefix team --applied-for CREATE_ON_PUSH").Text,
		Same:    v.Same("", "ecr", "describe-repository-creation-templates"),
	}
	now := v.Now()
	for _, m := range list {
		x.Rows = append(x.Rows, templateRow(m, parts.CellTime(now, m.CreatedAt), may["ecr:DeleteRepositoryCreationTemplate"]))
	}
	if wrote, err := v.CSV("templates", x); wrote || err != nil {
		return err
	}
	return v.show("templates", parts.Layout{
		Title: t("Creation templates"), Data: map[string]any{"Table": x, "To": templatesURL, "MayCreate": may["ecr:CreateRepositoryCreationTemplate"]},
		Commands: []parts.Command{v.AWS(t("The templates"), "ecr", "describe-repository-creation-templates")},
	})
}

func templateRow(m meta.CreationTemplate, created parts.Cell, remove bool) parts.Row {
	prefix := parts.Cell{Text: m.Prefix + "/", Raw: m.Prefix, Sub: parts.Clean(m.Description)}
	if m.Prefix == ecr.RootPrefix {
		prefix.Text = t("all that no other template is for")
	}
	var by []string
	for _, r := range m.AppliedFor {
		by = append(by, map[ecr.CreationReason]string{ecr.CreateOnPush: t("a push"), ecr.CreateOnPull: t("a pull-through cache"), ecr.CreateOnReplicate: t("replication")}[r])
		if by[len(by)-1] == "" {
			by[len(by)-1] = parts.Clean(string(r))
		}
	}
	has := func(text string) parts.Cell {
		if text == "" {
			return parts.Cell{Text: t("none"), Soft: true}
		}
		return parts.Cell{Text: t("yes"), Raw: text}
	}
	var tags []string
	for k, value := range m.Tags {
		tags = append(tags, parts.Clean(k+"="+value))
	}
	row := parts.Row{Cells: []parts.Cell{prefix, {Text: words.And(by)}, {Text: parts.Mutability(m.Mutability)}, has(m.Lifecycle), has(m.Policy), {Text: strings.Join(tags, ", ")}, created, {}}}
	if remove {
		row.Cells[7].Action = &parts.Action{To: templatesURL, Label: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}, {"prefix", m.Prefix}}}
	}
	return row
}

// changeTemplates does what a form asks for.
func (v *visit) changeTemplates() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Templates.As(v.Req.Principal)
	value := func(name string) string { return strings.TrimSpace(v.R.PostFormValue(name)) }
	prefix := value("prefix")
	if v.R.PostFormValue("do") == "delete" {
		done, err := v.Confirm(func(*parts.Visit) (parts.Question, error) {
			return parts.Question{
				Layout: parts.Layout{Title: t("Delete the template %s?", prefix), Commands: []parts.Command{v.AWS(t("The same"), "ecr", "delete-repository-creation-template --prefix "+parts.Quoted(prefix))}},
				To:     templatesURL, Back: templatesURL, Do: t("Delete"), Danger: true, Hidden: [][2]string{{"do", "delete"}, {"prefix", prefix}},
				Says: []string{t("Repositories that were created from it stay as they are.")},
			}, nil
		}, func(ctx context.Context) error { _, err := as.DeleteTemplate(ctx, in, prefix); return err })
		if !done {
			return err
		}
		return v.Finish(templatesURL, "gone")
	}
	n := meta.TemplateSettings{Given: prefix, Description: value("description"), Lifecycle: value("lifecycle"), Policy: value("policy"), Mutability: ecr.Mutability{Mode: ecr.Mutable}}
	if value("immutable") != "" {
		n.Mutability.Mode = ecr.Immutable
	}
	for _, r := range v.R.PostForm["for"] {
		if !slices.Contains(ecr.CreationReasons(), ecr.CreationReason(r)) {
			return ecr.InvalidParameter("for", "%s", t("choose what creates the repositories"))
		}
		n.AppliedFor = append(n.AppliedFor, ecr.CreationReason(r))
	}
	if _, err := as.CreateTemplate(ctx, in, n); err != nil {
		return err
	}
	return v.Finish(templatesURL, "created")
}
