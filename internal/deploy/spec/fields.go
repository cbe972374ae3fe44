package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// The fields of a repository and of defaults, in the order of the manual.
var (
	repositoryFields = []string{
		"is_immutable", "expire_all_images", "expiration_rules", "lifecycle_policy_json",
		"additional_pull_account_ids", "additional_push_account_ids", "tags",
	}
	ruleFields = []string{"tag_pattern", "days"}
)

// setting is a field's value; the zero setting is one that is not given.
type setting[T any] struct {
	value T
	given bool
	by    state.Origin
}

func given[T any](v T, n node) setting[T] { return setting[T]{v, true, n.origin()} }

// or is s, or if it is not given, other.
func (s setting[T]) or(other setting[T]) setting[T] {
	if s.given {
		return s
	}
	return other
}

// fields are the settings of a repository as one place of a file gives them.
type fields struct {
	immutable setting[bool]
	expireAll setting[bool]
	rules     setting[[]rule]
	document  setting[document]
	pull      setting[[]grant]
	push      setting[[]grant]
	tags      setting[map[string]string]
}

// rule is an entry of expiration_rules.
type rule struct {
	pattern string
	days    int
	by      state.Origin
}

// grant is an entry of a list of accounts.
type grant struct {
	account ecr.AccountID
	by      state.Origin
}

// document is a lifecycle_policy_json.
type document struct {
	policy lifecycle.Policy
	// places are those of the document's values by path, as in
	// "rules[0].action"; nil when it was a text.
	places map[string]state.Position
}

// over is f with the defaults d: a field that f gives replaces the default
// whole. A document stands for all lifecycle fields together, so a default
// one counts only where f gives none of them.
func (f fields) over(d fields) fields {
	if f.expireAll.given || f.rules.given || f.document.given {
		d.document = setting[document]{}
	}
	return fields{
		immutable: f.immutable.or(d.immutable),
		expireAll: f.expireAll.or(d.expireAll),
		rules:     f.rules.or(d.rules),
		document:  f.document.or(d.document),
		pull:      f.pull.or(d.pull),
		push:      f.push.or(d.push),
		tags:      f.tags.or(d.tags),
	}
}

// fields reads the settings of a repository, or defaults.
func (d decoder) fields(n node) fields {
	var f fields
	m := d.object(n, repositoryFields, func(field string) string {
		if field == "stack" || field == "registries" {
			return "; it belongs at the top of the file"
		}
		return ""
	})
	if v, ok := m["is_immutable"]; ok {
		if b, ok := d.boolean(v); ok {
			f.immutable = given(b, v)
		}
	}
	if v, ok := m["expire_all_images"]; ok {
		if b, ok := d.boolean(v); ok {
			f.expireAll = given(b, v)
		}
	}
	if v, ok := m["expiration_rules"]; ok {
		f.rules = given(d.rules(v), v)
	}
	if v, ok := m["lifecycle_policy_json"]; ok {
		if doc, ok := d.document(v); ok {
			f.document = given(doc, v)
		}
	}
	if v, ok := m["additional_pull_account_ids"]; ok {
		f.pull = given(d.accounts(v), v)
	}
	if v, ok := m["additional_push_account_ids"]; ok {
		f.push = given(d.accounts(v), v)
	}
	if v, ok := m["tags"]; ok {
		f.tags = given(d.tags(v), v)
	}
	return f
}

func (d decoder) rules(n node) []rule {
	var out []rule
	first := map[string]state.Position{}
	for _, item := range d.list(n, "rules {tag_pattern, days}") {
		if item.kind == null {
			d.wrong(item, "want a mapping with the fields %s, not nothing", strings.Join(ruleFields, ", "))
			continue
		}
		before := len(d.errs)
		m := d.object(item, ruleFields, nil)
		if m == nil {
			continue
		}
		// a field that is not known may be the one that is missing
		good := len(d.errs) == before && d.need(item, m, "a rule", ruleFields...)
		r := rule{by: item.origin()}
		if v, ok := m["tag_pattern"]; ok {
			r.pattern, ok = d.pattern(v)
			good = good && ok
			if at, twice := first[r.pattern]; ok && twice {
				d.wrong(v, "pattern %q is given twice, first at %s", r.pattern, from(at, v.at))
				good = false
			} else if ok {
				first[r.pattern] = v.at
			}
		}
		if v, ok := m["days"]; ok {
			r.days, ok = d.days(v)
			good = good && ok
		}
		if good {
			out = append(out, r)
		}
	}
	return out
}

// maxPattern is the length of the longest tag.
const maxPattern = 128

var patternPattern = regexp.MustCompile(`^[A-Za-z0-9._*-]*$`)

func (d decoder) pattern(n node) (string, bool) {
	s, ok := d.text(n)
	if !ok {
		return "", false
	}
	switch stars := strings.Count(s, "*"); {
	case s == "":
		d.wrong(n, `a pattern must not be empty; "*" is all tags`)
	case !patternPattern.MatchString(s):
		d.wrong(n, "%q is not a tag pattern: want letters, digits, '.', '_', '-', and '*' for any run of characters", clip(s))
	case len(s) > maxPattern:
		d.wrong(n, "a pattern has at most %d characters, not %d", maxPattern, len(s))
	case stars > lifecycle.MaxWildcard:
		d.wrong(n, "pattern %q has %d '*'; ECR allows %d", s, stars, lifecycle.MaxWildcard)
	default:
		return s, true
	}
	return "", false
}

// account reads an account id. One without quotes is a number in YAML, and
// numbers lose their leading zeros, so it is refused even where it is whole.
func (d decoder) account(n node) (ecr.AccountID, bool) {
	if digits := n.kind == integer || n.kind == text && n.plain && isDigits(n.text); digits {
		if id, err := ecr.ParseAccountID(n.text); err == nil {
			d.wrong(n, "an account id is a text, and %s without quotes is a number; quote it: %q", id, id)
		} else {
			d.wrong(n, "an account id is a text of exactly 12 digits; %s is a number: quote it, with leading zeros", clip(n.text))
		}
		return "", false
	}
	s, ok := d.text(n)
	if !ok {
		return "", false
	}
	id, err := ecr.ParseAccountID(s)
	if err != nil {
		d.wrong(n, "%q is not an account id; want exactly 12 digits", clip(s))
		return "", false
	}
	return id, true
}

func (d decoder) accounts(n node) []grant {
	var out []grant
	first := map[ecr.AccountID]state.Position{}
	for _, item := range d.list(n, "account ids") {
		id, ok := d.account(item)
		if !ok {
			continue
		}
		if at, twice := first[id]; twice {
			d.wrong(item, "account %s is given twice, first at %s", id, from(at, item.at))
			continue
		}
		first[id] = item.at
		out = append(out, grant{id, item.origin()})
	}
	return out
}

// Limits of resource tags: ECR API model, Tag; the characters are those of
// "Tag naming limits and requirements" in the AWS guide to tagging.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func (d decoder) tags(n node) map[string]string {
	if n.kind != mapping {
		d.wrong(n, "want a mapping from tag keys to texts, not %s", n)
		return nil
	}
	if own := maxTags - 1; len(n.members) > own {
		d.errorf(n.key, n.path, "%d tags; ECR allows %d, and one of them is %s", len(n.members), maxTags, state.TagStack)
	}
	out := make(map[string]string, len(n.members))
	for _, m := range n.members {
		lower := strings.ToLower(m.key)
		switch {
		case strings.HasPrefix(lower, state.TagReserved), strings.HasPrefix(lower, "aws:"):
			prefix, _, _ := strings.Cut(lower, ":")
			d.errorf(m.at, n.path, "tag %q: keys that begin with %s: are reserved", clip(m.key), prefix)
			continue
		}
		if why := badTagText(m.key, 1, maxTagKey); why != "" {
			d.errorf(m.at, n.path, "tag key %q: %s", clip(m.key), why)
			continue
		}
		v := node{m.value, n.path.At(m.key), m.at}
		if v.kind == null {
			v.at = m.at
			d.wrong(v, `a tag needs a value; "" is one`)
			continue
		}
		s, ok := d.text(v)
		if !ok {
			continue
		}
		if why := badTagText(s, 0, maxTagValue); why != "" {
			d.wrong(v, "tag value: %s", why)
			continue
		}
		out[m.key] = s
	}
	return out
}

// badTagText says why s cannot be a tag's key or value, "" when it can.
func badTagText(s string, least, most int) string {
	n := utf8.RuneCountInString(s)
	if n < least || n > most {
		return fmt.Sprintf("want %d to %d characters, not %d", least, most, n)
	}
	for _, c := range s {
		if !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.Is(unicode.Zs, c) && !strings.ContainsRune("_.:/=+-@", c) {
			return fmt.Sprintf("%q is not allowed; want letters, digits, spaces and any of _ . : / = + - @", c)
		}
	}
	return ""
}

// document reads a lifecycle policy, given as a text or as a mapping.
func (d decoder) document(n node) (document, bool) {
	var doc document
	var raw []byte
	switch n.kind {
	case text:
		raw = []byte(n.text)
		// Spaces are not sent, so they do not count against the length.
		var short bytes.Buffer
		if json.Compact(&short, raw) == nil {
			raw = short.Bytes()
		}
	case mapping:
		doc.places = map[string]state.Position{}
		var err error
		if raw, err = n.appendJSON(nil, nil, doc.places); err != nil {
			d.wrong(n, "%v", err)
			return doc, false
		}
	default:
		d.wrong(n, "want a lifecycle policy, as a text of JSON or as a mapping, not %s", n)
		return doc, false
	}
	var err error
	if doc.policy, err = lifecycle.Parse(raw); err == nil {
		return doc, true
	}
	var errs lifecycle.Errors
	if !errors.As(err, &errs) {
		d.wrong(n, "%v", err)
		return doc, false
	}
	for _, e := range errs {
		if e.Code == lifecycle.CodeLength && errs[len(errs)-1].Code != lifecycle.CodeLength {
			continue // what else is wrong says more
		}
		d.errorf(doc.place(e.Path, n.at), n.path, "%s", documentError(e))
	}
	return doc, false
}

// place is where the document's value at path stands, or the nearest one
// around it; at when the document was a text.
func (doc document) place(path string, at state.Position) state.Position {
	for {
		if p, ok := doc.places[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if p, ok := doc.places[""]; ok {
		return p
	}
	return at
}

// documentError is e without the place in the text, which only means
// something for a text that is not JSON, and with ECR's words where ours do
// not say more.
func documentError(e *lifecycle.Error) string {
	s := e.Reason
	if s == "" {
		s = e.Detail
	}
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Code == lifecycle.CodeSyntax && e.Line > 0 {
		s = fmt.Sprintf("%s (at %d:%d of the policy's text)", s, e.Line, e.Column)
	}
	return s
}
