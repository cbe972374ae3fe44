package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

// SignInCallback is the page, below Root, that identity providers send browsers to.
const SignInCallback = "sso/callback"

// providers are the links that begin a login with an identity provider.
func (v *visit) providers(to string) (all []parts.Link) {
	for _, name := range v.Req.Logins.Providers() {
		all = append(all, parts.Link{Label: t("Log in with %s", parts.Clean(name)), To: parts.Root + "sso?" + url.Values{"provider": {name}, "to": {to}}.Encode()})
	}
	return all
}

// signIn sends the browser to an identity provider. It is a link, because browsers do
// not let forms lead to other sites here (form-action in secure).
func (v *visit) signIn() error {
	if v.Post() {
		return parts.NoPage()
	}
	// The provider sends the browser to one address, and cookies are those of a host.
	if scheme, at, _ := strings.Cut(v.Req.Self, "://"); v.R.Host != at && v.Query("moved") == "" {
		u := *v.R.URL
		u.Scheme, u.Host = scheme, at
		q := u.Query()
		q.Set("moved", "yes")
		u.RawQuery = q.Encode()
		return v.To(u.String())
	}
	to, kept, err := v.Req.Logins.BeginSignIn(v.R.Context(), v.Query("provider"), within(v.Query("to")))
	if err != nil {
		return v.refuseSignIn(err)
	}
	v.keepSignIn(kept)
	return v.To(to)
}

// signedIn takes the answer of an identity provider.
func (v *visit) signedIn() error {
	if v.Post() {
		return parts.NoPage()
	}
	done, err := v.Req.Logins.FinishSignIn(v.R.Context(), v.keptSignIn(), v.R.URL.Query())
	if err != nil {
		return v.refuseSignIn(err)
	}
	if done.Cookie != "" {
		return v.enter(done)
	}
	v.keepSignIn(done.Kept)
	return v.roleForm(done)
}

func (v *visit) roleForm(s parts.SignedIn) error {
	data := struct {
		Ticket string
		Roles  []iam.SignInRole
		More   string
	}{Ticket: s.Ticket}
	for i, r := range s.Roles {
		s.Roles[i].Description = parts.Clean(r.Description)
	}
	data.Roles = s.Roles
	if s.More {
		data.More = t("You may assume more than %d roles. The first of them, by name, are here.", len(s.Roles))
	}
	return v.show("roles", parts.Layout{Title: t("Choose a role"), Data: data})
}

// chooseRole begins the session with one of several roles.
func (v *visit) chooseRole() error {
	if !v.Post() {
		return v.To(parts.Root + "login")
	}
	done, err := v.Req.Logins.ChooseRole(v.R.Context(), v.keptSignIn(), v.R.PostFormValue("ticket"), v.R.PostFormValue("role"))
	if err != nil {
		return v.refuseSignIn(err)
	}
	return v.enter(done)
}

// enter gives the browser its session.
func (v *visit) enter(s parts.SignedIn) error {
	v.keepSignIn("")
	v.SetCookie(s.Cookie)
	return v.To(within(s.Back))
}

// refuseSignIn says on the login page why a login failed.
func (v *visit) refuseSignIn(err error) error {
	switch ecr.CodeOf(err) {
	case ecr.CodeAccessDenied, ecr.CodeExpiredToken, ecr.CodeUnrecognizedClient:
		v.Status = http.StatusUnauthorized
	case ecr.CodeThrottling:
		v.Status = http.StatusTooManyRequests
		v.keepSignIn("")
		return v.loginForm(&parts.Message{Kind: "bad", Text: t("Too many logins have failed. Wait a minute, then try again.")}, "")
	case ecr.CodeUnavailable:
		v.Status = http.StatusServiceUnavailable
	default:
		return err
	}
	if !errors.Is(err, authn.ErrOtherSignIn) { // any page leads browsers here: the login that is under way goes on
		v.keepSignIn("")
	}
	_, _, text := parts.Told(err, v.Req.ID)
	return v.loginForm(&parts.Message{Kind: "bad", Text: parts.Clean(text)}, "")
}

// signInCookie is the name of the cookie of a login with an identity provider.
func (v *visit) signInCookie() string { return "sso-" + parts.CookieName(v.R) }

func (v *visit) keptSignIn() string {
	c, err := v.R.Cookie(v.signInCookie())
	if err != nil {
		return ""
	}
	return c.Value
}

// keepSignIn lets the browser keep what a login needs, or with "" forget it.
func (v *visit) keepSignIn(kept string) {
	v.PutCookie(v.signInCookie(), kept, authn.SignInTime)
}
