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
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
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
	Transitive           []string // names of those of Tags that continue to the next role
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
func (s *Service) roleOf(ctx context.Context, r meta.IdentityReader, arn string) (meta.Role, error) {
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
	// The tags that the caller's own session hands on, which no one changes.
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

// load reads the role, asks whether the caller may assume it so, and puts on
// record that a session begins, before it does.
func (c *Caller) load(ctx context.Context, a AssumeRole, tags map[string]string) (role meta.Role, err error) {
	actions := []access.Action{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if a.SourceIdentity != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	err = c.gate.Ask(ctx, operation(actions[0]), func(ctx context.Context, v *gate.View) error {
		if role, err = c.s.roleOf(ctx, v.Identities(), a.RoleARN); err != nil {
			return err
		}
		for _, action := range actions {
			q := authz.Question(authz.Request{
				Principal: c.p, Action: action, Resource: a.RoleARN, Owner: role.Account, Region: a.Region,
				ResourceTags: role.Tags, RequestTags: tags, TagKeys: slices.Sorted(maps.Keys(tags)), Context: a.context(),
			})
			refused := fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s", c.p.ARN, action, a.RoleARN)
			if err := v.Decided(action, a.RoleARN, trusts(q, role, refused)); err != nil {
				return err
			}
		}
		return c.s.checkSession(ctx, v.Identities(), role, a)
	})
	return role, err
}

// trusts evaluates q with the trust policy of role, which must allow; refused is
// what the caller is told otherwise, also where there is no such role. STS's own
// keys that the call does not have are absent, not unknown.
func trusts(q policy.Request, role meta.Role, refused string) authz.Decision {
	lookup := q.Lookup
	q.Lookup = func(key string) ([]string, bool) {
		if values, known := lookup(key); known {
			return values, true
		}
		return nil, strings.HasPrefix(key, "sts:") || strings.Contains(strings.TrimPrefix(key, "aws:"), ":")
	}
	q.ResourceMustAllow = true
	q.ResourceBased = []policy.Named{{Name: trustPolicy, Policy: authz.Compile(role.Trust)}}
	if role.UniqueID == "" || policy.Evaluate(q).Outcome != policy.Allowed {
		return authz.Decision{Message: refused}
	}
	return authz.Decision{Allowed: true, By: trustPolicy}
}

// trustPolicy is what decides about sessions of a role, in the audit log.
const trustPolicy = "trust policy"

// checkSession checks what the role itself limits.
func (s *Service) checkSession(ctx context.Context, r meta.IdentityReader, role meta.Role, a AssumeRole) error {
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
	// It needs no permission, and gives no rights but the caller's, as docker
	// passwords: a read.
	err := c.gate.Read(ctx, operation("sts:GetSessionToken"), func(_ context.Context, v *gate.View) error {
		return v.Decided("sts:GetSessionToken", "*", authz.Decision{Allowed: true})
	})
	if err != nil {
		return identity.Temporary{}, err
	}
	return c.s.cfg.Identity.IssueSession(ctx, identity.Session{UniqueID: c.p.UniqueID, Parent: c.p.KeyID, Duration: d})
}

// AssumeRoleWithWebIdentity begins a session of a role for the subject of a
// token that an issuer trusted by the role's account made. info is how the
// request came, which no one signed.
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
	err = s.cfg.Gate.System("issuer of a web identity").Read(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) (err error) {
		if role, err = s.roleOf(ctx, v.Identities(), a.RoleARN); err != nil {
			return err
		}
		issuer, err = v.Identities().Issuer(ctx, role.Account, t.Issuer)
		trusted = err == nil
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return Assumed{}, err
	}
	if !trusted || s.cfg.Issuers == nil {
		return Assumed{}, ecr.Errorf(authn.CodeInvalidIdentityToken, "No OpenIDConnect provider found in your account for %.200s", t.Issuer)
	}
	if err := s.cfg.Issuers.Verify(ctx, t, issuer.Audiences); err != nil {
		return Assumed{}, err
	}
	arn := s.ProviderARN(role.Account, issuer.URL)
	who := s.cfg.Gate.As(access.Principal{ARN: arn + ":" + t.Subject, Request: info})
	err = who.Ask(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) (err error) {
		// As it is now: the issuer took its time.
		if role, err = s.roleOf(ctx, v.Identities(), a.RoleARN); err != nil {
			return err
		}
		if err := s.askTrust(webRole{role: role, arn: a.RoleARN, issuer: issuer}, t, a, info, v.Decided); err != nil {
			return err
		}
		return s.checkSession(ctx, v.Identities(), role, a)
	})
	if err != nil {
		return Assumed{}, err
	}
	out, err := s.begin(ctx, role, identity.Session{
		UniqueID: role.UniqueID, Name: a.SessionName, Policy: a.Policy, PolicyARNs: a.PolicyARNs, Duration: a.Duration,
		Tags: t.Tags, Transitive: a.Transitive,
	})
	out.Subject, out.Audience, out.Provider = t.Subject, meant(t, issuer.Audiences)[0], arn
	return out, err
}

// assumeByToken is what AssumeRoleWithWebIdentity asks for.
const assumeByToken access.Action = "sts:AssumeRoleWithWebIdentity"

// DecodeAuthorizationMessage answers for messages that this server never
// encodes: its denials are in clear.
func (c *Caller) DecodeAuthorizationMessage(message string) error {
	what := "The message could not be decoded: this server's denials are not encoded."
	if json.Valid([]byte(message)) {
		what = "The message is not encoded."
	}
	return ecr.Errorf(CodeInvalidAuthorizationMessage, "%s", what)
}

// ServiceRole returns a session of a role for a service of AWS that acts in the
// registry at, such as "ecr.amazonaws.com". ok is false when there is no such role in
// the registry's account, or it does not let the service assume it.
func (s *Service) ServiceRole(ctx context.Context, r meta.IdentityReader, roleARN, service string, at ecr.RegistryID) (p access.Principal, ok bool, err error) {
	role, err := s.roleOf(ctx, r, roleARN)
	if err != nil || role.UniqueID == "" || role.Account != at.Account {
		return p, false, err
	}
	q := authz.Question(authz.Request{Action: "sts:AssumeRole", Resource: roleARN, Owner: role.Account, Region: at.Region, ResourceTags: role.Tags})
	q.Principal = policy.Caller{Type: policy.Service, ARN: service}
	if d := trusts(q, role, ""); !d.Allowed {
		return p, false, nil
	}
	p, err = s.cfg.Identity.RolePrincipal(ctx, r, role, "ecr")
	return p, err == nil, err
}
