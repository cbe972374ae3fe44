// Package browse has the pages of the console about what a registry has: the overview,
// repositories, tags, images and what becomes of them.
package browse

import (
	"embed"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

//go:embed templates
var templates embed.FS

var pages = parts.PagesOf(templates)

var t = parts.T

// visit is a visit of one of these pages.
type visit struct{ *parts.Visit }

// repoVisit is a visit of the pages of one repository.
type repoVisit struct {
	*visit
	repo ecr.Repo
}

// on is v with another visit: see parts.Visit.In.
func (v *repoVisit) on(in *parts.Visit) *repoVisit { return &repoVisit{&visit{in}, v.repo} }

// show writes one of these pages.
func (v *visit) show(name string, l parts.Layout) error { return v.Show(pages, name, l) }

// Pages are the pages by their paths below parts.Root.
func Pages() map[string]parts.Page {
	of := func(page func(*visit) error) parts.Page {
		return func(v *parts.Visit) error { return page(&visit{v}) }
	}
	return map[string]parts.Page{
		"":             of((*visit).home),
		"repositories": of((*visit).repositories),
	}
}

// OfRepository are the pages of a repository by their paths below parts.RepoURL.
func OfRepository() map[string]parts.RepoPage {
	of := func(page func(*repoVisit) error) parts.RepoPage {
		return func(v *parts.Visit, repo ecr.Repo) error { return page(&repoVisit{&visit{v}, repo}) }
	}
	return map[string]parts.RepoPage{
		"tags":      of((*repoVisit).tags),
		"lifecycle": of((*repoVisit).lifecycle),
	}
}

// Image is the page of the image of that digest.
func Image(v *parts.Visit, repo ecr.Repo, digest string) error {
	return (&repoVisit{&visit{v}, repo}).image(digest)
}
