package console

import (
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// within is a path of the console that to names, else its first page: nobody is sent
// elsewhere after a login.
func within(to string) string {
	path, _, _ := strings.Cut(to, "?")
	if !strings.HasPrefix(path, parts.Root) || strings.ContainsAny(to, "\\\r\n") || strings.Contains(path, "//") || strings.Contains(path, "..") {
		return parts.Root
	}
	return to
}

// login exchanges an access key for a session.
func (v *visit) login() error {
	if !v.Post() {
		if v.Req.Principal.ARN != "" {
			return v.To(within(v.Query("to")))
		}
		return v.loginForm(nil, "")
	}
	key, secret, token := strings.TrimSpace(v.R.PostFormValue("key")), strings.TrimSpace(v.R.PostFormValue("secret")), strings.TrimSpace(v.R.PostFormValue("token"))
	cookie, err := v.Req.Logins.LogIn(v.R.Context(), key, secret, token)
	switch ecr.CodeOf(err) {
	case "":
		if err != nil {
			return err
		}
	case ecr.CodeUnrecognizedClient, ecr.CodeExpiredToken:
		v.Status = http.StatusUnauthorized
		text := t("The access key and the secret do not match, or the key is switched off.")
		if ecr.CodeOf(err) == ecr.CodeExpiredToken {
			text = t("These temporary credentials have expired.")
		}
		return v.loginForm(&parts.Message{Kind: "bad", Text: text}, key)
	case ecr.CodeThrottling:
		v.Status = http.StatusTooManyRequests
		return v.loginForm(&parts.Message{Kind: "bad", Text: t("Too many logins have failed. Wait a minute, then try again.")}, key)
	default:
		return err
	}
	v.SetCookie(cookie)
	return v.To(within(v.R.PostFormValue("to")))
}

func (v *visit) loginForm(m *parts.Message, key string) error {
	to := v.Query("to")
	if v.Post() {
		to = v.R.PostFormValue("to")
	}
	return v.show("login", parts.Layout{Title: t("Log in"), Message: m, Data: map[string]any{"To": within(to), "Key": key, "Providers": v.providers(within(to))}})
}

// open turns a one-time link into a session. It is looked at first, so that neither a
// preview of the link uses it up, nor anyone comes into a session unawares.
func (v *visit) open() error {
	code := v.Query("code")
	if v.Post() {
		code = v.R.PostFormValue("code")
	}
	p, err := v.Req.Logins.LinkCaller(v.R.Context(), code)
	if err == nil && !v.Post() {
		return v.show("open", parts.Layout{Title: t("Open the console"), Data: map[string]string{"Code": code, "Who": words.Principal(p.ARN)}})
	}
	cookie := ""
	if err == nil {
		cookie, err = v.Req.Logins.OpenLink(v.R.Context(), code)
	}
	switch ecr.CodeOf(err) {
	case ecr.CodeUnrecognizedClient:
		v.Status = http.StatusUnauthorized
		return v.loginForm(&parts.Message{Kind: "bad", Text: t("This link has been used, or its two minutes are over. Run kontor console for another one.")}, "")
	}
	if err != nil {
		return err
	}
	v.SetCookie(cookie)
	return v.To(parts.Root)
}

// logout ends the session.
func (v *visit) logout() error {
	if !v.Post() {
		return v.To(parts.Root)
	}
	if p := v.Req.Principal; p.ARN != "" {
		if err := v.Req.Logins.LogOut(v.R.Context(), p, v.Req.Session.ID); err != nil {
			return err
		}
	}
	v.SetCookie("")
	return v.To(parts.Root + "login")
}
