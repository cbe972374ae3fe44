package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/cli/logincmd"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/host/up"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// promoterOptions are the flags of commands that reach registries by the names
// of images.
type promoterOptions struct {
	command.FileOptions
	data      string
	plainHTTP []string
}

func (o *promoterOptions) flags(e *command.Env, cmd *cobra.Command) {
	o.FileOptions.Flags(cmd)
	command.DataFlag(e, cmd, &o.data)
	cmd.Flags().StringArrayVar(&o.plainHTTP, "plain-http", nil, "speak HTTP without TLS to `HOST`, as is done with this machine; may be given several times (default none)")
}

// promoter reads the file, which there need not be unless needFile, and returns
// what promotes images.
func (o *promoterOptions) promoter(e *command.Env, needFile bool, progress func(promote.Progress)) (*run.Promoter, error) {
	var f *spec.File
	var err error
	if needFile || len(command.FileNames(e, o.FileOptions)) > 0 {
		if f, err = command.LoadFile(e, o.FileOptions, e.Stderr); err != nil {
			return nil, err
		}
	}
	hosts, err := logincmd.NewHosts(e, o.data, true)
	if err != nil {
		return nil, err
	}
	docker, err := dockerauth.Default(e.Getenv)
	if err != nil {
		return nil, err
	}
	return run.NewPromoter(run.PromoteConfig{
		File: f, Getenv: e.Getenv, Now: e.Now, PlainHTTP: o.plainHTTP, Progress: progress,
		Local:       func(ctx context.Context, at string) (run.Local, bool, error) { return localAt(ctx, e, o.data, at) },
		Credentials: tokens.Or(hosts, remote.Docker(docker)),
		Waiting: func(w remote.Wait) {
			if w.For >= noticedWait {
				e.Notice("waiting for %s: %v", w.For.Round(time.Second), w.Err)
			}
		},
	}), nil
}

// noticedWait is how long a pause must be to be told of.
const noticedWait = 2 * time.Second

// localAt reaches the registry of this machine that serves the host, or the one
// of the data folder for "", as its administrator.
func localAt(ctx context.Context, e *command.Env, data, at string) (l run.Local, ok bool, err error) {
	if at == "" {
		l, err = command.OpenLocal(ctx, e, data)
		return l, err == nil, err
	}
	dir, err := e.DataDir(data)
	if err != nil {
		return l, false, nil // without a home there is no data folder
	}
	registries, running, err := datadir.Running(ctx, dir, 0)
	i := slices.IndexFunc(registries, func(r datadir.Registry) bool { return logincmd.ServedAt(r, at) })
	if i < 0 || !running {
		return l, false, nil
	}
	if err != nil {
		return l, false, err
	}
	c, _, err := host.Read(ctx, dir, registries[i].Name, identity.Administrator)
	return up.Local(c, dir, nil), err == nil, err
}

// promoteOptions are the flags of promote.
type promoteOptions struct {
	promoterOptions
	ask       run.Ask
	referrers string
	planFile  string
	out       string
	dryRun    bool
	exitCode  bool
	asJSON    bool
}

func promoteCommand(e *command.Env) *cobra.Command {
	var o promoteOptions
	cmd := &cobra.Command{
		Use:         "promote [SOURCE DESTINATION | IMAGE --to REGISTRY] [flags]",
		Short:       "Copy images to another repository, account, region or registry",
		Annotations: map[string]string{command.AnnotationRuns: "yes"},
		Long: `Copy an image unchanged, with its platforms, signatures, SBOMs and attestations.
Everything that can be checked is checked before anything is sent, and the tag is
set once, last. Content that is already there is not sent again, so run an
interrupted promotion again to finish it. Nothing is ever deleted, and a tag is
moved from another image only with --move.

SOURCE and DESTINATION are names of images. They begin with the name of one of
the file's registries, or with a host. A destination without a tag gets the tag of
the source.

IMAGE takes the routes of the file (promotions:) that lead to the registry of --to.
--route alone promotes all images that match the route; --repository, --tag and
--newest select some of them.

--dry-run shows what would be done, and which tags are left out and why. --out
writes the plan to a file. --plan executes exactly that plan, or nothing if an image
or a tag has changed since.

Registries of the file are reached as the file says. For others, the password is
that of the registry on this machine, of AWS, or of docker's configuration.

If an image fails or is refused, the others are still promoted.`,
		Example: `  kontor promote staging/website:1.4.2 prod/website
  kontor promote docker.io/library/alpine:3.20 prod/mirror/alpine --platform linux/arm64
  kontor promote website:1.4.2 --to prod
  kontor promote --route release --newest 3 --dry-run
  kontor promote --route release --out next.plan && kontor promote --plan next.plan`,
		Args: command.Between(0, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := o.check(args); err != nil {
				return err
			}
			var show *render.Promoting
			p, err := o.promoter(e, len(args) < 2 && o.planFile == "", func(x promote.Progress) { show.Report(x) })
			if err != nil {
				return err
			}
			defer command.Closing(&err, p.Close)
			var pl promote.Plan
			if o.planFile != "" {
				pl, err = readPromotion(o.planFile)
			} else {
				pl, err = p.Plan(cmd.Context(), o.ask)
			}
			if err != nil {
				return err
			}
			out, opts := e.Stdout, e.Options(e.Stdout)
			if o.dryRun {
				return o.planned(e, pl)
			}
			if o.asJSON {
				out = e.Stderr
			}
			if len(pl.Images) == 0 && len(pl.Failures) == 0 {
				e.Notice("no image is to be promoted: --dry-run shows which tags are left out, and why")
			}
			for _, f := range pl.Warnings() {
				e.Notice("%s: %s", f.Code, f.Message)
			}
			show = render.NewPromoting(out, pl, opts, e.MovesCursor(out))
			result, err := p.Execute(cmd.Context(), pl, promote.ExecuteOptions{Whole: o.planFile != ""})
			err = errors.Join(err, show.Close(result))
			if o.asJSON {
				err = errors.Join(err, render.JSON(e.Stdout, rollout.Promotion{Plan: pl, Result: &result}))
			} else if err == nil || len(result.Images) > 0 {
				err = errors.Join(err, render.PromotionResult(e.Stdout, result, opts))
			}
			if err == nil {
				err = errors.Join(pl.Unread(), result.Err())
			}
			return err
		},
	}
	o.flags(e, cmd)
	cmd.ValidArgsFunction = command.CompleteRepository(e, &o.FileOptions)
	cmd.AddCommand(promoteHistoryCommand(e))
	return cmd
}

func (o *promoteOptions) flags(e *command.Env, cmd *cobra.Command) {
	o.promoterOptions.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&o.ask.Select.To, "to", "", "promote to the registry `NAME`, by the routes that lead there")
	f.StringArrayVar(&o.ask.Routes, "route", nil, "promote by the route `NAME`; may be given several times (default those that lead to --to)")
	f.StringVar(&o.ask.Select.Repository, "repository", "", "of --route, only repositories that match `GLOB` (default all that it takes)")
	f.StringVar(&o.ask.Select.Tag, "tag", "", "of --route, only tags that match `GLOB` (default all that it takes)")
	f.IntVar(&o.ask.Select.Newest, "newest", 0, "of --route, only the `N` images of each repository that were pushed last (default as the route says)")
	platformFlag(cmd, &o.ask.Platforms, "promote only the platform `OS/ARCH`; may be given several times with --new-index (default all)")
	f.BoolVar(&o.ask.NewIndex, "new-index", false, "make an index of the platforms: another image, to which signatures of the old one do not apply (default false)")
	f.BoolVar(&o.ask.Move, "move", false, "take the tag from another image, where it is not immutable (default false)")
	f.BoolVar(&o.ask.Record, "record", true, "leave a record of the promotion with the image, for kontor promote history; routes say so themselves")
	f.StringVar(&o.referrers, "referrers", "api", "`HOW` to write what refers to an image where the registry has no referrers API: api to refuse it, tags to write lists under tags")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, and change nothing (default false)")
	f.BoolVar(&o.exitCode, "exit-code", false, "with --dry-run, exit with 3 when there is something to promote (default false)")
	f.StringVar(&o.out, "out", "", "write the plan to `PLAN`, and change nothing")
	f.StringVar(&o.planFile, "plan", "", "carry out the plan in the file `PLAN`, or nothing when something has moved")
	command.JSONFlag(cmd, &o.asJSON)
	command.CompleteWords(cmd, "referrers", "api", "tags")
	command.Must(cmd.RegisterFlagCompletionFunc("to", command.CompleteTargets(e, &o.FileOptions)))
	command.Must(cmd.RegisterFlagCompletionFunc("route", command.CompleteFrom(e, &o.FileOptions, cobra.ShellCompDirectiveNoFileComp, func(f *spec.File, _ []string) (names []string) {
		for _, r := range f.Frame(ecr.LocalRegistry()).Promotions {
			names = append(names, r.Name)
		}
		return names
	})))
}

func platformFlag(cmd *cobra.Command, p *[]string, usage string) {
	cmd.Flags().StringArrayVar(p, "platform", nil, usage)
	command.CompleteWords(cmd, "platform", "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x", "linux/ppc64le", "linux/riscv64", "windows/amd64")
}

func checkPlatforms(list []string) error {
	for _, p := range list {
		if !fields.Platform.MatchString(p) {
			return command.Usagef("--platform %q: want OS/ARCHITECTURE, such as linux/arm64 or linux/arm/v7", p)
		}
	}
	return nil
}

// check refuses flags that do not go together, and completes o.ask.
func (o *promoteOptions) check(args []string) error {
	s := o.ask.Select
	byRoute := len(o.ask.Routes) > 0 || s.To != ""
	narrowed := s.Repository != "" || s.Tag != "" || s.Newest != 0
	o.dryRun = o.dryRun || o.out != ""
	o.ask.ReferrersAsTags = o.referrers == "tags"
	if len(args) > 0 {
		o.ask.Source = args[0]
	}
	if len(args) > 1 {
		o.ask.Destination = args[1]
	}
	switch {
	case o.referrers != "api" && o.referrers != "tags":
		return command.Usagef("--referrers %q: want api or tags", o.referrers)
	case s.Newest < 0:
		return command.Usagef("--newest %d: want 1 or more", s.Newest)
	case o.planFile != "" && (len(args) > 0 || byRoute || narrowed || o.dryRun):
		return command.Usagef("--plan carries out a plan as it is: leave out everything else, and give it to --out")
	case len(args) == 2 && byRoute:
		return command.Usagef("%s and %s say where from and where to: leave out --route and --to", args[0], args[1])
	case len(args) == 1 && !byRoute:
		return command.Usagef("where is %s promoted to? Give a destination, or --to with a registry of the file", args[0])
	case len(args) == 0 && o.planFile == "" && len(o.ask.Routes) == 0:
		return command.Usagef("what is promoted? Give a source and a destination, an image and --to, or --route")
	case narrowed && len(args) > 0:
		return command.Usagef("--repository, --tag and --newest choose among the images of --route: leave them out, or leave out %s", args[0])
	case o.exitCode && !o.dryRun:
		return command.Usagef("--exit-code is about what --dry-run finds: give both")
	case o.ask.NewIndex && len(o.ask.Platforms) == 0:
		return command.Usagef("--new-index makes an index of the platforms of --platform: give some")
	}
	return checkPlatforms(o.ask.Platforms)
}

// planned shows a plan that is not carried out.
func (o *promoteOptions) planned(e *command.Env, pl promote.Plan) (err error) {
	if o.asJSON {
		err = render.JSON(e.Stdout, rollout.Promotion{Plan: pl})
	} else {
		err = render.PromotionPlan(e.Stdout, pl, e.Options(e.Stdout))
	}
	if err != nil {
		return err
	}
	if err := errors.Join(pl.Unread(), pl.Err()); err != nil {
		if o.out != "" {
			err = errors.Join(err, fmt.Errorf("%s was not written", o.out))
		}
		return err
	}
	if o.out != "" {
		if err := writePrivate(o.out, pl); err != nil {
			return err
		}
		e.Notice("%s is written: carry it out with kontor promote --plan %s", o.out, o.out)
	}
	if o.exitCode && pl.Count(promote.StatusPending) > 0 {
		return command.Exit(command.ExitPending)
	}
	return nil
}

// readPromotion reads a plan of promotions.
func readPromotion(name string) (promote.Plan, error) {
	b, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return promote.Plan{}, fmt.Errorf("reading the plan: %w", err)
	}
	return promote.ParsePlan(name, b)
}

// writePrivate writes v as JSON to a file for the user only.
func writePrivate(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", name, err)
	}
	if err := os.WriteFile(filepath.Clean(name), append(b, '\n'), planMode); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return os.Chmod(filepath.Clean(name), planMode) // also where it was there
}

func promoteHistoryCommand(e *command.Env) *cobra.Command {
	var (
		o      promoterOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "history IMAGE [flags]",
		Short: "Show how an image came here",
		Long: `Show the records that promotions left with an image, the oldest first: from where
to where, when, by whom, by which route, and which conditions it met. A record
goes with the image when it is promoted further. Whoever may push to a
repository can write one.`,
		Example: `  kontor promote history prod/website:1.4.2
  kontor promote history prod/website:1.4.2 --json | jq -r '.records[].from'`,
		Args: command.Between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			p, err := o.promoter(e, false, nil)
			if err != nil {
				return err
			}
			defer command.Closing(&err, p.Close)
			h := rollout.History{Records: []history.Record{}}
			if h.Image, err = p.Image(args[0]); err != nil {
				return err
			}
			found, err := p.History(cmd.Context(), h.Image)
			if err != nil {
				return err
			}
			if h.Records = append(h.Records, found...); asJSON {
				return render.JSON(e.Stdout, h)
			}
			return render.History(e.Stdout, h, e.Options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	command.JSONFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = completeImage(e, &o.FileOptions)
	return cmd
}

// completeImage offers the file's registries with their repositories as the first
// argument.
func completeImage(e *command.Env, o *command.FileOptions) cobra.CompletionFunc {
	all := command.CompleteFrom(e, o, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace, func(f *spec.File, args []string) (names []string) {
		d := f.Desired(ecr.LocalRegistry())
		for _, t := range d.Targets {
			for _, r := range d.For(t).Repositories {
				names = append(names, strings.Join([]string{t.Name, string(r.Name)}, "/"))
			}
		}
		return names
	})
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return all(cmd, args, word)
	}
}
