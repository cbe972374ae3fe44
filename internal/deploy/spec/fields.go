package spec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// The fields of a repository and of defaults, in the order of the manual.
var (
	repositoryFields = []string{
		"is_immutable", "expire_all_images", "expire_all_after_days", "expiration_rules", "keep",
		"expire_untagged_after_days", "lifecycle_policy_json",
		"additional_pull_account_ids", "additional_push_account_ids", "tags",
	}
	ruleFields = []string{"tag_pattern", "days", "keep_last"}
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
	lifecycleFields
	pull setting[[]grant]
	push setting[[]grant]
	tags setting[map[string]string]
}

// grant is an entry of a list of accounts.
type grant struct {
	account ecr.AccountID
	by      state.Origin
}

// over is f with the defaults d: a field that f gives replaces the default
// whole.
func (f fields) over(d fields) fields {
	return fields{
		immutable:       f.immutable.or(d.immutable),
		lifecycleFields: f.lifecycleFields.over(d.lifecycleFields),
		pull:            f.pull.or(d.pull),
		push:            f.push.or(d.push),
		tags:            f.tags.or(d.tags),
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
	f.lifecycleFields = d.lifecycleFields(m)
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
