package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Apply carries out the pending changes of p, Parallel repositories at a time.
// One that fails, or that moved since the plan, does not hold up the others;
// the Result says what came of each. The error is for a plan that may not be
// carried out at all (nothing was changed then), or for ctx: when it ends, the
// repositories that were begun are finished and no others are begun.
func Apply(ctx context.Context, api API, p plan.Plan, progress Progress) (Result, error) {
	result := Result{Target: p.Target, Repositories: []RepositoryResult{}}
	if p.Version != plan.Version {
		return result, fmt.Errorf("the plan has version %d, this is for version %d: make it again", p.Version, plan.Version)
	}
	if errs := p.Errors(); len(errs) > 0 {
		return result, fmt.Errorf("the plan has %d error(s), the first: %s: nothing was changed", len(errs), errs[0].Message)
	}
	changes := p.Pending()
	outcomes := make([]chan RepositoryResult, len(changes))
	for i := range outcomes {
		outcomes[i] = make(chan RepositoryResult, 1)
	}
	var g errgroup.Group
	g.SetLimit(Parallel)
	// g.Go blocks at the limit, so the changes are handed out beside the loop
	// that reports them; that goroutine ends when the last one was handed out.
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for i, c := range changes {
			g.Go(func() error {
				a := applier{repository: repository{api, p.Target.Registry(), c.Repository}, change: c}
				outcomes[i] <- a.run(ctx)
				return nil
			})
		}
	}()
	for _, ch := range outcomes {
		r := <-ch
		result.Repositories = append(result.Repositories, r)
		if progress != nil {
			progress(r)
		}
	}
	<-handed
	_ = g.Wait() // its functions return no errors
	return result, ctx.Err()
}

// applier carries out one change.
type applier struct {
	repository
	change plan.Change
	done   []Step
	// created: this run created the repository, so that the API may need a
	// moment to know it everywhere.
	created bool
	// again: the repository appeared between reading and creating it, and this
	// is the second look.
	again bool
}

// run reads the repository, compares it with what the plan saw, and makes the
// calls that are missing.
func (a *applier) run(ctx context.Context) RepositoryResult {
	out := func(s Status, left []Step, err error) RepositoryResult {
		r := RepositoryResult{Repository: a.name, Op: a.change.Op, Status: s, Done: a.done, Left: left}
		if err != nil {
			r.Error = err.Error()
		}
		return r
	}
	if err := ctx.Err(); err != nil {
		return out(StatusSkipped, nil, errors.New("stopped before it was this repository's turn"))
	}
	// A repository is not left between two of its steps, above all not
	// between its creation and its policy.
	ctx = context.WithoutCancel(ctx)
	now, exists, err := a.read(ctx)
	if err != nil {
		return out(StatusFailed, nil, err)
	}
	if why := a.moved(now, exists); why != "" {
		return out(StatusMoved, nil, errors.New(why))
	}
	steps := a.missing(now, exists)
	for i, s := range steps {
		err := a.step(ctx, s)
		if s == StepCreate && !a.again && isCode(err, kecr.CodeRepositoryAlreadyExists) {
			// Somebody else's, or our own call whose answer was lost: what is
			// there decides.
			a.again = true
			return a.run(ctx)
		}
		if err != nil {
			return out(StatusFailed, steps[i:], err)
		}
		a.done = append(a.done, s)
	}
	return out(StatusDone, nil, nil)
}

// moved says how the repository differs from what the plan saw; "" when it
// does not. A setting that has the plan's new value already is no difference:
// that is how a plan that was carried out in part is carried out again.
func (a *applier) moved(now state.Repository, exists bool) string {
	before, after := a.change.Before, a.change.After
	if !exists {
		if before != nil {
			return fmt.Sprintf("repository %s is gone since the plan was made; plan again", a.name)
		}
		return ""
	}
	have := a.change.Managed(now)
	if owner := have.Tags[state.TagStack]; before == nil && owner != after.Tags[state.TagStack] {
		return fmt.Sprintf("repository %s was created by somebody else since the plan was made; plan again", a.name)
	}
	if before == nil {
		before = &plan.Settings{Mutability: after.Mutability}
	}
	either := func(old, new bool, what string) string {
		if old || new {
			return ""
		}
		return fmt.Sprintf("%s of repository %s changed since the plan was made; plan again", what, a.name)
	}
	if why := either(have.Mutability.Equal(before.Mutability), have.Mutability.Equal(after.Mutability), "the mutability"); why != "" {
		return why
	}
	for _, k := range slices.Sorted(maps.Keys(after.Tags)) {
		was, had := before.Tags[k]
		is, has := have.Tags[k]
		if why := either(had == has && was == is, has && is == after.Tags[k], "the tag "+k); why != "" {
			return why
		}
	}
	if why := either(plan.EqualPolicy(have.Policy, before.Policy), plan.EqualPolicy(have.Policy, after.Policy), "the policy"); why != "" {
		return why
	}
	return either(plan.EqualLifecycle(have.Lifecycle, before.Lifecycle), plan.EqualLifecycle(have.Lifecycle, after.Lifecycle), "the lifecycle policy")
}

// missing lists the steps from now to the plan's After. The owner tag goes
// first: from then on another stack stays away, and a later plan finds the
// rest.
func (a *applier) missing(now state.Repository, exists bool) []Step {
	after := a.change.After
	have := a.change.Managed(now)
	var steps []Step
	if !exists {
		steps = append(steps, StepCreate)
		have = plan.Settings{Mutability: after.Mutability, Tags: after.Tags}
	}
	if !maps.Equal(have.Tags, after.Tags) {
		steps = append(steps, StepTags)
	}
	if !have.Mutability.Equal(after.Mutability) {
		steps = append(steps, StepMutability)
	}
	if !plan.EqualPolicy(have.Policy, after.Policy) {
		steps = append(steps, pick(after.Policy != "", StepPolicy, StepDeletePolicy))
	}
	if !plan.EqualLifecycle(have.Lifecycle, after.Lifecycle) {
		steps = append(steps, pick(after.Lifecycle != "", StepLifecycle, StepDeleteLifecycle))
	}
	return steps
}

func pick(cond bool, yes, no Step) Step {
	if cond {
		return yes
	}
	return no
}

// After a repository is created, ECR may answer for some seconds that it does
// not exist.
const (
	settleTries = 6
	settleWait  = 200 * time.Millisecond // doubled each time: 6.2 s in all
)

// step makes one call.
func (a *applier) step(ctx context.Context, s Step) error {
	wait := settleWait
	for try := 1; ; try++ {
		err := a.call(ctx, s)
		if s == StepCreate && err == nil {
			a.created = true
		}
		if !a.created || try == settleTries || !isCode(err, kecr.CodeRepositoryNotFound) {
			return explain(err, fmt.Sprintf("repository %s: %s", a.name, describeStep(s)))
		}
		time.Sleep(wait)
		wait *= 2
	}
}

func (a *applier) call(ctx context.Context, s Step) error {
	after := a.change.After
	switch s {
	case StepCreate:
		_, err := a.api.CreateRepository(ctx, &ecr.CreateRepositoryInput{
			RegistryId: a.account(), RepositoryName: a.named(),
			ImageTagMutability:                 types.ImageTagMutability(after.Mutability.Mode),
			ImageTagMutabilityExclusionFilters: filtersOf(after.Mutability),
			Tags:                               tagsOf(after.Tags),
		})
		return err
	case StepTags:
		_, err := a.api.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: a.arn(), Tags: tagsOf(after.Tags)})
		return err
	case StepMutability:
		_, err := a.api.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{
			RegistryId: a.account(), RepositoryName: a.named(),
			ImageTagMutability:                 types.ImageTagMutability(after.Mutability.Mode),
			ImageTagMutabilityExclusionFilters: filtersOf(after.Mutability),
		})
		return err
	case StepPolicy:
		_, err := a.api.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{
			RegistryId: a.account(), RepositoryName: a.named(), PolicyText: aws.String(after.Policy),
		})
		return err
	case StepDeletePolicy:
		_, err := a.api.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RegistryId: a.account(), RepositoryName: a.named()})
		if isCode(err, kecr.CodeRepositoryPolicyNotFound) {
			return nil // it is gone, as wanted
		}
		return err
	case StepLifecycle:
		_, err := a.api.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{
			RegistryId: a.account(), RepositoryName: a.named(), LifecyclePolicyText: aws.String(after.Lifecycle),
		})
		return err
	case StepDeleteLifecycle:
		_, err := a.api.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RegistryId: a.account(), RepositoryName: a.named()})
		if isCode(err, kecr.CodeLifecyclePolicyNotFound) {
			return nil // it is gone, as wanted
		}
		return err
	}
	return fmt.Errorf("unknown step %q", s)
}

// describeStep is the step in the words of an error message.
func describeStep(s Step) string {
	switch s {
	case StepCreate:
		return "creating it"
	case StepTags:
		return "setting its tags"
	case StepMutability:
		return "setting its mutability"
	case StepPolicy:
		return "setting its policy"
	case StepDeletePolicy:
		return "deleting its policy"
	case StepLifecycle:
		return "setting its lifecycle policy"
	case StepDeleteLifecycle:
		return "deleting its lifecycle policy"
	}
	return string(s)
}

// tagsOf is the API's form of tags, in byte order of the keys.
func tagsOf(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}
