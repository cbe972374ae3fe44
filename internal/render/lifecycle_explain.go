package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Explain writes why an image stays or goes: the answer, when it changes, and
// what each rule has to do with it.
func Explain(w io.Writer, l Lifecycle, x lifecycle.Explanation, o Options) error {
	p := newPrinter(o)
	m, c := x.Image, green
	if x.Outcome.Action != lifecycle.Keep {
		c = red
	}
	p.linef(bold, "%s", imageText(m))
	facts := []string{"pushed " + l.when(m.PushedAt)}
	if m.LastPulledAt.IsZero() {
		facts = append(facts, "never pulled")
	} else {
		facts = append(facts, "last pulled "+l.when(m.LastPulledAt))
	}
	if m.Status != "" && m.Status != lifecycle.StatusActive {
		facts = append(facts, strings.ToLower(clean(string(m.Status))))
	}
	if m.SizeBytes > 0 {
		facts = append(facts, bytesText(m.SizeBytes))
	}
	p.linef(plain, "  %s", strings.Join(facts, "; "))
	p.linef(c, "%s", l.answer(x))
	p.linef(plain, "%s", l.change(x))
	for _, note := range l.caveats(x) {
		p.linef(yellow, "%s", note)
	}
	if len(x.Reasons) == 0 {
		p.linef(plain, "There is no lifecycle policy.")
		return p.flush(w)
	}
	p.linef(plain, "")
	p.linef(plain, "By %s:", clean(l.Source))
	owner := x.Owner()
	for _, r := range x.Reasons {
		p.linef(bold, "  %s%s", ruleText(r.Rule), l.origin(r.Rule.Priority))
		p.linef(plain, "    %s", reason(r, owner, x.Outcome.GuardedBy != nil))
	}
	return p.flush(w)
}

// answer is one sentence: kept or going, by which rule, and why.
func (l *Lifecycle) answer(x lifecycle.Explanation) string {
	o, owner := x.Outcome, x.Owner()
	verb := map[lifecycle.ActionType]string{lifecycle.Expire: "expires", lifecycle.Transition: "archives"}
	switch {
	case o.GuardedBy != nil:
		why := map[lifecycle.GuardKind]string{
			lifecycle.GuardIndex:   "index " + clean(images.Short(o.GuardedBy.By)) + " lists it",
			lifecycle.GuardSubject: "it belongs to image " + clean(images.Short(o.GuardedBy.By)) + ", which stays",
			lifecycle.GuardHeld:    "it is held by " + clean(o.GuardedBy.By),
		}[o.GuardedBy.Kind]
		return fmt.Sprintf("It stays, although rule %d %s it: %s.", o.Rule, verb[o.GuardedBy.Action], why)
	case o.Action != lifecycle.Keep && o.With != "":
		return fmt.Sprintf("It goes at the next run, with image %s that it belongs to: rule %d %s that.", clean(images.Short(o.With)), o.Rule, verb[o.Action])
	case o.Action != lifecycle.Keep && owner != nil:
		return fmt.Sprintf("It goes at the next run: rule %d %s it; %s.", o.Rule, verb[o.Action], measure(*owner))
	case owner == nil:
		return "It stays: no rule selects it."
	}
	return fmt.Sprintf("It stays: it belongs to rule %d, which keeps it; %s.", owner.Rule.Priority, measure(*owner))
}

// change is when the answer becomes another one.
func (l *Lifecycle) change(x lifecycle.Explanation) string {
	switch {
	case x.Outcome.Action != lifecycle.Keep:
		if owner := x.Owner(); owner != nil && !owner.Due.IsZero() && x.Outcome.With == "" {
			return fmt.Sprintf("It has been due since %s.", moment(owner.Due))
		}
		return "Nothing but another policy, tag or lease changes that."
	case x.Changes.IsZero():
		if owner := x.Owner(); owner != nil && owner.Rule.Selection.CountType == lifecycle.ImageCountMoreThan {
			return "Time does not change that; newer images that the rule counts do."
		}
		return "Time does not change that."
	case !x.Changes.After(l.At):
		return "It goes at the run after the next, when what keeps it has gone."
	}
	return fmt.Sprintf("It goes at the first run after %s, %s.", moment(x.Changes), distance(l.At, x.Changes))
}

// caveats say what the answer hangs on.
func (l *Lifecycle) caveats(x lifecycle.Explanation) []string {
	var out []string
	for _, a := range assumptions {
		for _, name := range strings.Split(x.Outcome.Assumed.String(), ",") {
			if a.name == name {
				out = append(out, "This assumes that AWS, which does not say so, "+a.what+".")
			}
		}
	}
	if l.mayBeChild(x.Image, x.Outcome) {
		out = append(out, "An index that lists it would keep it; the manifests, which would tell, are not known.")
	}
	return out
}

// measure is the image's age or rank in a rule that selects it.
func measure(r lifecycle.Reason) string {
	n := r.Rule.Selection.CountNumber
	switch {
	case r.Of > 0:
		return fmt.Sprintf("it is number %d of %d from the youngest, and the rule keeps %d", r.Rank, r.Of, n)
	case r.Rule.Selection.CountType == lifecycle.ImageCountMoreThan:
		return "as a part of another image it is not counted"
	case r.Since.IsZero():
		return "since when its age counts is not known"
	case r.Met:
		return fmt.Sprintf("it was %s on %s, more than %s ago", r.Clock, day(r.Since), count(n, "day", "days"))
	}
	return fmt.Sprintf("it was %s on %s, and becomes older than %s on %s", r.Clock, day(r.Since), count(n, "day", "days"), day(r.Due))
}

// reason is what one rule has to do with the image. owner may be nil.
func reason(r lifecycle.Reason, owner *lifecycle.Reason, guarded bool) string {
	switch r.Verdict {
	case lifecycle.VerdictActs:
		if guarded {
			return "owns it and would act: " + tagged(r) + measure(r)
		}
		return "owns it and acts: " + tagged(r) + measure(r)
	case lifecycle.VerdictKeeps:
		return "owns it and keeps it: " + tagged(r) + measure(r)
	case lifecycle.VerdictClass:
		return "is about another storage class"
	case lifecycle.VerdictOutranked:
		would := "would keep it"
		if r.Met {
			would = "would act on it"
		}
		return fmt.Sprintf("selects it and %s (%s), but rule %d is higher and owns it", would, measure(r), owner.Rule.Priority)
	}
	switch {
	case r.Rule.Selection.TagStatus == lifecycle.Untagged:
		return "does not select it: it has tags"
	case len(r.Matches) == 0:
		return "does not select it: no tag matches " + clean(strings.Join(r.Missing, " or "))
	}
	var matched []string
	for _, m := range r.Matches {
		matched = append(matched, m.Element)
	}
	return fmt.Sprintf("does not select it: it has a tag for %s, but none for %s, and the list wants both",
		clean(strings.Join(matched, " and ")), clean(strings.Join(r.Missing, " and ")))
}

// tagged says which tags meet the rule's list, as the beginning of a sentence.
func tagged(r lifecycle.Reason) string {
	var s []string
	for _, m := range r.Matches {
		if m.Tag == m.Element {
			s = append(s, "it has the tag "+m.Tag)
		} else {
			s = append(s, fmt.Sprintf("its tag %s matches %s", m.Tag, m.Element))
		}
	}
	if len(s) == 0 {
		return ""
	}
	return clean(strings.Join(s, ", ")) + "; "
}

// ExplainJSON writes an explanation as data.
func ExplainJSON(w io.Writer, l Lifecycle, x lifecycle.Explanation) error {
	type matchForm struct {
		Element string `json:"element"`
		Tag     string `json:"tag"`
	}
	type ruleForm struct {
		Priority int               `json:"rulePriority"`
		Words    string            `json:"words"`
		Verdict  lifecycle.Verdict `json:"verdict"`
		Met      bool              `json:"met"`
		Matches  []matchForm       `json:"matches"`
		Missing  []string          `json:"missing"`
		Rank     int               `json:"rank,omitempty"`
		Of       int               `json:"of,omitempty"`
		Clock    lifecycle.Clock   `json:"clock,omitempty"`
		Since    *time.Time        `json:"since,omitempty"`
		Due      *time.Time        `json:"due,omitempty"`
		Field    string            `json:"field,omitempty"`
		Place    string            `json:"place,omitempty"`
	}
	form := struct {
		Image   imageForm  `json:"image"`
		Answer  string     `json:"answer"`
		Change  string     `json:"change"`
		Changes *time.Time `json:"changesAt"`
		Rules   []ruleForm `json:"rules"`
		Indexes []string   `json:"indexes"`
		Subject string     `json:"subjectManifestDigest,omitempty"`
		header
	}{l.image(x.Image, x.Outcome), l.answer(x), l.change(x), known(x.Changes), []ruleForm{}, []string{}, x.Image.Subject, l.header()}
	form.Indexes = append(form.Indexes, x.Indexes...)
	for _, r := range x.Reasons {
		origin := l.Origins[r.Rule.Priority]
		f := ruleForm{
			Priority: r.Rule.Priority, Words: rule(r.Rule), Verdict: r.Verdict, Met: r.Met, Matches: []matchForm{}, Missing: append([]string{}, r.Missing...),
			Rank: r.Rank, Of: r.Of, Clock: r.Clock, Since: known(r.Since), Due: known(r.Due), Field: origin.Field, Place: origin.String(),
		}
		for _, m := range r.Matches {
			f.Matches = append(f.Matches, matchForm{m.Element, m.Tag})
		}
		form.Rules = append(form.Rules, f)
	}
	return JSON(w, form)
}
