package parts

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
)

// CookieName is the name of the cookie at the host that r was sent to. Browsers share
// cookies among the ports of a host, so that it has the port.
func CookieName(r *http.Request) string {
	if u := (url.URL{Host: r.Host}); u.Port() != "" {
		return "kontor-console-" + u.Port()
	}
	return "kontor-console"
}

// Cookie is the secret of the session that the browser says it has; "" for none.
func Cookie(r *http.Request) string {
	c, err := r.Cookie(CookieName(r))
	if err != nil {
		return ""
	}
	return c.Value
}

// SetCookie gives the browser a session, or with "" takes it away.
func (v *Visit) SetCookie(value string) {
	v.PutCookie(CookieName(v.R), value, identity.ConsoleLifetime)
}

// PutCookie gives the browser a cookie of the console's pages, or with "" takes it away.
func (v *Visit) PutCookie(name, value string, lasts time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: strings.TrimSuffix(Root, "/"), MaxAge: int(lasts.Seconds()),
		HttpOnly: true, Secure: v.Req.Secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.W, c)
}
