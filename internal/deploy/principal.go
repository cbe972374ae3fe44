package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// principalNotFound reports whether ECR refused a policy because it does not know
// one of its principals. It says that with the code of any bad parameter, so only
// the text tells.
func principalNotFound(err error) bool {
	var api smithy.APIError
	return isCode(err, kecr.CodeInvalidParameter) && errors.As(err, &api) && strings.Contains(api.ErrorMessage(), "Principal not found")
}

// notFound says which principals of the new policy may be meant: those that the
// repository's policy did not have, or all where it had them.
func notFound(c plan.Change) string {
	before := ""
	if c.Before != nil {
		before = c.Before.Policy
	}
	all, old := principalsOf(c.After.Policy), principalsOf(before)
	added := slices.DeleteFunc(slices.Clone(all), func(p string) bool { return slices.Contains(old, p) })
	if len(added) == 0 {
		added = all
	}
	return "each of these principals must exist, and one does not: " + strings.Join(added, ", ")
}

// principalsOf are the AWS principals of a policy, in byte order.
func principalsOf(text string) []string {
	var out []string
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return nil
	}
	for _, s := range doc.Statements {
		out = append(out, s.Principal.AWS...)
		out = append(out, s.NotPrincipal.AWS...)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(p string) bool { return p == "*" })
}

// patience is time that several share: it runs from when the first of them has to
// wait.
type patience struct {
	ctx    context.Context // it ends the waiting of all, and no call
	cancel context.CancelFunc
	start  func()
}

// newPatience lasts for d, and no longer than ctx.
func newPatience(ctx context.Context, d time.Duration) *patience {
	p := &patience{}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.start = sync.OnceFunc(func() {
		timer := time.AfterFunc(d, p.cancel)
		context.AfterFunc(p.ctx, func() { timer.Stop() })
	})
	return p
}

// wait waits for d and reports whether patience lasted that long.
func (p *patience) wait(d time.Duration) bool {
	p.start()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return p.ctx.Err() == nil
	case <-p.ctx.Done():
		return false
	}
}

func (p *patience) stop() { p.cancel() }
