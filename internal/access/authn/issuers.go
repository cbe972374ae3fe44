package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Codes of STS for tokens of identity providers (AWS STS API reference,
// AssumeRoleWithWebIdentity, "Errors").
const (
	CodeInvalidIdentityToken  ecr.Code = "InvalidIdentityToken"
	CodeExpiredIdentityToken  ecr.Code = "ExpiredWebIdentityToken" // on the wire ExpiredTokenException
	CodeIDPRejectedClaim      ecr.Code = "IDPRejectedClaim"
	CodeIDPCommunicationError ecr.Code = "IDPCommunicationError"
)

const (
	keysAge      = time.Hour       // how long an issuer's keys are used without asking again
	keysAgain    = time.Minute     // how soon they are asked for again, for a key that is new
	fetchTime    = 5 * time.Second // for both documents of an issuer
	maxDocument  = 512 << 10       // bytes of each
	maxIssuers   = 1000            // whose keys are kept
	discoverPath = "/.well-known/openid-configuration"
)

// IssuersConfig is what Issuers are made of.
type IssuersConfig struct {
	// Now is the authentication clock. Required.
	Now func() time.Time
	// Transport reaches the issuers; default http.DefaultTransport.
	Transport http.RoundTripper
}

// Issuers verifies tokens of OpenID Connect identity providers. It asks an
// issuer for its keys (OpenID Connect Discovery 1.0) and keeps them for an
// hour; keys that it does not know make it ask again, once a minute at most.
// It is safe for concurrent use.
type Issuers struct {
	cfg    IssuersConfig
	client *http.Client

	mu   sync.Mutex
	sets map[string]*keySet // by issuer; guarded by mu
}

// keySet is what an issuer said last. The locks asking and telling are held while it is
// asked for keys and for what it says of itself, so that others wait for the answer
// rather than ask, too. Logins, which strangers begin, hold up no verification of
// tokens, and who needs only what is known waits for no one.
type keySet struct {
	asking, telling sync.Mutex

	mu   sync.Mutex  // is held for moments
	keys []publicKey // guarded by mu
	kept time.Time   // when keys were said; guarded by mu
	said asked       // keys; guarded by asking
	// What it said of itself, for logins. Its keys were not asked for then: the hosts
	// that it names are looked at first.
	about discovery // guarded by telling
	told  asked     // about; guarded by telling
}

// known are the keys that may have signed t, where those that are kept still hold.
func (s *keySet) known(t WebToken, now time.Time) []publicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !(asked{at: s.kept}).fresh(now) {
		return nil
	}
	return t.matching(s.keys)
}

// asked is when an issuer was asked for something.
type asked struct {
	at  time.Time // when it said so
	try time.Time // the last
	err error     // of the last try
}

// fresh reports whether what was said still holds.
func (a asked) fresh(now time.Time) bool { return !a.at.IsZero() && now.Sub(a.at).Abs() < keysAge }

// ask asks with ask, unless that was done a moment ago. It takes fetchTime at most, and
// goes on when ctx is cancelled: others may wait for the answer.
func (a *asked) ask(ctx context.Context, now time.Time, ask func(context.Context) error) error {
	if !a.try.IsZero() && now.Sub(a.try).Abs() < keysAgain {
		return a.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
	defer cancel()
	err := ask(ctx)
	if a.try, a.err = now, err; err == nil {
		a.at = now
	}
	return err
}

// discovery is what an issuer says of itself (OpenID Connect Discovery 1.0, 3).
type discovery struct {
	Issuer    string `json:"issuer"`
	Keys      string `json:"jwks_uri"`
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
	// Methods are the ways in which a client says its secret; none is "client_secret_basic".
	Methods []string `json:"token_endpoint_auth_methods_supported"`
	// NamesItself: it says in each answer which issuer it is (RFC 9207, 3).
	NamesItself bool `json:"authorization_response_iss_parameter_supported"`
}

// NewIssuers returns Issuers that know no keys yet.
func NewIssuers(cfg IssuersConfig) *Issuers {
	return &Issuers{cfg: cfg, sets: map[string]*keySet{}, client: &http.Client{
		Transport: cfg.Transport, Timeout: fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// CheckIssuerURL says what is wrong with the URL of an issuer: it is https,
// or http on this machine, and has no query.
func CheckIssuerURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fmt.Errorf("%q is not a URL", text)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !local), u.Host == "":
		return fmt.Errorf("%q: want a URL that begins with https://", text)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.ForceQuery:
		return fmt.Errorf("%q: a URL of an issuer has no query, no fragment and no user", text)
	}
	return nil
}

// Verify checks that t was signed by its issuer, which the caller has found to
// be one it trusts, that its time has come and not gone, and that one of
// audiences is meant.
//
// Errors: InvalidIdentityToken, ExpiredTokenException, IDPCommunicationError
// when the issuer's keys cannot be read.
func (i *Issuers) Verify(ctx context.Context, t WebToken, audiences []string) error {
	return i.verify(ctx, t, audiences, func(discovery) error { return nil })
}

// verify is Verify that asks for keys only where check accepts what the issuer says of
// itself.
func (i *Issuers) verify(ctx context.Context, t WebToken, audiences []string, check func(discovery) error) error {
	now := i.cfg.Now()
	keys, err := i.keys(ctx, t, now, check)
	if err != nil {
		return &ecr.Error{Code: CodeIDPCommunicationError, Message: "Could not read the keys of the identity provider " + t.Issuer + ". Try again later.", Err: err}
	}
	verified := false
	for _, k := range keys {
		verified = verified || t.signedBy(k)
	}
	switch {
	case len(keys) == 0:
		return ecr.Errorf(CodeInvalidIdentityToken, "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case !verified:
		return ecr.Errorf(CodeInvalidIdentityToken, "The ID Token provided is not a valid JWT. (The signature does not verify.)")
	case !now.Before(t.Expires.Add(jwtSkew)):
		return ecr.Errorf(CodeExpiredIdentityToken, "Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), t.Expires.Unix())
	case now.Add(jwtSkew).Before(t.NotBefore) || now.Add(jwtSkew).Before(t.IssuedAt):
		return ecr.Errorf(CodeInvalidIdentityToken, "Token is not yet valid: current date/time %d", now.Unix())
	}
	for _, a := range t.Audiences {
		for _, known := range audiences {
			if a == known {
				return nil
			}
		}
	}
	return ecr.Errorf(CodeInvalidIdentityToken, "Incorrect token audience")
}

// set is what is kept of an issuer.
func (i *Issuers) set(issuer string) *keySet {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := i.sets[issuer]
	if set == nil {
		for other := range i.sets { // any, where there are too many
			if len(i.sets) < maxIssuers {
				break
			}
			delete(i.sets, other)
		}
		set = &keySet{}
		i.sets[issuer] = set
	}
	return set
}

// keys are those that may have signed t.
func (i *Issuers) keys(ctx context.Context, t WebToken, now time.Time, check func(discovery) error) ([]publicKey, error) {
	set := i.set(t.Issuer)
	if found := set.known(t, now); len(found) > 0 {
		return found, nil
	}
	set.asking.Lock()
	defer set.asking.Unlock()
	if found := set.known(t, now); len(found) > 0 { // others have asked
		return found, nil
	}
	err := set.said.ask(ctx, now, func(ctx context.Context) error {
		keys, err := i.fetch(ctx, t.Issuer, check)
		if err != nil {
			return err
		}
		set.mu.Lock()
		defer set.mu.Unlock()
		set.keys, set.kept = keys, now
		return nil
	})
	if err != nil {
		return nil, err
	}
	return set.known(t, now), nil
}

// discover is what an issuer said of itself in the last hour.
func (i *Issuers) discover(ctx context.Context, issuer string) (discovery, error) {
	set, now := i.set(issuer), i.cfg.Now()
	set.telling.Lock()
	defer set.telling.Unlock()
	if set.told.fresh(now) {
		return set.about, nil
	}
	err := set.told.ask(ctx, now, func(ctx context.Context) error {
		about, err := i.describe(ctx, issuer)
		if err == nil {
			set.about = about
		}
		return err
	})
	return set.about, err
}

// fetch asks the issuer where its keys are, and for them where check accepts that.
func (i *Issuers) fetch(ctx context.Context, issuer string, check func(discovery) error) ([]publicKey, error) {
	about, err := i.describe(ctx, issuer)
	if err != nil {
		return nil, err
	}
	if err := check(about); err != nil {
		return nil, err
	}
	// Only an issuer on this machine may send the server to addresses of it.
	if !strings.HasPrefix(about.Keys, "https://") && !strings.HasPrefix(issuer, "http://") {
		return nil, fmt.Errorf("configuration of %s: its keys are at %.200q, not at https://", issuer, about.Keys)
	}
	text, err := i.get(ctx, about.Keys)
	if err != nil {
		return nil, err
	}
	return parseKeys(text)
}

// describe asks the issuer what it says of itself.
func (i *Issuers) describe(ctx context.Context, issuer string) (about discovery, err error) {
	text, err := i.get(ctx, strings.TrimSuffix(issuer, "/")+discoverPath)
	if err != nil {
		return about, err
	}
	if err := json.Unmarshal(text, &about); err != nil {
		return about, fmt.Errorf("configuration of %s: %w", issuer, err)
	}
	if about.Issuer != issuer { // OpenID Connect Discovery 1.0, 4.3
		return about, fmt.Errorf("configuration of %s: its issuer is %.200q", issuer, about.Issuer)
	}
	return about, nil
}

func (i *Issuers) get(ctx context.Context, from string) (_ []byte, err error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, fmt.Errorf("%.200q is not a URL", from)
	}
	u.RawQuery = ""
	if err := CheckIssuerURL(u.String()); err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	resp, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d", from, resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%s: longer than %d bytes", from, maxDocument)
	}
	return text, err
}
