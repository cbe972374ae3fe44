package promote

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// ExecuteOptions say how a plan is carried out.
type ExecuteOptions struct {
	// Whole carries the plan out only if none of its images has moved and none
	// is refused: it was approved as a whole.
	Whole bool
}

// errMoved is for what is not as the plan saw it.
var errMoved = errors.New("it moved since the plan was made")

// Execute carries out a plan: that, and no more. An image that fails, or that
// moved since the plan was made, does not hold up the others; the Result says
// what came of each. The error is for a plan that may not be carried out at all,
// nothing being changed then, and for ctx.
func (p *Promoter) Execute(ctx context.Context, pl Plan, o ExecuteOptions) (Result, error) {
	out := Result{Images: make([]ImageResult, len(pl.Images))}
	for n, i := range pl.Images {
		if err := i.check(); err != nil {
			return Result{}, fmt.Errorf("the plan is wrong: images[%d]: %w: nothing was done", n, err)
		}
		out.Images[n] = ImageResult{Route: i.Route, From: i.From, To: i.To, Digest: i.Digest, Outcome: map[Status]Outcome{
			StatusThere: OutcomeThere, StatusRefused: OutcomeRefused, StatusPending: OutcomeSkipped,
		}[i.Status], Error: i.Refusal()}
	}
	if o.Whole {
		if err := p.checkWhole(ctx, pl); err != nil {
			return Result{}, err
		}
	}
	e := newExecution(p, pl)
	e.again = o.Whole
	var g errgroup.Group
	g.SetLimit(p.cfg.Images)
	for n, i := range pl.Images {
		if i.Status != StatusPending {
			continue
		}
		g.Go(func() error {
			defer e.claims[n].end(false)
			if ctx.Err() != nil {
				return nil
			}
			r := &out.Images[n]
			x := &transfer{execution: e, n: n, image: i, result: r}
			err := x.run(ctx)
			switch {
			case err == nil && x.there:
				r.Outcome = OutcomeThere
			case err == nil:
				r.Outcome = OutcomeDone
			case errors.Is(err, errMoved):
				r.Outcome, r.Error = OutcomeMoved, err.Error()
			default:
				r.Outcome, r.Error = OutcomeFailed, err.Error()
			}
			p.progress(Progress{Image: n, Result: r})
			return nil
		})
	}
	_ = g.Wait() // its functions return no errors
	return out, context.Cause(ctx)
}

func (p *Promoter) progress(x Progress) {
	if p.cfg.Progress != nil {
		p.cfg.Progress(x)
	}
}

// checkWhole refuses a plan of which an image is refused or has moved.
func (p *Promoter) checkWhole(ctx context.Context, pl Plan) error {
	moved := make([]error, len(pl.Images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for n, i := range pl.Images {
		switch i.Status {
		case StatusRefused:
			moved[n] = errors.New(i.Refusal())
		case StatusPending:
			g.Go(func() error {
				x := &transfer{execution: &execution{Promoter: p}, image: i}
				moved[n] = x.checkMoved(gctx)
				return nil
			})
		case StatusThere:
		}
	}
	_ = g.Wait() // its functions return no errors
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := errors.Join(moved...); err != nil {
		return fmt.Errorf("the plan cannot be executed, and nothing was done: plan again: %w", err)
	}
	return nil
}
