package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// endOptions are the flags of commands that may delete repositories.
type endOptions struct {
	prune        bool
	deleteImages bool
}

func (o *endOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.prune, "prune", false, "delete repositories and templates of the stack that are no longer in the file (default false)")
	o.imagesFlag(cmd)
}

func (o *endOptions) imagesFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.deleteImages, "delete-images", false, "also delete repositories that hold images (default false)")
}

func (o *endOptions) options() plan.Options {
	out := plan.Options{DeleteImages: o.deleteImages}
	if o.prune {
		out.End = plan.LeftFile
	}
	return out
}

func (o *endOptions) check() error {
	if o.deleteImages && !o.prune {
		return command.Usagef("--delete-images applies to the repositories that --prune deletes: pass both")
	}
	return nil
}

func planCommand(e *command.Env) *cobra.Command {
	var (
		o           command.TargetsOptions
		end         endOptions
		asJSON      bool
		markdown    bool
		exitCode    bool
		documents   bool
		verbose     bool
		refreshOnly bool
		out         string
		used        command.UsedOptions
	)
	cmd := &cobra.Command{
		Use:   "plan [flags]",
		Short: "Show what apply would change",
		Long: `Compare the file with its registries and show what apply would change. Nothing
is changed.

A file with registries: is compared with all of them, or with those given with
--target. A file without registries: is compared with the local registry of
--data, and never with AWS. If a registry cannot be read, plan shows the others
and then fails.

--output writes the plan to a file. kontor apply FILE applies it as long as
neither the file nor the registries have changed. --refresh-only shows drift:
everything that apply would change, including repositories that were deleted or
have lost their owner's tag.

--prune plans to delete the stack's repositories and repository creation templates
that are no longer in the file. A pull-through cache rule is deleted where the file
says removed: true, no matter who created it: rules have no owner.

plan runs the file's lifecycle_tests and fails if one of them fails. It also fails
if a change would expire, within a year, an image in use: one that --leases names
or that has a lease in the registry (kontor lease).`,
		Example: `  kontor plan -f kontor.yaml
  kontor plan --target prod --exit-code --json > plan.json
  kontor plan -o next.plan && kontor apply next.plan`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			switch {
			case asJSON && markdown:
				return command.Usagef("--json and --markdown cannot be combined")
			case refreshOnly && (end.prune || out != ""):
				return command.Usagef("--refresh-only shows drift, which cannot be applied: leave out --prune and --output")
			}
			if err := errors.Join(o.Check(), end.check()); err != nil {
				return err
			}
			r, err := command.OpenUsed(cmd.Context(), e, o, used)
			if err != nil {
				return err
			}
			defer command.Closing(&err, r.Close)
			options := end.options()
			options.RefreshOnly = refreshOnly
			p, err := r.Plan(cmd.Context(), options)
			if err != nil {
				return err
			}
			e.Notices(p.Notices)
			set, failed := p.Set, p.Err()
			switch {
			case asJSON:
				err = render.JSON(e.Stdout, set)
			case markdown:
				err = render.PlanMarkdown(e.Stdout, set)
			default:
				opts := e.Options(e.Stdout)
				opts.Documents, opts.Verbose = documents, verbose
				err = render.Plans(e.Stdout, set, opts)
			}
			if err != nil {
				return err
			}
			if out != "" {
				if failed != nil {
					return errors.Join(failed, fmt.Errorf("%s was not written", out))
				}
				if err := writePlan(out, set); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(e.Stderr, "%s is written: apply it with kontor apply %s\n", out, out); err != nil {
					return err
				}
			}
			if failed == nil && exitCode && set.Pending() > 0 {
				return command.Exit(command.ExitPending)
			}
			return failed
		},
	}
	o.Flags(e, cmd)
	o.ParallelFlag(cmd)
	end.flags(cmd)
	command.JSONFlag(cmd, &asJSON)
	used.Flags(cmd)
	cmd.Flags().BoolVar(&markdown, "markdown", false, "write Markdown, for a pull request (default false)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the plan to `PLAN`, for kontor apply PLAN")
	cmd.Flags().BoolVar(&refreshOnly, "refresh-only", false, "show what has drifted from the file, as a plan that cannot be applied (default false)")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there are changes (default false)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list every image and right that is affected, and what other accounts must allow (default false)")
	cmd.Flags().BoolVar(&documents, "documents", false, "show a text diff of the policy documents (default false)")
	return cmd
}

// writePlan writes a plan file. It holds policies, so it is for the user only,
// also where a file of that name was there already.
func writePlan(name string, s plan.Set) (err error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, planMode)
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	defer command.Closing(&err, f.Close)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm() != planMode {
		if err := f.Chmod(planMode); err != nil {
			return fmt.Errorf("writing the plan: %w", err)
		}
	}
	if _, err := f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}

const planMode = 0o600

// maxPlanFile bounds what is read of a plan file: a plan of 10,000
// repositories has some 60 MiB.
const maxPlanFile = 512 << 20

// readPlan reads a plan file.
func readPlan(name string) (plan.Set, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return plan.Set{}, fmt.Errorf("there is no plan %s: write it with kontor plan --output %s; to apply a file of repositories, use -f", name, name)
	}
	if err != nil {
		return plan.Set{}, fmt.Errorf("reading the plan: %w", err)
	}
	if info.Size() > maxPlanFile {
		return plan.Set{}, fmt.Errorf("%s has %d bytes: too large for a plan file", name, info.Size())
	}
	b, err := os.ReadFile(filepath.Clean(name))
	if err == nil {
		b, err = textfile.Decode(b)
	}
	if err != nil {
		return plan.Set{}, fmt.Errorf("reading the plan: %w", err)
	}
	return plan.ParseSet(name, b)
}
