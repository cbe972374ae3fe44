package authn

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// SignInTime is how long a person may take to log in at a provider.
const SignInTime = 10 * time.Minute

// Provider is an OpenID Connect provider that people log in with, in a browser, and what
// this server is there.
type Provider struct {
	Name         string // for people, such as "Example Inc."
	Issuer       string // its URL
	ClientID     string
	ClientSecret string   // "" for a client without one
	Scopes       []string // besides "openid"
	// Hosts are hosts of the provider's, besides that of Issuer, that the server asks
	// and browsers are sent to. An issuer that names any other is refused.
	Hosts []string
}

// CheckHost says what is wrong with one of Provider.Hosts.
func CheckHost(h string) error {
	if u, err := url.Parse("//" + h); err != nil || u.Host != h || u.Hostname() == "" {
		return fmt.Errorf("%q: want a host, such as oauth2.googleapis.com", h)
	}
	return nil
}

// SignIn is a login that a browser has begun. It is kept with the browser, sealed.
type SignIn struct {
	Issuer   string    `json:"i"`
	ClientID string    `json:"c"`
	State    string    `json:"s"`
	Nonce    string    `json:"n,omitempty"`
	Verifier string    `json:"v,omitempty"` // RFC 7636; "" when the code was exchanged
	Redirect string    `json:"r,omitempty"` // where the provider sends the browser
	Until    time.Time `json:"u"`
}

// BeginSignIn begins a login with the authorization code flow and returns where to send
// the browser; it comes back to redirect (OpenID Connect Core 1.0, 3.1.2.1).
// Unavailable when the provider does not answer, AccessDenied when it names hosts that
// are not configured.
func (i *Issuers) BeginSignIn(ctx context.Context, p Provider, redirect string) (to string, s SignIn, err error) {
	about, err := i.discover(ctx, p.Issuer)
	if err != nil {
		return "", s, p.silent(err)
	}
	if err := p.checkHosts(about); err != nil {
		return "", s, err
	}
	s = SignIn{
		Issuer: p.Issuer, ClientID: p.ClientID, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Redirect: redirect, Until: i.cfg.Now().UTC().Add(SignInTime).Truncate(time.Second),
	}
	return p.client(about, redirect).AuthCodeURL(s.State, oauth2.S256ChallengeOption(s.Verifier), oauth2.SetAuthURLParam("nonce", s.Nonce)), s, nil
}

// ErrOtherSignIn: an answer of a provider is not to a login of this browser.
var ErrOtherSignIn error = ecr.Errorf(ecr.CodeExpiredToken, "This login was not begun in this browser, was finished before, or has taken more than %d minutes. Log in again.", SignInTime/time.Minute)

// Answers reports whether a provider's answer is to s, which has not ended at now.
func (s SignIn) Answers(answer url.Values, now time.Time) bool {
	return s.Verifier != "" && now.Before(s.Until) && subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(s.State)) == 1
}

// FinishSignIn exchanges what a browser came back with for an ID token, and verifies it:
// signature, time, audience, and that it is of this login. answer are the parameters of
// the redirect. Errors: AccessDenied; ExpiredToken; Unavailable.
func (i *Issuers) FinishSignIn(ctx context.Context, p Provider, s SignIn, answer url.Values) (token string, t WebToken, err error) {
	about, err := i.discover(ctx, p.Issuer)
	if err != nil {
		return "", t, p.silent(err)
	}
	iss := answer.Get("iss")
	switch {
	case !s.Answers(answer, i.cfg.Now()):
		return "", t, ErrOtherSignIn
	case iss != "" && iss != p.Issuer, iss == "" && about.NamesItself: // RFC 9207
		return "", t, ecr.Errorf(ecr.CodeAccessDenied, "The answer came from another identity provider than %s. Log in again.", p.Issuer)
	case answer.Get("error") == "access_denied":
		return "", t, ecr.Errorf(ecr.CodeAccessDenied, "%s did not let you log in.", p.Name)
	case answer.Get("error") != "":
		return "", t, ecr.Errorf(ecr.CodeAccessDenied, "%s refused the login: %.200s %.500s", p.Name, answer.Get("error"), answer.Get("error_description"))
	case answer.Get("code") == "":
		return "", t, ecr.Errorf(ecr.CodeAccessDenied, "The answer of %s has no code. Log in again.", p.Name)
	}
	if err := p.checkHosts(about); err != nil {
		return "", t, err
	}
	limited, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, i.client), fetchTime)
	defer cancel()
	got, err := p.client(about, s.Redirect).Exchange(limited, answer.Get("code"), oauth2.VerifierOption(s.Verifier))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError && refused.ErrorCode == "invalid_grant":
		return "", t, &ecr.Error{Code: ecr.CodeAccessDenied, Message: fmt.Sprintf("%s does not accept the code of this login: it has been used, or its time is over. Log in again.", p.Name), Err: err}
	case errors.As(err, &refused) && refused.ErrorCode != "":
		return "", t, &ecr.Error{Code: ecr.CodeAccessDenied, Message: fmt.Sprintf("%s refused the login: %.200s. Its operator compares the client ID and the client secret of the registry.", p.Name, refused.ErrorCode), Err: err}
	case err != nil:
		return "", t, p.silent(err)
	}
	token, _ = got.Extra("id_token").(string)
	if t, err = ParseWebToken(token); err != nil {
		return "", t, p.badToken(err)
	}
	return token, t, i.checkSignIn(ctx, p, s, t)
}

// checkSignIn checks a token as OpenID Connect Core 1.0, 3.1.3.7 says.
func (i *Issuers) checkSignIn(ctx context.Context, p Provider, s SignIn, t WebToken) error {
	if t.Issuer != p.Issuer {
		return p.badToken(fmt.Errorf("it is of the issuer %.200q", t.Issuer))
	}
	if err := i.verify(ctx, t, []string{p.ClientID}, p.checkHosts); err != nil {
		var known *ecr.Error
		switch {
		case !errors.As(err, &known):
			return err
		case known.Code == CodeIDPCommunicationError:
			return p.silent(err)
		case known.Code == CodeExpiredIdentityToken:
			return &ecr.Error{Code: ecr.CodeExpiredToken, Message: fmt.Sprintf("The token of %s has expired: its clock and that of the registry may differ. Log in again.", p.Name), Err: err}
		}
		return p.badToken(err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(t.Nonce), []byte(s.Nonce)) != 1:
		return p.badToken(errors.New("it is of another login"))
	case t.Party != "" && t.Party != p.ClientID, t.Party == "" && len(t.Audiences) > 1:
		return p.badToken(fmt.Errorf("it was made for the client %.200q", t.Party))
	}
	return nil
}

// badToken is what is told of a token that is not to be believed.
func (p Provider) badToken(err error) error {
	return &ecr.Error{Code: ecr.CodeAccessDenied, Message: fmt.Sprintf("The token of %s cannot be accepted: %v. Log in again.", p.Name, err), Err: err}
}

// silent is what is told when a provider does not answer, or not as it should.
func (p Provider) silent(err error) error {
	return &ecr.Error{Code: ecr.CodeUnavailable, Message: fmt.Sprintf("%s does not answer as an identity provider does. Try again in a minute, or log in with an access key.", p.Name), Err: err}
}

// client is what the server is at the provider.
func (p Provider) client(about discovery, redirect string) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	if p.ClientSecret == "" || len(about.Methods) > 0 && !slices.Contains(about.Methods, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	scopes := []string{"openid"}
	for _, s := range p.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{AuthURL: about.Authorize, TokenURL: about.Token, AuthStyle: style},
	}
}

// checkHosts refuses addresses of a provider that no one configured: the server asks
// none of them, and sends no browser there.
func (p Provider) checkHosts(about discovery) error {
	issuer, err := url.Parse(p.Issuer)
	if err != nil {
		return err
	}
	for _, at := range []struct{ name, url string }{{"authorization_endpoint", about.Authorize}, {"token_endpoint", about.Token}, {"jwks_uri", about.Keys}} {
		u, err := url.Parse(at.url)
		switch {
		case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
			err = fmt.Errorf("its %s is %.200q, which is not a URL", at.name, at.url)
		case u.Scheme != "https" && (u.Scheme != "http" || issuer.Scheme != "http"):
			err = fmt.Errorf("its %s is %.200q, which is not at https://", at.name, at.url)
		case !strings.EqualFold(u.Host, issuer.Host) && !slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, u.Host) }):
			err = fmt.Errorf("its %s is at %.200s. If that is right, the operator adds it to hosts of the provider in the settings of the server", at.name, u.Host)
		}
		if err != nil {
			return ecr.Errorf(ecr.CodeAccessDenied, "%s cannot be used: %v.", p.Name, err)
		}
	}
	return nil
}
