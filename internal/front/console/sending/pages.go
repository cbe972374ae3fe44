// Package sending has the pages of the console about what a registry sends elsewhere by
// rules: replication of images, and events.
package sending

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
	return map[string]parts.Page{"replication": of((*visit).replication), "events": of((*visit).events), "events/deliveries": of((*visit).deliveries)}
}
