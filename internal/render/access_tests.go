package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// AccessTests writes which of the file's access_tests hold.
func AccessTests(w io.Writer, l rollout.AccessTests, o Options) error {
	p := newPrinter(o)
	for _, r := range l.Tests {
		if r.Failure == "" {
			p.linef(green, "ok    %s %s %s %s", words.Principal(r.Principal), r.Expect, clean(r.Right), clean(r.Repository))
			continue
		}
		p.linef(red, "FAIL  %s %s %s %s: %s", words.Principal(r.Principal), r.Expect, clean(r.Right), clean(r.Repository), clean(r.Failure))
	}
	p.linef(plain, "%s, %d failed", words.Count(len(l.Tests), "access test", "access tests"), len(l.Failed()))
	return p.flush(w)
}
