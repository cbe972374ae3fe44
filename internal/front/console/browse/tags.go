package browse

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// tagged is a row of the list of tags: a tag, or an image without one.
type tagged struct {
	tag   ecr.Tag
	image ecr.Image
	parts int // entries of an index
	refs  int // images that refer to it
	held  string
	fate  parts.Cell
	goes  time.Time // zero for not foreseen
}

// tags lists the tags of a repository, and deletes those that were chosen.
func (v *repoVisit) tags() error {
	if v.Post() {
		return v.deleteTags()
	}
	x, f, all, err := v.tagTable()
	if err != nil {
		return err
	}
	if wrote, err := v.CSV(string(v.repo.Name)+"-tags", x); wrote || err != nil {
		return err
	}
	name := parts.Quoted(string(v.repo.Name))
	data := map[string]any{"Q": v.Query("q"), "Table": x, "Notes": f.notes, "Unknown": f.unknown, "Figures": v.repoFigures(f, all), "Action": parts.RepoURL(v.repo.Name, "tags"), "Whole": all != nil,
		"URI": v.Req.Host + "/" + string(v.repo.Name)}
	return v.show("tags", parts.Layout{
		Title: string(v.repo.Name), Crumbs: parts.Crumbs(v.repo.Name), Tabs: parts.Tabs(v.repo.Name, "tags"), Data: data,
		Commands: []parts.Command{
			v.AWS(t("The images"), "ecr", "describe-images --repository-name "+name),
			v.Kontor(t("What becomes of them"), "lifecycle preview "+name),
		},
	})
}

// repoFigures say how a repository stands. all is nil where there are too many images.
func (v *repoVisit) repoFigures(f *fates, all []ecr.Image) []parts.Figure {
	if all == nil {
		return []parts.Figure{{Label: t("Images"), Value: t("over %d", whole), Sub: ""}}
	}
	var pushed time.Time
	for _, m := range all {
		pushed = parts.Later(pushed, m.PushedAt)
	}
	out := []parts.Figure{{Label: t("Images"), Value: parts.Count(len(all)), Sub: ""}}
	may, err := v.May(v.repo, "kontor:DescribeUsage")
	if err != nil || !may["kontor:DescribeUsage"] {
		may = nil
	}
	if may == nil {
		// The rest says enough.
	} else if u, err := v.Config.Retention.As(v.Req.Principal).Usage(v.R.Context(), v.repo); err == nil {
		out = append(out, parts.Figure{Label: t("Takes"), Value: parts.Size(u.BlobBytes), Sub: t("of that %s shared with other repositories", parts.Size(u.BlobBytes-u.OwnBytes))})
	}
	if !pushed.IsZero() {
		out = append(out, parts.Figure{Label: t("Last push"), Value: words.Distance(v.Now(), pushed), Sub: words.Day(pushed)})
	}
	if f.unknown == "" && !f.none {
		next, n, ok := f.next()
		at, bytes := 0, int64(0)
		for _, m := range all {
			if d, ok := f.days[string(m.Digest)]; ok && d.at.Sub(f.At) <= soon {
				at, bytes = at+1, bytes+m.SizeBytes
			}
		}
		sub := t("nothing within %d days", foresight)
		if ok {
			sub = t("next: %s on %s", words.Count(n, t("image"), t("images")), words.Day(next.at))
		}
		value := parts.Count(at)
		if at > 0 {
			value += ", " + parts.Size(bytes)
		}
		out = append(out, parts.Figure{Label: t("Go within 7 days"), Value: value, Sub: sub})
	}
	return out
}

// tagTable is the list of tags: sorted as the URL says where all images can be looked
// at, else in an order that can be read by key.
func (v *repoVisit) tagTable() (*parts.Table, *fates, []ecr.Image, error) {
	i, err := v.Config.Inspect.As(v.Req.Principal).Images(v.R.Context(), v.repo, whole)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := fatesOf(string(v.repo.Name), &i)
	if err != nil {
		return nil, nil, nil, err
	}
	f.look()
	x := &parts.Table{
		ID: "tags", Filtered: true, Same: v.Same("lifecycle preview "+parts.Quoted(string(v.repo.Name)), "ecr", "describe-images --repository-name "+parts.Quoted(string(v.repo.Name))), CSVHas: parts.FirstRows(mostCSV), Caption: t("Tags"), Form: parts.RepoURL(v.repo.Name, "tags"), Do: t("Delete the chosen tags…"),
		Empty: t("There are no images yet."), Hint: t("Log in, then push one:"), Command: "docker push " + v.Req.Host + "/" + string(v.repo.Name) + ":v1",
	}
	if q := v.Query("q"); q != "" {
		x.Empty, x.Hint, x.Command = t("No tag matches %s.", parts.Clean(q)), t("Shorten the filter, or remove it."), ""
	}
	columns := []parts.Column{
		{Key: "tag", Label: t("Tag")}, {Key: "pushed", Label: t("Pushed")}, {Key: "expires", Label: t("What becomes of it")}, {Key: "size", Label: t("Size"), Number: true},
		{Key: "pulled", Label: t("Pulled")}, {Key: "digest", Label: t("Image")}, {Key: "pull", Label: ""},
	}
	var rows []tagged
	if i.Complete {
		x.CSVHas = "" // of all images
		s := parts.SortOf(v.R.URL.Query(), []string{"pushed", "tag", "size", "pulled", "expires"}, "pushed", "size", "pulled")
		x.Columns = s.Fill(v.R.URL, columns)
		rows = v.wholeRows(&i, f, s, x)
	} else {
		s := parts.SortOf(v.R.URL.Query(), []string{"pushed", "tag"}, "pushed")
		if v.Query("q") != "" {
			s.Key, s.Keys = "tag", []string{"tag"}
			s.Desc = v.Query("order") == "desc" && v.Query("sort") == "tag"
		}
		x.Columns = s.Fill(v.R.URL, columns)
		if rows, err = v.keyedRows(s, f, x); err != nil {
			return nil, nil, nil, err
		}
	}
	now := v.Now()
	for _, r := range rows {
		x.Rows = append(x.Rows, v.tagRow(now, r))
	}
	if !i.Complete {
		return x, f, nil, nil
	}
	return x, f, i.Images, nil
}

// wholeRows are a page of all rows.
func (v *repoVisit) wholeRows(i *inspect.Images, f *fates, s parts.Sorting, x *parts.Table) []tagged {
	part, refs := map[ecr.Digest]bool{}, map[ecr.Digest]int{}
	for _, children := range i.Children {
		for _, d := range children {
			part[d] = true
		}
	}
	for _, m := range i.Images {
		if m.Subject != "" {
			refs[m.Subject]++
		}
	}
	q := strings.ToLower(v.Query("q"))
	var all []tagged
	folded := 0
	for _, m := range i.Images {
		d := string(m.Digest)
		r := tagged{image: m, parts: len(i.Children[m.Digest]), refs: refs[m.Digest], held: i.Held[d], fate: f.of(d), goes: f.days[d].at}
		if len(m.Tags) == 0 {
			if part[m.Digest] || m.Subject != "" {
				folded++ // shown with what it belongs to
			} else if q == "" || strings.Contains(d, q) {
				all = append(all, r)
			}
		}
		for _, tag := range m.Tags {
			if r.tag = tag; q == "" || strings.Contains(strings.ToLower(string(tag)), q) || strings.Contains(d, q) {
				all = append(all, r)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b tagged) int {
		n := 0
		switch s.Key {
		case "pushed":
			n = a.image.PushedAt.Compare(b.image.PushedAt)
		case "pulled":
			n = a.image.LastPulledAt.Compare(b.image.LastPulledAt)
		case "size":
			n = cmp.Compare(a.image.SizeBytes, b.image.SizeBytes)
		case "expires":
			switch {
			case a.goes.IsZero() != b.goes.IsZero():
				return map[bool]int{true: 1, false: -1}[a.goes.IsZero()] // what stays is last, either way
			default:
				n = a.goes.Compare(b.goes)
			}
		}
		n = cmp.Or(n, cmp.Compare(a.tag, b.tag), cmp.Compare(a.image.Digest, b.image.Digest))
		if s.Desc {
			return -n
		}
		return n
	})
	untagged := 0
	for _, r := range all {
		if r.tag == "" {
			untagged++
		}
	}
	x.Count = words.Count(len(all)-untagged, t("tag"), t("tags"))
	if untagged > 0 {
		x.Count += ", " + words.Count(untagged, t("untagged image"), t("untagged images"))
	}
	if folded > 0 {
		x.Count += t("; %s shown with what they belong to", words.Count(folded, t("platform image or artifact"), t("platform images and artifacts")))
	}
	if v.Query("format") == "csv" {
		return all
	}
	if after := v.Query("after"); after != "" {
		if at := slices.IndexFunc(all, func(r tagged) bool { return r.key() == after }); at >= 0 {
			all = all[at+1:]
		}
	}
	if len(all) > tagsPage {
		all = all[:tagsPage]
		x.Next = parts.With(v.R.URL, "after", all[tagsPage-1].key(), "done", "")
	}
	return all
}

// key names a row in URLs.
func (r tagged) key() string {
	if r.tag != "" {
		return string(r.tag)
	}
	return string(r.image.Digest)
}

// keyedRows are a page that is read by key.
func (v *repoVisit) keyedRows(s parts.Sorting, f *fates, x *parts.Table) ([]tagged, error) {
	limit := tagsPage
	if v.Query("format") == "csv" {
		limit = mostCSV
	}
	q := meta.TagQuery{ByTime: s.Key == "pushed", Backward: s.Desc, Prefix: v.Query("q")}
	if at, tag, ok := strings.Cut(v.Query("after"), "~"); ok {
		micros, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return nil, parts.NoPage()
		}
		q.After = meta.TagRow{Tag: ecr.Tag(tag), TaggedAt: time.UnixMicro(micros).UTC()}
	}
	list, more, err := v.Config.Inspect.As(v.Req.Principal).Tags(v.R.Context(), v.repo, q, limit)
	if err != nil {
		return nil, err
	}
	var rows []tagged
	for _, r := range list {
		rows = append(rows, tagged{tag: r.Tag, image: r.Image, fate: f.of(string(r.Digest))})
	}
	x.Count = t("%s on this page", words.Count(len(list), t("tag"), t("tags")))
	if q.Prefix != "" {
		x.Count = t("%s on this page that begin with %s", words.Count(len(list), t("tag"), t("tags")), parts.Clean(q.Prefix))
	}
	if more {
		last := list[len(list)-1]
		x.Next = parts.With(v.R.URL, "after", strconv.FormatInt(last.TaggedAt.UnixMicro(), 10)+"~"+string(last.Tag), "done", "")
	}
	return rows, nil
}

func (v *repoVisit) tagRow(now time.Time, r tagged) parts.Row {
	ref := v.Req.Host + "/" + string(v.repo.Name)
	to := parts.RepoURL(v.repo.Name, "images/"+string(r.image.Digest))
	name := parts.Cell{Text: string(r.tag), Link: to, Copy: "docker pull " + ref + ":" + string(r.tag)}
	if r.tag == "" {
		name = parts.Cell{Text: t("untagged"), Link: to, Copy: "docker pull " + ref + "@" + string(r.image.Digest)}
	}
	kind := kindOf(r.image)
	if r.parts > 0 {
		kind = words.Count(r.parts, t("platform"), t("platforms"))
	}
	if r.refs > 0 {
		kind += ", " + words.Count(r.refs, t("artifact attached"), t("artifacts attached"))
	}
	copied := name.Copy
	name.Copy = ""
	return parts.Row{
		Pick: string(r.tag), PickLabel: string(r.tag),
		Cells: []parts.Cell{
			name, parts.CellTime(now, r.image.PushedAt), r.fate, {Text: parts.Size(r.image.SizeBytes), Raw: strconv.FormatInt(r.image.SizeBytes, 10)},
			parts.CellTime(now, r.image.LastPulledAt), {Text: parts.Short(string(r.image.Digest)), Mono: true, Sub: kind, Raw: string(r.image.Digest)}, {Copy: copied, CopyLabel: t("Copy pull")},
		},
	}
}

// kindOf says what an image is: a chart or a signature is no container image.
func kindOf(m ecr.Image) string {
	switch a := m.ArtifactMediaType; {
	case manifest.IsIndex(m.MediaType):
		return t("index")
	case a == "application/vnd.oci.image.config.v1+json" || a == "application/vnd.docker.container.image.v1+json" || a == "":
		return t("image")
	case a == "application/vnd.cncf.helm.config.v1+json":
		return t("Helm chart")
	case strings.Contains(a, "sigstore") || strings.Contains(a, "cosign") || strings.Contains(a, "notary"):
		return t("signature")
	case strings.Contains(a, "spdx") || strings.Contains(a, "cyclonedx"):
		return t("SBOM")
	default:
		return parts.Clean(a)
	}
}

// mostDeleted is how many tags one form deletes, as BatchDeleteImage.
const mostDeleted = 100

// deleteTags shows what goes with the tags that were chosen, and deletes them when
// that was confirmed.
func (v *repoVisit) deleteTags() error {
	picks := v.R.PostForm["pick"]
	back := parts.RepoURL(v.repo.Name, "tags")
	if len(picks) == 0 {
		return v.To(back)
	}
	if len(picks) > mostDeleted {
		return ecr.InvalidParameter("pick", "%s", t("Choose at most %d tags at a time.", mostDeleted))
	}
	var ids []ecr.ImageID
	for _, p := range picks {
		tag, err := ecr.ParseTag(p)
		if err != nil {
			return err
		}
		ids = append(ids, ecr.ImageID{Tag: tag})
	}
	var failures []registry.ImageFailure
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) { return v.on(in).deleteTagsQuestion(ids, picks) }, func(ctx context.Context) (err error) {
		_, failures, err = v.Config.Registry.As(v.Req.Principal).BatchDeleteImage(ctx, v.repo, ids)
		return err
	})
	switch {
	case !done:
		return err
	case len(failures) > 0:
		q := parts.Question{Status: http.StatusConflict, Layout: parts.Layout{Title: t("Not all tags were deleted"), Crumbs: parts.Crumbs(v.repo.Name)}, Back: back, Says: []string{t("%d of %d tags were not deleted:", len(failures), len(ids))}}
		for _, f := range failures {
			q.Says = append(q.Says, parts.Clean(string(f.ID.Tag)+": "+f.Reason))
		}
		return v.Tell(q)
	}
	return v.Finish(back, "deleted")
}

// parted are the tags of an image that picks names, and its others.
func parted(m ecr.Image, picks []string) (loses, keeps []string) {
	for _, tag := range m.Tags {
		if slices.Contains(picks, string(tag)) {
			loses = append(loses, string(tag))
		} else {
			keeps = append(keeps, string(tag))
		}
	}
	return loses, keeps
}

// deleteTagsQuestion says what goes with tags.
func (v *repoVisit) deleteTagsQuestion(ids []ecr.ImageID, picks []string) (parts.Question, error) {
	to := parts.RepoURL(v.repo.Name, "tags")
	list, err := v.Config.Registry.As(v.Req.Principal).DescribeImages(v.R.Context(), v.repo, ids)
	if err != nil {
		return parts.Question{}, err
	}
	x := &parts.Table{ID: "goes", Caption: t("What goes"), Columns: []parts.Column{
		{Key: "image", Label: t("Image")}, {Key: "loses", Label: t("Tags that go")}, {Key: "keeps", Label: t("Tags that stay")}, {Key: "then", Label: t("Then")}, {Key: "size", Label: t("Size"), Number: true},
	}}
	gone := 0
	for _, m := range list {
		loses, keeps := parted(m, picks)
		then := parts.Cell{Kind: "keep", Text: t("the image stays")}
		if len(keeps) == 0 {
			then = parts.Cell{Kind: "go", Text: t("the image goes")}
			gone++
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: parts.Short(string(m.Digest)), Mono: true, Raw: string(m.Digest)}, {Text: strings.Join(loses, ", ")}, {Text: strings.Join(keeps, ", ")}, then, {Text: parts.Size(m.SizeBytes)},
		}})
	}
	x.Count = t("%s go, with %s", words.Count(len(picks), t("tag"), t("tags")), words.Count(gone, t("image"), t("images")))
	q := parts.Question{To: to, Back: to, Do: t("Delete"), Danger: true, Tables: []*parts.Table{x},
		Says: []string{t("Deleted images stay in the recycle bin for a while and can be restored from there, unless the bin is off.")}}
	var args []string
	for _, p := range picks {
		args = append(args, "imageTag="+p)
		q.Hidden = append(q.Hidden, [2]string{"pick", p})
	}
	q.Layout = parts.Layout{Title: t("Delete %s?", words.Count(len(picks), t("tag"), t("tags"))), Crumbs: parts.Crumbs(v.repo.Name),
		Commands: []parts.Command{v.AWS(t("The same"), "ecr", "batch-delete-image --repository-name "+parts.Quoted(string(v.repo.Name))+" --image-ids "+strings.Join(args, " "))}}
	return q, nil
}
