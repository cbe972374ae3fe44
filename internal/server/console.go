package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
)

// sandbox is the policy of answers whose content others pushed: a browser that is
// led to one runs nothing of it, and it has no part in the console's origin.
const sandbox = "default-src 'none'; sandbox"

// isConsole reports whether r is for the console.
func (s *Server) isConsole(r *http.Request) bool {
	return s.console != nil && (r.URL.Path == strings.TrimSuffix(parts.Root, "/") || strings.HasPrefix(r.URL.Path, parts.Root))
}

// wantsPage reports whether r is a browser's for the first page of the host.
func (s *Server) wantsPage(r *http.Request) bool {
	return s.console != nil && r.Method == http.MethodGet && r.URL.Path == "/" && r.URL.RawQuery == "" &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// serveConsole serves the web console: pages for people, and what pages are made of.
func (s *Server) serveConsole(w http.ResponseWriter, r *http.Request, req *request) {
	req.operation = "console"
	req.refuse = func(err error) { s.console.Refuse(w, r, err, req.id) }
	ok, leave := s.admit(w, r, req)
	defer leave()
	if !ok {
		return
	}
	if !strings.HasPrefix(r.URL.Path, parts.Root) {
		http.Redirect(w, r, parts.Root, http.StatusMovedPermanently)
		return
	}
	if console.IsAsset(r.URL.Path) {
		if s.admitStranger(w, r, req) {
			s.console.ServeAsset(w, r)
		}
		return
	}
	at := req.binding.Registry
	users := s.users[at.Region.Partition()]
	endpoint := s.address(r, req, at)
	self := s.consoleURL(r, req)
	in := parts.Request{
		Self: self.Scheme + "://" + self.Host,
		ID:   req.id, Registry: at, Host: endpoint.Host, Endpoint: endpoint.Scheme + "://" + endpoint.Host, Secure: req.https, IAM: s.iams[at.Region.Partition()],
	}
	in.Logins = &consoleLogins{s: s, r: r, req: req, users: users, iam: in.IAM}
	cookie := parts.Cookie(r)
	err := identity.ErrNoConsoleSession
	if cookie != "" {
		in.Principal, in.Session, err = users.ConsoleCaller(r.Context(), cookie)
	}
	switch {
	case err == nil:
		in.Principal.Request = s.consoleInfo(r, req)
		req.principal = in.Principal
		if !s.admitPrincipal(w, r, in.Principal, req) {
			return
		}
	case errors.Is(err, identity.ErrNoConsoleSession):
		if !s.admitStranger(w, r, req) {
			return
		}
	default:
		req.refuse(err)
		return
	}
	s.console.Serve(w, r, in)
}

// consolePort is the port of the console of a registry where it has one for itself, else
// "".
func (s *Server) consolePort(of ecr.RegistryID) string {
	for _, b := range s.cfg.Bindings {
		if b.Registry == of && s.cfg.ConsoleApart {
			return b.ConsolePort
		}
	}
	return ""
}

// consoleURL is where the browser that sent r finds the console: at the registry's
// address, or where it came to, if the console has a listener for itself.
func (s *Server) consoleURL(r *http.Request, req *request) ecrapi.Address {
	if !req.console {
		return s.address(r, req, req.binding.Registry)
	}
	at := ecrapi.Address{Scheme: "http", Host: r.Host}
	if req.https {
		at.Scheme = "https"
	}
	if !validHost(r.Host) {
		at.Host = net.JoinHostPort("localhost", req.binding.ConsolePort)
	}
	return at
}

// consoleInfo is what policies may ask about a request of the console.
func (s *Server) consoleInfo(r *http.Request, req *request) access.RequestInfo {
	info := s.info(r, req)
	info.Via = "console"
	return info
}

// consoleLogins begins and ends sessions for one request, within the limits of logins
// to the APIs: who tried an access key too often there waits here, too.
type consoleLogins struct {
	s     *Server
	r     *http.Request
	req   *request
	users *identity.Service
	iam   *iam.Service
}

// LogIn implements console.Logins.
func (c *consoleLogins) LogIn(ctx context.Context, keyID, secret, token string) (string, error) {
	if len(keyID) > maxKeyID {
		keyID = ""
	}
	name := source(c.r.RemoteAddr) + " " + keyID
	if c.s.limits.logins.wait(name, c.s.cfg.AuthNow()) > 0 {
		return "", rateExceeded
	}
	p, err := c.users.CheckSecret(ctx, keyID, secret, token)
	if err != nil {
		c.s.failedAs(c.r, c.req, name, keyID, err)
		return "", err
	}
	c.s.limits.logins.succeeded(name)
	p = c.known(p)
	cookie, _, err := c.iam.Console(p).Open(ctx, false)
	return cookie, err
}

// Failures with links are neither counted nor on record: a code has 256 random bits,
// and any page could make a browser look at links, to lock its user out.

// LinkCaller implements console.Logins.
func (c *consoleLogins) LinkCaller(ctx context.Context, code string) (access.Principal, error) {
	p, err := c.users.LinkCaller(ctx, code)
	if err != nil {
		return p, linkError(err)
	}
	return c.known(p), nil
}

// OpenLink implements console.Logins.
func (c *consoleLogins) OpenLink(ctx context.Context, code string) (string, error) {
	p, err := c.users.TakeLink(ctx, code)
	if err != nil {
		return "", linkError(err)
	}
	cookie, _, err := c.iam.Console(c.known(p)).Open(ctx, false)
	return cookie, err
}

// LogOut implements console.Logins.
func (c *consoleLogins) LogOut(ctx context.Context, p access.Principal, id string) error {
	err := c.iam.Console(p).End(ctx, id)
	if ecr.CodeOf(err) == iam.CodeNoSuchEntity || ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return nil // it was ended elsewhere meanwhile
	}
	return err
}

// known is p with what policies may ask about the request, which is its own now.
func (c *consoleLogins) known(p access.Principal) access.Principal {
	p.Request = c.s.consoleInfo(c.r, c.req)
	c.req.principal = p
	return p
}

// linkError is err as clients are told it.
func linkError(err error) error {
	if errors.Is(err, identity.ErrNoConsoleSession) {
		return &ecr.Error{Code: ecr.CodeUnrecognizedClient, Message: "The link has been used, or its time is over.", Err: err}
	}
	return err
}
