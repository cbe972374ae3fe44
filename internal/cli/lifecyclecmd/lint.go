package lifecyclecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/lifecycle"
)

func lintCommand(e *command.Env) *cobra.Command {
	var (
		o      = options{extensions: true} // a finding tells
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "lint [REPOSITORY] [flags]",
		Short: "Find mistakes in lifecycle policies",
		Long: `Find rules that probably do not do what their author meant, such as lists of
patterns that all have to match, rules that select no image or whose images all
belong to rules with precedence, and rules that expire images that are in use.
Each finding has a code, a place and a suggested fix; docs/garbage-collection.md
explains them.

With a repository or --images, its images are checked too. With only --policy,
that policy is checked; with neither, the policies of the file. The exit code is
1 when there are warnings; notes do not change it.`,
		Example: `  kontor lifecycle lint --policy policy.json
  kontor lifecycle lint team/app
  kontor lifecycle lint --policy policy.json --images images.json`,
		Args: command.Between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			linted, err := lintAll(cmd.Context(), e, o, argument(args))
			if err != nil {
				return err
			}
			r := report.NewLint(linted)
			if asJSON {
				err = render.JSON(e.Stdout, r)
			} else {
				err = render.Lint(e.Stdout, r, e.Options(e.Stdout))
			}
			if err != nil {
				return err
			}
			switch warnings := r.Count(lifecycle.Warning); warnings {
			case 0:
				return nil
			case 1:
				return errors.New("there is 1 warning")
			default:
				return fmt.Errorf("there are %d warnings", warnings)
			}
		},
	}
	o.flags(e, cmd)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func lintAll(ctx context.Context, e *command.Env, o options, name string) (linted []report.Linted, err error) {
	if name == "" && o.images == "" {
		if err := o.check(); err != nil {
			return nil, err
		}
		return lintWithoutImages(e, o)
	}
	l, err := lookAt(ctx, e, o, name, anyManifests(0))
	if err != nil {
		return nil, err
	}
	defer command.Closing(&err, l.close)
	r := report.Linted{Lifecycle: l.Lifecycle, File: l.file}
	if l.text != "" {
		r.Findings, err = lintText(l.Options, l.text, l.Images, l.At)
		return []report.Linted{r}, err
	}
	r.Findings = intended(l.Options.Lint(l.Policy, l.Images, l.At), l.of)
	return []report.Linted{r}, nil
}

// lintWithoutImages looks at the policy of --policy, or at those of the file.
func lintWithoutImages(e *command.Env, o options) ([]report.Linted, error) {
	if o.policy != "" {
		var l looked
		l.At, l.AWS = e.Now().UTC(), o.assume != assumeKontor
		if err := choosePolicy(e, &l, o, nil); err != nil {
			return nil, err
		}
		found, err := lintText(lifecycle.Options{}, l.text, nil, l.At)
		return []report.Linted{{Lifecycle: l.Lifecycle, File: l.file, Findings: found}}, err
	}
	if o.Endpoint != "" {
		return nil, command.Usagef("name the repository whose policy to look at, with --endpoint")
	}
	f, err := command.LoadFile(e, o.FileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	linted := []report.Linted{}
	for _, repo := range f.Desired(ecr.LocalRegistry()).Repositories {
		var p lifecycle.Policy // without rules when the file asks for none
		if repo.Lifecycle != "" {
			if p, err = lifecycle.Decode([]byte(repo.Lifecycle)); err != nil {
				return nil, err
			}
		}
		linted = append(linted, report.Linted{
			Lifecycle: report.Lifecycle{Repository: string(repo.Name), Source: "the file", At: e.Now().UTC(), Policy: p, Origins: rollout.Origins(repo.Origins.Rules)},
			Declared:  rollout.Place(repo.Origins.Repository),
			Findings:  intended(lifecycle.Lint(p, nil, e.Now()), &declaration{keepsUntagged: f.KeepsUntagged(repo.Name), expiresAll: expiresAll(repo)}),
		})
	}
	return linted, nil
}

// expiresAll reports whether a file says of a repository that every image
// expires.
func expiresAll(r state.Repository) bool {
	for _, o := range r.Origins.Rules {
		if strings.HasSuffix(o.Field, ".expire_all_images") || strings.HasSuffix(o.Field, ".expire_all_after_days") {
			return true
		}
	}
	return false
}

// intended leaves out what the file says in so many words: that images without
// tags stay, or that every image expires. of is nil where there is no file.
func intended(found []lifecycle.Finding, of *declaration) []lifecycle.Finding {
	return slices.DeleteFunc(found, func(f lifecycle.Finding) bool {
		return of != nil && (of.keepsUntagged && f.Code == lifecycle.LintUntagged || of.expiresAll && f.Code == lifecycle.LintEmpties)
	})
}
