// Package lifecyclecmd is kontor lifecycle, which shows what lifecycle policies do.
package lifecyclecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Command is kontor lifecycle.
func Command(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle COMMAND",
		Short: "Show what lifecycle policies do, and why",
		Long: `Show which images lifecycle policies expire or archive, when and why, before
they do. These commands change nothing.

The images come from a registry, or from files: the output of aws ecr
describe-images, or a folder that kontor lifecycle snapshot wrote. The policy is
that of --policy, of the file (kontor.yaml), or the repository's own.`,
		Example: `  kontor lifecycle preview team/app
  kontor lifecycle explain team/app:v1.2.3
  kontor lifecycle forecast team/app --days 60 --html forecast.html`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(
		previewCommand(e),
		explainCommand(e),
		forecastCommand(e),
		lintCommand(e),
		testCommand(e),
		diffCommand(e),
		snapshotCommand(e),
	)
	return cmd
}

// What to assume of what AWS leaves open.
const (
	assumeAWS    = "aws"
	assumeKontor = "kontor"
)

// options are the flags of commands that look at images through a
// policy.
type options struct {
	command.TargetOptions
	policy      string
	images      string
	manifests   string
	at          string
	assume      string
	deployed    bool
	noManifests bool
	command.UsedOptions

	// extensions: accept policies that only Kontor's registry takes.
	extensions bool
}

func (o *options) flags(e *command.Env, cmd *cobra.Command) {
	o.TargetOptions.Flags(e, cmd)
	o.EndpointOptions.Flags(cmd)
	o.offlineFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "", "use the lifecycle policy in `FILE`, as JSON; - is stdin (default the policy of the file or the repository)")
	f.BoolVar(&o.deployed, "deployed", false, "use the policy that the repository has now, not that of the file (default false)")
	f.BoolVar(&o.noManifests, "no-manifests", false, "do not read the manifests of indexes from AWS, which may count it as pulling them (default false)")
	command.Must(cmd.MarkFlagFilename("policy", "json"))
	cmd.ValidArgsFunction = command.CompleteRepository(e, &o.FileOptions)
}

// offlineFlags are those of commands that read images from files.
func (o *options) offlineFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.images, "images", "", "read the images from `FILE`, the output of aws ecr describe-images, or from the folder of a snapshot; - is stdin (default from the registry)")
	f.StringVar(&o.manifests, "manifests", "", "with --images: read the manifests of indexes from the files in `DIR`")
	f.StringVar(&o.at, "at", "", "evaluate the policy at `TIME`, such as 2026-03-01T12:00:00Z (default now; for a snapshot, when it was taken)")
	f.StringVar(&o.assume, "assume", "", "where AWS does not document what it does, assume the behaviour of `WHOSE`: aws (what expires most) or kontor (default that of the registry; aws for files)")
	o.UsedOptions.Flags(cmd)
	command.CompleteWords(cmd, "assume", assumeAWS, assumeKontor)
	command.Must(cmd.MarkFlagFilename("images", "json"))
	command.Must(cmd.MarkFlagDirname("manifests"))
}

// check finds flags that contradict each other.
func (o *options) check() error {
	switch {
	case o.assume != "" && o.assume != assumeAWS && o.assume != assumeKontor:
		return command.Usagef("--assume %s: want %s or %s", o.assume, assumeAWS, assumeKontor)
	case o.images == "-" && o.policy == "-":
		return command.Usagef("--images - and --policy - both read stdin: pass a file for one of them")
	case o.deployed && o.policy != "":
		return command.Usagef("--deployed and --policy cannot be combined")
	case o.manifests != "" && o.images == "":
		return command.Usagef("--manifests needs --images: with a registry, manifests are always read")
	case o.noManifests && o.images != "":
		return command.Usagef("--no-manifests is for a registry: with --images, leave it out")
	case o.images != "" && (o.Target != "" || o.Data != "" || o.Endpoint != ""):
		return command.Usagef("--images does not read a registry: leave out --target, --data and --endpoint")
	}
	return nil
}

// looked is a repository's images, the policy that they are looked at with, and
// how they came. The caller closes it.
type looked struct {
	report.Lifecycle
	snapshot images.Snapshot
	// text is that of the file which the user named for the policy; "" for none.
	text, file string
	// desired is what the file wants of the registry.
	desired []state.Repository
	// of is what the file says of the repository; nil when it is not in a file.
	of *declaration
	// in is the registry that was read; nil for files.
	in    *run.Registry
	close func() error
	// leases are on the images in use, as --leases and the registry say.
	leases []leases.Lease
	// inUse are the images that leases name, where nothing but a rule keeps
	// them; where the registry does, they are Options.Held.
	inUse lifecycle.Held
}

// declaration is what a file says of a repository's lifecycle, besides its
// policy.
type declaration struct {
	keepsUntagged bool // images without tags never expire
	expiresAll    bool // every image expires
}

// anyManifests reads the manifests of indexes wherever some images may go.
func anyManifests(within time.Duration) func(*looked) bool {
	return func(l *looked) bool { return l.MayBeKept(within) }
}

// lookAt reads the images and the policy that o and the repository's name,
// which may be empty offline, choose. The manifests of indexes are read from a
// registry when that does not count as a pull, or when needed says so of the
// images without them.
func lookAt(ctx context.Context, e *command.Env, o options, name string, needed func(*looked) bool) (out looked, err error) {
	if err := o.check(); err != nil {
		return looked{}, err
	}
	var repo ecr.RepositoryName
	if name != "" {
		if repo, err = ecr.ParseRepositoryName(name); err != nil {
			return looked{}, command.Usagef("%q is not the name of a repository", name)
		}
	}
	var f *spec.File
	out.close = func() error { return nil }
	switch {
	case o.images != "":
		f, err = offline(e, &out, o, repo)
	case repo == "":
		return looked{}, command.Usagef("name a repository, or pass --images FILE")
	default:
		f, err = live(ctx, e, &out, o, repo)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close())
		}
	}()
	if err != nil {
		return out, err
	}
	s := &out.snapshot
	if err := lookTime(e, &out, o); err != nil {
		return out, err
	}
	out.Repository = string(s.Repository)
	out.AWS = !s.Kontor
	if o.assume != "" {
		out.AWS = o.assume == assumeAWS
	}
	if out.AWS {
		out.Options = lifecycle.PredictAWS()
	}
	if err := choosePolicy(e, &out, o, f); err != nil {
		return out, err
	}
	if err := link(ctx, e, &out, o, needed); err != nil {
		return out, err
	}
	out.hold()
	out.InUse, out.Options.InUse = out.Options.Held, out.inUse
	if out.inUse != nil {
		out.InUse = out.inUse
	}
	return out, nil
}

// link finds out which images belong to which index.
func link(ctx context.Context, e *command.Env, l *looked, o options, needed func(*looked) bool) error {
	s := &l.snapshot
	var unread []string
	l.Images, unread = s.Images()
	l.Known = s.Linked()
	if l.in != nil && !s.Kontor && !o.noManifests && !l.Known && needed(l) {
		if err := l.in.Conn.Manifests(ctx, s); err != nil {
			return err
		}
		toldPulls(e, s)
		l.Images, unread = s.Images()
		l.Known = s.Linked()
	}
	if s.Manifests != nil && len(unread) > 0 {
		e.Notice("the manifests of %s are missing (%s), so images may belong to them", words.Count(len(unread), "index", "indexes"), images.Digests(unread))
	}
	s.Details = nil // of many images they take as much as the images
	return nil
}

// toldPulls says what reading manifests from AWS costs.
func toldPulls(e *command.Env, s *images.Snapshot) {
	if n := len(s.Manifests); n > 0 {
		e.Notice("read the manifests of %s of %s: Amazon ECR may count that as a pull of each today; --no-manifests reads none", words.Count(n, "index", "indexes"), s.Repository)
	}
}

// lookTime is when the images are looked at: by default when they were read, by
// the clock of the registry that they are in.
func lookTime(e *command.Env, l *looked, o options) error {
	l.At = e.Now().UTC()
	if !l.snapshot.Taken.IsZero() {
		l.At = l.snapshot.Taken
	}
	if o.at == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, o.at)
	if err != nil {
		return command.Usagef("--at %s: want a time such as 2026-03-01T12:00:00Z", o.at)
	}
	l.At = at.UTC()
	return nil
}

// offline reads the images from files. f is nil unless the user gave one.
func offline(e *command.Env, out *looked, o options, repo ecr.RepositoryName) (f *spec.File, err error) {
	files, err := command.ReadInUse(e, o.Leases)
	if err != nil {
		return nil, err
	}
	if out.leases, err = leases.AllOn(files, nil); err != nil {
		return nil, err
	}
	if out.snapshot, err = images.Open(o.images, e.Stdin); err != nil {
		return nil, err
	}
	s, name := &out.snapshot, images.Name(o.images)
	// a snapshot has them; describe-images leaves them out unless it is asked
	out.ArchiveUnseen = s.Taken.IsZero() && !slices.ContainsFunc(s.Details, func(d images.Detail) bool { return lifecycle.Status(d.Status) == lifecycle.StatusArchived })
	if o.manifests != "" {
		strange, err := s.AddManifests(o.manifests)
		if err != nil {
			return nil, err
		}
		if len(strange) > 0 {
			e.Notice("%s: %s not the manifest of an image of %s: %s", o.manifests,
				words.Count(len(strange), "file is", "files are"), name, strings.Join(strange[:min(len(strange), 3)], ", "))
		}
	}
	switch {
	case repo == "":
	case s.Repository == "":
		s.Repository = repo
	case s.Repository != repo:
		return nil, fmt.Errorf("%s holds the images of repository %s, not of %s", name, s.Repository, repo)
	}
	if len(o.Files) > 0 || e.Getenv(command.EnvFile) != "" {
		if f, err = command.LoadFile(e, o.FileOptions, e.Stderr); err == nil {
			out.desired = desiredIn(f, s.Registry)
		}
	}
	return f, err
}

// live reads the images from the registry that o chooses. f is nil without
// a file: then it is the local registry.
func live(ctx context.Context, e *command.Env, out *looked, o options, repo ecr.RepositoryName) (f *spec.File, err error) {
	files, err := command.ReadInUse(e, o.Leases)
	if err != nil {
		return nil, err
	}
	r, in, f, err := command.OpenOne(ctx, e, o.TargetOptions, run.Config{InUse: files, Hosts: o.Hosts})
	if err != nil {
		return nil, err
	}
	out.in, out.close, out.desired = in, r.Close, in.Desired().Repositories
	// on AWS manifests are pulled, and only if the policy asks for it
	out.snapshot, err = in.Images(ctx, repo, in.Conn.Indexes != nil && !o.noManifests)
	e.Notices(in.Notices())
	if err != nil {
		return f, err
	}
	var notices []string
	out.leases, notices, err = in.Leases(ctx, repo)
	e.Notices(notices)
	return f, err
}

// hold finds which of l's images are in use. A Kontor registry keeps them
// whatever the policy says. AWS does not know of leases: there the images are as
// likely to go as others, and leasedGo says so.
func (l *looked) hold() {
	held := leases.Held(l.leases, ecr.RepositoryName(l.Repository), l.Images)
	switch {
	case len(held) == 0:
	case l.AWS:
		l.inUse = held
	default:
		l.Options.Held = held
	}
}

// leasedGo is the error for images in use that the policy takes within a time
// from l.At: on AWS, nothing but a rule keeps them. nil for none.
func (l *looked) leasedGo(within time.Duration) error {
	if len(l.inUse) == 0 {
		return nil
	}
	lost := map[string]int{}
	for _, at := range []time.Time{l.At, l.At.Add(within)} {
		for i, x := range l.Options.Decide(l.Policy, l.Images, at) {
			if d := l.Images[i].Digest; x.Action == lifecycle.Expire && l.inUse[d] != "" {
				lost[d] = x.Rule
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("the policy expires %s in use: %s; kontor lease apply keeps them, or a rule",
		words.Count(len(lost), "image", "images"), images.Used(l.Images, l.inUse, lost))
}

// choosePolicy fills in the policy of l: that of --policy, of the file, or of
// the repository.
func choosePolicy(e *command.Env, l *looked, o options, f *spec.File) error {
	s := &l.snapshot
	switch {
	case o.policy != "":
		text, err := images.ReadFile(o.policy, e.Stdin)
		if err != nil {
			return err
		}
		name := images.Name(o.policy)
		l.Source, l.file, l.text = name, name, string(text)
		l.Policy, err = parsePolicy(l.file, l.text, l.AWS && !o.extensions)
		return err
	case f != nil && !o.deployed:
		if i := slices.IndexFunc(l.desired, func(r state.Repository) bool { return r.Name == s.Repository }); i >= 0 {
			r := l.desired[i]
			if s.Policy != "" && s.Policy != r.Lifecycle {
				e.Notice("this is the policy of the file; to use the policy that the repository has now, pass --deployed")
			}
			l.Source, l.Origins = "the file", rollout.Origins(r.Origins.Rules)
			l.of = &declaration{keepsUntagged: f.KeepsUntagged(s.Repository), expiresAll: expiresAll(r)}
			if r.Lifecycle == "" {
				return nil // the file asks for no policy
			}
			var err error
			l.Policy, err = lifecycle.Decode([]byte(r.Lifecycle))
			return err
		}
		if o.images != "" {
			return fmt.Errorf("the file does not declare repository %q: name one that it declares, or pass --policy FILE", s.Repository)
		}
	}
	if s.Policy == "" {
		if o.images != "" {
			return command.Usagef("there is no policy in %s: pass --policy FILE", images.Name(o.images))
		}
		l.Source = "no policy"
		return nil
	}
	l.Source = "the repository's own policy"
	var err error
	if l.Policy, err = lifecycle.Decode([]byte(s.Policy)); err != nil {
		return fmt.Errorf("the lifecycle policy of repository %s cannot be read: %w", s.Repository, err)
	}
	return nil
}

// desiredIn is what f wants of a registry, of which the region may not be known.
func desiredIn(f *spec.File, in ecr.RegistryID) []state.Repository {
	d := f.Desired(in)
	for _, t := range d.Targets {
		if t.Registry == in {
			return d.For(t).Repositories
		}
	}
	return d.Repositories
}
