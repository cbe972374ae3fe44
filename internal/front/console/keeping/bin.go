package keeping

import (
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
)

// bin is the recycle bin.
func (v *visit) bin() error {
	as := v.Config.Retention.As(v.Req.Principal)
	if v.Post() {
		name, err := ecr.ParseRepositoryName(v.R.PostFormValue("repository"))
		if err != nil {
			return err
		}
		d, err := ecr.ParseDigest(v.R.PostFormValue("digest"))
		if err != nil {
			return err
		}
		if v.R.PostFormValue("do") == "purge" {
			return v.purge(v.Req.Registry.Repo(name), d)
		}
		done, err := as.RestoreImage(v.R.Context(), v.Req.Registry.Repo(name), d)
		if err != nil {
			return err
		}
		return v.restored(name, done)
	}
	name, err := v.Named()
	if err != nil {
		return err
	}
	after, err := v.After()
	if err != nil {
		return err
	}
	list, next, err := as.ListBin(v.R.Context(), v.Req.Registry, name, after, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	x := &parts.Table{
		ID: "bin", Filtered: true, Same: v.Same("admin bin"+binArgument(name), "", ""), CSVHas: parts.FirstRows(parts.ListCSV), Caption: t("Deleted images"), Empty: t("The recycle bin is empty."), Hint: t("Images that a rule expires or someone deletes stay here for a while."),
		Columns: []parts.Column{
			{Key: "image", Label: t("Image")}, {Key: "deleted", Label: t("Deleted")}, {Key: "why", Label: t("Why, and by whom")}, {Key: "size", Label: t("Size"), Number: true}, {Key: "until", Label: t("Can be restored")}, {Key: "restore", Label: ""}, {Key: "purge", Label: ""},
		},
		Count: words.Count(len(list), t("image"), t("images")),
	}
	if next != 0 {
		x.Next = parts.With(v.R.URL, "after", strconv.FormatInt(next, 10))
		x.Count = t("%s on this page", x.Count)
	}
	now, may := v.Now(), map[ecr.RepositoryName]map[access.Action]bool{}
	for _, e := range list {
		if _, known := may[e.Name]; !known {
			rights, err := v.May(v.Req.Registry.Repo(e.Name), "kontor:RestoreImage", "kontor:PurgeImage")
			if err != nil {
				return err
			}
			may[e.Name] = rights
		}
		restore, purge := parts.Cell{}, parts.Cell{}
		if may[e.Name]["kontor:PurgeImage"] {
			purge.Action = &parts.Action{To: parts.Root + "bin", Label: t("Delete for good"), Danger: true, Hidden: [][2]string{{"do", "purge"}, {"repository", string(e.Name)}, {"digest", string(e.Image.Digest)}}}
		}
		if may[e.Name]["kontor:RestoreImage"] {
			restore.Action = &parts.Action{To: parts.Root + "bin", Label: t("Restore"), Hidden: [][2]string{{"repository", string(e.Name)}, {"digest", string(e.Image.Digest)}}}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: string(e.Name), Sub: words.Image(string(e.Image.Digest), parts.TagTexts(e.Image.Tags)), Raw: string(e.Name) + "@" + string(e.Image.Digest)},
			parts.CellTime(now, e.DeletedAt), {Text: parts.Clean(e.Reason), Sub: v.Who(e.Actor)}, {Text: parts.Size(e.Image.SizeBytes), Raw: strconv.FormatInt(e.Image.SizeBytes, 10)},
			untilCell(now, e.ExpiresAt), restore, purge,
		}})
	}
	if wrote, err := v.CSV("recycle-bin", x); wrote || err != nil {
		return err
	}
	return v.show("list", parts.Layout{
		Title: t("Recycle bin"), Data: v.OfOne(x, parts.Root+"bin", name),
		Commands: []parts.Command{v.Kontor(t("What the bin holds"), "admin bin"), v.Kontor(t("Restore one"), "admin restore REPOSITORY@DIGEST")},
	})
}

// untilCell is a time in the future.
func untilCell(now, at time.Time) parts.Cell {
	c := parts.CellTime(now, at)
	c.Text, c.Sub = t("until %s", words.Day(at)), words.Distance(now, at)
	return c
}

// binArgument is a repository as an argument of a command.
func binArgument(name ecr.RepositoryName) string {
	if name == "" {
		return ""
	}
	return " " + parts.Quoted(string(name))
}

// restored says what came back.
func (v *visit) restored(name ecr.RepositoryName, done retention.Restored) error {
	m := &parts.Message{Kind: "good", Text: t("%s restored.", words.Count(len(done.Images), t("image"), t("images"))), Link: &parts.Link{Label: t("To its tags"), To: parts.RepoURL(name, "tags")}}
	for _, i := range done.Images {
		m.More = append(m.More, words.Image(string(i.Digest), parts.TagTexts(i.Tags)))
		for _, taken := range i.Taken {
			m.Kind = "warn"
			m.More = append(m.More, t("The tag %s stays with the image that has it now.", taken.Tag))
		}
		if i.Rule != 0 {
			m.More = append(m.More, t("Rule %d expired it: the next run expires it again, unless a rule or a lease keeps it.", i.Rule))
		}
	}
	for _, d := range done.Missing {
		m.Kind = "warn"
		m.More = append(m.More, t("%s belongs to it and could not be restored.", parts.Short(string(d))))
	}
	return v.show("list", parts.Layout{Title: t("Restored"), Message: m, Data: map[string]any{}})
}
