// Package iam holds the operations of IAM and STS: users, roles, policies,
// access keys, who may assume a role, and what a simulation says. It knows
// neither HTTP nor SQL.
//
// It guarantees that no operation is reached but through a caller (Service.As),
// that each asks the caller's policies for its action on the ARN of what it
// acts on, inside the transaction that acts, and that what it changed holds for
// the next request on every replica. Accounts are apart: a caller sees and
// changes its own account only, and assumes roles of others where both sides
// allow it.
//
// Sources: IAM API reference 2010-05-08, STS API reference 2011-06-15, IAM user
// guide, "IAM and AWS STS quotas" and "IAM identifiers". Error texts are AWS's
// as far as they are known.
package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Codes of IAM, beside the common ones of package ecr.
const (
	CodeNoSuchEntity            ecr.Code = "NoSuchEntity"
	CodeEntityAlreadyExists     ecr.Code = "EntityAlreadyExists"
	CodeDeleteConflict          ecr.Code = "DeleteConflict"
	CodeLimitExceeded           ecr.Code = "LimitExceeded"
	CodeMalformedPolicyDocument ecr.Code = "MalformedPolicyDocument"
	CodeInvalidInput            ecr.Code = "InvalidInput"
	CodeUnmodifiableEntity      ecr.Code = "UnmodifiableEntity"
	// CodeInvalidAuthorizationMessage: DecodeAuthorizationMessage.
	CodeInvalidAuthorizationMessage ecr.Code = "InvalidAuthorizationMessageException"
)

// Codes lists the codes that only IAM and STS raise, for the tests that walk
// the tables of their front ends.
func Codes() []ecr.Code {
	return []ecr.Code{
		CodeNoSuchEntity, CodeEntityAlreadyExists, CodeDeleteConflict, CodeLimitExceeded, CodeMalformedPolicyDocument,
		CodeInvalidInput, CodeUnmodifiableEntity, CodeInvalidAuthorizationMessage, identity.CodePackedPolicyTooLarge,
		authn.CodeInvalidIdentityToken, authn.CodeExpiredIdentityToken, authn.CodeIDPRejectedClaim, authn.CodeIDPCommunicationError,
	}
}

// Config is what a Service is made of. All fields but Audit and Issuers are
// required.
type Config struct {
	Meta     meta.Store
	Identity *identity.Service
	// Now is the authentication clock; it is never moved.
	Now func() time.Time
	// Partition is the first word of ARNs, such as "aws".
	Partition string
	// Issuers verifies web identity tokens; without it there are none.
	Issuers *authn.Issuers
	// Audit receives changes, denials and reads; without it nothing is on record.
	Audit Audit
}

// Audit puts on record what was decided, before it is done or, for reads,
// answered; audit.Log says more.
type Audit interface {
	Change(r audit.Record) (durable func() error, err error)
	Denial(r audit.Record) error
	Read(r audit.Record) error
}

// Service is IAM and STS. It is safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service {
	return &Service{cfg: cfg}
}

// Caller is somebody who calls operations.
type Caller struct {
	s *Service
	p access.Principal
}

// As returns the operations as p may call them, in p's account.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, p} }

// System returns the operations in the account as a job of the server calls
// them, which may do everything; reason says why, for the log.
func (s *Service) System(account ecr.AccountID, reason string) *Caller {
	return &Caller{s, access.Principal{Account: account, System: reason}}
}

// Partition is the first word of ARNs.
func (c *Caller) Partition() string { return c.s.cfg.Partition }

// question is what an action is about, beside its name.
type question struct {
	resource    string
	tags        map[string]string // of the resource
	requestTags map[string]string
	tagKeys     []string
	policyARN   string // iam:PolicyARN
	boundary    string // iam:PermissionsBoundary
}

// may asks whether the caller may do action, such as "iam:CreateUser".
func (c *Caller) may(ctx context.Context, action access.Action, q question) error {
	if c.p.Session != nil && c.p.Session.RoleARN == "" && !c.p.Session.MFA {
		// STS API reference, GetSessionToken, "You cannot call any IAM API".
		return ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	var keys policy.Context
	keys.Set("iam:PolicyARN", some(q.policyARN)...)
	keys.Set("iam:PermissionsBoundary", some(q.boundary)...)
	for name, value := range q.tags {
		keys.Set("iam:ResourceTag/"+name, value)
	}
	r := authz.Request{
		Principal: c.p, Action: action, Resource: q.resource, Owner: c.p.Account, Region: globalRegion,
		ResourceTags: q.tags, RequestTags: q.requestTags, TagKeys: q.tagKeys, Context: keys,
	}
	d := authz.Decide(r)
	if d.Allowed {
		note(ctx, c.record(action, q.resource, d.By))
		return nil
	}
	record := c.record(action, q.resource, d.By)
	record.Decision, record.DependsOn, record.Reason = audit.Denied, d.DependsOn, d.Message
	return c.s.denied(record, d.Err())
}

// globalRegion is what aws:RequestedRegion is for IAM.
const globalRegion ecr.Region = "us-east-1"

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// arn is the ARN of kind ("user", "role", "policy") and name in the caller's
// account.
func (c *Caller) arn(kind, path, name string) string {
	return fmt.Sprintf("arn:%s:iam::%s:%s%s%s", c.s.cfg.Partition, c.p.Account, kind, identity.PathOf(path), name)
}

// view and update run one operation's transaction; errors of the store come
// out as the caller may see them.
func (c *Caller) view(ctx context.Context, fn func(ctx context.Context, r meta.IdentityReader) error) error {
	var allowed []audit.Record
	err := c.s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		allowed = nil
		return fn(context.WithValue(ctx, notes{}, &allowed), r.Identities())
	})
	if err != nil {
		return storeError(err)
	}
	return c.s.read(allowed...)
}

// read puts reads that are allowed on record, if the log wants them.
func (s *Service) read(records ...audit.Record) error {
	if s.cfg.Audit == nil {
		return nil
	}
	for _, r := range records {
		if err := s.cfg.Audit.Read(r); err != nil {
			return unrecorded(err)
		}
	}
	return nil
}

func (c *Caller) update(ctx context.Context, fn func(ctx context.Context, tx meta.IdentityTx) error) error {
	var durable []func() error
	recorded := false // once, however often fn runs
	err := c.s.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		var allowed []audit.Record
		if err := fn(context.WithValue(ctx, notes{}, &allowed), tx.Identities()); err != nil || c.s.cfg.Audit == nil || recorded {
			return err
		}
		for _, r := range allowed {
			wait, err := c.s.cfg.Audit.Change(r)
			if err != nil {
				return unrecorded(err)
			}
			durable = append(durable, wait)
		}
		recorded = true
		return nil
	})
	if err != nil {
		return storeError(err)
	}
	for _, wait := range durable {
		if err := wait(); err != nil {
			return unrecorded(err)
		}
	}
	return nil
}

// notes is where a transaction keeps what was allowed in it.
type notes struct{}

func note(ctx context.Context, r audit.Record) {
	if all, ok := ctx.Value(notes{}).(*[]audit.Record); ok {
		*all = append(*all, r)
	}
}

// record is a decision as the audit log has it.
func (c *Caller) record(action access.Action, resource, by string) audit.Record {
	return recordOf(c.p, action, resource, by)
}

func recordOf(p access.Principal, action access.Action, resource, by string) audit.Record {
	_, operation, _ := strings.Cut(string(action), ":")
	r := audit.Record{
		RequestID: p.Request.ID, Principal: p.String(), PrincipalID: p.UniqueID, AccessKey: p.KeyID, UserAgent: p.Request.UserAgent,
		Operation: operation, Action: string(action), Resource: resource, Decision: audit.Allowed, Statement: by,
	}
	if p.Request.Source.IsValid() {
		r.Source = p.Request.Source.String()
	}
	if s := p.Session; s != nil {
		r.Session = &audit.Session{Role: s.RoleARN, IssuedAt: s.IssuedAt, MFA: s.MFA, SourceIdentity: s.SourceIdentity}
	}
	return r
}

// denied puts a denial on record and returns it, or the error of the record.
func (s *Service) denied(r audit.Record, denial error) error {
	if s.cfg.Audit == nil {
		return denial
	}
	r.Decision = audit.Denied
	if err := s.cfg.Audit.Denial(r); err != nil {
		return unrecorded(err)
	}
	return denial
}

func unrecorded(err error) error {
	return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The service cannot put this on record now. Try again later.", Err: err}
}

func storeError(err error) error {
	var known *ecr.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if errors.Is(err, meta.ErrUnavailable) {
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The service cannot do this now. Try again later.", Err: err}
	}
	return err
}

// onBoundary are the actions on a user or role that have the condition key
// iam:PermissionsBoundary, which is the boundary it has; when one is put, the
// new one (Service authorization reference, "AWS Identity and Access
// Management").
var onBoundary = map[access.Action]bool{
	"iam:AttachUserPolicy": true, "iam:DetachUserPolicy": true, "iam:PutUserPolicy": true, "iam:DeleteUserPolicy": true,
	"iam:DeleteUserPermissionsBoundary": true,
	"iam:AttachRolePolicy":              true, "iam:DetachRolePolicy": true, "iam:PutRolePolicy": true, "iam:DeleteRolePolicy": true,
	"iam:DeleteRolePermissionsBoundary": true,
}

// withBoundary is q with the boundary that a row refers to, where action asks
// for it.
func (c *Caller) withBoundary(ctx context.Context, r meta.IdentityReader, action access.Action, ref string, q question) (question, error) {
	if ref == "" || !onBoundary[action] {
		return q, nil
	}
	found, err := c.attached(ctx, r, []string{ref})
	for _, m := range found {
		q.boundary = m.ARN
	}
	return q, err
}

// user reads a user and asks whether the caller may do action on it. Who may
// not learns nothing of whether there is one.
func (c *Caller) user(ctx context.Context, r meta.IdentityReader, action access.Action, name string, q question) (meta.User, error) {
	if err := checkName("userName", name, maxUserName); err != nil {
		return meta.User{}, err
	}
	u, err := r.User(ctx, c.p.Account, name)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return u, err
	}
	q.resource, q.tags = c.arn("user", u.Path, name), u.Tags
	q, berr := c.withBoundary(ctx, r, action, u.Boundary, q)
	if berr != nil {
		return u, berr
	}
	if denied := c.may(ctx, action, q); denied != nil {
		return u, denied
	}
	if err != nil {
		return u, ecr.Errorf(CodeNoSuchEntity, "The user with name %s cannot be found.", name)
	}
	return u, nil
}

// role is user for a role.
func (c *Caller) role(ctx context.Context, r meta.IdentityReader, action access.Action, name string, q question) (meta.Role, error) {
	if err := checkName("roleName", name, maxUserName); err != nil {
		return meta.Role{}, err
	}
	role, err := r.Role(ctx, c.p.Account, name)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return role, err
	}
	q.resource, q.tags = c.arn("role", role.Path, name), role.Tags
	q, berr := c.withBoundary(ctx, r, action, role.Boundary, q)
	if berr != nil {
		return role, berr
	}
	if denied := c.may(ctx, action, q); denied != nil {
		return role, denied
	}
	if err != nil {
		return role, ecr.Errorf(CodeNoSuchEntity, "The role with name %s cannot be found.", name)
	}
	return role, nil
}

// Page asks for a part of a list: at most Limit (0 is 100) after Marker, of
// those whose path begins with PathPrefix.
type Page struct {
	PathPrefix string
	Marker     string
	Limit      int
}

const (
	defaultPage = 100
	maxPage     = 1000
)

func (p *Page) check() error {
	if p.Limit == 0 {
		p.Limit = defaultPage
	}
	if p.Limit < 1 || p.Limit > maxPage {
		return invalid("maxItems", fmt.Sprint(p.Limit), "Member must have value between 1 and %d", maxPage)
	}
	if p.PathPrefix == "" {
		p.PathPrefix = "/"
	}
	if !prefixPattern.MatchString(p.PathPrefix) || len(p.PathPrefix) > maxPath {
		return invalid("pathPrefix", p.PathPrefix, "Member must satisfy regular expression pattern: %s", `\u002F[\u0021-\u007F]*`)
	}
	return nil
}

// collect fills a page: items that keep passes, and the marker of the next
// page, "" when this is the last.
func collect[T any](p Page, fetch func(after string, limit int) ([]T, error), name func(T) string, keep func(T) bool) (items []T, next string, err error) {
	items, more, err := meta.Take(meta.Pages(p.Marker, p.Limit+1, fetch, name), p.Limit, func(v *T) (bool, error) { return keep(*v), nil })
	if more {
		next = name(items[len(items)-1])
	}
	return items, next, err
}
