package gate

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// View is a snapshot in which an operation asks and reads.
type View struct {
	meta.Reader
	*Inquiry
}

// Tx is a transaction in which an operation asks, reads and writes.
type Tx struct {
	meta.Tx
	*Inquiry
}

// Inquiry is what is asked within one run of a transaction.
type Inquiry struct {
	c  *Caller
	op Operation
	r  sceneReader
	// allowed is what was asked for and allowed, each once and in that order.
	allowed []permission
	events  []events.Event // that were emitted
}

// Principal is who asks.
func (q *Inquiry) Principal() access.Principal { return q.c.p }

// Operation is what it asks for.
func (q *Inquiry) Operation() Operation { return q.op }

// Ask asks for one permission, with the caller as r's principal. Its error is a
// denial, which the operation returns as it is.
func (q *Inquiry) Ask(r authz.Request) error {
	r.Principal = q.c.p
	return q.Decided(r.Action, r.Resource, authz.Decide(r))
}

// Decided is Ask for a decision that was made elsewhere, such as by a trust
// policy.
func (q *Inquiry) Decided(action access.Action, resource string, d authz.Decision) error {
	if err := d.Err(); err != nil {
		return &refusal{d, action, resource, err}
	}
	if p := (permission{action, resource, d.By}); !slices.ContainsFunc(q.allowed, p.same) {
		q.allowed = append(q.allowed, p)
	}
	return nil
}

// permission is what was asked for, and what allows it.
type permission struct {
	action   access.Action
	resource string
	by       string
}

// same reports whether other asks for the same.
func (p permission) same(other permission) bool {
	return p.action == other.action && p.resource == other.resource
}

// refusal is a denial on its way to the record, and to the caller.
type refusal struct {
	decision authz.Decision
	action   access.Action
	resource string
	err      error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }
