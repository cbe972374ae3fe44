package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Parallel is how many repositories are read, or changed, at a time. ECR
// answers tens of these calls a second and account before it throttles.
const Parallel = 8

// Scope says which repositories of a registry to observe.
type Scope struct {
	// All observes every repository, or those for which Only holds.
	All  bool
	Only func(kecr.RepositoryName) bool
	// Names are observed if they exist.
	Names []kecr.RepositoryName
	// Stack, if set, adds the repositories that carry its tag. Tagged finds
	// them; where it is nil, the tags of every repository are read, so that none
	// is missed.
	Stack  string
	Tagged func(ctx context.Context, stack string) ([]kecr.RepositoryName, error)
	// Parallel is how many repositories are read at a time, 0 for Parallel.
	Parallel int
	// Progress is called when a repository has been read, or left out, with how
	// many have been and how many are known by then to be looked at. It is called
	// by one goroutine at a time, and may be nil.
	Progress func(read, known int)
}

// ScopeOf is what a plan for d must know.
func ScopeOf(d state.Desired) Scope {
	s := Scope{Stack: d.Stack}
	for _, r := range d.Repositories {
		s.Names = append(s.Names, r.Name)
	}
	return s
}

// few is up to how many repositories are read by their names without listing the
// registry: that asks for no more calls, and for no right to see all.
const few = 8

// Observe reads the repositories in scope, several at a time, and by their names
// where the registry may not be listed or does not list them. A repository that
// is deleted meanwhile is left out, and one that a Deny hides from the caller is
// in Hidden. Any other failure fails the whole, because a plan made from half a
// registry would be wrong.
func Observe(ctx context.Context, api API, target state.Target, scope Scope) (state.Observed, error) {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(scope.Parallel))
	o := &observer{
		api: api, scope: scope, named: make(map[kecr.RepositoryName]bool, len(scope.Names)), count: counter{progress: scope.Progress},
		out: state.Observed{Target: target, Repositories: map[kecr.RepositoryName]state.Repository{}, Hidden: map[kecr.RepositoryName]string{}},
	}
	for _, n := range scope.Names {
		o.named[n] = true
	}
	read := func(name kecr.RepositoryName, d *types.Repository) {
		o.count.found(1)
		g.Go(func() error {
			defer o.count.read()
			return o.read(gctx, name, d)
		})
	}
	type tagged struct {
		names []kecr.RepositoryName
		err   error
	}
	stacks := make(chan tagged, 1)
	every := scope.All
	switch {
	case scope.Stack == "":
		stacks <- tagged{}
	case scope.Tagged == nil:
		every = true
		stacks <- tagged{}
	default:
		go func() {
			names, err := scope.Tagged(gctx, scope.Stack)
			stacks <- tagged{names, err}
		}()
	}
	var failed error
	seen := map[kecr.RepositoryName]bool{}
	if every || len(o.named) > few {
		failed = o.list(gctx, func(d *types.Repository) {
			name := kecr.RepositoryName(aws.ToString(d.RepositoryName))
			if every && (scope.Only == nil || scope.Only(name)) || o.named[name] {
				seen[name] = true
				read(name, d)
			}
		})
		if !every && denied(failed) {
			failed = nil // by their names it may do
		}
	}
	if failed == nil {
		for _, n := range scope.Names {
			if !seen[n] {
				seen[n] = true
				read(n, nil)
			}
		}
	}
	others := <-stacks
	if others.err != nil {
		o.out.OthersUnseen = others.err.Error()
	}
	if failed == nil {
		for _, n := range others.names {
			if !seen[n] {
				seen[n] = true
				read(n, nil)
			}
		}
	}
	// A failed read cancels gctx and with it the listing, so the read's error
	// is the cause.
	if err := g.Wait(); err != nil {
		return state.Observed{}, err
	}
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return state.Observed{}, err
	}
	return o.out, nil
}

// observer reads the repositories of one registry.
type observer struct {
	api   API
	scope Scope
	named map[kecr.RepositoryName]bool
	count counter

	mu  sync.Mutex
	out state.Observed // its maps are guarded by mu
}

// list calls each for the repositories that the registry lists to the caller.
func (o *observer) list(ctx context.Context, each func(*types.Repository)) error {
	in := o.out.Target.Registry
	pages := ecr.NewDescribeRepositoriesPaginator(o.api, &ecr.DescribeRepositoriesInput{
		RegistryId: aws.String(string(in.Account)), MaxResults: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return explainOn(err, "the repositories of "+in.String(), in.RepositoryARN("*"))
		}
		for i := range page.Repositories {
			each(&page.Repositories[i])
		}
	}
	return nil
}

// read reads what is in scope of a repository; d is what a list said of it, nil
// for nothing.
func (o *observer) read(ctx context.Context, name kecr.RepositoryName, d *types.Repository) error {
	r, ok, err := o.one(ctx, repository{o.api, o.out.Target.Registry, name}, d)
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case isCode(err, kecr.CodeRepositoryNotFound):
	case hidden(err):
		exists := "seems to exist"
		if d != nil {
			exists = "exists"
		}
		o.out.Hidden[name] = fmt.Sprintf("%s, but the caller may not read it: %s", exists, err)
	case err != nil:
		return err
	case ok:
		o.out.Repositories[name] = r
	}
	return nil
}

// one reads r, if it is in scope.
func (o *observer) one(ctx context.Context, r repository, d *types.Repository) (state.Repository, bool, error) {
	if d == nil {
		found, ok, err := r.describe(ctx)
		if err != nil || !ok {
			return state.Repository{}, false, err
		}
		d = &found
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return state.Repository{}, false, err
	}
	if !o.scope.All && !o.named[r.name] && tags[state.TagStack] != o.scope.Stack {
		return state.Repository{}, false, nil
	}
	policy, lifecycle, err := r.documents(ctx)
	if err != nil {
		return state.Repository{}, false, err
	}
	return repositoryOf(*d, tags, policy, lifecycle), true, nil
}

// counter tells how far reading has come.
type counter struct {
	progress func(read, known int)

	mu          sync.Mutex
	done, known int // guarded by mu
}

func (c *counter) found(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known += n
}

func (c *counter) read() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	if c.progress != nil {
		c.progress(c.done, c.known)
	}
}

// parallel is n, or the default for 0.
func parallel(n int) int {
	if n <= 0 {
		return Parallel
	}
	return n
}
