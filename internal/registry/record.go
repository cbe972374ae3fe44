package registry

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Audit is where changes and denials go on record, and reads if it wants
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

// refusal is a denial on its way to the record, and to the caller.
type refusal struct {
	decision authz.Decision
	action   access.Action
	resource string
	err      error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// read reads in one snapshot. fn returns what allows op; at's name is empty
// where op is about a registry.
func (c *Caller) read(ctx context.Context, op Operation, at ecr.Repo, fn func(ctx context.Context, r meta.Reader) (grant string, err error)) error {
	var grant string
	err := c.r.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		grant, err = fn(ctx, r)
		return err
	})
	if err = c.settle(op, err); err != nil || c.r.cfg.Audit == nil {
		return err
	}
	return noRecord(c.r.cfg.Audit.Read(c.allowed(op, at, grant)))
}

// change writes in one transaction, as read reads. The record is written before
// the commit, once however often fn runs, and is durable when change returns
// nil. When the commit fails, the record says more than happened.
func (c *Caller) change(ctx context.Context, op Operation, at ecr.Repo, fn func(ctx context.Context, tx meta.Tx) (grant string, err error)) error {
	var durable func() error
	err := c.r.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		grant, err := fn(ctx, tx)
		if err != nil || durable != nil || c.r.cfg.Audit == nil {
			return err
		}
		durable, err = c.r.cfg.Audit.Change(c.allowed(op, at, grant))
		return noRecord(err)
	})
	if err = c.settle(op, err); err != nil || durable == nil {
		return err
	}
	return noRecord(durable())
}

// settle puts a denial on record, and makes err one for the caller. A denial
// inside of another error, such as that of a policy that locks its author out,
// is none of the caller's.
func (c *Caller) settle(op Operation, err error) error {
	var denied *refusal
	if ecr.CodeOf(err) != ecr.CodeAccessDenied || !errors.As(err, &denied) {
		return storeError(err)
	}
	if c.r.cfg.Audit != nil {
		r := c.record(op)
		r.Action, r.Resource = string(denied.action), denied.resource
		r.Decision, r.Statement, r.DependsOn = audit.Denied, denied.decision.By, denied.decision.DependsOn
		r.Reason = denied.decision.Message
		if err := c.r.cfg.Audit.Denial(r); err != nil {
			return noRecord(err)
		}
	}
	return denied.err
}

// allowed is the record of op, which grant allows.
func (c *Caller) allowed(op Operation, at ecr.Repo, grant string) audit.Record {
	r := c.record(op)
	r.Action, r.Resource = string(op.Actions[0]), scene{at: at}.resource()
	r.Decision, r.Statement = audit.Allowed, grant
	return r
}

// record says who asks for op, and how.
func (c *Caller) record(op Operation) audit.Record {
	r := audit.Record{
		Principal: c.p.String(), PrincipalID: c.p.UniqueID, AccessKey: c.p.KeyID,
		RequestID: c.p.Request.ID, UserAgent: c.p.Request.UserAgent, Operation: op.Name,
	}
	if a := c.p.Request.Source; a.IsValid() {
		r.Source = a.String()
	}
	if s := c.p.Session; s != nil {
		r.Session = &audit.Session{Role: s.RoleARN, IssuedAt: s.IssuedAt, MFA: s.MFA, SourceIdentity: s.SourceIdentity}
	}
	return r
}

// noRecord is what a caller is told when the record cannot be written.
func noRecord(err error) error {
	if err == nil {
		return nil
	}
	return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The registry cannot put this on record now. Try again later.", Err: err}
}
