// Package sources has the pages of the console about what fills a registry by itself:
// pull-through caches of other registries, and the templates of repositories that are
// created when they are first needed.
package sources

import (
	"embed"

	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

//go:embed templates
var templates embed.FS

var pages = parts.PagesOf(templates)

var t = parts.T

// visit is a visit of one of these pages.
type visit struct{ *parts.Visit }

// show writes one of these pages.
func (v *visit) show(name string, l parts.Layout) error { return v.Show(pages, name, l) }

// Pages are the pages by their paths below parts.Root.
func Pages() map[string]parts.Page {
	of := func(page func(*visit) error) parts.Page {
		return func(v *parts.Visit) error { return page(&visit{v}) }
	}
	return map[string]parts.Page{"upstreams": of((*visit).upstreams), "templates": of((*visit).templates)}
}
