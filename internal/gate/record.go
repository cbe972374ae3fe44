package gate

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/access/audit"
)

// Audit is where changes and denials are recorded, and reads if it wants
// them. An error of Change or Denial keeps what was asked for from being done
// or answered; audit.Log says more.
type Audit interface {
	// Change is about a change that is allowed and about to be committed;
	// durable waits, after the commit, until the record is.
	Change(r audit.Record) (durable func() error, err error)
	// Denial is about something that is denied.
	Denial(r audit.Record) error
	// Read is about a read that is allowed and done.
	Read(r audit.Record) error
}

// permitted is the record of a permission.
func (c *Caller) permitted(op Operation, p permission) audit.Record {
	r := c.record(op)
	r.Action, r.Resource, r.Decision, r.Statement = string(p.action), p.resource, audit.Allowed, p.by
	return r
}

// denied is the record of a denial.
func (c *Caller) denied(op Operation, d *refusal) audit.Record {
	r := c.record(op)
	r.Action, r.Resource, r.Decision = string(d.action), d.resource, audit.Denied
	r.Statement, r.DependsOn, r.Reason = d.decision.By, d.decision.DependsOn, d.decision.Message
	return r
}

// record says who asks for op, and how.
func (c *Caller) record(op Operation) audit.Record {
	r := audit.Record{
		Principal: c.p.String(), PrincipalID: c.p.UniqueID, AccessKey: c.p.KeyID,
		RequestID: c.p.Request.ID, UserAgent: c.p.Request.UserAgent, Via: c.p.Request.Via, Operation: op.Name,
	}
	if a := c.p.Request.Source; a.IsValid() {
		r.Source = a.String()
	}
	if t := c.p.Token; t != nil {
		r.Token = t.Name
	}
	if s := c.p.Session; s != nil {
		r.Session = &audit.Session{Role: s.RoleARN, IssuedAt: s.IssuedAt, MFA: s.MFA, SourceIdentity: s.SourceIdentity}
	}
	return r
}

// written is what one change has put on record.
type written struct {
	c       *Caller
	op      Operation
	all     []permission
	durable []func() error
}

// changes writes those of permissions that are not written yet: a transaction
// may run several times, and ask for something else when it runs again.
func (w *written) changes(permissions []permission) error {
	if w.c.g.cfg.Audit == nil {
		return nil
	}
	for _, p := range permissions {
		if slices.ContainsFunc(w.all, p.same) {
			continue
		}
		durable, err := w.c.g.cfg.Audit.Change(w.c.permitted(w.op, p))
		if err != nil {
			return w.c.g.unrecorded(err)
		}
		w.all, w.durable = append(w.all, p), append(w.durable, durable)
	}
	return nil
}

// wait waits until all that was written is durable.
func (w *written) wait() error {
	for _, durable := range w.durable {
		if err := durable(); err != nil {
			return w.c.g.unrecorded(err)
		}
	}
	return nil
}
