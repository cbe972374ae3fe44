package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// SignInCallback is the page, below Root, that identity providers send browsers to.
const SignInCallback = "sso/callback"

// providers are the links that begin a login with an identity provider.
func (v *visit) providers(to string) (all []link) {
	for _, name := range v.req.Logins.Providers() {
		all = append(all, link{Label: t("Log in with %s", clean(name)), To: Root + "sso?" + url.Values{"provider": {name}, "to": {to}}.Encode()})
	}
	return all
}

// signIn sends the browser to an identity provider. It is a link, because browsers do
// not let forms lead to other sites here (form-action in secure).
func (v *visit) signIn() error {
	if v.post() {
		return noPage()
	}
	// The provider sends the browser to one address, and cookies are those of a host.
	if scheme, at, _ := strings.Cut(v.req.Self, "://"); v.r.Host != at && v.query("moved") == "" {
		u := *v.r.URL
		u.Scheme, u.Host = scheme, at
		q := u.Query()
		q.Set("moved", "yes")
		u.RawQuery = q.Encode()
		return v.to(u.String())
	}
	to, kept, err := v.req.Logins.BeginSignIn(v.r.Context(), v.query("provider"), within(v.query("to")))
	if err != nil {
		return v.refuseSignIn(err)
	}
	v.keepSignIn(kept)
	return v.to(to)
}

// signedIn takes the answer of an identity provider.
func (v *visit) signedIn() error {
	if v.post() {
		return noPage()
	}
	done, err := v.req.Logins.FinishSignIn(v.r.Context(), v.keptSignIn(), v.r.URL.Query())
	if err != nil {
		return v.refuseSignIn(err)
	}
	if done.Cookie != "" {
		return v.enter(done)
	}
	v.keepSignIn(done.Kept)
	return v.roleForm(done)
}

func (v *visit) roleForm(s SignedIn) error {
	data := struct {
		Ticket string
		Roles  []iam.SignInRole
		More   string
	}{Ticket: s.Ticket}
	for i, r := range s.Roles {
		s.Roles[i].Description = clean(r.Description)
	}
	data.Roles = s.Roles
	if s.More {
		data.More = t("You may assume more than %d roles. The first of them, by name, are here.", len(s.Roles))
	}
	return v.show("roles", layout{Title: t("Choose a role"), Data: data})
}

// chooseRole begins the session with one of several roles.
func (v *visit) chooseRole() error {
	if !v.post() {
		return v.to(Root + "login")
	}
	done, err := v.req.Logins.ChooseRole(v.r.Context(), v.keptSignIn(), v.r.PostFormValue("ticket"), v.r.PostFormValue("role"))
	if err != nil {
		return v.refuseSignIn(err)
	}
	return v.enter(done)
}

// enter gives the browser its session.
func (v *visit) enter(s SignedIn) error {
	v.keepSignIn("")
	v.setCookie(s.Cookie)
	return v.to(within(s.Back))
}

// refuseSignIn says on the login page why a login failed.
func (v *visit) refuseSignIn(err error) error {
	switch ecr.CodeOf(err) {
	case ecr.CodeAccessDenied, ecr.CodeExpiredToken, ecr.CodeUnrecognizedClient:
		v.status = http.StatusUnauthorized
	case ecr.CodeThrottling:
		v.status = http.StatusTooManyRequests
		v.keepSignIn("")
		return v.loginForm(&message{Kind: "bad", Text: t("Too many logins have failed. Wait a minute, then try again.")}, "")
	case ecr.CodeUnavailable:
		v.status = http.StatusServiceUnavailable
	default:
		return err
	}
	if !errors.Is(err, authn.ErrOtherSignIn) { // any page leads browsers here: the login that is under way goes on
		v.keepSignIn("")
	}
	_, _, text := told(err, v.req.ID)
	return v.loginForm(&message{Kind: "bad", Text: clean(text)}, "")
}

// signInCookie is the name of the cookie of a login with an identity provider.
func (v *visit) signInCookie() string { return "sso-" + CookieName(v.r) }

func (v *visit) keptSignIn() string {
	c, err := v.r.Cookie(v.signInCookie())
	if err != nil {
		return ""
	}
	return c.Value
}

// keepSignIn lets the browser keep what a login needs, or with "" forget it.
func (v *visit) keepSignIn(kept string) {
	v.cookie(v.signInCookie(), kept, authn.SignInTime)
}
