package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// within is a path of the console that to names, else its first page: nobody is sent
// elsewhere after a login.
func within(to string) string {
	path, _, _ := strings.Cut(to, "?")
	if !strings.HasPrefix(path, Root) || strings.ContainsAny(to, "\\\r\n") || strings.Contains(path, "//") || strings.Contains(path, "..") {
		return Root
	}
	return to
}

// login exchanges an access key for a session.
func (v *visit) login() error {
	if !v.post() {
		if v.req.Principal.ARN != "" {
			return v.to(within(v.query("to")))
		}
		return v.loginForm(nil, "")
	}
	key, secret, token := strings.TrimSpace(v.r.PostFormValue("key")), strings.TrimSpace(v.r.PostFormValue("secret")), strings.TrimSpace(v.r.PostFormValue("token"))
	cookie, err := v.req.Logins.LogIn(v.r.Context(), key, secret, token)
	switch ecr.CodeOf(err) {
	case "":
		if err != nil {
			return err
		}
	case ecr.CodeUnrecognizedClient, ecr.CodeExpiredToken:
		v.status = http.StatusUnauthorized
		text := t("The access key and the secret do not match, or the key is switched off.")
		if ecr.CodeOf(err) == ecr.CodeExpiredToken {
			text = t("These temporary credentials have expired.")
		}
		return v.loginForm(&message{Kind: "bad", Text: text}, key)
	case ecr.CodeThrottling:
		v.status = http.StatusTooManyRequests
		return v.loginForm(&message{Kind: "bad", Text: t("Too many logins have failed. Wait a minute, then try again.")}, key)
	default:
		return err
	}
	v.setCookie(cookie)
	return v.to(within(v.r.PostFormValue("to")))
}

func (v *visit) loginForm(m *message, key string) error {
	to := v.query("to")
	if v.post() {
		to = v.r.PostFormValue("to")
	}
	return v.show("login", layout{Title: t("Log in"), Message: m, Data: map[string]any{"To": within(to), "Key": key, "Providers": v.providers(within(to))}})
}

// open turns a one-time link into a session. It is looked at first, so that neither a
// preview of the link uses it up, nor anyone comes into a session unawares.
func (v *visit) open() error {
	code := v.query("code")
	if v.post() {
		code = v.r.PostFormValue("code")
	}
	p, err := v.req.Logins.LinkCaller(v.r.Context(), code)
	if err == nil && !v.post() {
		return v.show("open", layout{Title: t("Open the console"), Data: map[string]string{"Code": code, "Who": words.Principal(p.ARN)}})
	}
	cookie := ""
	if err == nil {
		cookie, err = v.req.Logins.OpenLink(v.r.Context(), code)
	}
	switch ecr.CodeOf(err) {
	case ecr.CodeUnrecognizedClient:
		v.status = http.StatusUnauthorized
		return v.loginForm(&message{Kind: "bad", Text: t("This link has been used, or its two minutes are over. Run kontor console for another one.")}, "")
	}
	if err != nil {
		return err
	}
	v.setCookie(cookie)
	return v.to(Root)
}

// logout ends the session.
func (v *visit) logout() error {
	if !v.post() {
		return v.to(Root)
	}
	if p := v.req.Principal; p.ARN != "" {
		if err := v.req.Logins.LogOut(v.r.Context(), p, v.req.Session.ID); err != nil {
			return err
		}
	}
	v.setCookie("")
	return v.to(Root + "login")
}

// setCookie gives the browser a session, or with "" takes it away.
func (v *visit) setCookie(value string) { v.cookie(CookieName(v.r), value, identity.ConsoleLifetime) }

// cookie gives the browser a cookie of the console's pages, or with "" takes it away.
func (v *visit) cookie(name, value string, lasts time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: strings.TrimSuffix(Root, "/"), MaxAge: int(lasts.Seconds()),
		HttpOnly: true, Secure: v.req.Secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}
