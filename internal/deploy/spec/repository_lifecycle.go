package spec

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
)

// lifecycleFields are the fields that make the lifecycle policy.
type lifecycleSettings struct {
	keep         setting[[]pattern]
	untaggedDays setting[int] // 0 for never
	keepUntagged setting[int] // in place of untaggedDays
	rules        setting[[]rule]
	expireAll    setting[bool]
	// expireAllDays is only used with expireAll.
	expireAllDays setting[int]
	keepNewest    setting[int] // of all images; 0 for all of them
	document      setting[document]
}

// pattern is a tag pattern and where it stands.
type pattern struct {
	text string
	by   state.Origin
}

// rule is an entry of expiration_rules. It has either days or keepLast.
type rule struct {
	pattern  pattern
	days     int // 1 or more; 0 when it counts
	keepLast int // 1 or more; 0 when it goes by age
	by       state.Origin
}

// over is f with the defaults d. A document represents all lifecycle fields
// together, so a default one counts only where f gives none of them. Fields that
// make the same rule replace each other: those for untagged images, and those
// for all others.
func (f lifecycleSettings) over(d lifecycleSettings) lifecycleSettings {
	if f.keep.given || f.untaggedDays.given || f.rules.given || f.expireAll.given || f.expireAllDays.given ||
		f.keepUntagged.given || f.keepNewest.given || f.document.given {
		d.document = setting[document]{}
	}
	if f.untaggedDays.given || f.keepUntagged.given {
		d.untaggedDays, d.keepUntagged = setting[int]{}, setting[int]{}
	}
	if f.keepNewest.value > 0 {
		d.expireAll, d.expireAllDays = setting[bool]{}, setting[int]{}
	}
	if f.expireAll.value {
		d.keepNewest = setting[int]{}
	}
	return lifecycleSettings{
		keep:          f.keep.or(d.keep),
		untaggedDays:  f.untaggedDays.or(d.untaggedDays),
		keepUntagged:  f.keepUntagged.or(d.keepUntagged),
		rules:         f.rules.or(d.rules),
		expireAll:     f.expireAll.or(d.expireAll),
		expireAllDays: f.expireAllDays.or(d.expireAllDays),
		keepNewest:    f.keepNewest.or(d.keepNewest),
		document:      f.document.or(d.document),
	}
}

// besideDocument are the fields that cannot be combined with a document. The
// others have means that a document may take the place of; who writes these
// counts on images that stay, or on a day.
var besideDocument = []string{"keep", "expire_untagged_after_days", "expire_all_after_days", "keep_last_untagged", "keep_last_images"}

// lifecycleFields reads those of the members m of a repository, or defaults.
func (d decoder) lifecycleSettings(m map[string]node) lifecycleSettings {
	var f lifecycleSettings
	if v, ok := m["keep"]; ok {
		f.keep = given(d.patterns(v), v)
	}
	if v, ok := m["expire_untagged_after_days"]; ok {
		if days, ok := d.daysOrNever(v); ok {
			f.untaggedDays = given(days, v)
		}
	}
	if v, ok := m["keep_last_untagged"]; ok {
		if n, ok := d.number(v, "image"); ok {
			f.keepUntagged = given(n, v)
		}
		if other, ok := m["expire_untagged_after_days"]; ok {
			d.errorf(other.key, other.path, "cannot be combined with keep_last_untagged: a lifecycle policy has one rule for untagged images; remove one of them")
		}
	}
	if v, ok := m["expiration_rules"]; ok {
		f.rules = given(d.rules(v), v)
	}
	if v, ok := m["expire_all_images"]; ok {
		// What cannot be read counts as true, so that nothing more is said
		// of the fields that want it.
		b, ok := d.boolean(v)
		f.expireAll = given(b || !ok, v)
	}
	if v, ok := m["expire_all_after_days"]; ok {
		if days, ok := d.number(v, "day"); ok {
			f.expireAllDays = given(days, v)
		}
	}
	if v, ok := m["keep_last_images"]; ok {
		if n, ok := d.countOrAll(v); ok {
			f.keepNewest = given(n, v)
		}
		if other, ok := m["expire_all_images"]; ok && f.keepNewest.value > 0 && other.True() {
			d.errorf(other.key, other.path, "cannot be combined with keep_last_images: a lifecycle policy has one rule for all images; remove one of them")
			f.keepNewest = setting[int]{} // nothing more is said of the two
		}
	}
	if v, ok := m["lifecycle_policy_json"]; ok {
		if doc, ok := d.document(v); ok {
			f.document = given(doc, v)
		}
		for _, field := range besideDocument {
			if other, ok := m[field]; ok {
				d.errorf(other.key, other.path, "cannot be combined with lifecycle_policy_json, which is a complete policy; remove one of them")
			}
		}
	}
	return f
}

// countOrAll reads a number of images, 1 or more, or "all", which is 0.
func (d decoder) countOrAll(n node) (int, bool) {
	if n.Kind == lang.Text && n.Text == "all" {
		return 0, true
	}
	if n.Kind == lang.Integer || n.Kind == lang.Text && n.Plain && lang.IsDecimal(n.Text) {
		return d.number(n, "image")
	}
	d.wrong(n, "want a whole number of images or all, not %s", n)
	return 0, false
}

// daysOrNever reads a number of days, 1 or more, or "never", which is 0.
func (d decoder) daysOrNever(n node) (int, bool) {
	if n.Kind == lang.Text && n.Text == "never" {
		return 0, true
	}
	if n.Kind == lang.Integer || n.Kind == lang.Text && n.Plain && lang.IsDecimal(n.Text) {
		return d.number(n, "day")
	}
	d.wrong(n, "want a whole number of days or never, not %s", n)
	return 0, false
}

// patterns reads a list of tag patterns, none twice.
func (d decoder) patterns(n node) []pattern {
	var out []pattern
	first := map[string]state.Position{}
	for _, item := range d.list(n, "tag patterns") {
		if p, ok := d.uniquePattern(item, first); ok {
			out = append(out, p)
		}
	}
	return out
}

func (d decoder) rules(n node) []rule {
	var out []rule
	first := map[string]state.Position{}
	for _, item := range d.list(n, "rules {tag_pattern, days} or {tag_pattern, keep_last}") {
		if item.Kind == lang.Null {
			d.wrong(item, "want a mapping with the fields %s, but the entry is empty", strings.Join(fields.Names("expiration_rules"), ", "))
			continue
		}
		before := len(d.errs)
		m := d.object(item, "expiration_rules")
		if m == nil {
			continue
		}
		// a field that is not known may be the one that is missing
		known := len(d.errs) == before
		good := known && d.need(item, m, "a rule", "tag_pattern")
		days, byAge := m["days"]
		last, byCount := m["keep_last"]
		switch {
		case byAge && byCount:
			d.errorf(last.key, last.path, "a rule has either days or keep_last, not both")
			good = false
		case !byAge && !byCount && known:
			d.errorf(item.At, item.path, "a rule needs the field days or the field keep_last")
			good = false
		}
		r := rule{by: item.origin()}
		if v, ok := m["tag_pattern"]; ok {
			r.pattern, ok = d.uniquePattern(v, first)
			good = good && ok
		}
		if byAge {
			var ok bool
			r.days, ok = d.number(days, "day")
			good = good && ok
		}
		if byCount {
			var ok bool
			r.keepLast, ok = d.number(last, "image")
			good = good && ok
		}
		if good {
			out = append(out, r)
		}
	}
	return out
}

// uniquePattern reads a tag pattern that is not in first yet, and puts it there.
func (d decoder) uniquePattern(n node, first map[string]state.Position) (pattern, bool) {
	s, ok := d.pattern(n)
	if !ok {
		return pattern{}, false
	}
	if at, twice := first[s]; twice {
		d.wrong(n, "pattern %q is given twice, first at %s", s, from(at, n.At))
		return pattern{}, false
	}
	first[s] = n.At
	return pattern{s, state.Origin{Field: n.path.String(), Position: n.At}}, true
}

func (d decoder) pattern(n node) (string, bool) {
	s, ok := d.text(n)
	if !ok {
		return "", false
	}
	switch stars := strings.Count(s, "*"); {
	case s == "":
		d.wrong(n, `a pattern must not be empty; "*" is all tags`)
	case !fields.TagPattern.MatchString(s):
		d.wrong(n, "%q is not a tag pattern: want letters, digits, '.', '_', '-', and '*' for any run of characters", lang.Clip(s))
	case len(s) > fields.MaxPattern:
		d.wrong(n, "a pattern has at most %d characters, not %d", fields.MaxPattern, len(s))
	case stars > lifecycle.MaxWildcard:
		d.wrong(n, "pattern %q has %d '*'; ECR allows %d", s, stars, lifecycle.MaxWildcard)
	default:
		return s, true
	}
	return "", false
}
