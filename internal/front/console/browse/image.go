package browse

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/front/console/keeping"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Bounds of what a page of an image shows.
const (
	mostLayers    = 128
	mostPlatforms = 100
	mostReferrers = 50
	mostConfig    = 256 << 10 // bytes of a config that is read for its platform
)

// image is the page of one image.
func (v *repoVisit) image(digest string) error {
	d, err := ecr.ParseDigest(digest)
	if err != nil {
		return parts.NoPage()
	}
	if v.Post() {
		return v.changeImage(d)
	}
	ctx, p := v.R.Context(), v.Req.Principal
	found, err := v.Config.Registry.As(p).DescribeImages(ctx, v.repo, []ecr.ImageID{{Digest: d}})
	if err != nil {
		return err
	}
	m := found[0]
	may, err := v.May(v.repo, "ecr:BatchGetImage", "ecr:ListImageReferrers", "ecr:GetDownloadUrlForLayer",
		"ecr:PutImage", "ecr:BatchDeleteImage", "ecr:DescribeRepositories")
	if err != nil {
		return err
	}
	data := map[string]any{"Tags": m.Tags, "Host": v.Req.Host, "Repo": v.repo.Name, "Digest": digest,
		"Here": v.imageURL(d), "TagsURL": parts.RepoURL(v.repo.Name, "tags"), "MayDelete": may["ecr:BatchDeleteImage"],
		"MayTag": may["ecr:PutImage"] && may["ecr:BatchGetImage"] && may["ecr:DescribeRepositories"]}
	title := parts.Short(digest)
	if len(m.Tags) > 0 {
		title = string(m.Tags[0])
	}
	if err := v.explainImage(m, data); err != nil {
		return err
	}
	facts := []parts.Figure{{Label: t("Kind"), Value: kindOf(m), Sub: ""}, {Label: t("Size"), Value: parts.Size(m.SizeBytes), Sub: ""}, {Label: t("Media type"), Value: parts.Clean(m.MediaType), Sub: ""},
		{Label: t("Pushed"), Value: words.Moment(m.PushedAt), Sub: words.Distance(v.Now(), m.PushedAt)}, {Label: t("Last pulled"), Value: pulledText(m), Sub: ""}}
	if m.Status != "" && m.Status != ecr.StatusActive {
		facts = append(facts, parts.Figure{Label: t("Storage class"), Value: parts.Clean(string(m.Status)), Sub: ""})
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
	if err := v.scan(d, data); err != nil {
		return err
	}
	if err := v.signatures(d, data); err != nil {
		return err
	}
	if err := keeping.OfImage(v.Visit, v.repo, m, data); err != nil {
		return err
	}
	if err := v.pins(d, data); err != nil {
		return err
	}
	ref, name := "@"+digest, parts.Quoted(string(v.repo.Name))
	for id, same := range map[string][]parts.Command{
		"Rules": v.Same("lifecycle explain "+name+ref, "", ""), "Platforms": v.manifestCommand(name, digest), "Layers": v.manifestCommand(name, digest),
		"Referrers":  v.Same("", "ecr", "list-image-referrers --repository-name "+name+" --subject-id imageDigest="+digest),
		"Findings":   v.Same("admin scanner findings "+name+ref, "ecr", "describe-image-scan-findings --repository-name "+name+" --image-id imageDigest="+digest),
		"Signatures": v.Same("signers verify "+name+ref, "ecr", "describe-image-signing-status --repository-name "+name+" --image-id imageDigest="+digest),
		"Pullers":    v.Same("admin activity --repository "+name+" --image "+digest, "", ""), "Leases": v.Same("lease list "+name, "", ""), "History": v.Same("admin journal --repository "+name, "", ""),
	} {
		if x, ok := data[id].(*parts.Table); ok {
			x.Same = same
		}
	}
	file := string(v.repo.Name) + "-" + strings.TrimPrefix(digest, "sha256:")[:12]
	if wrote, err := v.Parts(file, data["Rules"], data["Platforms"], data["Layers"], data["Referrers"], data["Findings"], data["Signatures"], data["Pullers"], data["Leases"], data["History"]); wrote || err != nil {
		return err
	}
	return v.show("image", parts.Layout{
		Title: title, Heading: string(v.repo.Name) + imageName(title, m), Crumbs: append(parts.Crumbs(v.repo.Name), parts.Link{Label: string(v.repo.Name), To: parts.RepoURL(v.repo.Name, "tags")}),
		Data: data,
		Commands: []parts.Command{
			{Label: t("Pull it"), Text: "docker pull " + v.Req.Host + "/" + string(v.repo.Name) + ref},
			v.Kontor(t("Why it stays or goes"), "lifecycle explain "+name+ref),
			{Label: t("Copy it to another repository or registry: this needs the rights and the gates there, which the command checks first"), Text: "kontor promote " + parts.Quoted(v.Req.Host+"/"+string(v.repo.Name)+ref) + " DESTINATION"},
			v.AWS(t("Describe it"), "ecr", "describe-images --repository-name "+name+" --image-ids imageDigest="+digest),
		},
	})
}

// manifestCommand prints the manifest.
func (v *repoVisit) manifestCommand(name, digest string) []parts.Command {
	return v.Same("", "ecr", "batch-get-image --repository-name "+name+" --image-ids imageDigest="+digest+" --query 'images[0].imageManifest' --output text")
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

// explainImage says what becomes of an image, and why.
func (v *repoVisit) explainImage(m ecr.Image, data map[string]any) error {
	most := whole
	if v.Query("explain") == "all" {
		most = explain
	}
	i, err := v.Config.Inspect.As(v.Req.Principal).Images(v.R.Context(), v.repo, most)
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
		data["ExplainAll"] = parts.With(v.R.URL, "explain", "all")
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
	rules := &parts.Table{ID: "rules", Caption: t("What each rule has to do with it"), Columns: []parts.Column{
		{Key: "rule", Label: t("Rule")}, {Key: "verdict", Label: t("Verdict")}, {Key: "says", Label: t("What it says")}, {Key: "due", Label: t("Due")},
	}, Count: t("The rules in their order; the first that selects the image decides."), Ordered: true}
	for _, r := range x.Rules {
		due := parts.Cell{}
		if r.Due != nil {
			due = parts.CellTime(i.Now, *r.Due)
		}
		rules.Rows = append(rules.Rows, parts.Row{Cells: []parts.Cell{
			{Text: strconv.Itoa(r.Priority), Sub: parts.Clean(r.Description)}, verdict(r.Verdict), {Text: r.Words, Sub: words.Sentence(r.Reason)}, due,
		}})
	}
	data["Rules"] = rules
	return nil
}

// verdict is what a rule decides.
func verdict(x lifecycle.Verdict) parts.Cell {
	switch x {
	case lifecycle.VerdictActs:
		return parts.Cell{Kind: "go", Text: t("acts")}
	case lifecycle.VerdictKeeps:
		return parts.Cell{Kind: "keep", Text: t("keeps")}
	case lifecycle.VerdictOutranked:
		return parts.Cell{Kind: "plain", Text: t("outranked")}
	}
	return parts.Cell{Text: t("does not select it"), Soft: true}
}

// manifestParts reads the manifest: platforms of an index, layers of an image.
func (v *repoVisit) manifestParts(m ecr.Image, may map[access.Action]bool, data map[string]any, facts []parts.Figure) ([]parts.Figure, error) {
	ctx, as := v.R.Context(), v.Config.Registry.As(v.Req.Principal)
	got, err := as.StatManifest(ctx, v.repo, ecr.ImageID{Digest: m.Digest})
	if ecr.CodeOf(err) == ecr.CodeImageNotFound || ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return facts, err
	}
	if err != nil {
		data["Unseen"] = parts.Clean(err.Error())
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
				facts = append(facts, parts.Figure{Label: t("Platform"), Value: platform, Sub: ""})
			}
		}
	}
	if parsed.Subject != nil {
		data["Subject"] = parts.Link{Label: parts.Short(string(parsed.Subject.Digest)), To: parts.RepoURL(v.repo.Name, "images/"+string(parsed.Subject.Digest))}
	}
	var notes []parts.Figure
	for _, k := range slices.Sorted(maps.Keys(parsed.Annotations)) {
		notes = append(notes, parts.Figure{Label: parts.Clean(k), Value: parts.Clean(parsed.Annotations[k]), Sub: ""})
	}
	data["Annotations"] = notes
	var pretty bytes.Buffer
	if json.Indent(&pretty, got.Body, "", "  ") == nil && pretty.Len() <= mostConfig {
		data["Manifest"] = parts.CleanLines(pretty.String())
	}
	return facts, nil
}

func (v *repoVisit) platforms(m manifest.Manifest) *parts.Table {
	x := &parts.Table{ID: "platforms", Caption: t("Platforms"), Count: words.Count(len(m.Children), t("entry"), t("entries")), Columns: []parts.Column{
		{Key: "platform", Label: t("Platform")}, {Key: "digest", Label: t("Image")}, {Key: "type", Label: t("Media type")},
	}, Empty: t("The index is empty.")}
	for _, c := range m.Children[:min(len(m.Children), mostPlatforms)] {
		name := t("unknown")
		if c.Platform != nil {
			name = platformName(c.Platform.OS, c.Platform.Architecture, c.Platform.Variant)
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: name}, {Text: parts.Short(string(c.Digest)), Mono: true, Link: parts.RepoURL(v.repo.Name, "images/"+string(c.Digest)), Raw: string(c.Digest)}, {Text: parts.Clean(c.MediaType), Soft: true},
		}})
	}
	return x
}

func platformName(os, arch, variant string) string {
	s := os + "/" + arch
	if variant != "" {
		s += "/" + variant
	}
	return parts.Clean(s)
}

// platformOf is the platform that an image's config names; "" for none.
func (v *repoVisit) platformOf(config *manifest.Descriptor) string {
	if config.Size > mostConfig {
		return ""
	}
	f, err := registry.ReadBlob(v.R.Context(), v.Config.Registry.As(v.Req.Principal), v.repo, config.Digest)
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
func (v *repoVisit) layers(m manifest.Manifest) (*parts.Table, error) {
	var digests []ecr.Digest
	list := m.Layers[:min(len(m.Layers), mostLayers)]
	var total int64
	for _, l := range list {
		digests = append(digests, l.Digest)
		total += l.Size
	}
	shared, err := v.Config.Inspect.As(v.Req.Principal).Sharing(v.R.Context(), v.repo, digests)
	if err != nil {
		return nil, err
	}
	x := &parts.Table{ID: "layers", Caption: t("Layers"), Columns: []parts.Column{
		{Key: "number", Label: t("Layer"), Number: true}, {Key: "digest", Label: t("Digest")}, {Key: "size", Label: t("Size"), Number: true}, {Key: "shared", Label: t("Also in")},
	}, Empty: t("It has no layers."), Ordered: true}
	x.Count = t("%s, %s", words.Count(len(m.Layers), t("layer"), t("layers")), parts.Size(total))
	for i, l := range list {
		var names []string
		for _, n := range shared[l.Digest] {
			names = append(names, string(n))
		}
		where := parts.Cell{Text: t("in no other repository that you may see"), Soft: true}
		if len(names) > 0 {
			where = parts.Cell{Text: words.And(names)}
			if len(names) == inspect.MostSharing {
				where.Sub = t("and perhaps more")
			}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: strconv.Itoa(i + 1)}, {Text: parts.Short(string(l.Digest)), Mono: true, Sub: parts.Clean(l.MediaType), Raw: string(l.Digest)}, {Text: parts.Size(l.Size), Raw: strconv.FormatInt(l.Size, 10)}, where,
		}})
	}
	return x, nil
}

// referrers lists what refers to an image: signatures, SBOMs and other artifacts.
func (v *repoVisit) referrers(d ecr.Digest, data map[string]any) error {
	list, next, err := v.Config.Registry.As(v.Req.Principal).ListReferrers(v.R.Context(), v.repo, d, "", "", mostReferrers)
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "referrers", Caption: t("Attached to it"), Count: words.Count(len(list), t("artifact"), t("artifacts")), Columns: []parts.Column{
		{Key: "type", Label: t("Type")}, {Key: "digest", Label: t("Digest")}, {Key: "annotations", Label: t("Annotations")}, {Key: "size", Label: t("Size"), Number: true},
	}, Empty: t("Nothing is attached to it: no signature, no SBOM.")}
	if next != "" {
		x.Count = t("The first %d artifacts", len(list))
	}
	for _, r := range list {
		var notes []string
		for _, k := range slices.Sorted(maps.Keys(r.Annotations)) {
			notes = append(notes, parts.Clean(k+": "+r.Annotations[k]))
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: kindOf(ecr.Image{MediaType: r.MediaType, ArtifactMediaType: r.ArtifactType}), Sub: parts.Clean(r.ArtifactType)},
			{Text: parts.Short(string(r.Digest)), Mono: true, Link: parts.RepoURL(v.repo.Name, "images/"+string(r.Digest)), Raw: string(r.Digest)},
			{Text: strings.Join(notes, "; "), Soft: true}, {Text: parts.Size(r.SizeBytes)},
		}})
	}
	data["Referrers"] = x
	return nil
}
