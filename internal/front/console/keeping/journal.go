package keeping

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// mostHistory is how many entries the page of an image has.
const mostHistory = 50

// journal lists what went, moved or came back.
func (v *visit) journal() error {
	name, err := v.Named()
	if err != nil {
		return err
	}
	after, err := v.After()
	if err != nil {
		return err
	}
	f := retention.JournalFilter{Backward: true, Registry: v.Req.Registry, Name: name, Op: meta.JournalOp(v.Query("op"))}
	since := v.Query("since")
	if since != "" {
		if f.Since, err = time.Parse(time.DateOnly, since); err != nil {
			return ecr.InvalidParameter("since", "%s", t("write a day as 2026-12-31"))
		}
	}
	list, next, err := v.Config.Retention.As(v.Req.Principal).Journal(v.R.Context(), f, after, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	x := v.journalTable(list)
	if next != 0 {
		x.Next = parts.With(v.R.URL, "after", strconv.FormatInt(next, 10))
		x.Count = t("%s on this page", x.Count)
	}
	flags := ""
	if name != "" {
		flags += " --repository " + parts.Quoted(string(name))
	}
	if since != "" {
		flags += " --since " + since
	}
	x.Same, x.Filtered = v.Same("admin journal"+flags, "", ""), true
	if wrote, err := v.CSV("journal", x); wrote || err != nil {
		return err
	}
	data := v.OfOne(x, parts.Root+"journal", name)
	data["Since"], data["HasSince"] = since, true
	return v.show("list", parts.Layout{Title: t("Journal"), Data: data, Commands: []parts.Command{v.Kontor(t("The journal"), "admin journal")}})
}

// journalTable is a list of entries.
func (v *visit) journalTable(list []retention.JournalEntry) *parts.Table {
	x := &parts.Table{
		ID: "journal", CSVHas: t("the newest %d rows", parts.ListCSV), Caption: t("What went, moved or came back"), Empty: t("The journal has no such entry."), Count: words.Count(len(list), t("entry"), t("entries")),
		Columns: []parts.Column{
			{Key: "at", Label: t("When")}, {Key: "what", Label: t("What")}, {Key: "image", Label: t("Image")}, {Key: "why", Label: t("Why")}, {Key: "who", Label: t("By whom")}, {Key: "size", Label: t("Size"), Number: true},
		},
	}
	now := v.Now()
	for _, e := range list {
		var image parts.Cell
		if e.Digest != "" {
			image = parts.Cell{Text: string(e.Name), Sub: words.Image(string(e.Digest), parts.TagTexts(e.Tags)), Raw: string(e.Name) + "@" + string(e.Digest)}
		} else {
			image = parts.Cell{Text: string(e.Name)}
		}
		bytes := parts.Cell{}
		if e.SizeBytes > 0 {
			bytes = parts.Cell{Text: parts.Size(e.SizeBytes), Raw: strconv.FormatInt(e.SizeBytes, 10)}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{parts.CellTime(now, e.At), {Text: string(e.Op)}, image, {Text: parts.Clean(e.Reason)}, {Text: v.Who(e.Actor)}, bytes}})
	}
	return x
}

// history is what the journal has about the image and its tags.
func (v *repoVisit) history(m ecr.Image, data map[string]any) error {
	as := v.Config.Retention.As(v.Req.Principal)
	seen := map[int64]bool{}
	var all []retention.JournalEntry
	filters := []retention.JournalFilter{{Backward: true, Registry: v.Req.Registry, Name: v.repo.Name, Digest: m.Digest}}
	for _, tag := range m.Tags[:min(len(m.Tags), 5)] {
		filters = append(filters, retention.JournalFilter{Backward: true, Registry: v.Req.Registry, Name: v.repo.Name, Tag: tag})
	}
	older := false
	for _, f := range filters {
		list, next, err := as.Journal(v.R.Context(), f, 0, mostHistory)
		if err != nil {
			return err
		}
		older = older || next != 0
		for _, e := range list {
			if !seen[e.Seq] {
				seen[e.Seq] = true
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b retention.JournalEntry) int { return cmp.Compare(b.Seq, a.Seq) })
	if len(all) > mostHistory {
		all, older = all[:mostHistory], true
	}
	x := v.journalTable(all)
	if older {
		x.Count = t("The newest %d entries; the journal has the others", len(all))
	}
	x.ID, x.Caption, x.Empty, x.Hint, x.Command = "history", t("What happened to its tags"), t("Its tags have not moved, and nothing of it was deleted."), "", ""
	data["History"] = x
	return nil
}
