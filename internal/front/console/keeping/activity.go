package keeping

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Bounds of what pages show of pulls.
const (
	mostPullers   = 20  // in the sums by user and role
	mostPullRows  = 500 // that are added up
	imageActivity = 30  // days that the page of an image looks back
	// mostPlatformImages is how many images are looked up in indexes.
	mostPlatformImages = 50
)

// activity is who pulled what in the registry.
func (v *visit) activity() error {
	name, err := v.Named()
	if err != nil {
		return err
	}
	f := retention.ActivityFilter{Registry: v.Req.Registry, Name: name, Principal: v.Query("principal")}
	data := map[string]any{"Action": parts.Root + "activity", "Repository": string(name), "HasRepository": true}
	flags := ""
	if name != "" {
		flags = " --repository " + parts.Quoted(string(name))
	}
	return v.showActivity(f, data, parts.Layout{Title: t("Activity")}, flags)
}

// activity is who pulled what from a repository.
func (v *repoVisit) activity() error {
	f := retention.ActivityFilter{Registry: v.Req.Registry, Name: v.repo.Name, Principal: v.Query("principal")}
	data := map[string]any{"Action": parts.RepoURL(v.repo.Name, "activity")}
	if tag := v.Query("tag"); tag != "" {
		var err error
		if f.Image.Tag, err = ecr.ParseTag(tag); err != nil {
			return err
		}
	}
	data["Tag"], data["HasTag"] = string(f.Image.Tag), true
	flags := " --repository " + parts.Quoted(string(v.repo.Name))
	if f.Image.Tag != "" {
		flags += " --image " + parts.Quoted(string(f.Image.Tag))
	}
	return v.showActivity(f, data, parts.Layout{Title: t("Activity"), Heading: string(v.repo.Name), Crumbs: parts.Crumbs(v.repo.Name), Tabs: parts.Tabs(v.repo.Name, "activity")}, flags)
}

// showActivity shows the pulls that f selects, of as many days as the URL says: on each
// day, by user and role, and row by row.
func (v *visit) showActivity(f retention.ActivityFilter, data map[string]any, l parts.Layout, flags string) error {
	as := v.Config.Retention.As(v.Req.Principal)
	days := 30
	if n, err := strconv.Atoi(v.Query("days")); err == nil && (n == 1 || n == 7 || n == 90 || n == 365) {
		days = n
	}
	today := meta.DayOf(v.Now())
	f.Since = today - meta.Day(days) + 1
	order := parts.SortOf(v.R.URL.Query(), []string{"day"}, "day")
	f.Backward = order.Desc
	var after meta.PullKey
	if text := v.Query("after"); text != "" {
		if _, err := fmt.Sscan(text, &after.Day, &after.Repository, &after.Digest, &after.PullerID); err != nil {
			return parts.NoPage()
		}
	}
	list, next, err := as.Activity(v.R.Context(), f, after, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	x := &parts.Table{
		ID: "activity", Filtered: true, CSVHas: parts.FirstRows(parts.ListCSV), Caption: t("Day by day"), Count: words.Count(len(list), t("row"), t("rows")),
		Columns: order.Fill(v.R.URL, []parts.Column{
			{Key: "day", Label: t("Day")}, {Key: "image", Label: t("Image")}, {Key: "principal", Label: t("Pulled by")}, {Key: "pulls", Label: t("Pulls"), Number: true}, {Key: "last", Label: t("Last pull")},
		}),
		Empty: t("Nobody pulled anything in this time."), Hint: t("Choose more days, or remove a filter."),
	}
	if v.Config.Retention.ActivityDays() == 0 {
		x.Empty, x.Hint = t("This server does not record who pulls images."), t("It runs with pull_activity_days 0.")
	}
	for _, a := range list {
		x.Rows = append(x.Rows, v.pullRow(&a))
	}
	if next != (meta.PullKey{}) {
		x.Next = parts.With(v.R.URL, "after", strings.TrimSpace(fmt.Sprintln(next.Day, next.Repository, next.Digest, next.PullerID)))
		x.Count = t("%s on this page", x.Count)
		if len(list) == 0 {
			x.Empty, x.Hint = t("Nothing that you may see was found so far."), t("Only a part of the pulls was searched.")
		}
	}
	flags += " --days " + strconv.Itoa(days)
	if f.Principal != "" {
		flags += " --principal " + parts.Quoted(f.Principal)
	}
	x.Same = v.Same("admin activity"+flags, "", "")
	if wrote, err := v.CSV("activity", x); wrote || err != nil {
		return err
	}
	all, more := list, next
	if after != (meta.PullKey{}) || next != (meta.PullKey{}) { // the page has not all
		if all, more, err = as.Activity(v.R.Context(), f, meta.PullKey{}, mostPullRows); err != nil {
			return err
		}
	}
	if more == (meta.PullKey{}) {
		sums := v.pullers(all, v.R.URL)
		sums.Same, data["Sums"] = x.Same, sums
		platforms, err := v.platforms(f, all)
		if err != nil {
			return err
		}
		tables := []any{sums}
		if platforms != nil {
			platforms.Same, data["Platforms"] = x.Same, platforms
			tables = append(tables, platforms)
		}
		if wrote, err := v.Parts("activity", tables...); wrote || err != nil {
			return err
		}
	} else {
		data["Notes"] = []string{t("There are too many rows in this time to add them up by user and role. Choose fewer days, or a repository.")}
	}
	sums, complete := daysOf(all), more == (meta.PullKey{})
	if f.Principal == "" && f.Image == (ecr.ImageID{}) { // images that are gone count, too
		if sums, complete, err = as.PullDays(v.R.Context(), f.Registry, f.Name, f.Since); err != nil {
			return err
		}
	}
	if complete && len(sums) > 0 {
		if data["Picture"], err = pullPicture(sums, f.Since, today); err != nil {
			return err
		}
	}
	data["Table"], data["Days"], data["Principal"] = x, strconv.Itoa(days), f.Principal
	l.Data, l.Commands = data, []parts.Command{v.Kontor(t("The same"), "admin activity"+flags)}
	return v.show("activity", l)
}

// pullRow is a row of the list of pulls.
func (v *visit) pullRow(a *meta.PullActivity) parts.Row {
	name := string(a.Name)
	image := parts.Cell{Text: name + ":" + string(a.Tag), Sub: parts.Short(string(a.Digest)), Raw: name + "@" + string(a.Digest), Link: parts.RepoURL(a.Name, "images/"+string(a.Digest))}
	if a.Tag == "" {
		image.Text, image.Sub = name, parts.Short(string(a.Digest))+", "+t("untagged")
	}
	return parts.Row{Cells: []parts.Cell{
		{Text: a.Day.Time().Format(time.DateOnly)}, image, v.pullerCell(a), {Text: strconv.FormatInt(a.Pulls, 10)}, parts.CellTime(v.Now(), a.LastAt),
	}}
}

func (v *visit) pullerCell(a *meta.PullActivity) parts.Cell {
	c := parts.Cell{Text: v.Who(a.By.ARN), Raw: a.By.ARN}
	if a.Gone {
		c.Sub = t("deleted")
	}
	return c
}

// pullers are sums of pulls by user and role. here is the page whose filter names one;
// nil for none.
func (v *visit) pullers(all []meta.PullActivity, here *url.URL) *parts.Table {
	type sum struct {
		first  meta.PullActivity
		pulls  int64
		images map[ecr.Digest]bool
		last   time.Time
	}
	by := map[int64]*sum{}
	for _, a := range all {
		s := by[a.PullerID]
		if s == nil {
			s = &sum{first: a, images: map[ecr.Digest]bool{}}
			by[a.PullerID] = s
		}
		s.pulls += a.Pulls
		s.images[a.Digest] = true
		s.last = parts.Later(s.last, a.LastAt)
	}
	var list []*sum
	for _, s := range by {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *sum) int {
		return cmp.Or(cmp.Compare(b.pulls, a.pulls), cmp.Compare(a.first.By.ARN, b.first.By.ARN), cmp.Compare(a.first.PullerID, b.first.PullerID))
	})
	x := &parts.Table{ID: "pullers", Caption: t("By user and role"), Count: words.Count(len(list), t("user or role"), t("users and roles")), Columns: []parts.Column{
		{Key: "principal", Label: t("Pulled by")}, {Key: "pulls", Label: t("Pulls"), Number: true}, {Key: "images", Label: t("Images"), Number: true}, {Key: "last", Label: t("Last pull")},
	}, Empty: t("Nobody pulled anything in this time.")}
	if len(list) > mostPullers {
		list = list[:mostPullers]
		x.Count = t("The %d with most pulls, of %s", mostPullers, x.Count)
	}
	for _, s := range list {
		c := v.pullerCell(&s.first)
		if here != nil {
			c.Link = parts.With(here, "principal", s.first.By.ARN, "after", "", "format", "")
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{c, {Text: strconv.FormatInt(s.pulls, 10)}, {Text: parts.Count(len(s.images))}, parts.CellTime(v.Now(), s.last)}})
	}
	return x
}

// platforms are sums of pulls by platform, of the images of a repository that an index
// lists: who pulls the index pulls one of these. It is nil for none.
func (v *visit) platforms(f retention.ActivityFilter, all []meta.PullActivity) (*parts.Table, error) {
	if f.Name == "" || len(all) == 0 {
		return nil, nil
	}
	repo := f.Registry.Repo(f.Name)
	if may, err := v.May(repo, "ecr:BatchGetImage"); err != nil || !may["ecr:BatchGetImage"] {
		return nil, err
	}
	pulls := map[ecr.Digest]int64{}
	for _, a := range all {
		pulls[a.Digest] += a.Pulls
	}
	images := slices.SortedFunc(maps.Keys(pulls), func(a, b ecr.Digest) int {
		return cmp.Or(cmp.Compare(pulls[b], pulls[a]), cmp.Compare(a, b))
	})
	cut := len(images) > mostPlatformImages
	if cut {
		images = images[:mostPlatformImages]
	}
	of, err := v.Config.Inspect.As(v.Req.Principal).Platforms(v.R.Context(), repo, images)
	if err != nil || len(of) == 0 {
		return nil, err
	}
	type sum struct {
		pulls  int64
		images map[ecr.Digest]bool
		last   time.Time
	}
	by := map[string]*sum{}
	for _, a := range all {
		p, ok := of[a.Digest]
		if !ok {
			continue
		}
		s := by[p]
		if s == nil {
			s = &sum{images: map[ecr.Digest]bool{}}
			by[p] = s
		}
		s.pulls += a.Pulls
		s.images[a.Digest] = true
		s.last = parts.Later(s.last, a.LastAt)
	}
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b].pulls, by[a].pulls), cmp.Compare(a, b))
	})
	x := &parts.Table{ID: "platforms", Caption: t("By platform"), Count: words.Count(len(names), t("platform"), t("platforms")), Columns: []parts.Column{
		{Key: "platform", Label: t("Platform")}, {Key: "pulls", Label: t("Pulls"), Number: true}, {Key: "images", Label: t("Images"), Number: true}, {Key: "last", Label: t("Last pull")},
	}}
	if cut {
		x.Count = t("%s, of the %d images with most pulls", x.Count, mostPlatformImages)
	}
	for _, name := range names {
		s := by[name]
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{{Text: parts.Clean(name)}, {Text: strconv.FormatInt(s.pulls, 10)}, {Text: parts.Count(len(s.images))}, parts.CellTime(v.Now(), s.last)}})
	}
	return x, nil
}

func daysOf(all []meta.PullActivity) map[meta.Day]int64 {
	out := map[meta.Day]int64{}
	for _, a := range all {
		out[a.Day] += a.Pulls
	}
	return out
}

// pullPicture draws pulls from the first day to the last one.
func pullPicture(sums map[meta.Day]int64, first, last meta.Day) (template.HTML, error) {
	var bars []page.Bar
	for d := first; d <= last; d++ {
		bars = append(bars, page.Bar{Day: d.Time(), Count: sums[d]})
	}
	var b strings.Builder
	err := page.PullsInline(&b, t("Pulls on each day"), bars)
	return template.HTML(b.String()), err // package page escapes what it writes
}

// imagePulls adds who pulled an image lately.
func (v *repoVisit) imagePulls(d ecr.Digest, data map[string]any) error {
	if v.Config.Retention.ActivityDays() == 0 {
		return nil
	}
	today := meta.DayOf(v.Now())
	f := retention.ActivityFilter{Registry: v.Req.Registry, Name: v.repo.Name, Image: ecr.ImageID{Digest: d}, Since: today - imageActivity + 1, Backward: true}
	all, more, err := v.Config.Retention.As(v.Req.Principal).Activity(v.R.Context(), f, meta.PullKey{}, mostPullRows)
	if err != nil {
		return err
	}
	x := v.pullers(all, nil)
	x.Caption, x.Empty = t("Who pulled it in the last %d days", imageActivity), t("Nobody pulled it in the last %d days.", imageActivity)
	if more != (meta.PullKey{}) {
		x.Count = t("There is more: see the page Activity of the repository.")
	}
	data["Pullers"] = x
	if len(all) > 0 && more == (meta.PullKey{}) {
		data["Pulls"], err = pullPicture(daysOf(all), f.Since, today)
	}
	return err
}
