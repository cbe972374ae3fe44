package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// LifecycleRuns writes what runs of lifecycle policies did, or would do: which
// images went, by which rule, and why others stay on which a rule acts.
func LifecycleRuns(w io.Writer, r report.LifecycleRuns, o Options) error {
	p := newPrinter(o)
	for i, run := range r.Runs {
		if i > 0 {
			p.linef(plain, "")
		}
		p.run(run)
	}
	if len(r.Runs) == 0 {
		p.linef(plain, "No repository has a lifecycle policy.")
	}
	return p.flush(w)
}

func (p *printer) run(r admin.RunLifecycleResponse) {
	title := "Lifecycle run of"
	if r.DryRun {
		title = "Lifecycle dry run of"
	}
	p.linef(bold, "%s %s at %s", title, clean(r.RepositoryName), words.Moment(r.At))
	list := slices.Clone(r.Outcomes)
	slices.SortStableFunc(list, func(a, b admin.Outcome) int { return a.RulePriority - b.RulePriority })
	for _, x := range list {
		name := outcomeName(x)
		switch {
		case x.Action == "keep":
			p.linef(green, "  kept           %s: %s", name, kept(x))
		case r.Stopped:
			p.linef(yellow, "  would expire   %s", name)
		case x.Action == "transition":
			p.linef(yellow, "  %-13s  %s", map[bool]string{true: "would archive", false: "archived"}[r.DryRun], name)
		default:
			p.linef(red, "  %-13s  %s", map[bool]string{true: "would expire", false: "expired"}[r.DryRun], name)
		}
		why := clean(x.Reason)
		if x.With != "" {
			why += ", with image " + clean(words.Digest(x.With)) + " that it belongs to"
		}
		p.linef(faint, "                 %s", why)
	}
	for _, f := range r.Findings {
		p.linef(yellow, "  %s: %s", clean(f.Code), clean(f.Message))
	}
	switch verb := map[bool]string{true: "would expire", false: "expired"}[r.DryRun]; {
	case r.Stopped:
		p.linef(bold, "Stopped: nothing was changed.")
	case r.Archived > 0:
		p.linef(bold, "%s of %d %s (%s), %d archived.", words.Count(r.Expired, "image", "images"), r.Images, verb, words.Bytes(r.SizeBytes), r.Archived)
	default:
		p.linef(bold, "%s of %d %s (%s).", words.Count(r.Expired, "image", "images"), r.Images, verb, words.Bytes(r.SizeBytes))
	}
}

func outcomeName(x admin.Outcome) string {
	s := clean(words.Digest(x.ImageDigest))
	if len(x.ImageTags) > 0 {
		return s + " (" + clean(strings.Join(x.ImageTags, ", ")) + ")"
	}
	return s + " (untagged)"
}

// kept is why an image stays on which a rule acts.
func kept(x admin.Outcome) string {
	switch {
	case x.HeldBy != "":
		return "leased by " + clean(x.HeldBy)
	case x.GuardedBy != "":
		return "belongs to image " + clean(words.Digest(x.GuardedBy)) + ", which exists"
	case x.Saved != "":
		return clean(x.Saved)
	}
	return "kept"
}

// Clock writes the time of the image clock.
func Clock(w io.Writer, now time.Time, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "%s", fmt.Sprintf("The image clock is at %s.", words.Moment(now)))
	return p.flush(w)
}
