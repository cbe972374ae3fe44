// Package console is the web console: pages that show what a registry has, what goes
// and when and by which rule, and who may do what through which statements.
//
// It guarantees that every page and every action goes through the operations that the
// APIs have, in the name of who logged in, so that no one sees or does here what an
// API denies; that what others wrote (tags, annotations, names) is shown as text; that
// pages need no scripts; that lists come in pages of a fixed number of rows, and say what
// they leave out; that of a repository's images no more are read than a fixed number,
// unless someone asks for all; that a policy is saved and tags are deleted as it was shown
// before; and that answers let a browser load nothing from elsewhere. It keeps no state:
// sessions are package identity's.
//
// It decides nothing and computes no report of its own: it asks inspect, registry,
// retention, iam and jobs, and shows the values of package report. docs/design/0029
// says why it is made as it is.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

//go:generate npm --prefix web ci
//go:generate node web/vendor.mjs

//go:embed assets
var assets embed.FS

// Root is the path below which everything is.
const Root = "/console/"

// maxForm bounds the body of a form: a policy and what goes with it.
const maxForm = 1 << 20

// Config is what a Handler is made of. All fields are required.
type Config struct {
	Gate      *gate.Gate
	Inspect   *inspect.Service
	Registry  *registry.Registry
	Retention *retention.Service
	Jobs      *jobs.Jobs
	// Now is the clock of sessions, ImageNow that of images.
	Now, ImageNow func() time.Time
	// MachineTokens: those of users are accepted. Otherwise none is made.
	MachineTokens func(ecr.RegistryID) bool
	Log           *slog.Logger
}

// Handler serves the console. It is safe for concurrent use.
type Handler struct {
	cfg   Config
	cross *http.CrossOriginProtection
}

// New returns a Handler.
func New(cfg Config) *Handler { return &Handler{cfg, http.NewCrossOriginProtection()} }

// Request is what the server knows of a request.
type Request struct {
	ID       string         // as answered
	Registry ecr.RegistryID // that pages are about
	// Host is what the registry's image references begin with, Endpoint the URL of its
	// API, for commands to copy.
	Host, Endpoint string
	Self           string // URL of the console's host
	Secure         bool   // the browser came by https
	// Principal is who has the session of the request's cookie; its zero value is
	// nobody.
	Principal access.Principal
	Session   meta.ConsoleSession
	IAM       *iam.Service
	Logins    Logins
}

// Logins begin and end sessions. Their limits are those of logins to the APIs.
type Logins interface {
	// LogIn begins a session for an access key and returns the value of its cookie.
	// Errors: UnrecognizedClient, ExpiredToken; Throttling after too many failures.
	LogIn(ctx context.Context, keyID, secret, token string) (string, error)
	// LinkCaller returns whose a one-time link is, and OpenLink uses it up and begins
	// the session. UnrecognizedClient for one that is none, or no longer.
	LinkCaller(ctx context.Context, code string) (access.Principal, error)
	OpenLink(ctx context.Context, code string) (string, error)
	// Providers are the names of the identity providers that people may log in with.
	Providers() []string
	// BeginSignIn begins a login with one of Providers, which leads to the page back. It
	// returns where to send the browser, and what the browser keeps until it comes back.
	// AccessDenied; Unavailable when the provider does not answer.
	BeginSignIn(ctx context.Context, provider, back string) (to, kept string, err error)
	// FinishSignIn takes the answer of the provider. ChooseRole begins the session where
	// there were several roles. ExpiredToken, AccessDenied, Unavailable.
	FinishSignIn(ctx context.Context, kept string, answer url.Values) (SignedIn, error)
	ChooseRole(ctx context.Context, kept, ticket, role string) (SignedIn, error)
	// LogOut ends p's session id.
	LogOut(ctx context.Context, p access.Principal, id string) error
}

// SignedIn is a login with an identity provider that succeeded.
type SignedIn struct {
	Cookie string // of the session; "" where a role must be chosen first
	Back   string // the page that the person came for
	// Roles are those to choose from, Ticket what the form has that chooses one, and Kept
	// what the browser keeps until then. More: there are other roles.
	Roles        []iam.SignInRole
	More         bool
	Ticket, Kept string
}

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

// IsAsset reports whether a path is that of a file which is the same for everyone.
func IsAsset(p string) bool { return strings.HasPrefix(p, Root+"assets/") }

// secure sets the headers of every answer.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	// With no-referrer, browsers name no origin of forms (Fetch, "append a request Origin
	// header"), and over http on another host nothing else says where a form comes from.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// Serve answers one request below Root.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, req Request) {
	secure(w.Header())
	v := &visit{h: h, w: w, r: r, req: req}
	if err := h.cross.Check(r); err != nil {
		v.fail(ecr.Errorf(ecr.CodeAccessDenied, "%s", t("The request came from another site. Open the console itself and try again.")))
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			v.fail(ecr.Errorf(ecr.CodeInvalidParameter, "%s", t("The form cannot be read: it is too large, or was cut off.")))
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		v.status = http.StatusMethodNotAllowed
		v.fail(ecr.Errorf(ecr.CodeUnknownOperation, "%s", t("Pages are read with GET and changed with POST.")))
		return
	}
	if !isText(r) {
		v.fail(ecr.Errorf(ecr.CodeInvalidParameter, "%s", t("The address or the form has bytes that are not text.")))
		return
	}
	if err := v.serve(); err != nil {
		v.fail(err)
	}
}

// isText reports whether what a request says is UTF-8 without NUL: databases refuse
// other bytes.
func isText(r *http.Request) bool {
	is := func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
	if !is(r.URL.Path) {
		return false
	}
	for _, values := range []url.Values{r.URL.Query(), r.PostForm} {
		for name, all := range values {
			if !is(name) || slices.ContainsFunc(all, func(s string) bool { return !is(s) }) {
				return false
			}
		}
	}
	return true
}

// Refuse answers a request that did not come as far as Serve.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, err error, id string) {
	secure(w.Header())
	(&visit{h: h, w: w, r: r, req: Request{ID: id}}).fail(err)
}

// ServeAsset serves one of the files that are the same for everyone.
func (h *Handler) ServeAsset(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	name := path.Base(r.URL.Path)
	text, err := assets.ReadFile("assets/" + name)
	if err != nil || r.URL.Path != Root+"assets/"+name {
		http.NotFound(w, r)
		return
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".LICENSE": "text/plain; charset=utf-8"}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	if assetURL(name) == r.URL.RequestURI() { // pages name them with a hash of their content
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// statuses are those of errors by code; others are 400.
var statuses = map[ecr.Code]int{
	ecr.CodeAccessDenied: http.StatusForbidden, ecr.CodeRepositoryNotFound: http.StatusNotFound, ecr.CodeImageNotFound: http.StatusNotFound,
	ecr.CodeLifecyclePolicyNotFound: http.StatusNotFound, ecr.CodeRepositoryPolicyNotFound: http.StatusNotFound, iam.CodeNoSuchEntity: http.StatusNotFound,
	codeNoPage: http.StatusNotFound, ecr.CodeThrottling: http.StatusTooManyRequests, ecr.CodeUnavailable: http.StatusServiceUnavailable,
	ecr.CodeUnrecognizedClient: http.StatusUnauthorized, ecr.CodeExpiredToken: http.StatusUnauthorized,
	iam.CodeEntityAlreadyExists: http.StatusConflict,
}

// codeNoPage is for paths that nothing is at.
const codeNoPage ecr.Code = "NoSuchPage"

// told is what a browser is told of err. Of an error that is not for clients it learns
// the id of the request.
func told(err error, id string) (status int, code, message string) {
	var known *ecr.Error
	if !errors.As(err, &known) || known.Code == ecr.CodeServer {
		return http.StatusInternalServerError, "", t("The server could not make this page. Its operator finds the reason in the log under request id %s.", id)
	}
	status = http.StatusBadRequest
	if s, ok := statuses[known.Code]; ok {
		status = s
	}
	return status, string(known.Code), known.Message
}
