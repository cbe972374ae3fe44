// Package keeping has the pages of the console about what became of images and who uses
// them: the recycle bin, the journal, leases and pulls.
package keeping

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

// show writes one of these pages.
func (v *visit) show(name string, l parts.Layout) error { return v.Show(pages, name, l) }

// Pages are the pages by their paths below parts.Root.
func Pages() map[string]parts.Page {
	of := func(page func(*visit) error) parts.Page {
		return func(v *parts.Visit) error { return page(&visit{v}) }
	}
	return map[string]parts.Page{
		"bin":      of((*visit).bin),
		"journal":  of((*visit).journal),
		"leases":   of((*visit).leases),
		"activity": of((*visit).activity),
	}
}

// OfRepository are the pages of a repository by their paths below parts.RepoURL.
func OfRepository() map[string]parts.RepoPage {
	of := func(page func(*repoVisit) error) parts.RepoPage {
		return func(v *parts.Visit, repo ecr.Repo) error { return page(&repoVisit{&visit{v}, repo}) }
	}
	return map[string]parts.RepoPage{
		"activity": of((*repoVisit).activity),
	}
}

// OfImage adds to data what a page of an image has of this package, as far as the caller
// may see it: who pulled it lately, who uses it, and what happened to its tags.
func OfImage(in *parts.Visit, repo ecr.Repo, m ecr.Image, data map[string]any) error {
	v := &repoVisit{&visit{in}, repo}
	may, err := v.May(repo, "kontor:ListLeases", "kontor:ListJournal", "kontor:ListPullActivity")
	if err == nil && may["kontor:ListPullActivity"] {
		err = v.imagePulls(m.Digest, data)
	}
	if err == nil && may["kontor:ListLeases"] {
		err = v.imageLeases(m, data)
	}
	if err == nil && may["kontor:ListJournal"] {
		err = v.history(m, data)
	}
	return err
}
