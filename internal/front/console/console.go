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
// It decides nothing and computes no report: it asks inspect, registry,
// retention, iam and jobs, and shows the values of package report. docs/design/0029
// says why it is made as it is.
//
// This package routes requests and has the pages of logins. The others are in packages
// by what they are about: browse (overview, repositories, tags, images, lifecycle), keeping
// (recycle bin, journal, leases, activity), sources (upstreams, creation templates) and people
// (rights, users, roles, sessions, audit log). All are made of parts: the frame, tables, texts, forms.
package console

import (
	"bytes"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

//go:generate npm --prefix web ci
//go:generate node web/vendor.mjs

// maxForm bounds the body of a form: a policy and what goes with it.
const maxForm = 1 << 20

// Handler serves the console. It is safe for concurrent use.
type Handler struct {
	cfg    parts.Config
	cross  *http.CrossOriginProtection
	routes routes
}

// New returns a Handler.
func New(cfg parts.Config) *Handler {
	return &Handler{cfg, http.NewCrossOriginProtection(), newRoutes()}
}

// IsAsset reports whether a path is that of a file which is the same for everyone.
func IsAsset(p string) bool { return strings.HasPrefix(p, parts.Root+"assets/") }

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
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, req parts.Request) {
	secure(w.Header())
	v := &visit{&parts.Visit{Config: &h.cfg, W: w, R: r, Req: req}}
	if err := h.cross.Check(r); err != nil {
		v.Fail(ecr.Errorf(ecr.CodeAccessDenied, "%s", t("The request came from another site. Open the console itself and try again.")))
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			v.Fail(ecr.Errorf(ecr.CodeInvalidParameter, "%s", t("The form cannot be read: it is too large, or was cut off.")))
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		v.Status = http.StatusMethodNotAllowed
		v.Fail(ecr.Errorf(ecr.CodeUnknownOperation, "%s", t("Pages are read with GET and changed with POST.")))
		return
	}
	if !isText(r) {
		v.Fail(ecr.Errorf(ecr.CodeInvalidParameter, "%s", t("The address or the form has bytes that are not text.")))
		return
	}
	if err := h.serve(v); err != nil {
		v.Fail(err)
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
	(&parts.Visit{Config: &h.cfg, W: w, R: r, Req: parts.Request{ID: id}}).Fail(err)
}

// ServeAsset serves one of the files that are the same for everyone.
func (h *Handler) ServeAsset(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	name := path.Base(r.URL.Path)
	text, err := parts.Assets.ReadFile("assets/" + name)
	if err != nil || r.URL.Path != parts.Root+"assets/"+name {
		http.NotFound(w, r)
		return
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".LICENSE": "text/plain; charset=utf-8"}
	w.Header().Set("Content-Type", kinds[path.Ext(name)])
	if parts.AssetURL(name) == r.URL.RequestURI() { // pages name them with a hash of their content
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}
