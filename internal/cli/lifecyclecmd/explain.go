package lifecyclecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func explainCommand(e *command.Env) *cobra.Command {
	var (
		o      options
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain REPOSITORY:TAG|REPOSITORY@DIGEST [flags]",
		Short: "Explain why an image is kept or expires, and when that changes",
		Long: `Explain whether the next run of a lifecycle policy keeps, archives or expires an
image: the rule that decides and the field of the file that it comes from; the
image's age, or its place in the rule's count and the images before it; the other
rules that select it and why they do not decide; the day when this changes; and
what happens after the image is archived.

The first characters of a digest are enough. With --images, the repository name
can be left out.

For a deleted image, a Kontor registry reports which rule or user deleted it, and
until when it can be restored.`,
		Example: `  kontor lifecycle explain team/app:v1.2.3
  kontor lifecycle explain team/app@sha256:0123456789ab
  kontor lifecycle explain :v1.2.3 --images images.json --policy policy.json`,
		Args: command.Between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			repo, tag, digest, err := splitImage(args[0])
			if err != nil {
				return err
			}
			var missing error
			l, err := lookAt(cmd.Context(), e, o, repo, func(l *looked) bool {
				var found string
				found, missing = find(l.Lifecycle, tag, digest)
				return missing == nil && l.ImageMayBeKept(found)
			})
			if err != nil {
				return err
			}
			defer command.Closing(&err, l.close)
			found, missing := find(l.Lifecycle, tag, digest)
			if missing != nil {
				return explainMissing(cmd.Context(), e, &l, tag, digest, asJSON, missing)
			}
			if by := l.inUse[found]; by != "" {
				e.Notice("it is in use by %s, which AWS does not know: kontor lease apply keeps it", by)
			}
			x, _ := report.NewExplanation(l.Lifecycle, found)
			if asJSON {
				return render.JSON(e.Stdout, x)
			}
			return render.Explain(e.Stdout, x, e.Options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

// explainMissing says what became of an image that is not there, where the
// registry knows; else that it is missing.
func explainMissing(ctx context.Context, e *command.Env, l *looked, tag, digest string, asJSON bool, missing error) error {
	if l.in == nil {
		return missing
	}
	gone, err := l.in.Gone(ctx, l.snapshot.Repository, tag, digest)
	switch {
	case err != nil:
		return errors.Join(missing, err)
	case gone == nil && !l.snapshot.Kontor:
		return fmt.Errorf("%w; CloudTrail has the rule or user that deleted an image: events PolicyExecutionEvent and BatchDeleteImage", missing)
	case gone == nil:
		return missing
	case asJSON:
		return render.JSON(e.Stdout, gone)
	}
	return render.Gone(e.Stdout, *gone, e.Options(e.Stdout))
}

// leastDigest is how many digits of a digest tell images apart well enough for
// a person.
const leastDigest = 6

// splitImage takes REPOSITORY:TAG or REPOSITORY@DIGEST apart. The digest may be
// cut, and be without the name of its hash.
func splitImage(ref string) (repo, tag, digest string, err error) {
	if repo, digest, ok := strings.Cut(ref, "@"); ok {
		digits := strings.TrimPrefix(digest, "sha256:")
		if len(digits) < leastDigest || len(digits) > 64 || strings.Trim(digits, "0123456789abcdef") != "" {
			return "", "", "", command.Usagef("%q: want a digest such as sha256:0123456789ab", digest)
		}
		return repo, "", "sha256:" + digits, nil
	}
	if repo, tag, ok := strings.Cut(ref, ":"); ok && tag != "" {
		return repo, tag, "", nil
	}
	return "", "", "", command.Usagef("%q: want REPOSITORY:TAG or REPOSITORY@DIGEST", ref)
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
	return "", fmt.Errorf("%d images %s have %s: type more of the digest", len(found), where, what)
}
