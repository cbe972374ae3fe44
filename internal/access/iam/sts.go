package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// AssumeRole is what is asked of a role.
type AssumeRole struct {
	RoleARN, SessionName string
	Duration             time.Duration // 0 is an hour
	ExternalID           string
	SourceIdentity       string
	Policy               string // of the session; "" for none
	PolicyARNs           []string
	Tags                 []Tag
	Transitive           []string // names of those of Tags that go on to the next role
	Region               ecr.Region
	// MFA is what SerialNumber or TokenCode say: there are no devices here.
	MFA bool
}

// Assumed is a session that was begun.
type Assumed struct {
	identity.Temporary
	ARN, ID        string // of the session; "AROA...:session"
	SourceIdentity string
	// Of web identities only.
	Subject, Audience, Provider string
}

func (a *AssumeRole) check() error {
	if !sessionPattern.MatchString(a.SessionName) {
		return invalid("roleSessionName", a.SessionName, `Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}`)
	}
	if a.ExternalID != "" && (len(a.ExternalID) > maxExternalID || !externalPattern.MatchString(a.ExternalID)) {
		return invalid("externalId", a.ExternalID, `Member must satisfy regular expression pattern: [\w+=,.@:\/-]{2,%d}`, maxExternalID)
	}
	if a.SourceIdentity != "" && (!sessionPattern.MatchString(a.SourceIdentity) || strings.HasPrefix(strings.ToLower(a.SourceIdentity), "aws:")) {
		return invalid("sourceIdentity", a.SourceIdentity, `Member must satisfy regular expression pattern: [\w+=,.@-]{2,64}`)
	}
	if a.Duration == 0 {
		a.Duration = defaultSession
	}
	if a.Duration < minSession || a.Duration > longestSession {
		return invalid("durationSeconds", strconv.Itoa(int(a.Duration/time.Second)), "Member must have value between %d and %d", int(minSession/time.Second), int(longestSession/time.Second))
	}
	if len(a.PolicyARNs) > maxSessionARNs {
		return invalid("policyArns", fmt.Sprint(len(a.PolicyARNs)), "Member must have length less than or equal to %d", maxSessionARNs)
	}
	if len(a.Policy) > maxSessionPart {
		return invalid("policy", a.Policy[:20]+"...", "Member must have length less than or equal to %d", maxSessionPart)
	}
	if a.Policy != "" {
		if _, err := checkDocument(a.Policy, policy.Identity); err != nil {
			return err
		}
	}
	if a.MFA {
		return ecr.Errorf(ecr.CodeAccessDenied, "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	if _, err := checkTags(nil, a.Tags); err != nil {
		return err
	}
	for i, key := range a.Transitive {
		at := slices.IndexFunc(a.Tags, func(t Tag) bool { return strings.EqualFold(t.Key, key) })
		if at >= 0 { // as the tag is written: by that name it is handed on
			a.Transitive[i] = a.Tags[at].Key
		} else {
			return ecr.Errorf(ecr.CodeValidation, "The specified transitive tag key %.128s must be included in the requested tags.", key)
		}
	}
	return nil
}

// context are the condition keys of the call.
func (a *AssumeRole) context() policy.Context {
	var keys policy.Context
	keys.Set("sts:ExternalId", some(a.ExternalID)...)
	keys.Set("sts:RoleSessionName", a.SessionName)
	keys.Set("sts:SourceIdentity", some(a.SourceIdentity)...)
	keys.Set("sts:TransitiveTagKeys", a.Transitive...)
	return keys
}

// roleOf finds the role that an ARN names; "" as id when there is none.
func (s *Service) roleOf(ctx context.Context, r meta.Reader, arn string) (meta.Role, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" || !strings.HasPrefix(parts[5], "role/") {
		return meta.Role{}, ecr.Errorf(ecr.CodeValidation, "%.200s is invalid", arn)
	}
	role, err := r.Role(ctx, ecr.AccountID(parts[4]), parts[5][strings.LastIndexByte(parts[5], '/')+1:])
	if errors.Is(err, meta.ErrNotFound) || err == nil && identity.RoleARN(s.cfg.Partition, role) != arn {
		return meta.Role{Account: ecr.AccountID(parts[4])}, nil
	}
	return role, err
}

// AssumeRole begins a session of a role, of this account or another.
//
// The caller's own policies and the role's trust policy decide together: in
// one account the trust policy may name the caller itself or its account with
// the caller's policies allowing; across accounts both must allow. A role that
// is not there is not distinguishable from one that may not be assumed.
func (c *Caller) AssumeRole(ctx context.Context, a AssumeRole) (Assumed, error) {
	if err := a.check(); err != nil {
		return Assumed{}, err
	}
	session := identity.Session{
		Name: a.SessionName, Policy: a.Policy, PolicyARNs: a.PolicyARNs, Tags: nil, Transitive: a.Transitive,
		SourceIdentity: a.SourceIdentity, Duration: a.Duration,
	}
	// The tags that the caller's own session hands on, which nobody changes.
	inherited := map[string]string{}
	if own := c.p.Session; own != nil {
		for _, key := range own.TransitiveTags {
			if value, ok := c.p.Tags[key]; ok {
				inherited[key] = value
			}
		}
		session.Transitive = append(slices.Clone(own.TransitiveTags), a.Transitive...)
		if own.SourceIdentity != "" {
			if a.SourceIdentity != "" && a.SourceIdentity != own.SourceIdentity {
				return Assumed{}, ecr.Errorf(ecr.CodeAccessDenied, "The SourceIdentity of the role session cannot be changed.")
			}
			a.SourceIdentity, session.SourceIdentity = own.SourceIdentity, own.SourceIdentity
		}
	}
	for _, t := range a.Tags {
		for key := range inherited {
			if strings.EqualFold(key, t.Key) {
				return Assumed{}, ecr.Errorf(ecr.CodeInvalidParameter, "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
			}
		}
	}
	requested := maps.Clone(inherited)
	maps.Copy(requested, tagMap(a.Tags))
	if len(requested) > 0 {
		session.Tags = requested
	}
	if c.p.Session != nil && c.p.Session.RoleARN != "" && a.Duration > chainedSession {
		return Assumed{}, ecr.Errorf(ecr.CodeValidation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}

	role, err := c.load(ctx, a, requested)
	if err != nil {
		return Assumed{}, err
	}
	session.UniqueID = role.UniqueID
	return c.s.begin(ctx, role, session)
}

// load reads the role and decides whether the caller may assume it so.
func (c *Caller) load(ctx context.Context, a AssumeRole, tags map[string]string) (role meta.Role, err error) {
	err = c.view(ctx, func(ctx context.Context, r meta.Reader) error {
		if role, err = c.s.roleOf(ctx, r, a.RoleARN); err != nil {
			return err
		}
		actions := []access.Action{"sts:AssumeRole"}
		if len(tags) > 0 {
			actions = append(actions, "sts:TagSession")
		}
		if a.SourceIdentity != "" {
			actions = append(actions, "sts:SetSourceIdentity")
		}
		for _, action := range actions {
			keys := a.context()
			q := authz.Question(authz.Request{
				Principal: c.p, Action: action, Resource: a.RoleARN, Owner: role.Account, Region: a.Region,
				ResourceTags: role.Tags, RequestTags: tags, TagKeys: slices.Sorted(maps.Keys(tags)), Context: keys,
			})
			if role.UniqueID == "" || !trusts(q, role) {
				refused := refusal(c.p.ARN, action, a.RoleARN)
				record := c.record(action, a.RoleARN, "")
				record.Reason = refused.Message
				return c.s.denied(record, refused)
			}
		}
		return c.s.checkSession(ctx, r, role, a)
	})
	if err == nil {
		err = c.s.began(c.record("sts:AssumeRole", a.RoleARN, "trust policy"))
	}
	return role, err
}

// began puts on record that a session begins, before it does.
func (s *Service) began(r audit.Record) error {
	if s.cfg.Audit == nil {
		return nil
	}
	durable, err := s.cfg.Audit.Change(r)
	if err == nil {
		err = durable()
	}
	if err != nil {
		return unrecorded(err)
	}
	return nil
}

func refusal(who string, action access.Action, resource string) *ecr.Error {
	return ecr.Errorf(ecr.CodeAccessDenied, "User: %s is not authorized to perform: %s on resource: %s", who, action, resource)
}

// trusts evaluates q with the trust policy of role, which must allow. STS's
// own keys that the call does not have are absent, not unknown.
func trusts(q policy.Request, role meta.Role) bool {
	lookup := q.Lookup
	q.Lookup = func(key string) ([]string, bool) {
		if values, known := lookup(key); known {
			return values, true
		}
		return nil, strings.HasPrefix(key, "sts:") || strings.Contains(strings.TrimPrefix(key, "aws:"), ":")
	}
	q.ResourceMustAllow = true
	q.ResourceBased = []policy.Named{{Name: "trust policy", Policy: authz.Compile(role.Trust)}}
	return policy.Evaluate(q).Outcome == policy.Allowed
}

// checkSession checks what the role itself limits.
func (s *Service) checkSession(ctx context.Context, r meta.Reader, role meta.Role, a AssumeRole) error {
	if a.Duration > role.MaxSession {
		return ecr.Errorf(ecr.CodeValidation, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	for _, arn := range a.PolicyARNs {
		_, err := s.cfg.Identity.PolicyText(ctx, r, role.Account, arn)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(CodeMalformedPolicyDocument, "The policy %.200s does not exist or cannot be used in a session.", arn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin issues the credentials.
func (s *Service) begin(ctx context.Context, role meta.Role, session identity.Session) (Assumed, error) {
	t, err := s.cfg.Identity.IssueSession(ctx, session)
	return Assumed{
		Temporary: t, ARN: identity.AssumedRoleARN(s.cfg.Partition, role, session.Name),
		ID: role.UniqueID + ":" + session.Name, SourceIdentity: session.SourceIdentity,
	}, err
}

// Durations of GetSessionToken.
const (
	defaultUserSession = 12 * time.Hour
	longestUserSession = 36 * time.Hour
)

// SessionToken makes temporary credentials of the calling user: they can do
// what it can do, but call neither IAM nor, of STS, more than AssumeRole and
// GetCallerIdentity, and they end with its access key.
func (c *Caller) SessionToken(ctx context.Context, d time.Duration, mfa bool) (identity.Temporary, error) {
	if d == 0 {
		d = defaultUserSession
	}
	switch {
	case d < minSession || d > longestUserSession:
		return identity.Temporary{}, invalid("durationSeconds", strconv.Itoa(int(d/time.Second)), "Member must have value between %d and %d", int(minSession/time.Second), int(longestUserSession/time.Second))
	case c.p.Session != nil:
		return identity.Temporary{}, ecr.Errorf(ecr.CodeAccessDenied, "Cannot call GetSessionToken with session credentials")
	case mfa:
		return identity.Temporary{}, ecr.Errorf(ecr.CodeAccessDenied, "MultiFactorAuthentication failed with invalid MFA one time pass code.")
	}
	// It gives no rights but the caller's, as docker passwords: a read.
	if err := c.s.read(c.record("sts:GetSessionToken", "*", "")); err != nil {
		return identity.Temporary{}, err
	}
	return c.s.cfg.Identity.IssueSession(ctx, identity.Session{UniqueID: c.p.UniqueID, Parent: c.p.KeyID, Duration: d})
}

// AssumeRoleWithWebIdentity begins a session of a role for the subject of a
// token that an issuer trusted by the role's account made. info is how the
// request came, which nobody signed.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, info access.RequestInfo, token string, a AssumeRole) (Assumed, error) {
	t, err := authn.ParseWebToken(token)
	if err != nil {
		return Assumed{}, &ecr.Error{Code: authn.CodeInvalidIdentityToken, Message: "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)", Err: err}
	}
	a.Tags, a.Transitive = Tags(t.Tags), t.TransitiveTags
	if err := a.check(); err != nil {
		return Assumed{}, err
	}
	var role meta.Role
	var issuer meta.Issuer
	var trusted bool
	err = s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		if role, err = s.roleOf(ctx, r, a.RoleARN); err != nil {
			return err
		}
		issuer, err = r.Issuer(ctx, role.Account, t.Issuer)
		trusted = err == nil
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return Assumed{}, storeError(err)
	}
	if !trusted || s.cfg.Issuers == nil {
		return Assumed{}, ecr.Errorf(authn.CodeInvalidIdentityToken, "No OpenIDConnect provider found in your account for %.200s", t.Issuer)
	}
	if err := s.cfg.Issuers.Verify(ctx, t, issuer.Audiences); err != nil {
		return Assumed{}, err
	}
	arn := s.ProviderARN(role.Account, issuer.URL)
	keys := a.context()
	name := providerName(issuer.URL)
	keys.Set(name+":sub", t.Subject)
	meant := slices.DeleteFunc(slices.Clone(t.Audiences), func(a string) bool { return !slices.Contains(issuer.Audiences, a) })
	keys.Set(name+":aud", meant...)
	keys.Set(name+":amr", t.AMR...)
	const assume access.Action = "sts:AssumeRoleWithWebIdentity"
	actions := []access.Action{assume}
	if len(t.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	for _, action := range actions {
		q := authz.Question(authz.Request{
			Principal: access.Principal{Request: info}, Action: action, Resource: a.RoleARN,
			Owner: role.Account, Region: a.Region, ResourceTags: role.Tags, RequestTags: t.Tags, TagKeys: tagKeys(a.Tags), Context: keys,
		})
		q.Principal = policy.Caller{Type: policy.Federated, ARN: arn}
		if role.UniqueID == "" || !trusts(q, role) {
			refused := ecr.Errorf(ecr.CodeAccessDenied, "Not authorized to perform %s", action)
			record := recordOf(access.Principal{ARN: arn + ":" + t.Subject, Request: info}, action, a.RoleARN, "")
			record.Reason = refused.Message
			return Assumed{}, s.denied(record, refused)
		}
	}
	err = s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error { return s.checkSession(ctx, r, role, a) })
	if err == nil {
		err = s.began(recordOf(access.Principal{ARN: arn + ":" + t.Subject, Request: info}, assume, a.RoleARN, "trust policy"))
	}
	if err != nil {
		return Assumed{}, storeError(err)
	}
	out, err := s.begin(ctx, role, identity.Session{
		UniqueID: role.UniqueID, Name: a.SessionName, Policy: a.Policy, PolicyARNs: a.PolicyARNs, Duration: a.Duration,
		Tags: t.Tags, Transitive: a.Transitive,
	})
	out.Subject, out.Audience, out.Provider = t.Subject, meant[0], arn
	return out, err
}

// DecodeAuthorizationMessage answers for messages that this server never
// encodes: its denials are in clear.
func (c *Caller) DecodeAuthorizationMessage(message string) error {
	what := "The message could not be decoded: this server's denials are not encoded."
	if json.Valid([]byte(message)) {
		what = "The message is not encoded."
	}
	return ecr.Errorf(CodeInvalidAuthorizationMessage, "%s", what)
}
