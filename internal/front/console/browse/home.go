package browse

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
)

// The overview looks at the first repositories, and counts up to a number.
const (
	homeRepositories = 100
	homeCounted      = 200
)

// home is the overview: what goes next, and what needs someone.
func (v *visit) home() error {
	ctx, p := v.R.Context(), v.Req.Principal
	may, err := v.May(v.Req.Registry.Repo("*"), "ecr:DescribeRepositories", "kontor:ListRecycleBin")
	if err != nil {
		return err
	}
	of, err := v.May(v.Req.Registry.Repo(""), "kontor:ListJobs", "kontor:ListLeases")
	if err != nil {
		return err
	}
	data := map[string]any{}
	var figures []parts.Figure
	if may["ecr:DescribeRepositories"] {
		if figures, err = v.goesNext(data); err != nil {
			return err
		}
	} else {
		data["Unseen"] = t("You may not list repositories (ecr:DescribeRepositories). Open one by its address.")
	}
	if may["kontor:ListRecycleBin"] {
		list, next, err := v.Config.Retention.As(p).ListBin(ctx, v.Req.Registry, "", 0, homeCounted)
		if err != nil {
			return err
		}
		n, bytes := parts.Count(len(list)), int64(0)
		for _, e := range list {
			bytes += e.Image.SizeBytes
		}
		if next != 0 {
			n = t("over %d", len(list))
		}
		figures = append(figures, parts.Figure{Label: t("In the recycle bin"), Value: n, Sub: parts.Size(bytes)})
	}
	if of["kontor:ListLeases"] {
		collectors, leases, more, err := v.Config.Retention.As(p).LeasePage(ctx, v.Req.Registry, "", retention.Lease{}, homeCounted)
		if err != nil {
			return err
		}
		silent := 0
		for _, c := range collectors {
			if c.Silent {
				silent++
			}
		}
		sub := t("no collector is silent")
		if silent > 0 {
			sub = words.Count(silent, t("collector is silent"), t("collectors are silent"))
		}
		if len(collectors) == 0 {
			sub = t("no cluster reports yet")
		}
		n := parts.Count(len(leases))
		if more {
			n = t("over %d", len(leases))
		}
		figures = append(figures, parts.Figure{Label: t("Leases"), Value: n, Sub: sub})
	}
	data["Figures"] = figures
	if of["kontor:ListJobs"] {
		if data["Jobs"], err = v.jobTable(); err != nil {
			return err
		}
	}
	if wrote, err := v.Parts("overview", data["Next"], data["Jobs"]); wrote || err != nil {
		return err
	}
	return v.show("home", parts.Layout{Title: t("Overview"), Data: data, Commands: []parts.Command{
		v.Kontor(t("What the images take"), "admin usage"), v.Kontor(t("The background jobs"), "admin jobs"),
	}})
}

// goesNext is what goes first in the first repositories.
func (v *visit) goesNext(data map[string]any) ([]parts.Figure, error) {
	list, next, err := v.Config.Inspect.As(v.Req.Principal).Repositories(v.R.Context(), v.Req.Registry, inspect.Listing{Limit: homeRepositories, Images: glance, Governed: true})
	if err != nil {
		return nil, err
	}
	type going struct {
		name ecr.RepositoryName
		departure
		n int
	}
	var gone []going
	images, soonN, left := 0, 0, 0
	var soonBytes int64
	for i := range list {
		r := &list[i]
		images += len(r.Images.Images)
		if r.Seen && !r.Images.Complete {
			left++
		}
		f, err := fatesOf(string(r.Name), &r.Images)
		if err != nil {
			return nil, err
		}
		if !r.Seen || f.unknown != "" || f.none {
			continue
		}
		f.look()
		for _, m := range r.Images.Images {
			if d, ok := f.days[string(m.Digest)]; ok && d.at.Sub(f.At) <= soon {
				soonN, soonBytes = soonN+1, soonBytes+m.SizeBytes
			}
		}
		if d, n, ok := f.next(); ok {
			gone = append(gone, going{r.Name, d, n})
		}
	}
	slices.SortStableFunc(gone, func(a, b going) int { return a.at.Compare(b.at) })
	x := &parts.Table{ID: "next", Caption: t("What goes next"), Empty: t("No rule makes anything go within %d days.", foresight), Hint: t("Expiration rules are written in kontor.yaml:"), Command: "kontor lifecycle forecast REPOSITORY",
		Columns: []parts.Column{{Key: "repository", Label: t("Repository")}, {Key: "when", Label: t("When")}, {Key: "images", Label: t("Images"), Number: true}, {Key: "rule", Label: t("Rule"), Number: true}}}
	now := v.Now()
	for _, g := range gone[:min(len(gone), 15)] {
		f := &fates{}
		f.At = now
		when := f.goes(g.departure)
		when.Sub = words.Day(g.at)
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: string(g.name), Link: parts.RepoURL(g.name, "lifecycle")}, when, {Text: parts.Count(g.n)}, {Text: parts.Count(g.rule)}}})
	}
	x.Count = words.Count(len(gone), t("repository"), t("repositories"))
	x.Same = v.Same("lifecycle forecast", "", "")
	data["Next"] = x
	sub := ""
	value := parts.Count(len(list))
	if next != "" {
		value, sub = t("over %d", len(list)), t("the first %d are looked at here", len(list))
	}
	if left > 0 {
		data["Left"] = t("%s with over %d images not looked at here: open them to see what goes.", words.Count(left, t("repository"), t("repositories")), glance)
	}
	return []parts.Figure{{Label: t("Repositories"), Value: value, Sub: sub}, {Label: t("Go within 7 days"), Value: words.Count(soonN, t("image"), t("images")), Sub: parts.Size(soonBytes)}}, nil
}

// jobTable is how the jobs of the server do.
func (v *visit) jobTable() (*parts.Table, error) {
	all, err := v.Config.Jobs.As(v.Req.Principal).ListJobs(v.R.Context(), v.Req.Registry)
	if err != nil {
		return nil, err
	}
	x := &parts.Table{ID: "jobs", Caption: t("Background jobs"), Count: words.Count(len(all), t("job"), t("jobs")), Columns: []parts.Column{
		{Key: "job", Label: t("Job")}, {Key: "state", Label: t("State")}, {Key: "ended", Label: t("Last ended")}, {Key: "removed", Label: t("Removed"), Number: true}, {Key: "error", Label: t("Error")},
	}, Empty: t("No job has run yet."), Same: v.Same("admin jobs", "", "")}
	now := v.Config.Now()
	for _, j := range all {
		state := parts.Cell{Kind: "keep", Text: t("waits")}
		switch {
		case j.Held:
			state = parts.Cell{Kind: "held", Text: t("runs")}
		case j.Last.Error != "":
			state = parts.Cell{Kind: "go", Text: t("failed")}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(j.Name)}, state, parts.CellTime(now, j.EndedAt), {Text: parts.Count(j.Last.Removed)}, {Text: parts.Clean(j.Last.Error)}}})
	}
	return x, nil
}
