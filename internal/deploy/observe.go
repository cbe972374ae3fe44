package deploy

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Parallel is how many repositories are read, or changed, at a time. ECR
// answers tens of these calls a second and account before it throttles.
const Parallel = 8

// Scope says which repositories of a registry to observe.
type Scope struct {
	// All observes every repository.
	All bool
	// Names are observed if they exist.
	Names []kecr.RepositoryName
	// Stack, if set, adds the repositories that carry its tag.
	Stack string
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

// ImagesOf counts the images of the repositories, Parallel at a time. One that
// does not exist has none.
func ImagesOf(ctx context.Context, api API, target state.Target, names []kecr.RepositoryName) (map[kecr.RepositoryName]plan.Images, error) {
	var (
		mu  sync.Mutex
		out = make(map[kecr.RepositoryName]plan.Images, len(names)) // guarded by mu
	)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(Parallel)
	for _, n := range names {
		g.Go(func() error {
			images, err := repository{api, target.Registry, n}.images(gctx)
			if err != nil && !isCode(err, kecr.CodeRepositoryNotFound) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[n] = images
			return nil
		})
	}
	return out, g.Wait()
}

// Observe reads the repositories in scope, several at a time. A repository
// that is deleted meanwhile is left out; any other failure fails the whole,
// because a plan made from half a registry would be wrong.
func Observe(ctx context.Context, api API, target state.Target, scope Scope) (state.Observed, error) {
	var (
		mu  sync.Mutex
		out = state.Observed{Target: target, Repositories: map[kecr.RepositoryName]state.Repository{}} // Repositories guarded by mu
	)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(scope.Parallel))
	named := make(map[kecr.RepositoryName]bool, len(scope.Names))
	for _, n := range scope.Names {
		named[n] = true
	}
	pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{
		RegistryId: aws.String(string(target.Registry.Account)), MaxResults: aws.Int32(1000),
	})
	count := counter{progress: scope.Progress}
	var failed error
	for pages.HasMorePages() && failed == nil {
		page, err := pages.NextPage(gctx)
		if err != nil {
			failed = explainOn(err, "the repositories of "+target.Registry.String(), target.Registry.RepositoryARN("*"))
			break
		}
		count.found(len(page.Repositories))
		for _, d := range page.Repositories {
			g.Go(func() error {
				defer count.read()
				r, ok, err := observeOne(gctx, repository{api, target.Registry, kecr.RepositoryName(aws.ToString(d.RepositoryName))}, d, scope, named)
				if err != nil || !ok {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				out.Repositories[r.Name] = r
				return nil
			})
		}
	}
	// A failed read cancels gctx and with it the listing, so the read's error
	// is the cause.
	if err := g.Wait(); err != nil {
		return state.Observed{}, err
	}
	if failed != nil {
		return state.Observed{}, failed
	}
	return out, nil
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

// observeOne reads the rest of d, if it is in scope.
func observeOne(ctx context.Context, r repository, d types.Repository, scope Scope, named map[kecr.RepositoryName]bool) (state.Repository, bool, error) {
	in := scope.All || named[r.name]
	if !in && scope.Stack == "" {
		return state.Repository{}, false, nil
	}
	tags, err := r.tags(ctx)
	if isCode(err, kecr.CodeRepositoryNotFound) {
		return state.Repository{}, false, nil
	}
	if err != nil {
		return state.Repository{}, false, err
	}
	if !in && tags[state.TagStack] != scope.Stack {
		return state.Repository{}, false, nil
	}
	policy, lifecycle, err := r.documents(ctx)
	if isCode(err, kecr.CodeRepositoryNotFound) {
		return state.Repository{}, false, nil
	}
	if err != nil {
		return state.Repository{}, false, err
	}
	return repositoryOf(d, tags, policy, lifecycle), true, nil
}

// parallel is n, or the default for 0.
func parallel(n int) int {
	if n <= 0 {
		return Parallel
	}
	return n
}
