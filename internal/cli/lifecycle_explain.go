package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func (e *Env) explainCommand() *cobra.Command {
	var (
		o      lifecycleOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain REPOSITORY:TAG|REPOSITORY@DIGEST [flags]",
		Short: "Say why an image stays or goes, and when that changes",
		Long: `Say whether an image stays or goes at the next run of a lifecycle policy: by which
rule, its age or its place in the rule's count, which other rules select it and
why they have no say, the field of the file that made the rule, and the day on
which its fate changes. Of a digest the first characters are enough. With
--images the repository's name may be left out.`,
		Example: `  kontor lifecycle explain team/app:v1.2.3
  kontor lifecycle explain team/app@sha256:0123456789ab
  kontor lifecycle explain :v1.2.3 --images images.json --policy policy.json`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			repo, tag, digest, err := splitImage(args[0])
			if err != nil {
				return err
			}
			looked, err := e.lookAt(cmd.Context(), o, repo)
			if err != nil {
				return err
			}
			l := looked.Lifecycle
			if digest, err = find(l, tag, digest); err != nil {
				return err
			}
			if by := looked.inUse[digest]; by != "" {
				e.notice("it is in use by %s, which AWS does not know: kontor lease apply keeps it", by)
			}
			x, _ := report.NewExplanation(l, digest)
			if asJSON {
				return render.JSON(e.Stdout, x)
			}
			return render.Explain(e.Stdout, x, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// leastDigest is how many characters of a digest's value tell images apart
// well enough for a person.
const leastDigest = len("sha256:") + 6

// splitImage takes REPOSITORY:TAG or REPOSITORY@DIGEST apart.
func splitImage(ref string) (repo, tag, digest string, err error) {
	if repo, digest, ok := strings.Cut(ref, "@"); ok {
		if !strings.HasPrefix(digest, "sha256:") || len(digest) < leastDigest {
			return "", "", "", usagef("%q: want a digest such as sha256:0123456789ab", digest)
		}
		return repo, "", digest, nil
	}
	if repo, tag, ok := strings.Cut(ref, ":"); ok && tag != "" {
		return repo, tag, "", nil
	}
	return "", "", "", usagef("%q: want REPOSITORY:TAG or REPOSITORY@DIGEST", ref)
}

// find returns the digest of the image with the tag, or the digest that begins
// so.
func find(l report.Lifecycle, tag, digest string) (string, error) {
	var found []string
	for _, m := range l.Images {
		if digest != "" && strings.HasPrefix(m.Digest, digest) || tag != "" && slices.Contains(m.Tags, tag) {
			found = append(found, m.Digest)
		}
	}
	what, where := "the tag "+tag, "there"
	if digest != "" {
		what = "a digest that begins with " + digest
	}
	if l.Repository != "" {
		where = "in " + l.Repository
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no image %s has %s", where, what)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%d images %s have %s: give more of it", len(found), where, what)
}
