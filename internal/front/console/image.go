package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Bounds of what a page of an image shows.
const (
	mostLayers    = 128
	mostPlatforms = 100
	mostReferrers = 50
	mostHistory   = 50
	mostConfig    = 256 << 10 // bytes of a config that is read for its platform
)

// image is the page of one image.
func (v *repoVisit) image(digest string) error {
	d, err := ecr.ParseDigest(digest)
	if err != nil {
		return noPage()
	}
	if v.post() {
		return v.changeImage(d)
	}
	ctx, p := v.r.Context(), v.req.Principal
	found, err := v.h.cfg.Registry.As(p).DescribeImages(ctx, v.repo, []ecr.ImageID{{Digest: d}})
	if err != nil {
		return err
	}
	m := found[0]
	may, err := v.may(v.repo, "ecr:BatchGetImage", "ecr:ListImageReferrers", "ecr:GetDownloadUrlForLayer", "kontor:ListLeases", "kontor:ListJournal", "kontor:ListPullActivity",
		"ecr:PutImage", "ecr:BatchDeleteImage", "ecr:DescribeRepositories")
	if err != nil {
		return err
	}
	data := map[string]any{"Tags": m.Tags, "Host": v.req.Host, "Repo": v.repo.Name, "Digest": digest,
		"Here": v.imageURL(d), "TagsURL": repoURL(v.repo.Name, "tags"), "MayDelete": may["ecr:BatchDeleteImage"],
		"MayTag": may["ecr:PutImage"] && may["ecr:BatchGetImage"] && may["ecr:DescribeRepositories"]}
	title := short(digest)
	if len(m.Tags) > 0 {
		title = string(m.Tags[0])
	}
	if err := v.explainImage(m, data); err != nil {
		return err
	}
	facts := []figure{{t("Kind"), kindOf(m), ""}, {t("Size"), size(m.SizeBytes), ""}, {t("Media type"), clean(m.MediaType), ""},
		{t("Pushed"), words.Moment(m.PushedAt), words.Distance(v.now(), m.PushedAt)}, {t("Last pulled"), pulledText(m), ""}}
	if m.Status != "" && m.Status != ecr.StatusActive {
		facts = append(facts, figure{t("Storage class"), clean(string(m.Status)), ""})
	}
	if may["ecr:BatchGetImage"] {
		if facts, err = v.manifestParts(m, may, data, facts); err != nil {
			return err
		}
	} else {
		data["Unseen"] = t("You may not read manifests (ecr:BatchGetImage), so layers and platforms are not shown.")
	}
	data["Facts"] = facts
	if may["ecr:ListImageReferrers"] && may["ecr:BatchGetImage"] {
		if err := v.referrers(d, data); err != nil {
			return err
		}
	}
	if may["kontor:ListPullActivity"] {
		if err := v.imagePulls(d, data); err != nil {
			return err
		}
	}
	if may["kontor:ListLeases"] {
		if err := v.imageLeases(m, data); err != nil {
			return err
		}
	}
	if may["kontor:ListJournal"] {
		if err := v.history(m, data); err != nil {
			return err
		}
	}
	ref, name := "@"+digest, quoted(string(v.repo.Name))
	return v.show("image", layout{
		Title: title, Heading: string(v.repo.Name) + imageName(title, m), Crumbs: append(v.crumbs(), link{Label: string(v.repo.Name), To: repoURL(v.repo.Name, "tags")}),
		Data: data,
		Commands: []command{
			{t("Pull it"), "docker pull " + v.req.Host + "/" + string(v.repo.Name) + ref},
			v.kontor(t("Why it stays or goes"), "lifecycle explain "+name+ref),
			{t("Copy it to another repository or registry"), "kontor promote " + quoted(v.req.Host+"/"+string(v.repo.Name)+ref) + " DESTINATION"},
			v.aws(t("Describe it"), "ecr", "describe-images --repository-name "+name+" --image-ids imageDigest="+digest),
		},
	})
}

func imageName(title string, m ecr.Image) string {
	if len(m.Tags) == 0 {
		return "@" + title
	}
	return ":" + title
}

func pulledText(m ecr.Image) string {
	if m.LastPulledAt.IsZero() {
		return t("never")
	}
	return words.Moment(m.LastPulledAt)
}

// may says which of the actions the caller may do on a repository.
func (v *visit) may(at ecr.Repo, actions ...access.Action) (map[access.Action]bool, error) {
	return v.h.cfg.Gate.As(v.req.Principal).Rights(v.r.Context(), at, actions...)
}

// explainImage says what becomes of an image, and why.
func (v *repoVisit) explainImage(m ecr.Image, data map[string]any) error {
	most := whole
	if v.query("explain") == "all" {
		most = explain
	}
	i, err := v.h.cfg.Inspect.As(v.req.Principal).Images(v.r.Context(), v.repo, most)
	if err != nil {
		return err
	}
	f, err := fatesOf(string(v.repo.Name), &i)
	if err != nil {
		return err
	}
	data["Notes"] = f.notes
	switch {
	case !i.Complete && i.PolicySeen:
		data["ExplainAll"] = with(v.r.URL, "explain", "all")
		return nil
	case f.unknown != "":
		data["Unknown"] = f.unknown
		return nil
	case f.none:
		data["Answer"], data["Kind"] = t("It is kept: the repository has no lifecycle policy."), "keep"
		return nil
	}
	x, ok := report.NewExplanation(f.Lifecycle, string(m.Digest))
	if !ok {
		return nil // it went meanwhile
	}
	kind := "keep"
	switch {
	case x.Image.GuardedBy != nil && x.Image.GuardedBy.Kind == lifecycle.GuardHeld:
		kind = "held"
	case x.Image.Action != lifecycle.Keep:
		kind = "go"
	case x.ChangesAt != nil && x.ChangesAt.Sub(i.Now) <= soon:
		kind = "soon"
	}
	data["Answer"], data["Kind"], data["Change"], data["Places"], data["Afterwards"], data["Caveats"] = x.Answer, kind, x.Change, x.Places, x.Afterwards, x.Caveats
	rules := &table{ID: "rules", Caption: t("What each rule has to do with it"), Columns: []column{
		{Key: "rule", Label: t("Rule")}, {Key: "verdict", Label: t("Verdict")}, {Key: "says", Label: t("What it says")}, {Key: "due", Label: t("Due")},
	}, Count: t("The rules in their order; the first that selects the image decides.")}
	for _, r := range x.Rules {
		due := cell{}
		if r.Due != nil {
			due = cellTime(i.Now, *r.Due)
		}
		rules.Rows = append(rules.Rows, row{Cells: []cell{
			{Text: strconv.Itoa(r.Priority), Sub: clean(r.Description)}, verdict(r.Verdict), {Text: r.Words, Sub: words.Sentence(r.Reason)}, due,
		}})
	}
	data["Rules"] = rules
	return nil
}

// verdict is what a rule decides.
func verdict(x lifecycle.Verdict) cell {
	switch x {
	case lifecycle.VerdictActs:
		return cell{Kind: "go", Text: t("acts")}
	case lifecycle.VerdictKeeps:
		return cell{Kind: "keep", Text: t("keeps")}
	case lifecycle.VerdictOutranked:
		return cell{Kind: "plain", Text: t("outranked")}
	}
	return cell{Text: t("does not select it"), Soft: true}
}

// manifestParts reads the manifest: platforms of an index, layers of an image.
func (v *repoVisit) manifestParts(m ecr.Image, may map[access.Action]bool, data map[string]any, facts []figure) ([]figure, error) {
	ctx, as := v.r.Context(), v.h.cfg.Registry.As(v.req.Principal)
	got, err := as.StatManifest(ctx, v.repo, ecr.ImageID{Digest: m.Digest})
	if ecr.CodeOf(err) == ecr.CodeImageNotFound || ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return facts, err
	}
	if err != nil {
		data["Unseen"] = clean(err.Error())
		return facts, nil
	}
	parsed, err := manifest.Parse(got.Body, got.MediaType)
	if err != nil {
		data["Unseen"] = t("The manifest cannot be read.")
		return facts, nil
	}
	if parsed.Kind == manifest.Index {
		data["Platforms"] = v.platforms(parsed)
	} else {
		if data["Layers"], err = v.layers(parsed); err != nil {
			return facts, err
		}
		if may["ecr:GetDownloadUrlForLayer"] && parsed.Config != nil {
			if platform := v.platformOf(parsed.Config); platform != "" {
				facts = append(facts, figure{t("Platform"), platform, ""})
			}
		}
	}
	if parsed.Subject != nil {
		data["Subject"] = link{Label: short(string(parsed.Subject.Digest)), To: repoURL(v.repo.Name, "images/"+string(parsed.Subject.Digest))}
	}
	var notes []figure
	for _, k := range slices.Sorted(maps.Keys(parsed.Annotations)) {
		notes = append(notes, figure{clean(k), clean(parsed.Annotations[k]), ""})
	}
	data["Annotations"] = notes
	var pretty bytes.Buffer
	if json.Indent(&pretty, got.Body, "", "  ") == nil && pretty.Len() <= mostConfig {
		data["Manifest"] = cleanLines(pretty.String())
	}
	return facts, nil
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		indent := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
		lines[i] = lines[i][:indent] + clean(lines[i][indent:])
	}
	return strings.Join(lines, "\n")
}

func (v *repoVisit) platforms(m manifest.Manifest) *table {
	x := &table{ID: "platforms", Caption: t("Platforms"), Count: words.Count(len(m.Children), t("entry"), t("entries")), Columns: []column{
		{Key: "platform", Label: t("Platform")}, {Key: "digest", Label: t("Image")}, {Key: "type", Label: t("Media type")},
	}, Empty: t("The index is empty.")}
	for _, c := range m.Children[:min(len(m.Children), mostPlatforms)] {
		name := t("unknown")
		if c.Platform != nil {
			name = platformName(c.Platform.OS, c.Platform.Architecture, c.Platform.Variant)
		}
		x.Rows = append(x.Rows, row{Cells: []cell{
			{Text: name}, {Text: short(string(c.Digest)), Mono: true, Link: repoURL(v.repo.Name, "images/"+string(c.Digest)), Raw: string(c.Digest)}, {Text: clean(c.MediaType), Soft: true},
		}})
	}
	return x
}

func platformName(os, arch, variant string) string {
	s := os + "/" + arch
	if variant != "" {
		s += "/" + variant
	}
	return clean(s)
}

// platformOf is the platform that an image's config names; "" for none.
func (v *repoVisit) platformOf(config *manifest.Descriptor) string {
	if config.Size > mostConfig {
		return ""
	}
	f, err := registry.ReadBlob(v.r.Context(), v.h.cfg.Registry.As(v.req.Principal), v.repo, config.Digest)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // it was read only
	text, err := io.ReadAll(io.LimitReader(f, mostConfig))
	var said struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if err != nil || json.Unmarshal(text, &said) != nil || said.OS == "" {
		return ""
	}
	return platformName(said.OS, said.Architecture, said.Variant)
}

// layers lists the layers with who else has them.
func (v *repoVisit) layers(m manifest.Manifest) (*table, error) {
	var digests []ecr.Digest
	list := m.Layers[:min(len(m.Layers), mostLayers)]
	var total int64
	for _, l := range list {
		digests = append(digests, l.Digest)
		total += l.Size
	}
	shared, err := v.h.cfg.Inspect.As(v.req.Principal).Sharing(v.r.Context(), v.repo, digests)
	if err != nil {
		return nil, err
	}
	x := &table{ID: "layers", Caption: t("Layers"), Columns: []column{
		{Key: "number", Label: t("Layer"), Number: true}, {Key: "digest", Label: t("Digest")}, {Key: "size", Label: t("Size"), Number: true}, {Key: "shared", Label: t("Also in")},
	}, Empty: t("It has no layers.")}
	x.Count = t("%s, %s", words.Count(len(m.Layers), t("layer"), t("layers")), size(total))
	for i, l := range list {
		var names []string
		for _, n := range shared[l.Digest] {
			names = append(names, string(n))
		}
		where := cell{Text: t("in no other repository that you may see"), Soft: true}
		if len(names) > 0 {
			where = cell{Text: words.And(names)}
			if len(names) == inspect.MostSharing {
				where.Sub = t("and perhaps more")
			}
		}
		x.Rows = append(x.Rows, row{Cells: []cell{
			{Text: strconv.Itoa(i + 1)}, {Text: short(string(l.Digest)), Mono: true, Sub: clean(l.MediaType), Raw: string(l.Digest)}, {Text: size(l.Size), Raw: strconv.FormatInt(l.Size, 10)}, where,
		}})
	}
	return x, nil
}

// referrers lists what refers to an image: signatures, SBOMs and other artifacts.
func (v *repoVisit) referrers(d ecr.Digest, data map[string]any) error {
	list, next, err := v.h.cfg.Registry.As(v.req.Principal).ListReferrers(v.r.Context(), v.repo, d, "", "", mostReferrers)
	if err != nil {
		return err
	}
	x := &table{ID: "referrers", Caption: t("Attached to it"), Count: words.Count(len(list), t("artifact"), t("artifacts")), Columns: []column{
		{Key: "type", Label: t("Type")}, {Key: "digest", Label: t("Digest")}, {Key: "annotations", Label: t("Annotations")}, {Key: "size", Label: t("Size"), Number: true},
	}, Empty: t("Nothing is attached to it: no signature, no SBOM.")}
	if next != "" {
		x.Count = t("The first %d artifacts", len(list))
	}
	for _, r := range list {
		var notes []string
		for _, k := range slices.Sorted(maps.Keys(r.Annotations)) {
			notes = append(notes, clean(k+": "+r.Annotations[k]))
		}
		x.Rows = append(x.Rows, row{Cells: []cell{
			{Text: kindOf(ecr.Image{MediaType: r.MediaType, ArtifactMediaType: r.ArtifactType}), Sub: clean(r.ArtifactType)},
			{Text: short(string(r.Digest)), Mono: true, Link: repoURL(v.repo.Name, "images/"+string(r.Digest)), Raw: string(r.Digest)},
			{Text: strings.Join(notes, "; "), Soft: true}, {Text: size(r.SizeBytes)},
		}})
	}
	data["Referrers"] = x
	return nil
}

// imageLeases lists who uses the image.
func (v *repoVisit) imageLeases(m ecr.Image, data map[string]any) error {
	_, all, err := v.h.cfg.Retention.As(v.req.Principal).ListLeases(v.r.Context(), v.req.Registry, v.repo.Name)
	if err != nil {
		return err
	}
	x := &table{ID: "leases", Caption: t("In use by"), Columns: []column{{Key: "user", Label: t("Used by")}, {Key: "collector", Label: t("Reported by")}, {Key: "as", Label: t("As")}},
		Empty: t("No lease names it.")}
	for _, l := range all {
		if l.Image.Digest == m.Digest || l.Image.Tag != "" && slices.Contains(m.Tags, l.Image.Tag) {
			as := string(l.Image.Tag)
			if as == "" {
				as = short(string(l.Image.Digest))
			}
			x.Rows = append(x.Rows, row{Cells: []cell{{Text: clean(l.User)}, {Text: clean(l.Collector)}, {Text: as}}})
		}
	}
	x.Count = words.Count(len(x.Rows), t("lease"), t("leases"))
	data["Leases"] = x
	return nil
}

// history is what the journal has about the image and its tags.
func (v *repoVisit) history(m ecr.Image, data map[string]any) error {
	as := v.h.cfg.Retention.As(v.req.Principal)
	seen := map[int64]bool{}
	var all []retention.JournalEntry
	filters := []retention.JournalFilter{{Backward: true, Registry: v.req.Registry, Name: v.repo.Name, Digest: m.Digest}}
	for _, tag := range m.Tags[:min(len(m.Tags), 5)] {
		filters = append(filters, retention.JournalFilter{Backward: true, Registry: v.req.Registry, Name: v.repo.Name, Tag: tag})
	}
	older := false
	for _, f := range filters {
		list, next, err := as.Journal(v.r.Context(), f, 0, mostHistory)
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
