package browse

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Rows of a page, and of a CSV.
const (
	reposPage = 25
	reposCSV  = 500
	// reposSorted is how many repositories a list may have to be sorted by what is in them
	// now. Longer ones are sorted by what was in them when they were counted.
	reposSorted = 100
	tagsPage    = 50
	mostCSV     = 5000
)

// repositories lists those that the caller may see.
func (v *visit) repositories() error {
	q, folder := v.Query("q"), ""
	want := func(n ecr.RepositoryName) bool {
		return strings.Contains(strings.ToLower(string(n)), strings.ToLower(q))
	}
	if strings.HasSuffix(q, "/") { // a folder of the tree
		folder = q
		want = func(n ecr.RepositoryName) bool { return strings.HasPrefix(string(n), q) }
	}
	list, next, order, notes, err := v.listed(want, folder)
	if err != nil {
		return err
	}
	x := &parts.Table{
		ID: "repositories", Filtered: true, Same: v.Same("admin usage", "ecr", "describe-repositories"), CSVHas: parts.FirstRows(reposCSV), Caption: t("Repositories"), Count: words.Count(len(list), t("repository"), t("repositories")),
		Columns: order.Fill(v.R.URL, []parts.Column{
			{Key: "name", Label: t("Repository")}, {Key: "images", Label: t("Images"), Number: true}, {Key: "bytes", Label: t("Size"), Number: true},
			{Key: "pushed", Label: t("Last push")}, {Key: "pulled", Label: t("Last pull")}, {Key: "next", Label: t("Next to go")}, {Key: "mutability", Label: t("Tags are")},
		}),
		Empty: t("There are no repositories yet."), Hint: t("Name one in kontor.yaml and deploy it, or create one:"),
		Command: v.AWS("", "ecr", "create-repository --repository-name my-app").Text,
	}
	if q != "" {
		x.Empty, x.Hint, x.Command = t("No repository has %s in its name.", parts.Clean(q)), t("Shorten the filter, or remove it."), ""
	}
	if next != "" {
		x.Next = parts.With(v.R.URL, "after", next, "format", "")
		x.Count = t("%s on this page", x.Count)
	}
	for i := range list {
		r, err := v.repositoryRow(&list[i])
		if err != nil {
			return err
		}
		x.Rows = append(x.Rows, r)
	}
	if wrote, err := v.CSV("repositories", x); wrote || err != nil {
		return err
	}
	l := parts.Layout{Title: t("Repositories"), Data: map[string]any{"Q": q, "Table": x, "Folders": folders(list, folder), "Notes": notes}, Commands: []parts.Command{
		v.AWS(t("All repositories"), "ecr", "describe-repositories"),
		v.Kontor(t("What they take"), "admin usage"),
	}}
	return v.show("repositories", l)
}

// listed are the repositories of a page of the list, in the order that the URL asks for,
// and where the next page begins.
func (v *visit) listed(want func(ecr.RepositoryName) bool, folder string) (list []inspect.Repository, next string, order parts.Sorting, notes []string, err error) {
	limit := reposPage
	if v.Query("format") == "csv" {
		limit = reposCSV
	}
	order = parts.SortOf(v.R.URL.Query(), []string{"name", "images", "bytes", "pushed", "pulled"}, "images", "bytes", "pushed", "pulled")
	l := inspect.Listing{Want: want, Limit: limit, Images: glance, Usage: true}
	as := v.Config.Inspect.As(v.Req.Principal)
	all := func(l inspect.Listing) (next ecr.RepositoryName, err error) {
		if folder != "" && string(l.After) < folder {
			l.After = ecr.RepositoryName(strings.TrimSuffix(folder, "/")) // nothing of the folder is before it
		}
		list, next, err = as.Repositories(v.R.Context(), v.Req.Registry, l)
		if folder != "" && string(next) > folder && !strings.HasPrefix(string(next), folder) {
			next = ""
		}
		return next, err
	}
	after := v.Query("after")
	if order.Key == "name" && !order.Desc {
		l.After = ecr.RepositoryName(after)
		name, err := all(l)
		return list, string(name), order, nil, err
	}
	if after == "" { // a list that is short is sorted by what is so now
		more, err := all(inspect.Listing{Want: want, Limit: reposSorted})
		if err == nil && more == "" {
			l.Limit = max(limit, reposSorted)
			if more, err = all(l); more == "" {
				sortRepositories(list, order)
			}
		}
		if err != nil || more == "" {
			return list, "", order, nil, err
		}
	}
	q := meta.FigureQuery{By: meta.Figure(order.Key), Backward: order.Desc}
	if after != "" && q.By == meta.FigureName {
		q.After.Name = ecr.RepositoryName(after)
	} else if after != "" {
		if _, err := fmt.Sscan(after, &q.After.Value, &q.After.Repository); err != nil {
			return nil, "", order, nil, parts.NoPage()
		}
	}
	if v.Query("q") == "" {
		l.Want = nil
	}
	list, key, err := as.RepositoriesBy(v.R.Context(), v.Req.Registry, l, q)
	switch {
	case key == (meta.FigureKey{}):
	case q.By == meta.FigureName:
		next = string(key.Name)
	default:
		next = fmt.Sprintf("%d %d", key.Value, key.Repository)
	}
	if q.By != meta.FigureName {
		notes = []string{t("Sorted by a count that follows a push within two minutes and other changes within an hour. The rows show what is there now. Repositories that you may not look into are left out.")}
	}
	return list, next, order, notes, err
}

// sortRepositories puts all repositories of a list into another order than that of their
// names. Those of which it is not known come last.
func sortRepositories(list []inspect.Repository, order parts.Sorting) {
	value := func(r *inspect.Repository) (n int64, known bool) {
		var bytes int64
		var pushed, pulled time.Time
		for _, m := range r.Images.Images {
			bytes += m.SizeBytes
			pushed, pulled = parts.Later(pushed, m.PushedAt), parts.Later(pulled, m.LastPulledAt)
		}
		switch {
		case order.Key == "images" && r.Seen && !r.Images.Complete:
			return glance + 1, true // at least
		case order.Key == "bytes" && r.TakesSeen && r.Takes.Complete:
			return r.Takes.SizeBytes, true
		case !r.Seen || !r.Images.Complete && order.Key != "images":
			return 0, false
		}
		return map[string]int64{"images": int64(len(r.Images.Images)), "bytes": bytes, "pushed": pushed.UnixMicro(), "pulled": pulled.UnixMicro()}[order.Key], true
	}
	slices.SortStableFunc(list, func(a, b inspect.Repository) int {
		if order.Key == "name" {
			return cmp.Compare(b.Name, a.Name) // another order than it has
		}
		x, knownX := value(&a)
		y, knownY := value(&b)
		switch {
		case knownX != knownY && knownX:
			return -1
		case knownX != knownY:
			return 1
		case order.Desc:
			return cmp.Compare(y, x)
		}
		return cmp.Compare(x, y)
	})
}

// folders are the folders below folder that the repositories are in.
func folders(list []inspect.Repository, folder string) []parts.Link {
	n := map[string]int{}
	for _, r := range list {
		rest, _ := strings.CutPrefix(string(r.Name), folder)
		if name, _, ok := strings.Cut(rest, "/"); ok {
			n[folder+name+"/"]++
		}
	}
	var out []parts.Link
	for name := range n {
		out = append(out, parts.Link{Label: name, To: parts.Root + "repositories?q=" + name})
	}
	slices.SortFunc(out, func(a, b parts.Link) int { return cmp.Compare(a.Label, b.Label) })
	if len(out) == 1 && len(list) == n[out[0].Label] {
		return nil // they are all there
	}
	return out
}

func (v *visit) repositoryRow(r *inspect.Repository) (parts.Row, error) {
	now := v.Now()
	out := parts.Row{Cells: make([]parts.Cell, 7)}
	out.Cells[0] = parts.Cell{Text: string(r.Name), Link: parts.RepoURL(r.Name, "tags")}
	out.Cells[6] = parts.Cell{Text: parts.Mutability(r.Mutability)}
	if !r.Seen {
		out.Cells[1] = parts.Cell{Text: t("not shown"), Soft: true}
		return out, nil
	}
	if r.TakesSeen && r.Takes.Complete {
		out.Cells[2] = parts.Cell{Text: parts.Size(r.Takes.SizeBytes), Sub: t("%s its own", parts.Size(r.Takes.OwnBytes)), Raw: strconv.FormatInt(r.Takes.SizeBytes, 10)}
	}
	if !r.Images.Complete {
		out.Cells[1] = parts.Cell{Text: t("over %d", glance)}
		out.Cells[5] = parts.Cell{Text: t("see its page"), Link: parts.RepoURL(r.Name, "lifecycle")}
		return out, nil
	}
	var bytes int64
	var pushed, pulled time.Time
	for _, m := range r.Images.Images {
		bytes += m.SizeBytes
		pushed, pulled = parts.Later(pushed, m.PushedAt), parts.Later(pulled, m.LastPulledAt)
	}
	out.Cells[1] = parts.Cell{Text: parts.Count(len(r.Images.Images))}
	if out.Cells[2].Void() { // images that share layers count these twice
		out.Cells[2] = parts.Cell{Text: parts.Size(bytes), Raw: strconv.FormatInt(bytes, 10)}
	}
	out.Cells[3], out.Cells[4] = parts.CellTime(now, pushed), parts.CellTime(now, pulled)
	f, err := fatesOf(string(r.Name), &r.Images)
	if err != nil {
		return parts.Row{}, err
	}
	switch next, n, ok := f.look().next(); {
	case f.unknown != "":
		out.Cells[5] = parts.Cell{Text: t("not shown"), Soft: true}
	case f.none:
		out.Cells[5] = parts.Cell{Text: t("nothing"), Sub: t("no lifecycle policy"), Soft: true}
	case !ok:
		out.Cells[5] = parts.Cell{Text: t("nothing"), Sub: t("within %d days", foresight), Soft: true}
	default:
		c := f.goes(next)
		c.Sub = words.Count(n, t("image"), t("images")) + ", " + t("rule %d", next.rule)
		out.Cells[5] = c
	}
	return out, nil
}
