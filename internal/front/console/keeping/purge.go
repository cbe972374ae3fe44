package keeping

import (
	"context"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/retention"
)

// purge removes an image of the recycle bin for good.
func (v *visit) purge(at ecr.Repo, d ecr.Digest) error {
	var gone retention.Purged
	done, err := v.Confirm(func(in *parts.Visit) (parts.Question, error) { return purgeQuestion(&visit{in}, at, d) }, func(ctx context.Context) (err error) {
		gone, err = v.Config.Retention.As(v.Req.Principal).PurgeImage(ctx, at, d, strings.TrimSpace(v.R.PostFormValue("reason")))
		return err
	})
	if !done {
		return err
	}
	m := &parts.Message{Kind: "good", Text: t("The image is gone for good, with %s (%s) that nothing else used.", words.Count(gone.Blobs, t("layer or config"), t("layers and configs")), parts.Size(gone.SizeBytes)),
		Link: &parts.Link{Label: t("Back to the recycle bin"), To: parts.Root + "bin"}}
	return v.show("list", parts.Layout{Title: t("Deleted for good"), Message: m, Data: map[string]any{}})
}

func purgeQuestion(v *visit, at ecr.Repo, d ecr.Digest) (parts.Question, error) {
	there, err := purged(v, at, d)
	ref := string(at.Name) + "@" + string(d)
	return parts.Question{
		Layout: parts.Layout{Title: t("Delete this image for good?"), Commands: []parts.Command{v.Kontor(t("The same"), "admin purge "+parts.Quoted(ref)+" --reason TEXT")}},
		To:     parts.Root + "bin", Back: parts.Root + "bin", Do: t("Delete for good"), Danger: true, Reason: t("Reason, for the journal"),
		Hidden: [][2]string{{"do", "purge"}, {"repository", string(at.Name)}, {"digest", string(d)}}, Of: strings.Join(there, "\n"),
		Says: append([]string{
			t("%s is removed from the recycle bin, and from its repository if it is there again.", ref),
			t("Layers that no other image uses are removed from the storage at once. This cannot be undone."),
		}, there...),
	}, err
}

// purged says what goes of an image that is in its repository again: its tags, and who
// uses it.
func purged(v *visit, at ecr.Repo, d ecr.Digest) (says []string, err error) {
	found, err := v.Config.Registry.As(v.Req.Principal).DescribeImages(v.R.Context(), at, []ecr.ImageID{{Digest: d}})
	switch ecr.CodeOf(err) {
	case ecr.CodeImageNotFound, ecr.CodeRepositoryNotFound:
		return nil, nil
	case ecr.CodeAccessDenied:
		return []string{t("You may not see whether it is in its repository, with which tags (ecr:DescribeImages).")}, nil
	}
	if err != nil {
		return nil, err
	}
	m := found[0]
	says = []string{t("It is in its repository, without a tag.")}
	if tags := parts.TagTexts(m.Tags); len(tags) > 0 {
		says[0] = t("It is in its repository. Its tags are deleted with it: %s.", strings.Join(tags, ", "))
	}
	_, leases, err := v.Config.Retention.As(v.Req.Principal).ListLeases(v.R.Context(), at.In, at.Name)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return append(says, t("You may not see who uses it (kontor:ListLeases).")), nil
	}
	for _, l := range leases {
		if l.Image.Digest == d || l.Image.Tag != "" && slices.Contains(m.Tags, l.Image.Tag) {
			says = append(says, t("It is in use by %s, as %s reports.", parts.Clean(l.User), parts.Clean(l.Collector)))
		}
	}
	return says, err
}
