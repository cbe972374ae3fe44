package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/lifecycle"
)

func (e *Env) lifecycleCommand() *cobra.Command {
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
		RunE: runGroup,
	}
	cmd.AddCommand(
		e.previewCommand(),
		e.explainCommand(),
		e.forecastCommand(),
		e.lintCommand(),
		e.lifecycleTestCommand(),
		e.lifecycleDiffCommand(),
		e.snapshotCommand(),
	)
	return cmd
}

// What to assume of what AWS leaves open.
const (
	assumeAWS    = "aws"
	assumeKontor = "kontor"
)

// lifecycleOptions are the flags of commands that look at images through a
// policy.
type lifecycleOptions struct {
	targetOptions
	policy      string
	images      string
	manifests   string
	at          string
	assume      string
	deployed    bool
	noManifests bool
	leases      []string
	hosts       []string

	// extensions: accept policies that only Kontor's registry takes.
	extensions bool
}

func (o *lifecycleOptions) flags(e *Env, cmd *cobra.Command) {
	o.targetOptions.flags(e, cmd)
	o.offlineFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.policy, "policy", "", "use the lifecycle policy in `FILE`, as JSON; - is stdin (default the policy of the file or the repository)")
	f.BoolVar(&o.deployed, "deployed", false, "use the policy that the repository has now, not that of the file (default false)")
	f.BoolVar(&o.noManifests, "no-manifests", false, "do not read the manifests of indexes from AWS, which may count it as pulling them (default false)")
	if err := cmd.MarkFlagFilename("policy", "json"); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.ValidArgsFunction = e.completeRepository(&o.fileOptions)
}

// offlineFlags are those of commands that read images from files.
func (o *lifecycleOptions) offlineFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.images, "images", "", "read the images from `FILE`, the output of aws ecr describe-images, or from the folder of a snapshot; - is stdin (default from the registry)")
	f.StringVar(&o.manifests, "manifests", "", "with --images: read the manifests of indexes from the files in `DIR`")
	f.StringVar(&o.at, "at", "", "evaluate the policy at `TIME`, such as 2026-03-01T12:00:00Z (default now; for a snapshot, when it was taken)")
	f.StringVar(&o.assume, "assume", "", "where AWS does not document what it does, assume the behaviour of `WHOSE`: aws (what expires most) or kontor (default that of the registry; aws for files)")
	leasesFlag(cmd, &o.leases)
	hostFlag(cmd, &o.hosts)
	completeWords(cmd, "assume", assumeAWS, assumeKontor)
	if err := cmd.MarkFlagFilename("images", "json"); err != nil {
		panic(err) // the flag is defined above
	}
	if err := cmd.MarkFlagDirname("manifests"); err != nil {
		panic(err) // the flag is defined above
	}
}

// completeRepository offers the repositories of the file as the first
// argument, and nothing when it cannot be read.
func (e *Env) completeRepository(o *fileOptions) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if f, err := e.loadFile(*o, nil); err == nil && len(args) == 0 {
			for _, r := range f.Desired(anyRegistry).Repositories {
				names = append(names, string(r.Name))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// check finds flags that contradict each other.
func (o *lifecycleOptions) check() error {
	switch {
	case o.assume != "" && o.assume != assumeAWS && o.assume != assumeKontor:
		return usagef("--assume %s: want %s or %s", o.assume, assumeAWS, assumeKontor)
	case o.images == "-" && o.policy == "-":
		return usagef("--images - and --policy - both read stdin: give one of them as a file")
	case o.deployed && o.policy != "":
		return usagef("--deployed and --policy contradict each other")
	case o.manifests != "" && o.images == "":
		return usagef("--manifests needs --images: from a registry they are read anyway")
	case o.noManifests && o.images != "":
		return usagef("--no-manifests is for a registry: with --images, only --manifests reads any")
	case o.images != "" && (o.target != "" || o.data != ""):
		return usagef("--images reads no registry: leave out --target and --data")
	}
	return nil
}

// looked is a repository's images, the policy that they are looked at with, and
// how they came. The caller closes it.
type looked struct {
	report.Lifecycle
	snapshot images.Snapshot
	// text is the policy's, and file where it is from; "" unless it is one
	// that the user named.
	text, file string
	// of is what the file says of the repository; nil when it is not in a file.
	of *declaration
	// conn is the registry that was read; nil for files.
	conn  *deploy.Conn
	close func() error
	// hosts are the registry's names, nil for any; leases what it knows to be
	// in use.
	hosts  []string
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
// registry when that does not count as a pull, or when needed says so of the images without
// them.
func (e *Env) lookAt(ctx context.Context, o lifecycleOptions, name string, needed func(*looked) bool) (out looked, err error) {
	if err := o.check(); err != nil {
		return looked{}, err
	}
	var repo ecr.RepositoryName
	if name != "" {
		if repo, err = ecr.ParseRepositoryName(name); err != nil {
			return looked{}, usagef("%q is not the name of a repository", name)
		}
	}
	var f *spec.File
	out.close = func() error { return nil }
	switch {
	case o.images != "":
		f, err = e.offline(&out, o, repo)
	case repo == "":
		return looked{}, usagef("name a repository, or give --images FILE")
	default:
		f, err = e.live(ctx, &out, o, repo)
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
	if err := e.time(&out, o); err != nil {
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
	if err := e.choosePolicy(&out, o, f); err != nil {
		return out, err
	}
	if err := e.link(ctx, &out, o, needed); err != nil {
		return out, err
	}
	if err := e.hold(&out, o); err != nil {
		return out, err
	}
	out.InUse, out.Options.InUse = out.Options.Held, out.inUse
	if out.inUse != nil {
		out.InUse = out.inUse
	}
	return out, nil
}

// link finds out which images belong to which index.
func (e *Env) link(ctx context.Context, l *looked, o lifecycleOptions, needed func(*looked) bool) error {
	s := &l.snapshot
	var unread []string
	l.Images, unread = s.Images()
	l.Known = s.Linked()
	if l.conn != nil && !s.Kontor && !o.noManifests && !l.Known && needed(l) {
		if err := l.conn.Manifests(ctx, s); err != nil {
			return err
		}
		e.toldPulls(s)
		l.Images, unread = s.Images()
		l.Known = s.Linked()
	}
	if s.Manifests != nil && len(unread) > 0 {
		e.notice("the manifests of %s are missing (%s), so images may belong to them", plural(len(unread), "index", "indexes"), images.Digests(unread))
	}
	s.Details = nil // of many images they take as much as the images
	return nil
}

// toldPulls says what reading manifests from AWS costs.
func (e *Env) toldPulls(s *images.Snapshot) {
	if n := len(s.Manifests); n > 0 {
		e.notice("read the manifests of %s of %s: Amazon ECR may count that as a pull of each today; --no-manifests reads none", plural(n, "index", "indexes"), s.Repository)
	}
}

// notice tells the user something that is not part of the result.
func (e *Env) notice(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Stderr, "kontor: "+format+"\n", args...) // nowhere to report to
}

// time is when the images are looked at: by default when they were read, by the
// clock of the registry that they are in.
func (e *Env) time(l *looked, o lifecycleOptions) error {
	l.At = e.Now().UTC()
	if !l.snapshot.Taken.IsZero() {
		l.At = l.snapshot.Taken
	}
	if o.at == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339, o.at)
	if err != nil {
		return usagef("--at %s: want a time such as 2026-03-01T12:00:00Z", o.at)
	}
	l.At = at.UTC()
	return nil
}

// offline reads the images from files. f is nil unless the user gave one.
func (e *Env) offline(out *looked, o lifecycleOptions, repo ecr.RepositoryName) (f *spec.File, err error) {
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
			e.notice("%s: %s not the manifest of an image of %s: %s", o.manifests,
				plural(len(strange), "file is", "files are"), name, strings.Join(strange[:min(len(strange), 3)], ", "))
		}
	}
	switch {
	case repo == "":
	case s.Repository == "":
		s.Repository = repo
	case s.Repository != repo:
		return nil, fmt.Errorf("%s holds the images of repository %s, not of %s", name, s.Repository, repo)
	}
	if len(o.files) > 0 || e.Getenv(envFile) != "" {
		f, err = e.loadFile(o.fileOptions, e.Stderr)
	}
	return f, err
}

// live reads the images from the registry that o chooses. f is nil when there
// is not a file: then it is the local registry.
func (e *Env) live(ctx context.Context, out *looked, o lifecycleOptions, repo ecr.RepositoryName) (f *spec.File, err error) {
	if out.conn, f, out.close, err = e.reach(ctx, o.targetOptions); err != nil {
		out.close = func() error { return nil }
		return nil, err
	}
	// on AWS manifests are pulled, and only if the policy asks for it
	if out.snapshot, err = out.conn.Images(ctx, repo, out.conn.Indexes != nil && !o.noManifests, e.Now()); err != nil {
		return f, err
	}
	out.hosts = registryHosts(out.conn, o.hosts)
	out.leases, err = e.knownLeases(ctx, out.conn, repo)
	return f, err
}

// reach connects to the registry that o chooses, by the file where there is
// one, and else to the local one.
func (e *Env) reach(ctx context.Context, o targetOptions) (*deploy.Conn, *spec.File, func() error, error) {
	if len(o.files) > 0 || e.Getenv(envFile) != "" || len(defaultFiles()) > 0 {
		s, err := e.open(ctx, o)
		if err != nil {
			return nil, nil, nil, err
		}
		s.conn.Indexes = e.indexReader(s.conn)
		return s.conn, s.file, s.close, nil
	}
	dir, err := e.dataDir(o.data)
	if err != nil {
		return nil, nil, nil, err
	}
	local, closeServer, err := e.localRegistry(ctx, dir)
	if err != nil {
		return nil, nil, nil, err
	}
	conn, err := deploy.Connect(ctx, deploy.ConnectConfig{
		Target:      state.Target{Name: spec.LocalName, Registry: local.Registry, Endpoint: local.Endpoint, Local: true},
		AccessKeyID: local.AccessKeyID, SecretAccessKey: local.SecretAccessKey, HTTPClient: local.HTTPClient,
	})
	if err != nil {
		return nil, nil, nil, errors.Join(err, closeServer())
	}
	conn.Indexes = e.indexReader(conn)
	return conn, nil, closeServer, nil
}

// choosePolicy fills in the policy of l: that of --policy, of the file, or of
// the repository.
func (e *Env) choosePolicy(l *looked, o lifecycleOptions, f *spec.File) error {
	s := &l.snapshot
	switch {
	case o.policy != "":
		text, err := images.ReadFile(o.policy, e.Stdin)
		if err != nil {
			return err
		}
		name := images.Name(o.policy)
		l.Source = name
		l.file, l.text = policyText(name, text)
		l.Policy, err = parsePolicy(l.file, l.text, l.AWS && !o.extensions)
		return err
	case f != nil && !o.deployed:
		if r, ok := declared(f, s.Registry, s.Repository); ok {
			if s.Policy != "" && s.Policy != r.Lifecycle {
				e.notice("this is the policy of the file; --deployed uses the one that the repository has now")
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
			return fmt.Errorf("the file declares no repository %q: name one of its repositories, or give --policy FILE", s.Repository)
		}
	}
	if s.Policy == "" {
		if o.images != "" {
			return usagef("give --policy FILE: there is no policy in %s", images.Name(o.images))
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

// declared is what f says of a repository, in a registry of which the region
// may not be known.
func declared(f *spec.File, in ecr.RegistryID, name ecr.RepositoryName) (state.Repository, bool) {
	d := f.Desired(in)
	for _, t := range d.Targets {
		if t.Registry == in {
			d = d.For(t)
			break
		}
	}
	i := slices.IndexFunc(d.Repositories, func(r state.Repository) bool { return r.Name == name })
	if i < 0 {
		return state.Repository{}, false
	}
	return d.Repositories[i], true
}
