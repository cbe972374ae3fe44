package iam

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/policy"
)

// WebLogin is a token of an identity provider that was sent as a docker password.
type WebLogin struct {
	// Role is what the user name was: the ARN of a role, or the name of one in
	// Account, with its path or without.
	Role    string
	Account ecr.AccountID
	Token   string
	Region  ecr.Region
	Info    access.RequestInfo
}

// WebLogin returns a session of a role for the holder of a token of an identity
// provider, as AssumeRoleWithWebIdentity begins it. It lasts for one request: the token
// is verified with every request, and the role, its trust policy and the provider count
// as they are then. The session has the name of the token's subject.
//
// Errors: ExpiredToken; AccessDenied, also for a role that does not exist;
// Unavailable when the provider's keys cannot be read.
func (s *Service) WebLogin(ctx context.Context, l WebLogin) (access.Principal, error) {
	t, err := authn.ParseWebToken(l.Token)
	if err != nil {
		return access.Principal{}, &ecr.Error{Code: ecr.CodeAccessDenied, Message: "The password is not a token of an identity provider: " + err.Error(), Err: err}
	}
	w, err := s.webRole(ctx, l, t)
	if err != nil {
		return access.Principal{}, err
	}
	if s.cfg.Issuers == nil {
		return access.Principal{}, notTrusted(t.Issuer)
	}
	if err := s.cfg.Issuers.Verify(ctx, t, w.issuer.Audiences); err != nil {
		return access.Principal{}, loginError(err)
	}
	return s.enterRole(ctx, l, t, w.role.Account)
}

// notTrusted is what is told of a provider that the account does not know.
func notTrusted(issuer string) error {
	return ecr.Errorf(ecr.CodeAccessDenied, "No OpenIDConnect provider found in your account for %.200s", issuer)
}

// loginError is an error of a verification, in the codes of a login.
func loginError(err error) error {
	var known *ecr.Error
	if !errors.As(err, &known) {
		return err
	}
	out := *known
	switch known.Code {
	case authn.CodeExpiredIdentityToken:
		out.Code = ecr.CodeExpiredToken
	case authn.CodeIDPCommunicationError:
		out.Code = ecr.CodeUnavailable
	case authn.CodeInvalidIdentityToken, authn.CodeIDPRejectedClaim:
		out.Code = ecr.CodeAccessDenied
	}
	return &out
}

// webRole is a role, and what its account knows of a provider.
type webRole struct {
	role   meta.Role
	arn    string // "" for a role that does not exist
	issuer meta.Issuer
}

// webRole reads the role of a login, and the provider of its token. The role may not
// exist; what is told is the same.
func (s *Service) webRole(ctx context.Context, l WebLogin, t authn.WebToken) (w webRole, err error) {
	err = s.cfg.Gate.System("issuer of a web identity").Read(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) error {
		w, err = s.readWebRole(ctx, v.Identities(), l, t)
		return err
	})
	return w, err
}

func (s *Service) readWebRole(ctx context.Context, r meta.IdentityReader, l WebLogin, t authn.WebToken) (w webRole, err error) {
	if strings.HasPrefix(l.Role, "arn:") {
		w.role, err = s.roleOf(ctx, r, l.Role)
	} else {
		name := l.Role[strings.LastIndexByte(l.Role, '/')+1:]
		w.role, err = r.Role(ctx, l.Account, name)
		wanted := strings.Trim(l.Role, "/")
		if errors.Is(err, meta.ErrNotFound) || err == nil && wanted != name && wanted != strings.TrimPrefix(identity.PathOf(w.role.Path), "/")+name {
			w.role, err = meta.Role{Account: l.Account}, nil
		}
	}
	if err != nil {
		if ecr.CodeOf(err) == ecr.CodeValidation {
			err = ecr.Errorf(ecr.CodeAccessDenied, "The user name %.200s is neither the ARN nor the name of a role.", l.Role)
		}
		return w, err
	}
	if w.role.UniqueID != "" {
		w.arn = identity.RoleARN(s.cfg.Partition, w.role)
	}
	w.issuer, err = r.Issuer(ctx, w.role.Account, t.Issuer)
	if errors.Is(err, meta.ErrNotFound) {
		return w, notTrusted(t.Issuer)
	}
	return w, err
}

// enterRole asks the trust policy of the role, and makes the session. That it was
// asked goes on record once for each token and role, not with each request of a push.
func (s *Service) enterRole(ctx context.Context, l WebLogin, t authn.WebToken, account ecr.AccountID) (p access.Principal, err error) {
	who := s.cfg.Gate.As(access.Principal{ARN: s.ProviderARN(account, t.Issuer) + ":" + t.Subject, Request: l.Info})
	key := sha256.Sum256([]byte(l.Role + "\x00" + string(l.Account) + "\x00" + l.Token))
	ask := who.Ask
	if s.logins.known(key, s.cfg.Now()) {
		ask = who.Read
	}
	err = ask(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) error {
		w, err := s.readWebRole(ctx, v.Identities(), l, t)
		if err != nil {
			return err
		}
		session := sessionName(t.Subject)
		a := AssumeRole{SessionName: session, Region: l.Region, Tags: Tags(t.Tags), Transitive: t.TransitiveTags}
		if _, err := checkTags(nil, a.Tags); err != nil {
			return err
		}
		if err := s.askTrust(w, t, a, l.Info, v.Decided); err != nil {
			return err
		}
		p, err = s.cfg.Identity.WebSession(ctx, v.Identities(), identity.Session{
			UniqueID: w.role.UniqueID, Name: session, Tags: t.Tags, Transitive: a.Transitive,
		}, t.IssuedAt)
		return err
	})
	if err == nil {
		s.logins.add(key, t.Expires)
	}
	return p, err
}

// askTrust asks the trust policy of w's role whether the holder of t may begin the session
// a, action by action, and tells decided. The first error of decided ends it.
func (s *Service) askTrust(w webRole, t authn.WebToken, a AssumeRole, info access.RequestInfo, decided func(access.Action, string, authz.Decision) error) error {
	keys := a.context()
	name := providerName(w.issuer.URL)
	keys.Set(name+":sub", t.Subject)
	keys.Set(name+":aud", meant(t, w.issuer.Audiences)...)
	keys.Set(name+":amr", t.AMR...)
	actions := []access.Action{assumeByToken}
	if len(t.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	resource := w.arn
	if resource == "" {
		resource = "*"
	}
	for _, action := range actions {
		q := authz.Question(authz.Request{
			Principal: access.Principal{Request: info}, Action: action, Resource: resource,
			Owner: w.role.Account, Region: a.Region, ResourceTags: w.role.Tags, RequestTags: t.Tags, TagKeys: tagKeys(a.Tags), Context: keys,
		})
		q.Principal = policy.Caller{Type: policy.Federated, ARN: s.ProviderARN(w.role.Account, w.issuer.URL)}
		if err := decided(action, resource, trusts(q, w.role, "Not authorized to perform "+string(action))); err != nil {
			return err
		}
	}
	return nil
}

// meant are those of a token's audiences that the account knows.
func meant(t authn.WebToken, audiences []string) (out []string) {
	for _, a := range t.Audiences {
		for _, known := range audiences {
			if a == known {
				out = append(out, a)
			}
		}
	}
	return out
}

var notInSessions = lazyregexp.New(`[^A-Za-z0-9_+=,.@-]+`)

// sessionName is a subject as the name of a session: of 2 to 64 characters, of which
// the last say most, such as those of "repo:team/app:ref:refs/heads/main".
func sessionName(subject string) string {
	const least, most = 2, 64
	name := strings.Trim(notInSessions.ReplaceAllString(subject, "-"), "-")
	name = name[max(0, len(name)-most):]
	if len(name) < least {
		name = "id-" + name
	}
	return name
}

// logins are tokens of identity providers that are on record, until they expire.
type logins struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]time.Time // guarded by mu
}

// maxLogins bounds them: one that was forgotten is on record again.
const maxLogins = 10_000

func (l *logins) known(key [sha256.Size]byte, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until, ok := l.all[key]; ok && now.Before(until) {
		return true
	}
	for k, until := range l.all {
		if !now.Before(until) {
			delete(l.all, k)
		}
	}
	return false
}

func (l *logins) add(key [sha256.Size]byte, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil || len(l.all) >= maxLogins {
		l.all = map[[sha256.Size]byte]time.Time{}
	}
	l.all[key] = until
}
