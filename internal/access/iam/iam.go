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
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// Codes of IAM, next to the common ones of package ecr.
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

// Config is what a Service is made of. All fields but Issuers are required.
type Config struct {
	Gate     *gate.Gate
	Identity *identity.Service
	// Now is the authentication clock; it is never moved.
	Now func() time.Time
	// Partition is the first word of ARNs, such as "aws".
	Partition string
	// Issuers verifies web identity tokens; without it there are none.
	Issuers *authn.Issuers
}

// words are what callers are told of failures that are not theirs.
var words = gate.Words{
	Unavailable: "The service cannot do this now. Try again later.",
	Unrecorded:  "The service cannot put this on record now. Try again later.",
}

// Service is IAM and STS. It is safe for concurrent use.
type Service struct {
	cfg    Config
	logins logins
}

// New returns a Service.
func New(cfg Config) *Service {
	cfg.Gate = cfg.Gate.Speaking(words)
	return &Service{cfg: cfg}
}

// Caller calls operations as a principal.
type Caller struct {
	s    *Service
	p    access.Principal
	gate *gate.Caller
}

// As returns the operations as p may call them, in p's account.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, p, s.cfg.Gate.As(p)} }

// System returns the operations in the account as a job of the server calls
// them, which may do everything; reason says why, for the log.
func (s *Service) System(account ecr.AccountID, reason string) *Caller {
	return s.As(access.Principal{Account: account, System: reason})
}

// Partition is the first word of ARNs.
func (c *Caller) Partition() string { return c.s.cfg.Partition }

// operation is what asks for action first, such as "iam:CreateUser".
func operation(action access.Action) gate.Operation {
	_, name, _ := strings.Cut(string(action), ":")
	return gate.Op(name, action)
}

// reading is a snapshot of the identities in which an operation asks.
type reading struct {
	meta.IdentityReader
	*gate.Inquiry
	c *Caller
}

// writing is a transaction in which an operation asks, reads and writes.
type writing struct {
	meta.IdentityTx
	*reading
}

// view and update run the transaction of the operation that asks for action
// first.
func (c *Caller) view(ctx context.Context, action access.Action, fn func(ctx context.Context, r *reading) error) error {
	return c.gate.Read(ctx, operation(action), func(ctx context.Context, v *gate.View) error {
		return fn(ctx, &reading{v.Identities(), v.Inquiry, c})
	})
}

func (c *Caller) update(ctx context.Context, action access.Action, fn func(ctx context.Context, tx *writing) error) error {
	return c.gate.Change(ctx, operation(action), func(ctx context.Context, tx *gate.Tx) error {
		all := tx.Identities()
		return fn(ctx, &writing{all, &reading{all, tx.Inquiry, c}})
	})
}

// question is what an action is about, next to its name.
type question struct {
	resource    string
	tags        map[string]string // of the resource
	requestTags map[string]string
	tagKeys     []string
	policyARN   string // iam:PolicyARN
	boundary    string // iam:PermissionsBoundary
}

// action is what the operation asks for first.
func (r *reading) action() access.Action { return r.Operation().Actions[0] }

// may asks for the operation's action.
func (r *reading) may(q question) error { return r.also(r.action(), q) }

// also asks for another action.
func (r *reading) also(action access.Action, q question) error {
	p := r.c.p
	if p.Session != nil && p.Session.RoleARN == "" && !p.Session.MFA {
		// STS API reference, GetSessionToken, "You cannot call any IAM API".
		return ecr.Errorf(ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	}
	var keys policy.Context
	keys.Set("iam:PolicyARN", some(q.policyARN)...)
	keys.Set("iam:PermissionsBoundary", some(q.boundary)...)
	for name, value := range q.tags {
		keys.Set("iam:ResourceTag/"+name, value)
	}
	return r.Ask(authz.Request{
		Action: action, Resource: q.resource, Owner: p.Account, Region: globalRegion,
		ResourceTags: q.tags, RequestTags: q.requestTags, TagKeys: q.tagKeys, Context: keys,
	})
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
	return ecr.IAMARN(c.s.cfg.Partition, c.p.Account, kind+identity.PathOf(path)+name)
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

// withBoundary is q with the boundary that a row refers to, where the action
// asks for it.
func (r *reading) withBoundary(ctx context.Context, ref string, q question) (question, error) {
	if ref == "" || !onBoundary[r.action()] {
		return q, nil
	}
	found, err := r.attached(ctx, []string{ref})
	for _, m := range found {
		q.boundary = m.ARN
	}
	return q, err
}

// user reads a user and asks whether the caller may act on it. Who may not
// learns nothing of whether there is one.
func (r *reading) user(ctx context.Context, name string, q question) (meta.User, error) {
	if err := checkName("userName", name, maxUserName); err != nil {
		return meta.User{}, err
	}
	u, err := r.User(ctx, r.c.p.Account, name)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return u, err
	}
	q.resource, q.tags = r.c.arn("user", u.Path, name), u.Tags
	q, berr := r.withBoundary(ctx, u.Boundary, q)
	if berr != nil {
		return u, berr
	}
	if denied := r.may(q); denied != nil {
		return u, denied
	}
	if err != nil {
		return u, ecr.Errorf(CodeNoSuchEntity, "The user with name %s cannot be found.", name)
	}
	return u, nil
}

// role is user for a role.
func (r *reading) role(ctx context.Context, name string, q question) (meta.Role, error) {
	if err := checkName("roleName", name, maxUserName); err != nil {
		return meta.Role{}, err
	}
	role, err := r.Role(ctx, r.c.p.Account, name)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return role, err
	}
	q.resource, q.tags = r.c.arn("role", role.Path, name), role.Tags
	q, berr := r.withBoundary(ctx, role.Boundary, q)
	if berr != nil {
		return role, berr
	}
	if denied := r.may(q); denied != nil {
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
	Uncounted  bool // ManagedPolicies leaves out how often policies are attached
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
