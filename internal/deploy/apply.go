package deploy

import (
	"cmp"
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

// ApplyConfig says how a plan is applied.
type ApplyConfig struct {
	// Parallel is how many repositories are changed at a time, 0 for Parallel.
	Parallel int
	// Progress may be nil.
	Progress Progress
	// Settle is how long a principal of a policy may take, from the first that is
	// not found, until ECR knows it; 0 for Settle.
	Settle time.Duration
	// Signers and Receivers are those of a registry of Kontor; nil for none.
	Signers   SignersAPI
	Receivers ReceiversAPI
	// Replication sets the options of a registry of Kontor; nil for none.
	Replication ReplicationAPI
}

// Settle is how long ECR may take to know a role or user that was just created.
// Terraform's AWS provider waits as long for IAM.
const Settle = 2 * time.Minute

// Apply applies the pending changes of p, several repositories at a time, then the
// templates and upstream rules. If one
// fails, or changed since the plan, the others continue; the Result has the outcome
// of each. The error is for a plan that cannot be applied at all (then nothing was
// changed), or for ctx: when it ends, the repositories in progress are finished and
// no others are started.
func Apply(ctx context.Context, api API, p plan.Plan, c ApplyConfig) (Result, error) {
	result := Result{Target: p.Target, Repositories: []RepositoryResult{}}
	if p.Version != plan.Version {
		return result, fmt.Errorf("the plan has version %d, but this program needs version %d: create the plan again", p.Version, plan.Version)
	}
	if p.RefreshOnly {
		return result, errors.New("a plan of --refresh-only shows drift and cannot be applied: nothing was changed")
	}
	if errs := p.Errors(); len(errs) > 0 {
		return result, fmt.Errorf("the plan has %d error(s), the first: %s: nothing was changed", len(errs), errs[0].Message)
	}
	if err := p.Check(); err != nil {
		return result, fmt.Errorf("the plan is wrong: %w: nothing was changed", err)
	}
	changes := p.Pending()
	unknown := newPatience(ctx, cmp.Or(c.Settle, Settle))
	defer unknown.stop()
	outcomes := make([]chan RepositoryResult, len(changes))
	for i := range outcomes {
		outcomes[i] = make(chan RepositoryResult, 1)
	}
	var g errgroup.Group
	g.SetLimit(parallel(c.Parallel))
	// g.Go blocks at the limit, so the changes are handed out next to the loop
	// that reports them; that goroutine ends when the last one was handed out.
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		for i, change := range changes {
			g.Go(func() error {
				a := applier{repository: repository{api, p.Target.Registry(), change.Repository}, change: change, unknown: unknown}
				outcomes[i] <- a.run(ctx)
				return nil
			})
		}
	}()
	for _, ch := range outcomes {
		r := <-ch
		result.Repositories = append(result.Repositories, r)
		if c.Progress != nil {
			c.Progress(r)
		}
	}
	<-handed
	_ = g.Wait() // its functions return no errors
	result.Settings = settings{api: api, signers: c.Signers, receivers: c.Receivers, options: c.Replication, plan: p}.apply(ctx)
	return result, ctx.Err()
}

// applier applies one change.
type applier struct {
	repository
	change plan.Change
	done   []Step
	// unknown is for principals that are not known yet.
	unknown *patience
	// created: this run created the repository, so that the API may need a
	// moment to know it everywhere.
	created bool
	// again: the repository appeared between reading and creating it, and this
	// is the second look.
	again bool
}

// run reads the repository, compares it with what the plan saw, and makes the
// calls that are missing. One that is to be created is read when it exists
// already.
func (a *applier) run(ctx context.Context) RepositoryResult {
	out := func(s Status, left []Step, err error) RepositoryResult {
		r := RepositoryResult{Repository: a.name, Op: a.change.Op, Status: s, Done: a.done, Left: left}
		if err != nil {
			r.Error, r.Code = err.Error(), CodeOf(err)
		}
		return r
	}
	if err := ctx.Err(); err != nil {
		return out(StatusSkipped, nil, errors.New("stopped before it was this repository's turn"))
	}
	// A repository is not left between two of its steps, above all not
	// between its creation and its policy.
	ctx = context.WithoutCancel(ctx)
	var (
		now    state.Repository
		exists bool
		err    error
	)
	// Of a repository to create there is nothing to read: creating it tells
	// whether it exists.
	if a.change.Op != plan.OpCreate || a.again {
		if now, exists, err = a.read(ctx); err != nil {
			return out(StatusFailed, nil, err)
		}
	}
	if why := a.change.Moved(now, exists); why != "" {
		return out(StatusMoved, nil, errors.New(why))
	}
	if exists && a.change.Op == plan.OpDelete && a.change.Images != nil {
		images, err := a.images(ctx)
		if err != nil {
			return out(StatusFailed, []Step{StepDelete}, err)
		}
		if images.Count > a.change.Images.Count {
			return out(StatusMoved, nil, fmt.Errorf("repository %s got images since the plan was made: it has %d, the plan saw %d; plan again",
				a.name, images.Count, a.change.Images.Count))
		}
	}
	steps := a.missing(now, exists)
	for i, s := range steps {
		err := a.step(ctx, s)
		if s == StepCreate && !a.again && isCode(err, kecr.CodeRepositoryAlreadyExists) {
			// Someone else's, or our own call whose answer was lost: what is
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

// missing lists the steps from now to the plan's After. The owner tag goes
// first: from then on another stack stays away, and a later plan finds the
// rest.
func (a *applier) missing(now state.Repository, exists bool) []Step {
	var steps []Step
	if a.change.Op == plan.OpDelete {
		if exists {
			steps = append(steps, StepDelete)
		}
		return steps
	}
	after := a.change.After
	have := a.change.Managed(now)
	if !exists {
		steps = append(steps, StepCreate)
		have = plan.Settings{Mutability: after.Mutability, Tags: after.Tags, ScanOnPush: after.ScanOnPush}
	}
	for k, v := range after.Tags {
		if got, ok := have.Tags[k]; !ok || got != v {
			steps = append(steps, StepTags)
			break
		}
	}
	if len(untagged(have.Tags, after.Tags)) > 0 {
		steps = append(steps, StepUntag)
	}
	if !have.Mutability.Equal(after.Mutability) {
		steps = append(steps, StepMutability)
	}
	if after.ScanOnPush != nil && (have.ScanOnPush == nil || *have.ScanOnPush != *after.ScanOnPush) {
		steps = append(steps, StepScanning)
	}
	if !plan.EqualPolicy(have.Policy, after.Policy) {
		steps = append(steps, pick(after.Policy != "", StepPolicy, StepDeletePolicy))
	}
	if !plan.EqualLifecycle(have.Lifecycle, after.Lifecycle) {
		steps = append(steps, pick(after.Lifecycle != "", StepLifecycle, StepDeleteLifecycle))
	}
	return steps
}

// untagged are the keys that go, in byte order.
func untagged(have, after map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(have)) {
		if _, stays := after[k]; !stays {
			out = append(out, k)
		}
	}
	return out
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
	settleMost  = 5 * time.Second
)

// step makes one call, again where it may only have come too early.
func (a *applier) step(ctx context.Context, s Step) error {
	wait := settleWait
	for try := 1; ; try++ {
		err := a.call(ctx, s)
		switch {
		case s == StepCreate && err == nil:
			a.created = true
			return nil
		case a.created && try < settleTries && isCode(err, kecr.CodeRepositoryNotFound):
			time.Sleep(wait)
		case s == StepPolicy && principalNotFound(err):
			if !a.unknown.wait(wait) {
				return a.explain(err, fmt.Sprintf("repository %s: %s: %s", a.name, describeStep(s), notFound(a.change)))
			}
		default:
			return a.explain(err, fmt.Sprintf("repository %s: %s", a.name, describeStep(s)))
		}
		wait = min(2*wait, settleMost)
	}
}

func (a *applier) call(ctx context.Context, s Step) error {
	after := a.change.After
	switch s {
	case StepCreate:
		in := &ecr.CreateRepositoryInput{
			RegistryId: a.account(), RepositoryName: a.named(),
			ImageTagMutability:                 types.ImageTagMutability(after.Mutability.Mode),
			ImageTagMutabilityExclusionFilters: filtersOf(after.Mutability),
			Tags:                               tagsOf(after.Tags),
		}
		if on := after.ScanOnPush; on != nil {
			in.ImageScanningConfiguration = &types.ImageScanningConfiguration{ScanOnPush: *on}
		}
		if e := after.Encryption; e != nil {
			in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionType(e.Type)}
			if e.KMSKey != "" {
				in.EncryptionConfiguration.KmsKey = aws.String(e.KMSKey)
			}
		}
		_, err := a.api.CreateRepository(ctx, in)
		return err
	case StepTags:
		_, err := a.api.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: a.arn(), Tags: tagsOf(after.Tags)})
		return err
	case StepUntag:
		// The only tag that a change takes away.
		_, err := a.api.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: a.arn(), TagKeys: []string{state.TagProtection}})
		return err
	case StepScanning:
		_, err := a.api.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
			RegistryId: a.account(), RepositoryName: a.named(),
			ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: *after.ScanOnPush},
		})
		return err
	case StepDelete:
		// Without force ECR itself refuses when an image came meanwhile.
		_, err := a.api.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{
			RegistryId: a.account(), RepositoryName: a.named(), Force: a.change.Images != nil,
		})
		if isCode(err, kecr.CodeRepositoryNotFound) {
			return nil // it is gone, as wanted
		}
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
	case StepUntag:
		return "removing its tag " + state.TagProtection
	case StepScanning:
		return "setting scan on push"
	case StepDelete:
		return "deleting it"
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
