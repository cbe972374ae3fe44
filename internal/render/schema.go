package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// Schema writes which schema a database has.
func Schema(w io.Writer, s sqlstore.Schema, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "The database has schema version %d. This version of kontor knows %d.", s.Version, s.Knows)
	if s.Needs > 0 {
		p.linef(plain, "Servers have to know version %d at least.", s.Needs)
	}
	for _, name := range s.Pending {
		p.linef(plain, "pending: %s", clean(name))
	}
	switch {
	case !s.Usable():
		p.linef(red, "This version of kontor cannot use the database: run the newer version that migrated it.")
	case len(s.Pending) > 0:
		p.linef(bold, "A server of this version updates the schema when it starts, or `kontor admin schema up` does.")
	case s.Version > s.Knows:
		p.linef(plain, "This version of kontor can use the newer schema.")
	default:
		p.linef(plain, "The schema is up to date.")
	}
	return p.flush(w)
}
