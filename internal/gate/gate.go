// Package gate is the only way to run an operation: it opens the transaction, lets
// the operation load the rows that the decision needs and ask for permission,
// records the decision, and commits.
//
// It guarantees that nothing is read or changed without a permission check: an
// operation that ends without an allowed question fails as a defect, and its effects
// are dropped. Each permission that was asked for and used gives one audit record; a
// change whose record cannot be written is not committed. A denial is recorded
// before the response is sent, once, regardless of how often the transaction runs.
//
// Code with a Gate cannot open transactions in any other way: only the gate, package
// identity, and the code that builds and checks stores have the store itself. See
// docs/design/0024.
package gate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Operation is something that callers ask for, and the IAM actions that it
// needs. The first is asked for what it works on, the others as it says.
type Operation struct {
	Name    string
	Actions []access.Action
	hot     bool
}

// Op is the operation name with its actions.
func Op(name string, actions ...access.Action) Operation {
	return Operation{Name: name, Actions: actions}
}

// Hot is op as one of those that happen all day, whose changes hold their invariants in
// READ COMMITTED transactions, too: see meta.Hot. Where a change hangs on more than what
// the operation itself reads (Fenced, Provided), it is serializable all the same.
func (op Operation) Hot() Operation {
	op.hot = true
	return op
}

// lane is ctx for the transaction of op.
func (g *Gate) lane(ctx context.Context, op Operation) context.Context {
	if !op.hot || ctx.Value(fenceKey{}) != nil || ctx.Value(conditionKey{}) != nil {
		return ctx
	}
	if _, told := g.told.Load(op.Name); told {
		return ctx
	}
	return meta.Hot(ctx)
}

// update runs fn in the transaction of op. What a hot one found to be there may be gone
// at its next statement: then fn is asked again, serializable, and sees one moment.
func (g *Gate) update(ctx context.Context, op Operation, fn func(context.Context, meta.Tx) error) error {
	lane := g.lane(ctx, op)
	err := g.cfg.Meta.Update(lane, fn)
	var known *ecr.Error
	if !meta.IsHot(lane) || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, meta.ErrReferenced) || errors.Is(err, meta.ErrNotFound) || errors.Is(err, meta.ErrExists) {
		return g.cfg.Meta.Update(ctx, fn)
	}
	return err
}

// remember notes for lane whether op told someone.
func (g *Gate) remember(op Operation, told int) {
	switch {
	case !op.hot:
	case told > 0:
		g.told.Store(op.Name, true)
	default:
		g.told.Delete(op.Name)
	}
}

// Config is what a Gate is made of.
type Config struct {
	Meta meta.Store // required
	// Audit receives what was decided; without it nothing is on record.
	Audit Audit
	// ImageKeys answer the condition keys about images, by their names in lower case.
	ImageKeys map[string]ImageKey
	// Events receives what Emit and Tell say; without it nobody is told.
	Events *events.Outbox
	// Tracer is told of each operation; nil for none.
	Tracer Tracer
}

// Tracer follows operations. It is called by many at once, and must not wait.
type Tracer interface {
	// Operation is called when an operation begins, which goes on with the context, and
	// end when it was decided and carried out, or why not.
	Operation(ctx context.Context, name string) (_ context.Context, end func(error))
}

func untraced(error) {}

// began tells the tracer, if there is one.
func (g *Gate) began(ctx context.Context, op Operation) (context.Context, func(error)) {
	if g.cfg.Tracer == nil {
		return ctx, untraced
	}
	return g.cfg.Tracer.Operation(ctx, op.Name)
}

// Words are what callers are told of failures that are not theirs.
type Words struct {
	Unavailable string // the store cannot do it now
	Unrecorded  string // it cannot be put on record
}

// words are those of a registry.
var words = Words{
	Unavailable: "The registry cannot store this now. Try again later.",
	Unrecorded:  "The registry cannot put this on record now. Try again later.",
}

// Gate lets callers through. It is safe for concurrent use.
type Gate struct {
	cfg   Config
	words Words
	// told are the names of hot operations that told someone last time, which takes a
	// serializable transaction: a receiver may be removed at the same time.
	told *sync.Map
}

// New returns a Gate that speaks for a registry.
func New(cfg Config) *Gate { return &Gate{cfg, words, &sync.Map{}} }

// Speaking is g in other words.
func (g *Gate) Speaking(w Words) *Gate { return &Gate{g.cfg, w, g.told} }

// As returns the way in for p.
func (g *Gate) As(p access.Principal) *Caller { return &Caller{g: g, p: p} }

// System returns the way in for a job of the server itself. It may do
// everything, and need not ask; what it asks for is recorded with the
// reason, which names the job.
func (g *Gate) System(reason string) *Caller { return g.As(access.Principal{System: reason}) }

// Caller reads and changes in the name of one principal. It is safe for
// concurrent use.
type Caller struct {
	g     *Gate
	p     access.Principal
	said  Said
	visit *Visit // nil without
}

// Said is what a request says next to the names of things, as far as policies
// may ask for it.
type Said struct {
	Tags           map[string]string // to be set
	TagKeys        []string          // names of those, or of tags to be removed
	AccountSetting string            // name of the one asked for or set
}

// Principal is who calls.
func (c *Caller) Principal() access.Principal { return c.p }

// Saying is c with what the request in hand says.
func (c *Caller) Saying(s Said) *Caller {
	with := *c
	with.said = s
	return &with
}

// Read reads in one snapshot: fn loads, asks and reads.
func (c *Caller) Read(ctx context.Context, op Operation, fn func(ctx context.Context, v *View) error) error {
	q, err := c.look(ctx, op, fn)
	if err != nil || c.g.cfg.Audit == nil {
		return err
	}
	for _, p := range q.allowed {
		if err := c.g.cfg.Audit.Read(c.permitted(op, p)); err != nil {
			return c.g.unrecorded(err)
		}
	}
	return nil
}

// Ask decides about an effect outside of the database, which the caller of Ask
// has when Ask returns nil: fn loads and asks as for Read, but what is allowed
// is recorded as a change, and durably so.
func (c *Caller) Ask(ctx context.Context, op Operation, fn func(ctx context.Context, v *View) error) error {
	w, err := c.ask(ctx, op, fn)
	if err != nil {
		return err
	}
	return w.wait()
}

// AskForNow is Ask for an effect that ends with this process, such as an upload that has
// received nothing yet: its record is written first, too, but lasts no better than the
// effect where the power fails.
func (c *Caller) AskForNow(ctx context.Context, op Operation, fn func(ctx context.Context, v *View) error) error {
	_, err := c.ask(ctx, op, fn)
	return err
}

// ask lets fn look and ask, and writes what was allowed.
func (c *Caller) ask(ctx context.Context, op Operation, fn func(ctx context.Context, v *View) error) (*written, error) {
	q, err := c.look(ctx, op, fn)
	if err != nil {
		return nil, err
	}
	w := &written{c: c, op: op}
	return w, w.changes(q.allowed)
}

// look lets fn read and ask in one snapshot.
func (c *Caller) look(ctx context.Context, op Operation, fn func(ctx context.Context, v *View) error) (q *Inquiry, err error) {
	ctx, end := c.g.began(ctx, op)
	defer func() { end(err) }()
	err = again(ctx, func(ctx context.Context) error {
		return c.view(ctx, func(ctx context.Context, r meta.Reader) error {
			q = &Inquiry{c: c, op: op, r: sceneReader{r, r.Registries()}}
			if err := fn(ctx, &View{r, q}); err != nil {
				return err
			}
			return q.complete()
		})
	})
	return q, c.settle(ctx, op, err)
}

// Change reads and writes in one transaction, which fn may run several times,
// as meta.Store.Update says. The records are written when fn has returned nil
// and before the commit, each once however often fn runs, and are durable when
// Change returns nil. When the commit fails, they say more than happened.
func (c *Caller) Change(ctx context.Context, op Operation, fn func(ctx context.Context, tx *Tx) error) (err error) {
	ctx, end := c.g.began(ctx, op)
	defer func() { end(err) }()
	if c.visit != nil {
		c.visit.End() // no snapshot is held while others write
	}
	if inside(ctx) != nil {
		return errInside
	}
	w := written{c: c, op: op}
	told, made := 0, func() {}
	var ofCheck []events.Event
	err = c.g.update(ctx, op, func(ctx context.Context, tx meta.Tx) (err error) {
		if err := fenced(ctx, tx); err != nil {
			return err
		}
		if made, ofCheck, err = provided(ctx, tx); err != nil {
			return err
		}
		q := &Inquiry{c: c, op: op, r: sceneReader{tx, tx.Registries()}}
		if err := fn(ctx, &Tx{tx, q}); err != nil {
			return err
		}
		if err := q.complete(); err != nil {
			return err
		}
		if told, err = q.flush(ctx, tx); err != nil {
			return err
		}
		return w.changes(q.allowed)
	})
	if err == nil {
		c.g.remember(op, told)
	}
	if err == nil && told > 0 {
		c.g.cfg.Events.Wake()
	}
	if failed := c.Tell(ctx, ofCheck...); failed != nil && err != nil {
		return c.g.unrecorded(failed)
	}
	if err = c.settle(ctx, op, err); err != nil {
		return err
	}
	made()
	return w.wait()
}

// Prepare changes what the server itself has to know before the caller carries out op
// on at, such as a claim: nothing that a caller could see. It goes through only where op
// would be allowed, and leaves no record: op asks, and is recorded, when it is carried
// out. A caller who is denied is told by op, too; until it has asked, the error of
// Prepare is not for it.
func (c *Caller) Prepare(ctx context.Context, op Operation, at ecr.Repo, fn func(ctx context.Context, tx *Tx, repo meta.Repository) error) (err error) {
	ctx, end := c.g.began(ctx, op)
	defer func() { end(err) }()
	if inside(ctx) != nil {
		return errInside
	}
	if c.visit != nil {
		c.visit.End() // as in Change
	}
	err = c.g.update(ctx, op, func(ctx context.Context, tx meta.Tx) error {
		q := &Inquiry{c: c, op: op, r: sceneReader{tx, tx.Registries()}}
		s, there, err := q.scene(ctx, at)
		if err == nil {
			err = q.Would(s, op.Actions...)
		}
		if err == nil && !there {
			err = ecr.RepositoryNotFound(at.In, at.Name)
		}
		if err != nil {
			return err
		}
		return fn(ctx, &Tx{tx, q}, s.Row)
	})
	return c.g.explained(err)
}

// settle puts a denial on record, and makes err one for the caller. A denial
// inside of another error, such as that of a policy that locks its author out,
// is none of the caller's.
func (c *Caller) settle(ctx context.Context, op Operation, err error) error {
	var denied *refusal
	if ecr.CodeOf(err) != ecr.CodeAccessDenied || !errors.As(err, &denied) {
		return c.g.explained(err)
	}
	if c.g.cfg.Audit != nil {
		if err := c.g.cfg.Audit.Denial(c.denied(op, denied)); err != nil {
			return c.g.unrecorded(err)
		}
	}
	if err := c.tellDenial(ctx, op, denied); err != nil {
		return c.g.unrecorded(err)
	}
	return denied.err
}

// explained says to the caller what it can do about a store that fails.
func (g *Gate) explained(err error) error {
	var known *ecr.Error
	if errors.As(err, &known) || !errors.Is(err, meta.ErrUnavailable) {
		return err
	}
	return &ecr.Error{Code: ecr.CodeUnavailable, Message: g.words.Unavailable, Err: err}
}

// unrecorded is what a caller is told when the record cannot be written.
func (g *Gate) unrecorded(err error) error {
	return &ecr.Error{Code: ecr.CodeUnavailable, Message: g.words.Unrecorded, Err: err}
}

// complete is an error for an operation of someone else than the server that
// was allowed nothing.
func (q *Inquiry) complete() error {
	if q.c.p.System == "" && len(q.allowed) == 0 {
		return fmt.Errorf("gate: defect: %s ended without a permission that allows it", q.op.Name)
	}
	return nil
}
