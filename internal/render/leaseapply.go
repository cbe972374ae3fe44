package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// LeaseChanges writes what keeps the images in use of repositories alive.
func LeaseChanges(w io.Writer, r rollout.LeaseChanges, o Options) error {
	p := newPrinter(o)
	for _, c := range r.Repositories {
		if c.Empty() && len(c.Missing) == 0 && len(c.Waiting) == 0 {
			continue
		}
		p.linef(bold, "%s", clean(string(c.Repository)))
		for _, t := range c.Add {
			p.linef(green, "  + %s: tag %s", leaseTagged(t), clean(t.Tag))
			for _, u := range t.Users {
				p.linef(faint, "      %s", clean(u))
			}
		}
		for _, t := range c.Remove {
			p.linef(yellow, "  - %s: tag %s, no longer in use", leaseTagged(t), clean(t.Tag))
		}
		for _, t := range c.Expire {
			p.linef(red, "  - %s: expires with its last tag, by rule %d; no longer in use", leaseTagged(t), t.Rule)
		}
		for _, t := range c.Waiting {
			p.linef(plain, "    %s: no longer in use, but no rule would expire it: keeps its last tag", leaseTagged(t))
		}
		for _, m := range c.Missing {
			p.linef(yellow, "  ! %s: %s, for %s", clean(m.Image), m.Why, clean(m.User))
		}
		if c.After != "" {
			p.linef(green, "  + lifecycle policy: rule 1: images tagged %s are kept", leasetags.Pattern)
		}
	}
	add, kept, remove, expire := r.Counts()
	p.linef(bold, "Images in use: %d to tag, %d tagged already. No longer in use: %s to remove, %s to expire.", add, kept,
		words.Count(remove, "tag", "tags"), words.Count(expire, "image", "images"))
	return p.flush(w)
}

func leaseTagged(t leasetags.Tagged) string {
	s := clean(words.Digest(t.Digest))
	if len(t.Tags) > 0 {
		s += " (" + clean(strings.Join(t.Tags, ", ")) + ")"
	}
	return s
}
