package console

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const keepingPage = 50

// listCSV is how many rows the CSV of a list has that is read page by page.
const listCSV = 1000

// limit is how many rows the page or the CSV has.
func (v *visit) limit(n int) int {
	if v.query("format") == "csv" {
		return listCSV
	}
	return n
}

// firstRows says that a CSV has n rows at most.
func firstRows(n int) string { return t("the first %d rows", n) }

// named is the repository that the parameter repository names, "" for all.
func (v *visit) named() (ecr.RepositoryName, error) {
	if v.query("repository") == "" {
		return "", nil
	}
	return ecr.ParseRepositoryName(v.query("repository"))
}

// after is the number of the row before the first one.
func (v *visit) after() (int64, error) {
	if v.query("after") == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v.query("after"), 10, 64)
	if err != nil {
		return 0, noPage()
	}
	return n, nil
}

// bin is the recycle bin.
func (v *visit) bin() error {
	as := v.h.cfg.Retention.As(v.req.Principal)
	if v.post() {
		name, err := ecr.ParseRepositoryName(v.r.PostFormValue("repository"))
		if err != nil {
			return err
		}
		d, err := ecr.ParseDigest(v.r.PostFormValue("digest"))
		if err != nil {
			return err
		}
		if v.r.PostFormValue("do") == "purge" {
			return v.purge(v.req.Registry.Repo(name), d)
		}
		done, err := as.RestoreImage(v.r.Context(), v.req.Registry.Repo(name), d)
		if err != nil {
			return err
		}
		return v.restored(name, done)
	}
	name, err := v.named()
	if err != nil {
		return err
	}
	after, err := v.after()
	if err != nil {
		return err
	}
	list, next, err := as.ListBin(v.r.Context(), v.req.Registry, name, after, v.limit(keepingPage))
	if err != nil {
		return err
	}
	x := &table{
		ID: "bin", CSVHas: firstRows(listCSV), Caption: t("Deleted images"), Empty: t("The recycle bin is empty."), Hint: t("Images that a rule expires or someone deletes stay here for a while."),
		Columns: []column{
			{Key: "image", Label: t("Image")}, {Key: "deleted", Label: t("Deleted")}, {Key: "why", Label: t("Why, and by whom")}, {Key: "size", Label: t("Size"), Number: true}, {Key: "until", Label: t("Can be restored")}, {Key: "restore", Label: ""}, {Key: "purge", Label: ""},
		},
		Count: words.Count(len(list), t("image"), t("images")),
	}
	if next != 0 {
		x.Next = with(v.r.URL, "after", strconv.FormatInt(next, 10))
		x.Count = t("%s on this page", x.Count)
	}
	now, may := v.now(), map[ecr.RepositoryName]map[access.Action]bool{}
	for _, e := range list {
		if _, known := may[e.Name]; !known {
			rights, err := v.may(v.req.Registry.Repo(e.Name), "kontor:RestoreImage", "kontor:PurgeImage")
			if err != nil {
				return err
			}
			may[e.Name] = rights
		}
		restore, purge := cell{}, cell{}
		if may[e.Name]["kontor:PurgeImage"] {
			purge.Action = &action{To: Root + "bin", Label: t("Delete for good"), Danger: true, Hidden: [][2]string{{"do", "purge"}, {"repository", string(e.Name)}, {"digest", string(e.Image.Digest)}}}
		}
		if may[e.Name]["kontor:RestoreImage"] {
			restore.Action = &action{To: Root + "bin", Label: t("Restore"), Hidden: [][2]string{{"repository", string(e.Name)}, {"digest", string(e.Image.Digest)}}}
		}
		x.Rows = append(x.Rows, row{Cells: []cell{
			{Text: string(e.Name), Sub: words.Image(string(e.Image.Digest), tagTexts(e.Image.Tags)), Raw: string(e.Name) + "@" + string(e.Image.Digest)},
			cellTime(now, e.DeletedAt), {Text: clean(e.Reason), Sub: v.who(e.Actor)}, {Text: size(e.Image.SizeBytes), Raw: strconv.FormatInt(e.Image.SizeBytes, 10)},
			untilCell(now, e.ExpiresAt), restore, purge,
		}})
	}
	if wrote, err := v.csv("recycle-bin", x); wrote || err != nil {
		return err
	}
	return v.show("list", layout{
		Title: t("Recycle bin"), Data: v.ofOne(x, Root+"bin", name),
		Commands: []command{v.kontor(t("What the bin holds"), "admin bin"), v.kontor(t("Restore one"), "admin restore REPOSITORY@DIGEST")},
	})
}

// untilCell is a time in the future.
func untilCell(now, at time.Time) cell {
	c := cellTime(now, at)
	c.Text, c.Sub = t("until %s", words.Day(at)), words.Distance(now, at)
	return c
}

// ofOne is the data of a list that can be about one repository.
func (v *visit) ofOne(x *table, to string, name ecr.RepositoryName) map[string]any {
	return map[string]any{"Table": x, "To": to, "Repository": string(name)}
}

func tagTexts(tags []ecr.Tag) []string {
	var out []string
	for _, tag := range tags {
		out = append(out, string(tag))
	}
	return out
}

// restored says what came back.
func (v *visit) restored(name ecr.RepositoryName, done retention.Restored) error {
	m := &message{Kind: "good", Text: t("%s restored.", words.Count(len(done.Images), t("image"), t("images"))), Link: &link{Label: t("To its tags"), To: repoURL(name, "tags")}}
	for _, i := range done.Images {
		m.More = append(m.More, words.Image(string(i.Digest), tagTexts(i.Tags)))
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
		m.More = append(m.More, t("%s belongs to it and could not be restored.", short(string(d))))
	}
	return v.show("list", layout{Title: t("Restored"), Message: m, Data: map[string]any{}})
}

// journal lists what went, moved or came back.
func (v *visit) journal() error {
	name, err := v.named()
	if err != nil {
		return err
	}
	after, err := v.after()
	if err != nil {
		return err
	}
	f := retention.JournalFilter{Backward: true, Registry: v.req.Registry, Name: name, Op: meta.JournalOp(v.query("op"))}
	since := v.query("since")
	if since != "" {
		if f.Since, err = time.Parse(time.DateOnly, since); err != nil {
			return ecr.InvalidParameter("since", "%s", t("write a day as 2026-12-31"))
		}
	}
	list, next, err := v.h.cfg.Retention.As(v.req.Principal).Journal(v.r.Context(), f, after, v.limit(keepingPage))
	if err != nil {
		return err
	}
	x := v.journalTable(list)
	if next != 0 {
		x.Next = with(v.r.URL, "after", strconv.FormatInt(next, 10))
		x.Count = t("%s on this page", x.Count)
	}
	if wrote, err := v.csv("journal", x); wrote || err != nil {
		return err
	}
	data := v.ofOne(x, Root+"journal", name)
	data["Since"], data["HasSince"] = since, true
	return v.show("list", layout{Title: t("Journal"), Data: data, Commands: []command{v.kontor(t("The journal"), "admin journal")}})
}

// journalTable is a list of entries.
func (v *visit) journalTable(list []retention.JournalEntry) *table {
	x := &table{
		ID: "journal", CSVHas: t("the newest %d rows", listCSV), Caption: t("What went, moved or came back"), Empty: t("The journal has no such entry."), Count: words.Count(len(list), t("entry"), t("entries")),
		Columns: []column{
			{Key: "at", Label: t("When")}, {Key: "what", Label: t("What")}, {Key: "image", Label: t("Image")}, {Key: "why", Label: t("Why")}, {Key: "who", Label: t("By whom")}, {Key: "size", Label: t("Size"), Number: true},
		},
	}
	now := v.now()
	for _, e := range list {
		var image cell
		if e.Digest != "" {
			image = cell{Text: string(e.Name), Sub: words.Image(string(e.Digest), tagTexts(e.Tags)), Raw: string(e.Name) + "@" + string(e.Digest)}
		} else {
			image = cell{Text: string(e.Name)}
		}
		bytes := cell{}
		if e.SizeBytes > 0 {
			bytes = cell{Text: size(e.SizeBytes), Raw: strconv.FormatInt(e.SizeBytes, 10)}
		}
		x.Rows = append(x.Rows, row{Cells: []cell{cellTime(now, e.At), {Text: string(e.Op)}, image, {Text: clean(e.Reason)}, {Text: v.who(e.Actor)}, bytes}})
	}
	return x
}

// leases lists images in use, and who reports them.
func (v *visit) leases() error {
	as := v.h.cfg.Retention.As(v.req.Principal)
	if v.post() {
		if _, err := as.ForgetLeases(v.r.Context(), v.req.Registry, v.r.PostFormValue("collector")); err != nil {
			return err
		}
		return v.finish(Root+"leases", "forgotten")
	}
	name, err := v.named()
	if err != nil {
		return err
	}
	after, err := leaseOf(v.query("after"))
	if err != nil {
		return err
	}
	collectors, leases, more, err := as.LeasePage(v.r.Context(), v.req.Registry, name, after, v.limit(2*keepingPage))
	if err != nil {
		return err
	}
	may, err := v.may(v.req.Registry.Repo(""), "kontor:ForgetLeases")
	if err != nil {
		return err
	}
	now := v.now()
	who := &table{ID: "collectors", Caption: t("Who reports"), Count: words.Count(len(collectors), t("collector"), t("collectors")), Columns: []column{
		{Key: "collector", Label: t("Collector")}, {Key: "reported", Label: t("Reported")}, {Key: "expected", Label: t("Expected again")}, {Key: "state", Label: t("State")}, {Key: "forget", Label: ""},
	}, Empty: t("Nobody reports images in use."), Hint: t("Let a job in each cluster report what runs there:"), Command: "kontor lease from kubernetes --help"}
	for _, c := range collectors {
		state := cell{Kind: "keep", Text: t("reports")}
		if c.Silent {
			state = cell{Kind: "go", Text: t("silent"), Sub: t("its leases stay in force")}
		}
		forget := cell{}
		if may["kontor:ForgetLeases"] && c.Silent {
			forget.Action = &action{To: Root + "leases", Label: t("Forget"), Danger: true, Hidden: [][2]string{{"collector", c.Name}}}
		}
		who.Rows = append(who.Rows, row{Cells: []cell{{Text: clean(c.Name)}, cellTime(now, c.ReportedAt), cellTime(now, c.ExpectedAt), state, forget}})
	}
	x := &table{ID: "leases", CSVHas: firstRows(listCSV), Caption: t("Images in use"), Columns: []column{
		{Key: "repository", Label: t("Repository")}, {Key: "image", Label: t("Image")}, {Key: "user", Label: t("Used by")}, {Key: "collector", Label: t("Reported by")},
	}, Empty: t("No image is known to be in use.")}
	for _, l := range leases {
		image, to := cell{Text: string(l.Image.Tag)}, ""
		if l.Image.Digest != "" {
			to = repoURL(l.Repository, "images/"+string(l.Image.Digest))
			image = cell{Text: short(string(l.Image.Digest)), Mono: true, Sub: string(l.Image.Tag), Link: to, Raw: string(l.Image.Digest)}
		}
		x.Rows = append(x.Rows, row{Cells: []cell{{Text: string(l.Repository), Link: repoURL(l.Repository, "tags")}, image, {Text: clean(l.User)}, {Text: clean(l.Collector)}}})
	}
	x.Count = words.Count(len(leases), t("lease"), t("leases"))
	if more {
		x.Next = with(v.r.URL, "after", leaseKey(leases[len(leases)-1]))
		x.Count = t("%s on this page", x.Count)
	}
	if wrote, err := v.csv("leases", x); wrote || err != nil {
		return err
	}
	data := v.ofOne(x, Root+"leases", name)
	data["Second"] = who
	return v.show("list", layout{Title: t("Leases"), Data: data, Commands: []command{v.kontor(t("The leases"), "lease list")}})
}

// leaseKey is a lease in the URL of the page after it.
func leaseKey(l retention.Lease) string {
	var parts []string
	for _, s := range []string{string(l.Repository), string(l.Image.Digest), string(l.Image.Tag), l.Collector, l.User} {
		parts = append(parts, url.QueryEscape(s))
	}
	return strings.Join(parts, "|")
}

// leaseOf is the lease whose key it is; the zero one for "".
func leaseOf(key string) (retention.Lease, error) {
	if key == "" {
		return retention.Lease{}, nil
	}
	parts := strings.Split(key, "|")
	for i, s := range parts {
		var err error
		if parts[i], err = url.QueryUnescape(s); err != nil {
			return retention.Lease{}, noPage()
		}
	}
	if len(parts) != 5 {
		return retention.Lease{}, noPage()
	}
	return retention.Lease{Repository: ecr.RepositoryName(parts[0]), Image: ecr.ImageID{Digest: ecr.Digest(parts[1]), Tag: ecr.Tag(parts[2])}, Collector: parts[3], User: parts[4]}, nil
}
