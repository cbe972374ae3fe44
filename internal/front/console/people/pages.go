// Package people has the pages of the console about who may do what: rights, users, roles,
// sessions and the audit log.
package people

import (
	"embed"

	"github.com/kontor-registry/kontor/internal/access/iam"
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
		"access":   of((*visit).access),
		"people":   of((*visit).people),
		"sessions": of((*visit).sessions),
		"audit":    of((*visit).audit),
		"signers":  of((*visit).signers),
	}
}

// OfRepository are the pages of a repository by their paths below parts.RepoURL.
func OfRepository() map[string]parts.RepoPage {
	of := func(page func(*repoVisit) error) parts.RepoPage {
		return func(v *parts.Visit, repo ecr.Repo) error { return page(&repoVisit{&visit{v}, repo}) }
	}
	return map[string]parts.RepoPage{
		"access": of((*repoVisit).repositoryAccess),
	}
}

// User is the page of a user.
func User(v *parts.Visit, name string) error {
	return (&holderVisit{&visit{v}, iam.OfUser, name}).userPage()
}

// Role is the page of a role.
func Role(v *parts.Visit, name string) error {
	return (&holderVisit{&visit{v}, iam.OfRole, name}).rolePage()
}
