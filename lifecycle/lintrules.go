package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// elements are those of the rule's list, as written, and the list's name.
func (r *rule) elements() (list []string, name string) {
	if len(r.Selection.TagPatterns) > 0 {
		return r.Selection.TagPatterns, "tagPatternList"
	}
	return r.Selection.TagPrefixes, "tagPrefixList"
}

// wildcards are the elements as patterns, a literal asterisk of a prefix being
// written as a character that no tag has.
func (r *rule) wildcards() []string {
	out := slices.Clone(r.Selection.TagPatterns)
	for _, p := range r.Selection.TagPrefixes {
		out = append(out, strings.ReplaceAll(p, "*", "\x00")+"*")
	}
	return out
}

// implies reports whether each tag that narrow matches is one that wide
// matches too. False may also be "not seen".
func implies(narrow, wide string) bool {
	// an asterisk of narrow is any text, so only one of wide may match it
	w := pattern(wide)
	return w.match(narrow)
}

// covers reports whether h selects every image that r selects; false may also
// be "not seen".
func (h *rule) covers(r *rule) bool {
	if h.Selection.Class() != r.Selection.Class() {
		return false
	}
	switch {
	case h.Selection.TagStatus == Any:
		return true
	case h.Selection.TagStatus != r.Selection.TagStatus:
		return false
	case h.Selection.TagStatus == Untagged:
		return true
	}
	for _, wide := range h.wildcards() {
		if !slices.ContainsFunc(r.wildcards(), func(narrow string) bool { return implies(narrow, wide) }) {
			return false
		}
	}
	return len(h.wildcards()) > 0
}

// keeps reports whether r is written to keep all it selects.
func (r *rule) keeps() bool { return r.counts && r.Selection.CountNumber >= keepAll }

// list finds lists of which all elements must match.
func (l *linter) list(id int) {
	r := &l.rules[id]
	list, name := r.elements()
	if len(list) < 2 || r.Selection.TagStatus != Tagged {
		return
	}
	var partly []int
	for i := range l.images {
		m := &l.images[i]
		if l.opts.class(m.Status) == r.Selection.Class() && !slices.Contains(l.matched[i], int32(id)) && r.some(m) {
			partly = append(partly, i)
		}
	}
	severity, message := Warning, fmt.Sprintf("rule %d selects only images with tags for each of %s", r.Priority, quoted(list...))
	if len(partly) == 0 && len(l.selected[id]) > 0 {
		severity = Note // as it should be, for these images
	}
	if len(partly) > 0 {
		message += fmt.Sprintf(": %s match only some of them and are not selected", number(len(partly)))
	}
	l.add(LintList, severity, id, jsonpos.Path{"selection", name}, partly, message,
		"if images with any of these tags are meant, write one rule for each element")
}

// some reports whether a tag of m matches an element.
func (r *rule) some(m *Image) bool {
	for _, w := range r.wildcards() {
		e := pattern(w)
		if slices.ContainsFunc(m.Tags, e.match) {
			return true
		}
	}
	return false
}

// reach finds rules that select, own or act on nothing.
func (l *linter) reach(id int) {
	r := &l.rules[id]
	for h := range l.rules[:id] {
		if l.rules[h].covers(r) {
			l.unreachable(id, h)
			return
		}
	}
	where := jsonpos.Path{"selection"}
	some := slices.ContainsFunc(l.images, func(m Image) bool { return l.opts.class(m.Status) == r.Selection.Class() })
	switch {
	case !some: // nothing to judge by
	case len(l.selected[id]) == 0 && r.Selection.TagStatus != Tagged: // as it should be
	case len(l.selected[id]) == 0:
		code, severity, what := LintNothing, Note, "selects none of the images"
		if r.keeps() {
			code, severity, what = LintKeepsNone, Warning, "keeps nothing: it selects none of the images"
		}
		l.add(code, severity, id, where, nil, fmt.Sprintf("rule %d %s", r.Priority, what),
			"check its tags against those that are pushed, or remove it")
	case len(l.owned[id]) == 0:
		code, severity, what := LintShadowed, Warning, "owns none of the images"
		if r.keeps() {
			code, what = LintKeepsNone, "keeps nothing"
		}
		l.add(code, severity, id, where, l.selected[id],
			fmt.Sprintf("rule %d %s: the %s it selects belong to rules with precedence", r.Priority, what, number(len(l.selected[id]))),
			"give it a smaller rulePriority, or make the rules above it narrower")
	}
	l.full(id)
}

func (l *linter) unreachable(id, by int) {
	r, h := &l.rules[id], &l.rules[by]
	code, what := LintShadowed, "can never own an image"
	if r.keeps() {
		code, what = LintKeepsNone, "can never keep an image"
	}
	// a rule that says the same as another is reported as that
	if r.covers(h) {
		code = LintDuplicate
	}
	l.add(code, Warning, id, jsonpos.Path{"selection"}, l.selected[id],
		fmt.Sprintf("rule %d %s: rule %d selects every image that it selects", r.Priority, what, h.Priority),
		fmt.Sprintf("give it a rulePriority below %d, or remove it", h.Priority))
}

// full finds counts that are never exceeded.
func (l *linter) full(id int) {
	r := &l.rules[id]
	if !r.counts || r.keeps() {
		return
	}
	at, n := jsonpos.Path{"selection", "countNumber"}, r.Selection.CountNumber
	list, _ := r.elements()
	if k := slices.IndexFunc(r.Selection.TagPatterns, func(s string) bool { return !strings.Contains(s, "*") }); k >= 0 {
		l.add(LintNeverFull, Note, id, at, nil,
			fmt.Sprintf("rule %d never acts: only one image at a time has the tag %q", r.Priority, list[k]),
			"that is fine to keep the image; to count several, use a pattern")
		return
	}
	if got := len(l.selected[id]); got > 0 && len(l.images) <= n {
		l.add(LintNeverFull, Note, id, at, nil,
			fmt.Sprintf("rule %d keeps %d images, and the repository has %d in all", r.Priority, n, len(l.images)),
			"choose a smaller countNumber if old images should expire")
	}
}

func (l *linter) pulled(id int) {
	r := &l.rules[id]
	if r.Selection.CountType == SinceImagePulled && r.Action.Type == Expire {
		l.add(LintPulled, Warning, id, jsonpos.Path{"action", "type"}, nil,
			fmt.Sprintf("rule %d expires images by their last pull, which Amazon ECR refuses", r.Priority),
			"on Amazon ECR archive them instead (transition), and expire archived images")
	}
}

// duplicates finds elements of a list that another one implies. Rules that say
// the same are found by reach.
func (l *linter) duplicates(id int) {
	r := &l.rules[id]
	if r.Selection.TagStatus != Tagged {
		return
	}
	list, name := r.elements()
	w := r.wildcards()
	if len(list) != len(w) {
		return // both lists, which ECR refuses
	}
	for i := range w {
		for j := range w {
			if i != j && implies(w[j], w[i]) && (i > j || !implies(w[i], w[j])) {
				l.add(LintDuplicate, Note, id, jsonpos.Path{"selection", name, i}, nil,
					fmt.Sprintf("%q of rule %d adds nothing: every tag that matches %q matches it too", list[i], r.Priority, list[j]),
					"remove it, or write a separate rule for it")
				break
			}
		}
	}
}

// untagged finds policies that say nothing of untagged images.
func (l *linter) untagged() {
	anyRule := false
	for id := range l.rules {
		s := l.rules[id].Selection
		if s.Class() != Standard {
			continue
		}
		if s.TagStatus == Untagged {
			return
		}
		anyRule = anyRule || s.TagStatus == Any
	}
	var bare []int
	for i := range l.images {
		if len(l.images[i].Tags) == 0 && l.opts.class(l.images[i].Status) == Standard && !l.graph.dependent(l.board, i) {
			bare = append(bare, i)
		}
	}
	severity, message := Warning, "no rule selects untagged images: they are kept forever"
	if anyRule {
		severity, message = Note, "no rule selects untagged images only: they are kept as long as tagged ones"
	}
	l.add(LintUntagged, severity, -1, jsonpos.Path{"rules"}, bare, message,
		`add a rule with tagStatus "untagged"`)
}

// victims looks at the images that go or will go, by rule.
func (l *linter) victims(now time.Time) {
	for id := range l.rules {
		r := &l.rules[id]
		var production, used []int
		tag := ""
		for _, i := range l.owned[id] {
			m, o := &l.images[i], &l.out[i]
			if o.GuardedBy != nil || o.With != "" {
				continue
			}
			// what belongs to a rule that counts days goes some day
			if o.Action == Expire || r.ages && r.Action.Type == Expire {
				if s := r.deployed(m); s != "" {
					production = append(production, i)
					if tag == "" {
						tag = s
					}
				}
			}
			if o.Action == Expire && r.ages && (l.opts.InUse[m.Digest] != "" ||
				r.Selection.CountType == SinceImagePushed && m.LastPulledAt.After(l.opts.Ages.cutoff(now, r.Selection.CountNumber))) {
				used = append(used, i)
			}
		}
		if len(production) > 0 {
			list, name := r.elements()
			l.add(LintProduction, Warning, id, jsonpos.Path{"selection", name}, production,
				fmt.Sprintf("rule %d about %s expires %s with a tag such as %q", r.Priority, quoted(list...), number(len(production)), tag),
				fmt.Sprintf("add a rule that keeps images with that tag, with a rulePriority below %d", r.Priority))
		}
		if len(used) > 0 {
			l.add(LintInUse, Warning, id, jsonpos.Path{"selection", "countNumber"}, used,
				fmt.Sprintf("rule %d expires %s in use or pulled within its %d days: age counts from the push", r.Priority, number(len(used)), r.Selection.CountNumber),
				remedyInUse)
		}
	}
}

// remedyInUse is what helps an image in use that a rule takes.
const remedyInUse = "choose a greater countNumber, keep these tags with a rule above, or lease the images"

// deployed is the first tag of m that looks like a version or an environment
// and that the list of r, being about tags, does not match.
func (r *rule) deployed(m *Image) string {
	if r.Selection.TagStatus != Tagged || len(m.Tags) < 2 {
		return ""
	}
	for _, tag := range m.Tags {
		if Deployed(tag) && !r.some(&Image{Tags: []string{tag}}) {
			return tag
		}
	}
	return ""
}

// signatures finds those that clients without referrers push by tag, as
// sha256-<hex>, sha256-<hex>.sig and the like.
func (l *linter) signatures() {
	stays := map[string]bool{}
	for i := range l.images {
		stays[l.images[i].Digest] = l.out[i].Action == Keep
	}
	lost := make([][]int, len(l.rules))
	for i := range l.images {
		o := &l.out[i]
		if o.Action != Expire || o.With != "" || len(l.matched[i]) == 0 {
			continue
		}
		for _, tag := range l.images[i].Tags {
			if hex, ok := strings.CutPrefix(tag, "sha256-"); ok {
				hex, _, _ = strings.Cut(hex, ".")
				if stays["sha256:"+hex] {
					lost[l.matched[i][0]] = append(lost[l.matched[i][0]], i)
					break
				}
			}
		}
	}
	for id, images := range lost {
		if len(images) > 0 {
			r := &l.rules[id]
			l.add(LintSignature, Warning, id, jsonpos.Path{"selection"}, images,
				fmt.Sprintf("rule %d expires %s that are signatures, by tag, of images that are kept", r.Priority, number(len(images))),
				fmt.Sprintf("add a rule that keeps the pattern \"sha256-*\", with a rulePriority below %d", r.Priority))
		}
	}
}

// number is "1 image" or "3 images".
func number(n int) string {
	if n == 1 {
		return "1 image"
	}
	return fmt.Sprintf("%d images", n)
}
