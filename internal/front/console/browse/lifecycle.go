package browse

import (
	"context"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// mostChanges is how many images a comparison of policies names.
const mostChanges = 100

// lifecycle is the page about a repository's lifecycle policy: what it does when, and
// what another one would do.
func (v *repoVisit) lifecycle() error {
	var refused *parts.Message
	if v.Post() {
		switch v.R.PostFormValue("do") {
		case "save":
			why, err := v.saveLifecycle()
			if err != nil {
				return err
			}
			if why == nil {
				return v.Finish(parts.RepoURL(v.repo.Name, "lifecycle"), "lifecycle")
			}
			refused = why
		case "remove":
			return v.removeLifecycle()
		}
	}
	most, all := whole, v.Post() || v.Query("explain") == "all"
	if all { // a form is sent by someone who wants the answer
		most = explain
	}
	i, err := v.Config.Inspect.As(v.Req.Principal).Images(v.R.Context(), v.repo, most)
	if err != nil {
		return err
	}
	if !i.PolicySeen { // a denial, in the words of the API
		_, _, err := v.Config.Retention.As(v.Req.Principal).LifecyclePolicy(v.R.Context(), v.repo)
		return err
	}
	may, err := v.May(v.repo, "ecr:PutLifecyclePolicy", "ecr:DeleteLifecyclePolicy", "kontor:DescribeUsage")
	if err != nil {
		return err
	}
	f, err := fatesOf(string(v.repo.Name), &i)
	if err != nil {
		return err
	}
	data := map[string]any{
		"Action": parts.RepoURL(v.repo.Name, "lifecycle"), "Text": parts.Indented(i.Policy), "Saved": i.Policy != "", "Notes": f.notes,
		"MaySave": may["ecr:PutLifecyclePolicy"], "MayRemove": may["ecr:DeleteLifecyclePolicy"] && i.Policy != "", "Explain": v.Query("explain"),
	}
	name := parts.Quoted(string(v.repo.Name))
	l := parts.Layout{Title: t("Lifecycle of %s", v.repo.Name), Heading: string(v.repo.Name), Crumbs: parts.Crumbs(v.repo.Name), Tabs: parts.Tabs(v.repo.Name, "lifecycle"), Data: data, Commands: []parts.Command{
		v.Kontor(t("The coming days"), "lifecycle forecast "+name),
		v.Kontor(t("What is suspicious in it"), "lifecycle lint "+name),
		v.AWS(t("The policy"), "ecr", "get-lifecycle-policy --repository-name "+name),
	}}
	l.Message = refused
	switch {
	case !i.Complete && all:
		l.Message = &parts.Message{Kind: "warn", Text: t("The repository has over %d images, more than a page reads. Use kontor lifecycle diff to see what another policy changes, and the API to save it.", explain)}
		if v.Post() {
			data["Text"] = v.R.PostFormValue("text")
		}
		return v.show("lifecycle", l)
	case !i.Complete:
		data["All"] = parts.With(v.R.URL, "explain", "all")
		return v.show("lifecycle", l)
	case v.Post():
		return v.tryLifecycle(&i, f, l, data)
	}
	if !f.none {
		if err := v.timeline(f, may["kontor:DescribeUsage"], data); err != nil {
			return err
		}
		data["Findings"] = v.findings(f, f.Policy, []byte(i.Policy))
	}
	if wrote, err := v.Parts(string(v.repo.Name)+"-lifecycle", data["Rules"], data["Timeline"]); wrote || err != nil {
		return err
	}
	return v.show("lifecycle", l)
}

// timeline says what goes on which day, by which rule, and what each rule frees.
func (v *repoVisit) timeline(f *fates, usage bool, data map[string]any) error {
	days := 30
	if n, err := strconv.Atoi(v.Query("days")); err == nil && (n == 7 || n == foresight || n == 365) {
		days = n
	}
	forecast := report.NewForecast(f.Lifecycle, days, lifecycle.RateNone)
	var picture strings.Builder
	if err := page.ForecastInline(&picture, forecast); err != nil {
		return err
	}
	data["Picture"] = template.HTML(picture.String()) // package page escapes what it writes
	data["Balance"], data["Premise"], data["Days"] = forecast.Balance(), words.Sentence(forecast.Premise()), strconv.Itoa(days)
	if forecast.First != nil {
		data["Warning"] = forecast.Warning()
	} else {
		data["Calm"] = forecast.Calm()
	}
	freed := map[int]int64{}
	if usage {
		u, err := v.Config.Retention.As(v.Req.Principal).Usage(v.R.Context(), v.repo)
		if err != nil {
			return err
		}
		for _, r := range u.Rules {
			freed[r.Rule] = r.FreedBytes
		}
	}
	rules := &parts.Table{ID: "rules", Caption: t("What each rule does"), Columns: []parts.Column{
		{Key: "rule", Label: t("Rule")}, {Key: "says", Label: t("What it says")}, {Key: "now", Label: t("Frees now"), Number: true}, {Key: "images", Label: t("Images in this time"), Number: true}, {Key: "first", Label: t("First")}, {Key: "last", Label: t("Last")},
	}, Count: words.Count(len(forecast.Rules), t("rule"), t("rules"))}
	for _, r := range forecast.Rules {
		frees := parts.Cell{Text: t("nothing"), Soft: true}
		if n := freed[r.Priority]; n > 0 {
			frees = parts.Cell{Text: parts.Size(n), Raw: strconv.FormatInt(n, 10)}
		}
		if !usage {
			frees = parts.Cell{Text: t("not shown"), Soft: true}
		}
		rules.Rows = append(rules.Rows, parts.Row{Cells: []parts.Cell{
			{Text: strconv.Itoa(r.Priority), Sub: parts.Clean(r.Description)}, {Text: r.Words}, frees, {Text: parts.Count(r.Images)}, {Text: r.First}, {Text: r.Last},
		}})
	}
	data["Rules"] = rules
	x := &parts.Table{ID: "days", Caption: t("Day by day"), Columns: []parts.Column{
		{Key: "date", Label: t("Day")}, {Key: "rule", Label: t("Rule")}, {Key: "images", Label: t("Images"), Number: true}, {Key: "bytes", Label: t("Size"), Number: true}, {Key: "names", Label: t("Which")}, {Key: "left", Label: t("Then left"), Number: true},
	}, Empty: t("Nothing goes within %d days.", days)}
	for _, day := range forecast.Days {
		for _, act := range day.Rules {
			var names []string
			for _, n := range act.Names[:min(len(act.Names), 5)] {
				names = append(names, words.Image(n.Digest, n.Tags))
			}
			if more := len(act.Names) - len(names); more > 0 {
				names = append(names, t("%d more", more))
			}
			verb := t("expires")
			if act.Action == lifecycle.Transition {
				verb = t("archives")
			}
			x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
				{Text: day.Date}, {Text: strconv.Itoa(act.Priority), Sub: verb}, {Text: parts.Count(act.Images)}, {Text: parts.Size(act.Bytes), Raw: strconv.FormatInt(act.Bytes, 10)},
				{Text: parts.Clean(words.And(names)), Soft: true}, {Text: parts.Count(day.ImagesLeft)},
			}})
		}
	}
	x.Count = t("Days on which something goes")
	name := parts.Quoted(string(v.repo.Name))
	rules.Ordered, x.Ordered = true, true // by priority, and by day
	rules.Same, x.Same = v.Same("admin usage "+name, "ecr", "get-lifecycle-policy --repository-name "+name), v.Same("lifecycle forecast "+name+" --days "+strconv.Itoa(days), "", "")
	data["Timeline"] = x
	return nil
}

// findings are what there is to say about a policy.
func (v *repoVisit) findings(f *fates, p lifecycle.Policy, text []byte) []parts.Figure {
	found, err := f.Options.LintText(text, f.Images, f.At)
	if err != nil {
		found = f.Options.Lint(p, f.Images, f.At)
	}
	var out []parts.Figure
	for _, x := range found {
		out = append(out, parts.Figure{Label: string(x.Code), Value: x.Message, Sub: x.Remedy})
	}
	return out
}

// tryLifecycle says what the policy in the form would change, without saving it.
func (v *repoVisit) tryLifecycle(i *inspect.Images, f *fates, l parts.Layout, data map[string]any) error {
	text := v.R.PostFormValue("text")
	data["Text"] = text
	p, err := v.Config.Retention.Dialect(v.repo.In).Parse([]byte(text))
	if err != nil {
		v.Status = http.StatusBadRequest
		l.Message = &parts.Message{Kind: "bad", Text: t("The policy is not valid: %s", parts.Clean(err.Error()))}
		return v.show("lifecycle", l)
	}
	changes := v.compare(f, p)
	data["Lost"], data["Gained"] = changes.lost, changes.gained
	if changes.changed != nil {
		data["Changed"] = changes.changed
	}
	then := *f
	then.Policy, then.none = p, false
	then.days = map[string]departure{}
	then.look()
	now, later := len(f.look().days), len(then.days)
	data["Soon"] = t("Within %d days: %s go now, %s with this policy.", foresight, words.Count(now, t("image"), t("images")), words.Count(later, t("image"), t("images")))
	data["Findings"] = v.findings(&then, p, []byte(text))
	tried, err := changes.tried(text, i.Policy)
	if err != nil {
		return err
	}
	data["Tried"], data["Same"] = &tried, lifecycle.Equal(p, f.Policy) && i.Policy != ""
	return v.show("lifecycle", l)
}

// compare says what a policy would change.
func (v *repoVisit) compare(f *fates, p lifecycle.Policy) comparison {
	diff := report.NewLifecycleDiff(f.Lifecycle, p, t("the policy in the form"))
	changes := func(id, caption, none string, list []report.FateChange) *parts.Table {
		x := &parts.Table{ID: id, Caption: caption, Empty: none, Columns: []parts.Column{
			{Key: "image", Label: t("Image")}, {Key: "before", Label: t("Now")}, {Key: "after", Label: t("Then")}, {Key: "size", Label: t("Size"), Number: true}, {Key: "pulled", Label: t("Pulled")},
		}}
		for _, c := range list[:min(len(list), mostChanges)] {
			pulled := parts.Cell{Text: t("never"), Soft: true}
			if c.After.PulledAt != nil {
				pulled = parts.CellTime(f.At, *c.After.PulledAt)
			}
			x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
				{Text: parts.Clean(words.Image(c.Digest, c.Tags)), Link: parts.RepoURL(v.repo.Name, "images/"+c.Digest)}, fateNow(c.Before), fateNow(c.After), {Text: parts.Size(c.After.SizeBytes)}, pulled,
			}})
		}
		x.Count = report.TallyOf(list).String()
		if len(list) > mostChanges {
			x.Count += t("; the first %d are shown", mostChanges)
		}
		return x
	}
	c := comparison{lost: changes("lost", t("Images that would expire, and do not now"), t("No image would expire that does not now."), diff.Lost),
		gained: changes("gained", t("Images that would stay, and do not now"), t("No image would stay that does not now."), diff.Gained)}
	if len(diff.Changed) > 0 {
		c.changed = changes("changed", t("Images whose rule would be another"), "", diff.Changed)
	}
	return c
}

// fateNow is what happens to an image at the next run.
func fateNow(m report.Image) parts.Cell {
	rule := ""
	if m.Rule != nil {
		rule = t("rule %d", *m.Rule)
	} else if m.Owner != nil {
		rule = t("rule %d", *m.Owner)
	}
	switch m.Action {
	case lifecycle.Expire:
		return parts.Cell{Kind: "go", Text: t("expires"), Sub: rule}
	case lifecycle.Transition:
		return parts.Cell{Kind: "soon", Text: t("is archived"), Sub: rule}
	}
	return parts.Cell{Kind: "keep", Text: t("stays"), Sub: rule}
}

// removeLifecycle removes the policy, after it was shown what stays then.
func (v *repoVisit) removeLifecycle() error {
	here := parts.RepoURL(v.repo.Name, "lifecycle")
	done, err := v.Confirm(func(in *parts.Visit) (q parts.Question, err error) {
		i, err := in.Config.Inspect.As(in.Req.Principal).Images(in.R.Context(), v.repo, whole)
		if err != nil {
			return q, err
		}
		q = parts.Question{To: here, Back: here, Do: t("Remove the policy"), Danger: true, Hidden: [][2]string{{"do", "remove"}}, Of: i.Policy, Says: []string{t("Without a policy nothing expires. The policy is kept in the journal.")}}
		q.Layout = parts.Layout{Title: t("Remove the lifecycle policy?"), Crumbs: parts.Crumbs(v.repo.Name), Commands: []parts.Command{
			v.AWS(t("The same"), "ecr", "delete-lifecycle-policy --repository-name "+parts.Quoted(string(v.repo.Name))),
		}}
		f, err := fatesOf(string(v.repo.Name), &i)
		if err != nil || f.unknown != "" || f.none {
			return q, err
		}
		q.Says = append(q.Says, t("%s that would go within %d days stay.", words.Count(len(f.look().days), t("image"), t("images")), foresight))
		return q, nil
	}, func(ctx context.Context) error {
		_, _, err := v.Config.Retention.As(v.Req.Principal).DeleteLifecyclePolicy(ctx, v.repo)
		return err
	})
	if !done {
		return err
	}
	return v.Finish(here, "nolifecycle")
}

// saveLifecycle stores the policy of the form, or says why it did not.
func (v *repoVisit) saveLifecycle() (*parts.Message, error) {
	text := v.R.PostFormValue("text")
	return v.SaveTried(func(in *parts.Visit) (parts.Tried, error) {
		i, err := in.Config.Inspect.As(in.Req.Principal).Images(in.R.Context(), v.repo, explain)
		if err != nil {
			return parts.Tried{}, err
		}
		if !i.PolicySeen || !i.Complete { // nothing was shown
			return parts.Tried{Saved: parts.Fingerprint(i.Policy)}, nil
		}
		f, err := fatesOf(string(v.repo.Name), &i)
		if err != nil {
			return parts.Tried{}, err
		}
		p, err := in.Config.Retention.Dialect(v.repo.In).Parse([]byte(text))
		if err != nil { // the API says it, too
			return parts.Tried{Saved: parts.Fingerprint(i.Policy)}, nil
		}
		return v.compare(f, p).tried(text, i.Policy)
	}, func(ctx context.Context) error {
		_, err := v.Config.Retention.As(v.Req.Principal).SetLifecyclePolicy(ctx, v.repo, text)
		return err
	})
}

// comparison is what another policy changes.
type comparison struct{ lost, gained, changed *parts.Table }

// tried are the fingerprints of a comparison: of the images that would go and stay, not of
// when they were pulled.
func (c comparison) tried(text, inForce string) (parts.Tried, error) {
	var tables []*parts.Table
	for _, x := range []*parts.Table{c.lost, c.gained, c.changed} {
		if x == nil {
			continue
		}
		bare := &parts.Table{ID: x.ID + x.Count, Columns: x.Columns[:3]}
		for _, r := range x.Rows {
			bare.Rows = append(bare.Rows, parts.Row{Cells: r.Cells[:3]})
		}
		tables = append(tables, bare)
	}
	return parts.NewTried(text, inForce, tables...)
}
