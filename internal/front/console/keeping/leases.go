package keeping

import (
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
)

// leases lists images in use, and who reports them.
func (v *visit) leases() error {
	as := v.Config.Retention.As(v.Req.Principal)
	if v.Post() {
		if _, err := as.ForgetLeases(v.R.Context(), v.Req.Registry, v.R.PostFormValue("collector")); err != nil {
			return err
		}
		return v.Finish(parts.Root+"leases", "forgotten")
	}
	name, err := v.Named()
	if err != nil {
		return err
	}
	after, err := leaseOf(v.Query("after"))
	if err != nil {
		return err
	}
	collectors, leases, more, err := as.LeasePage(v.R.Context(), v.Req.Registry, name, after, v.Limit(2*parts.KeepingPage))
	if err != nil {
		return err
	}
	may, err := v.May(v.Req.Registry.Repo(""), "kontor:ForgetLeases")
	if err != nil {
		return err
	}
	now := v.Now()
	who := &parts.Table{ID: "collectors", Caption: t("Who reports"), Count: words.Count(len(collectors), t("collector"), t("collectors")), Columns: []parts.Column{
		{Key: "collector", Label: t("Collector")}, {Key: "reported", Label: t("Reported")}, {Key: "expected", Label: t("Expected again")}, {Key: "state", Label: t("State")}, {Key: "forget", Label: ""},
	}, Empty: t("Nobody reports images in use."), Hint: t("Let a job in each cluster report what runs there:"), Command: "kontor lease from kubernetes --help"}
	for _, c := range collectors {
		state := parts.Cell{Kind: "keep", Text: t("reports")}
		if c.Silent {
			state = parts.Cell{Kind: "go", Text: t("silent"), Sub: t("its leases stay in force")}
		}
		forget := parts.Cell{}
		if may["kontor:ForgetLeases"] && c.Silent {
			forget.Action = &parts.Action{To: parts.Root + "leases", Label: t("Forget"), Danger: true, Hidden: [][2]string{{"collector", c.Name}}}
		}
		who.Rows = append(who.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(c.Name)}, parts.CellTime(now, c.ReportedAt), parts.CellTime(now, c.ExpectedAt), state, forget}})
	}
	x := &parts.Table{ID: "leases", CSVHas: parts.FirstRows(parts.ListCSV), Caption: t("Images in use"), Columns: []parts.Column{
		{Key: "repository", Label: t("Repository")}, {Key: "image", Label: t("Image")}, {Key: "user", Label: t("Used by")}, {Key: "collector", Label: t("Reported by")},
	}, Empty: t("No image is known to be in use.")}
	for _, l := range leases {
		image, to := parts.Cell{Text: string(l.Image.Tag)}, ""
		if l.Image.Digest != "" {
			to = parts.RepoURL(l.Repository, "images/"+string(l.Image.Digest))
			image = parts.Cell{Text: parts.Short(string(l.Image.Digest)), Mono: true, Sub: string(l.Image.Tag), Link: to, Raw: string(l.Image.Digest)}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: string(l.Repository), Link: parts.RepoURL(l.Repository, "tags")}, image, {Text: parts.Clean(l.User)}, {Text: parts.Clean(l.Collector)}}})
	}
	x.Count = words.Count(len(leases), t("lease"), t("leases"))
	if more {
		x.Next = parts.With(v.R.URL, "after", leaseKey(leases[len(leases)-1]))
		x.Count = t("%s on this page", x.Count)
	}
	x.Same, x.Filtered, who.Same = v.Same("lease list"+binArgument(name), "", ""), true, v.Same("lease list", "", "")
	if wrote, err := v.Part("leases", who); wrote || err != nil {
		return err
	}
	if wrote, err := v.CSV("leases", x); wrote || err != nil {
		return err
	}
	data := v.OfOne(x, parts.Root+"leases", name)
	data["Second"] = who
	return v.show("list", parts.Layout{Title: t("Leases"), Data: data, Commands: []parts.Command{v.Kontor(t("The leases"), "lease list")}})
}

// leaseKey is a lease in the URL of the page after it.
func leaseKey(l retention.Lease) string {
	var values []string
	for _, s := range []string{string(l.Repository), string(l.Image.Digest), string(l.Image.Tag), l.Collector, l.User} {
		values = append(values, url.QueryEscape(s))
	}
	return strings.Join(values, "|")
}

// leaseOf is the lease whose key it is; the zero one for "".
func leaseOf(key string) (retention.Lease, error) {
	if key == "" {
		return retention.Lease{}, nil
	}
	values := strings.Split(key, "|")
	for i, s := range values {
		var err error
		if values[i], err = url.QueryUnescape(s); err != nil {
			return retention.Lease{}, parts.NoPage()
		}
	}
	if len(values) != 5 {
		return retention.Lease{}, parts.NoPage()
	}
	return retention.Lease{Repository: ecr.RepositoryName(values[0]), Image: ecr.ImageID{Digest: ecr.Digest(values[1]), Tag: ecr.Tag(values[2])}, Collector: values[3], User: values[4]}, nil
}

// mostImageLeases is how many leases the page of an image shows.
const mostImageLeases = 100

// imageLeases lists who uses the image.
func (v *repoVisit) imageLeases(m ecr.Image, data map[string]any) error {
	list, more, err := v.Config.Retention.As(v.Req.Principal).ImageLeases(v.R.Context(), v.repo, m.Digest, m.Tags, mostImageLeases)
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "leases", Caption: t("In use by"), Columns: []parts.Column{{Key: "user", Label: t("Used by")}, {Key: "collector", Label: t("Reported by")}, {Key: "as", Label: t("As")}},
		Empty: t("No lease names it.")}
	for _, l := range list {
		as := string(l.Image.Tag)
		if as == "" {
			as = parts.Short(string(l.Image.Digest))
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(l.User)}, {Text: parts.Clean(l.Collector)}, {Text: as}}})
	}
	if x.Count = words.Count(len(x.Rows), t("lease"), t("leases")); more {
		x.Count = t("The first %d leases", mostImageLeases)
	}
	data["Leases"] = x
	return nil
}
