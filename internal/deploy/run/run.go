// Package run deploys a file: it plans and applies over all of the file's
// registries and clusters, and says what came of it as data. A front end has
// flags, words and a question; what may be done is decided here.
//
// What it guarantees, whoever calls:
//   - Apply carries out what Plan or Adopt of the same Run returned, and nothing
//     at all when a check refuses: a lifecycle or access test that does not
//     hold, an image in use that would go, more images expiring at once than
//     plan.max_expire allows;
//   - a registry or cluster that cannot be read, or whose own plan has errors,
//     does not hold up the others, and is never passed over in silence;
//   - a file without registries, or a Run that is Offline, never goes to AWS;
//   - what was read of a registry is read once for a plan and all its checks.
//
// It opens no data folder and starts no server: the caller says how to reach a
// registry of this machine.
package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
)

// Config says what to deploy, and how to reach where it goes.
type Config struct {
	// File is what to deploy; nil for the registry of this machine alone, of
	// which nothing is wanted: it can be looked at.
	File *spec.File
	// Files are the names under which the file can be read again; a plan file
	// keeps them.
	Files []string
	// Targets are names of the file's registries; none for all of them. One
	// wants a single one.
	Targets []string
	One     bool
	// Local reaches the registry of this machine that stands for a target: of
	// a file without registries, and with Offline of every other one.
	Local func(ctx context.Context, t state.Target) (Local, error)
	// Offline: nothing goes to AWS. What the file says of ways to reach its
	// registries counts for nothing, no cluster is looked at, and access tests of
	// users and roles that this machine has not are not run.
	Offline bool
	// Policy returns the repository policy of r as the target can have it; nil
	// takes the file's as they are.
	Policy func(ctx context.Context, t state.Target, r state.Repository) (string, error)
	// InUse are files of images in use, Hosts more names of the registries in
	// them.
	InUse []leases.InUse
	Hosts []string
	// Parallel is how many repositories of a registry are read or changed at a
	// time, 0 for deploy.Parallel.
	Parallel int
	Now      func() time.Time
	// Reading shows how far reading registries has come; nil for nothing.
	Reading func(registries []string) Reading
}

// Local is a registry of this machine, and how to reach it.
type Local struct {
	Registry                     ecr.RegistryID
	Endpoint                     string
	Host                         string // before the first slash of an image's name
	AccessKeyID, SecretAccessKey string
	HTTPClient                   aws.HTTPClient // nil for the SDK's own
	// People are the users and roles that this machine hosts of the accounts,
	// by account.
	People func(ctx context.Context, partition string, accounts []ecr.AccountID) (map[ecr.AccountID][]proof.Principal, error)
	// Close ends what was started to reach it; nil for nothing.
	Close func() error
}

// Reading is told how many repositories of a registry have been read and how
// many are known to be looked at. It is safe for concurrent use.
type Reading interface {
	Read(registry string, read, known int)
	Close()
}

// Run is a file and the registries that it is deployed to. It is for one
// goroutine.
type Run struct {
	// Registries are those that were chosen, in the order of the file.
	Registries []*Registry

	cfg      Config
	desired  state.Desired // of all targets
	whole    bool          // all of the file's registries were chosen
	clusters []*cluster
	planned  *Planned // what Apply carries out; nil for nothing
}

// Registry is one registry of a Run.
type Registry struct {
	Target state.Target
	// Conn is nil where the registry could not be reached.
	Conn *deploy.Conn
	// Err is why the registry could not be reached, read or planned, and no
	// business of the others.
	Err error

	run      *Run
	local    Local
	observed state.Observed
	plan     plan.Plan
	ends     map[ecr.RepositoryName]looked // of what would be deleted, for the plan

	leases       []leases.Lease // on its images, when leasesRead
	leaseNotices []string
	leasesRead   bool

	mu    sync.Mutex
	heard []string // for Notices; guarded by mu
}

// atOnce bounds how many registries, or clusters, are read or changed at a time.
const atOnce = 8

// Open reaches the registries that cfg chooses. One that cannot be reached has
// an Err; the error of Open is for what keeps all of them from being used. The
// caller closes the Run.
func Open(ctx context.Context, cfg Config) (_ *Run, err error) {
	if cfg.File == nil {
		if cfg.File, _, err = spec.Load(spec.Source{Name: "no file", Data: []byte("ecr_repositories: {}\n")}); err != nil {
			return nil, err
		}
	}
	in := ecr.LocalRegistry() // until it is known
	frame := cfg.File.Frame(in)
	targets, err := Choose(frame.Targets, cfg.Targets)
	if err == nil && cfg.One {
		err = one(targets)
	}
	if err != nil {
		return nil, err
	}
	r := &Run{cfg: cfg, whole: len(targets) == len(frame.Targets)}
	for _, t := range targets {
		s := &Registry{Target: t, run: r}
		r.Registries = append(r.Registries, s)
		if !t.Local && !cfg.Offline {
			continue
		}
		if s.local, err = cfg.Local(ctx, t); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		in = s.local.Registry
		s.Target = state.Target{Name: t.Name, Registry: in, Endpoint: s.local.Endpoint, Local: true}
	}
	// The policies name the registry's account and partition.
	r.desired = cfg.File.Desired(in)
	if cfg.Policy != nil {
		r.desired, err = r.desired.WithPolicies(func(t state.Target, repository state.Repository) (string, error) {
			return cfg.Policy(ctx, t, repository)
		})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	r.each(func(s *Registry) {
		s.Conn, s.Err = deploy.Connect(ctx, deploy.ConnectConfig{
			Target: s.Target, AccessKeyID: s.local.AccessKeyID, SecretAccessKey: s.local.SecretAccessKey, HTTPClient: s.local.HTTPClient,
		})
		if s.Err == nil {
			s.Conn.Indexes = s.indexes()
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends what was started to reach registries.
func (r *Run) Close() error {
	var err error
	for _, s := range r.Registries {
		if s.local.Close != nil {
			err = errors.Join(err, s.local.Close())
		}
	}
	return err
}

// Err is why registries could not be reached, read or planned; nil when all
// could.
func (r *Run) Err() error {
	var err error
	for _, s := range r.Registries {
		if s.Err != nil {
			err = errors.Join(err, s.named(s.Err))
		}
	}
	return err
}

// each calls f for the registries that have no error yet.
func (r *Run) each(f func(*Registry)) {
	var list []*Registry
	for _, s := range r.Registries {
		if s.Err == nil {
			list = append(list, s)
		}
	}
	each(list, func(_ int, s *Registry) { f(s) })
}

// each calls f for each of list, several at a time, and returns when all are
// done.
func each[T any](list []T, f func(int, T)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, x := range list {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			f(i, x)
		})
	}
	wg.Wait()
}

// named says which of several registries err is about, unless it does itself.
func (s *Registry) named(err error) error {
	prefix := "registry " + s.Target.Name
	var silent *deploy.SilentError // is about no object: the registry must be named
	if len(s.run.Registries) == 1 && !errors.As(err, &silent) || strings.HasPrefix(err.Error(), prefix+":") || strings.HasPrefix(err.Error(), prefix+" ") {
		return err
	}
	return fmt.Errorf("%s: %w", prefix, err)
}

// Desired is what the file wants there.
func (s *Registry) Desired() state.Desired { return s.run.desired.For(s.Target) }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// TargetError is about a choice of registries that the file does not allow.
type TargetError struct{ message string }

func (e *TargetError) Error() string { return e.message }

// Choose are the targets of the names, all for no names, in the order of the
// file.
func Choose(all []state.Target, names []string) ([]state.Target, error) {
	if len(names) == 0 {
		return all, nil
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(t state.Target) bool { return t.Name == n }) {
			return nil, &TargetError{fmt.Sprintf("there is no registry %q in the file: it has %s", n, list(all))}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(t state.Target) bool { return !slices.Contains(names, t.Name) }), nil
}

// ChooseOne is the target of the name, or the only one for "".
func ChooseOne(all []state.Target, name string) (state.Target, error) {
	if name != "" {
		chosen, err := Choose(all, []string{name})
		if err != nil {
			return state.Target{}, err
		}
		return chosen[0], nil
	}
	if err := one(all); err != nil {
		return state.Target{}, err
	}
	return all[0], nil
}

// one wants a single target.
func one(targets []state.Target) error {
	if len(targets) == 1 {
		return nil
	}
	return &TargetError{fmt.Sprintf("the file has %d registries: give --target with one of %s", len(targets), list(targets))}
}

func list(targets []state.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}
