package console

import (
	"embed"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/browse"
	"github.com/kontor-registry/kontor/internal/front/console/keeping"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/front/console/people"
	"github.com/kontor-registry/kontor/internal/front/console/sending"
	"github.com/kontor-registry/kontor/internal/front/console/sources"
)

//go:embed templates
var templates embed.FS

var pages = parts.PagesOf(templates)

var t = parts.T

// visit is a visit of one of the pages here.
type visit struct{ *parts.Visit }

// show writes one of the pages here.
func (v *visit) show(name string, l parts.Layout) error { return v.Show(pages, name, l) }

// routes are the pages by their paths.
type routes struct {
	strangers    map[string]func(*visit) error // of who has not logged in
	ofRegistry   map[string]parts.Page         // below parts.Root
	ofRepository map[string]parts.RepoPage     // below parts.RepoURL
}

func newRoutes() routes {
	to := routes{
		strangers: map[string]func(*visit) error{
			"login": (*visit).login, "open": (*visit).open, "logout": (*visit).logout,
			"sso": (*visit).signIn, SignInCallback: (*visit).signedIn, "sso/role": (*visit).chooseRole,
		},
		ofRegistry: map[string]parts.Page{}, ofRepository: map[string]parts.RepoPage{},
	}
	for _, some := range []map[string]parts.Page{browse.Pages(), keeping.Pages(), people.Pages(), sources.Pages(), sending.Pages()} {
		maps.Copy(to.ofRegistry, some)
	}
	for _, some := range []map[string]parts.RepoPage{browse.OfRepository(), keeping.OfRepository(), people.OfRepository()} {
		maps.Copy(to.ofRepository, some)
	}
	return to
}

// serve finds the page.
func (h *Handler) serve(v *visit) error {
	p := strings.TrimPrefix(v.R.URL.Path, parts.Root)
	if page, ok := h.routes.strangers[p]; ok {
		return page(v)
	}
	if v.Req.Principal.ARN == "" {
		if v.Post() {
			return ecr.Errorf(ecr.CodeUnrecognizedClient, "%s", t("Your session has ended. Log in, then try again."))
		}
		to := parts.Root + "login?to=" + url.QueryEscape(v.R.URL.RequestURI())
		if v.R.Header.Get("HX-Request") != "" { // for a part of a page, which the login page is not
			v.W.Header().Set("HX-Redirect", to)
			v.W.WriteHeader(http.StatusUnauthorized)
			return nil
		}
		return v.To(to)
	}
	if in, rest, ok := strings.Cut(strings.TrimPrefix(p, "repositories/"), "/-/"); ok && strings.HasPrefix(p, "repositories/") {
		name, err := ecr.ParseRepositoryName(in)
		if err != nil {
			return parts.NoPage()
		}
		repo := v.Req.Registry.Repo(name)
		if digest, ok := strings.CutPrefix(rest, "images/"); ok {
			return browse.Image(v.Visit, repo, digest)
		}
		if page, ok := h.routes.ofRepository[rest]; ok {
			return page(v.Visit, repo)
		}
		return parts.NoPage()
	}
	if name, ok := strings.CutPrefix(p, "people/users/"); ok {
		return people.User(v.Visit, name)
	}
	if name, ok := strings.CutPrefix(p, "people/roles/"); ok {
		return people.Role(v.Visit, name)
	}
	if page, ok := h.routes.ofRegistry[p]; ok {
		return page(v.Visit)
	}
	return parts.NoPage()
}
