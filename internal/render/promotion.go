package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/expiry"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// PromotionPlan writes what promoting would do.
func PromotionPlan(w io.Writer, p promote.Plan, o Options) error {
	out := newPrinter(o)
	for _, i := range p.Images {
		if i.Status != promote.StatusThere {
			out.promotedImage(i)
		}
	}
	out.promotedThere(p)
	out.promotedDropped(p)
	for _, f := range p.Failures {
		out.linef(red, "%s cannot be read: %s", clean(strings.TrimSuffix(f.From.String(), "/")), clean(f.Error))
	}
	b := p.Bytes()
	out.linef(bold, "Plan: %d to promote, %d there already, %d refused; %s to send, %s to mount.",
		p.Count(promote.StatusPending), p.Count(promote.StatusThere), p.Count(promote.StatusRefused)+len(p.Failures), words.Bytes(b.Move), words.Bytes(b.Mount))
	return out.flush(w)
}

// promotedImage writes one image of a plan.
func (p *printer) promotedImage(i promote.Image) {
	mark, c := "+", green
	switch {
	case i.Status == promote.StatusRefused:
		mark, c = "!", red
	case i.ToDigest != "":
		mark, c = "~", yellow
	}
	route := ""
	if i.Route != "" {
		route = "  (route " + clean(i.Route) + ")"
	}
	p.linef(c, "%s %s -> %s%s", mark, clean(i.From.String()), clean(i.To.String()), route)
	if i.Digest != "" {
		what := ""
		if n := len(i.Platforms); n > 0 {
			what = ", " + strings.Join(cleanAll(i.Platforms), ", ")
		}
		p.linef(plain, "    %s%s", i.Digest, what)
	}
	if i.Status == promote.StatusPending {
		p.promotedContent(i)
	}
	for _, g := range i.Gates {
		state := "met"
		switch {
		case !g.Met:
			state = "NOT MET"
		case g.Verified:
			state = "verified"
		}
		p.linef(plain, "    require %s: %s (%s)", g.Name, state, clean(g.Detail))
	}
	if e := i.Expires; e != nil {
		p.linef(plain, "    %s", expiryOf(e))
	}
	for _, f := range i.Findings {
		c := map[plan.Severity]color{plan.Error: red, plan.Warning: yellow, plan.Info: plain}[f.Severity]
		p.linef(c, "    %s %s: %s", f.Severity, f.Code, clean(f.Message))
	}
}

// promotedContent writes what goes with an image, and how much.
func (p *printer) promotedContent(i promote.Image) {
	if i.ToDigest != "" && i.ToDigest != i.Digest {
		p.linef(yellow, "    the tag moves from %s", i.ToDigest)
	}
	if i.Create {
		p.linef(green, "    repository %s is created", clean(string(i.To.Repository)))
	}
	kinds := map[string]int{}
	for _, m := range i.Manifests {
		switch m.Kind {
		case promote.KindReferrer:
			kinds[cmp.Or(clean(m.ArtifactType), "without a type")]++
		case promote.KindAttestation:
			kinds["attestations of buildx"]++
		case promote.KindImage, promote.KindIndex, promote.KindSignature:
		}
	}
	for _, s := range i.Signatures {
		kinds[clean(string(s.Tag))]++
	}
	var with []string
	for kind, n := range kinds {
		with = append(with, fmt.Sprintf("%d %s", n, kind))
	}
	if slices.Sort(with); len(with) > 0 {
		p.linef(plain, "    with %s", strings.Join(with, ", "))
	}
	p.linef(plain, "    %s to send, %s to mount, %s there already", words.Bytes(i.Bytes.Move), words.Bytes(i.Bytes.Mount), words.Bytes(i.Bytes.There))
}

// expiryOf says what the destination's lifecycle policy does with an image.
func expiryOf(e *expiry.Expiry) string {
	by := ""
	if e.Rule != 0 {
		by = fmt.Sprintf(", by rule %d", e.Rule)
		if p, err := lifecycle.Decode(e.Policy); err == nil && len(p.Rules) == 1 {
			by += ": " + clean(words.Rule(p.Rules[0]))
		}
	}
	switch {
	case e.Action == lifecycle.Expire:
		return "expires on " + e.At.Format(time.DateOnly) + by
	case e.Action == lifecycle.Transition:
		return "is archived on " + e.At.Format(time.DateOnly) + by
	case e.Keep > 0:
		return fmt.Sprintf("is number %d of the %d that rule %d keeps", e.Rank, e.Keep, e.Rule)
	}
	return "does not expire" + by
}

// promotedThere counts what is there by repository, and names a few.
func (p *printer) promotedThere(pl promote.Plan) {
	var order []string
	tags := map[string][]string{}
	for _, i := range pl.Images {
		if i.Status != promote.StatusThere {
			continue
		}
		at := clean(i.To.Registry + "/" + string(i.To.Repository))
		if tags[at] == nil {
			order = append(order, at)
		}
		tags[at] = append(tags[at], string(i.To.Tag))
	}
	for _, at := range order {
		p.linef(plain, "= %s: %s there already", at, fewOf(tags[at]))
	}
}

// promotedDropped writes which tags take no route, and why.
func (p *printer) promotedDropped(pl promote.Plan) {
	type reason struct{ at, why string }
	var order []reason
	tags := map[reason][]string{}
	for _, d := range pl.Dropped {
		r := reason{clean(d.From.Registry + "/" + string(d.From.Repository)), clean(d.Why)}
		if tags[r] == nil {
			order = append(order, r)
		}
		tags[r] = append(tags[r], string(d.From.Tag))
	}
	for _, r := range order {
		p.linef(faint, "- %s: %s left out: %s", r.at, fewOf(tags[r]), r.why)
	}
}

// fewOf is the tags, or of many the first.
func fewOf(tags []string) string {
	const most = 10
	is := " is"
	if len(tags) > 1 {
		is = " are"
	}
	if len(tags) <= most {
		return strings.Join(cleanAll(tags), ", ") + is
	}
	return fmt.Sprintf("%s and %d more%s", strings.Join(cleanAll(tags[:most]), ", "), len(tags)-most, is)
}

func cleanAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// PromotionResult writes the count of what became of a plan.
func PromotionResult(w io.Writer, r promote.Result, o Options) error {
	out := newPrinter(o)
	var b promote.Bytes
	for _, i := range r.Images {
		b.Move += i.Bytes.Move
		b.Mount += i.Bytes.Mount
	}
	parts := []string{
		fmt.Sprintf("%s promoted", words.Count(r.Count(promote.OutcomeDone), "image", "images")),
		fmt.Sprintf("%d there already", r.Count(promote.OutcomeThere)),
	}
	for _, x := range []struct {
		outcome promote.Outcome
		words   string
	}{{promote.OutcomeRefused, "refused"}, {promote.OutcomeMoved, "moved since the plan"}, {promote.OutcomeFailed, "failed"}, {promote.OutcomeSkipped, "not begun"}} {
		if n := r.Count(x.outcome); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, x.words))
		}
	}
	out.linef(bold, "%s; %s sent, %s mounted.", strings.Join(parts, ", "), words.Bytes(b.Move), words.Bytes(b.Mount))
	return out.flush(w)
}

// promotedLine is what became of one image.
func promotedLine(i promote.ImageResult) (line string, c color) {
	to := clean(i.To.String())
	switch i.Outcome {
	case promote.OutcomeDone:
		line = fmt.Sprintf("%s: promoted %s, %s sent, %s mounted", to, i.Digest, words.Bytes(i.Bytes.Move), words.Bytes(i.Bytes.Mount))
		if i.Created {
			line += ", repository created"
		}
		return line, green
	case promote.OutcomeThere:
		return fmt.Sprintf("%s: is there already, %s", to, i.Digest), plain
	case promote.OutcomeRefused, promote.OutcomeMoved, promote.OutcomeFailed, promote.OutcomeSkipped:
	}
	return fmt.Sprintf("%s: %s: %s", to, i.Outcome, clean(cmp.Or(i.Error, "interrupted"))), red
}

// History writes the way of an image.
func History(w io.Writer, h rollout.History, o Options) error {
	out := newPrinter(o)
	if len(h.Records) == 0 {
		out.linef(plain, "%s has no records of promotions.", clean(h.Image.String()))
	}
	for _, r := range h.Records {
		out.linef(bold, "%s  %s -> %s", r.Time.Format(time.RFC3339), clean(r.From), clean(r.To))
		details := []string{string(r.Digest)}
		if r.Replaces != "" {
			details = append(details, "in place of "+string(r.Replaces))
		}
		if r.Principal != "" {
			details = append(details, "by "+r.Principal)
		}
		if r.Route != "" {
			details = append(details, "route "+r.Route)
		}
		for _, g := range r.Gates {
			state := "required"
			if g.Verified {
				state = "verified"
			}
			details = append(details, state+" "+g.Name+": "+g.Detail)
		}
		for _, d := range details {
			out.linef(plain, "    %s", clean(d))
		}
	}
	return out.flush(w)
}

// Found writes the image that was waited for.
func Found(w io.Writer, f promote.Found) error {
	s := clean(f.Image.String()) + " is there: " + string(f.Digest)
	if len(f.Platforms) > 0 {
		s += ", " + strings.Join(cleanAll(f.Platforms), ", ")
	}
	_, err := fmt.Fprintln(w, s)
	return err
}
