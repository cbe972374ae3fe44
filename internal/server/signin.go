package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

// What browsers keep of a login with an identity provider, and what their forms have, is
// sealed for these purposes.
const (
	signInPurpose = "login to the console"
	ticketPurpose = "choice of a role"
)

// keptSignIn is what a browser keeps of a login that it has begun.
type keptSignIn struct {
	authn.SignIn
	Back string `json:"b"`
}

// ticket is an ID token on its way through the form that chooses a role. It is of use
// only to the browser that keeps the login it is of.
type ticket struct {
	State string    `json:"s"`
	Token string    `json:"t"`
	Until time.Time `json:"u"`
}

// Providers implements console.Logins.
func (c *consoleLogins) Providers() (names []string) {
	for _, p := range c.s.cfg.SignIn {
		names = append(names, p.Name)
	}
	return names
}

// provider finds the one that fits.
func (c *consoleLogins) provider(fits func(authn.Provider) bool) (authn.Provider, error) {
	for _, p := range c.s.cfg.SignIn {
		if fits(p) {
			return p, nil
		}
	}
	return authn.Provider{}, ecr.Errorf(ecr.CodeAccessDenied, "This server has no such identity provider. Log in with another one, or with an access key.")
}

// failuresOf is the name under which failed logins with p count, as long as it is not
// known who logs in.
func (c *consoleLogins) failuresOf(p authn.Provider) string {
	return source(c.r.RemoteAddr) + " sign-in " + p.Issuer
}

// failuresBy is the name under which failed logins of one person count, so that they lock
// out no one else behind the same address. The token was verified.
func (c *consoleLogins) failuresBy(p authn.Provider, t authn.WebToken) string {
	sum := sha256.Sum256([]byte(t.Subject))
	return c.failuresOf(p) + " " + hex.EncodeToString(sum[:])
}

// wait is rateExceeded where too many logins have failed under the name.
func (c *consoleLogins) wait(name string) error {
	if c.s.limits.logins.wait(name, c.s.cfg.AuthNow()) > 0 {
		return rateExceeded
	}
	return nil
}

// maxCause is how many bytes of the cause of a failed login are logged: it may hold all
// that a provider answered.
const maxCause = 500

// logCause logs why a login failed, where the person is not told all of it.
func (c *consoleLogins) logCause(ctx context.Context, p authn.Provider, err error) {
	cause := errors.Unwrap(err)
	if cause == nil {
		return
	}
	text := cause.Error()
	text = strings.ToValidUTF8(text[:min(len(text), maxCause)], "")
	c.s.cfg.Log.InfoContext(ctx, "login with an identity provider failed", "request_id", c.req.id, "issuer", p.Issuer, "error", text)
}

// BeginSignIn implements console.Logins.
func (c *consoleLogins) BeginSignIn(ctx context.Context, provider, back string) (to, kept string, err error) {
	p, err := c.provider(func(p authn.Provider) bool { return p.Name == provider })
	if err != nil {
		return "", "", err
	}
	if err := c.wait(c.failuresOf(p)); err != nil {
		return "", "", err
	}
	if err := c.iam.Trusted(ctx, c.req.binding.Registry.Account, p); err != nil {
		return "", "", err
	}
	at := c.s.consoleURL(c.r, c.req)
	to, begun, err := c.s.issuers.BeginSignIn(ctx, p, at.Scheme+"://"+at.Host+parts.Root+console.SignInCallback)
	if err != nil {
		c.logCause(ctx, p, err)
		return "", "", err
	}
	kept, err = c.users.Sealed(ctx, signInPurpose, keptSignIn{begun, back})
	return to, kept, err
}

// opened is what a browser kept of a login, and the provider of it.
func (c *consoleLogins) opened(ctx context.Context, kept string) (k keptSignIn, p authn.Provider, err error) {
	err = c.users.Opened(ctx, signInPurpose, kept, &k)
	if ecr.CodeOf(err) == ecr.CodeUnrecognizedClient {
		err = authn.ErrOtherSignIn
	}
	if err != nil {
		return k, p, err
	}
	p, err = c.provider(func(p authn.Provider) bool { return p.Issuer == k.Issuer && p.ClientID == k.ClientID })
	return k, p, err
}

// FinishSignIn implements console.Logins. An answer to a login that this browser did not
// begin is not counted as a failed login: any page can lead a browser here.
func (c *consoleLogins) FinishSignIn(ctx context.Context, kept string, answer url.Values) (done parts.SignedIn, err error) {
	k, p, err := c.opened(ctx, kept)
	if err != nil {
		return done, err
	}
	if !k.Answers(answer, c.s.cfg.AuthNow()) {
		return done, authn.ErrOtherSignIn
	}
	name := c.failuresOf(p)
	if err := c.wait(name); err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			c.s.failedAs(c.r, c.req, name, "", err)
			c.logCause(ctx, p, err)
		}
	}()
	token, t, err := c.s.issuers.FinishSignIn(ctx, p, k.SignIn, answer)
	if err != nil {
		return done, err
	}
	name = c.failuresBy(p, t)
	if err := c.wait(name); err != nil {
		return done, err
	}
	in := c.person(token)
	done.Roles, done.More, err = c.iam.SignInRoles(ctx, in)
	if err != nil {
		return done, err
	}
	switch len(done.Roles) {
	case 0:
		return done, ecr.Errorf(ecr.CodeAccessDenied, "%s knows you as %.200s, but no role of account %s lets you in. Ask an administrator to name this subject in the trust policy of a role.", p.Name, t.Subject, in.Account)
	case 1:
		return c.signIn(ctx, p, name, in, done.Roles[0].ARN, k.Back)
	}
	// The code is used up, so that the answer is of no use again.
	k.Verifier, k.Nonce, k.Redirect = "", "", ""
	if done.Kept, err = c.users.Sealed(ctx, signInPurpose, k); err != nil {
		return done, err
	}
	done.Ticket, err = c.users.Sealed(ctx, ticketPurpose, ticket{k.State, token, k.Until})
	return done, err
}

// ChooseRole implements console.Logins.
func (c *consoleLogins) ChooseRole(ctx context.Context, kept, text, role string) (done parts.SignedIn, err error) {
	k, p, err := c.opened(ctx, kept)
	if err != nil {
		return done, err
	}
	var t ticket
	err = c.users.Opened(ctx, ticketPurpose, text, &t)
	switch {
	case ecr.CodeOf(err) == ecr.CodeUnrecognizedClient,
		err == nil && (subtle.ConstantTimeCompare([]byte(t.State), []byte(k.State)) != 1 || !c.s.cfg.AuthNow().Before(t.Until)):
		return done, authn.ErrOtherSignIn
	case err != nil:
		return done, err
	}
	who, err := authn.ParseWebToken(t.Token)
	if err != nil {
		return done, err
	}
	name := c.failuresBy(p, who)
	if err := c.wait(name); err != nil {
		return done, err
	}
	done, err = c.signIn(ctx, p, name, c.person(t.Token), role, k.Back)
	if err != nil {
		c.s.failedAs(c.r, c.req, name, "", err)
	}
	return done, err
}

// person is who holds an ID token that was verified.
func (c *consoleLogins) person(token string) iam.SignIn {
	at := c.req.binding.Registry
	return iam.SignIn{Account: at.Account, Region: at.Region, Token: token, Info: c.s.consoleInfo(c.r, c.req)}
}

// signIn begins the session of a person whose failures count under the name.
func (c *consoleLogins) signIn(ctx context.Context, p authn.Provider, name string, in iam.SignIn, role, back string) (done parts.SignedIn, err error) {
	cookie, who, err := c.iam.SignIn(ctx, in, role)
	if err != nil {
		return done, err
	}
	c.req.principal = who
	c.s.limits.logins.succeeded(c.failuresOf(p))
	c.s.limits.logins.succeeded(name)
	return parts.SignedIn{Cookie: cookie, Back: back}, nil
}
