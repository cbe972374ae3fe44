package importer

import (
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
)

// hoist moves what most entries share into defaults, field by field: where that
// makes the file shorter, and changes nothing that it compiles to.
func (w *writer) hoist(entries []*entry) settings {
	defaults := settings{}
	before := make([]settings, len(entries))
	for i, e := range entries {
		before[i] = e.fields
	}
	all := 0
	for _, field := range fields.Names(fields.Repository) {
		value, ok := mostCommon(field, entries)
		if !ok {
			continue
		}
		moved, saved := withDefault(field, value, defaults, entries)
		if saved <= 0 {
			continue
		}
		candidate := maps.Clone(defaults)
		candidate[field] = value
		if w.compilesAsWanted(candidate, moved) {
			defaults = candidate
			all += saved
			for i, e := range moved {
				entries[i].fields = e.fields
			}
		}
	}
	if all <= 1 { // they begin with a line of their own
		for i, e := range entries {
			e.fields = before[i]
		}
		return settings{}
	}
	return defaults
}

// mostCommon is the value of a field that most entries have.
func mostCommon(field string, entries []*entry) (*lang.Value, bool) {
	count := map[string]int{}
	var best *lang.Value
	most := 0
	for _, e := range entries {
		v := e.fields[field]
		if v == nil {
			continue
		}
		key := form(v)
		count[key]++
		if count[key] > most {
			best, most = v, count[key]
		}
	}
	return best, most > 1
}

// form is equal for equal values.
func form(v *lang.Value) string {
	b, _ := v.AppendJSON(nil, nil, nil) // all numbers are ours
	return string(b)
}

// withDefault are the entries without the field where it has the default value,
// and with its opposite where it is not set; saved is how many lines that saves.
func withDefault(field string, value *lang.Value, defaults settings, entries []*entry) (moved []*entry, saved int) {
	key := form(value)
	saved = -lines(value)
	for _, e := range entries {
		x := &entry{name: e.name, fields: maps.Clone(e.fields), want: e.want}
		switch v := e.fields[field]; {
		case v == nil && !x.unaffected(field, defaults):
			undo := opposite(field)
			if undo == "" {
				return nil, 0
			}
			name, text, _ := strings.Cut(undo, ": ")
			x.fields[name] = scalar(text)
			saved--
		case v != nil && form(v) == key:
			delete(x.fields, field)
			saved += lines(v)
		}
		moved = append(moved, x)
	}
	return moved, saved
}

// lines are how many a field takes.
func lines(v *lang.Value) int {
	if v.Inline || len(v.Items)+len(v.Members) == 0 {
		return 1
	}
	n := 1
	for _, item := range v.Items {
		n += max(1, len(item.Members))
	}
	for _, m := range v.Members {
		n += lines(m.Value)
	}
	return n
}

// lifecycleFields are those of which any drops a default lifecycle_policy_json.
var lifecycleFields = []string{
	"keep", "expire_untagged_after_days", "keep_last_untagged", "expiration_rules", "expire_all_images", "expire_all_after_days", "keep_last_images", "lifecycle_policy_json",
}

// accessFields are likewise those for a default repository_policy_json.
var accessFields = []string{
	"additional_pull_account_ids", "additional_push_account_ids", "pull_principals", "push_principals", "pull_organization_ids", "extra_policy_statements", "repository_policy_json",
}

// unaffected reports whether a default of the field means nothing for an entry
// that does not set it: another of its fields replaces it.
func (e *entry) unaffected(field string, defaults settings) bool {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return e.fields[n] != nil })
	}
	if slices.Contains(lifecycleFields, field) && has("lifecycle_policy_json") || slices.Contains(accessFields, field) && has("repository_policy_json") {
		return true
	}
	switch field {
	case "lifecycle_policy_json":
		return has(lifecycleFields...)
	case "repository_policy_json":
		return has(accessFields...)
	case "mutable_tags":
		return has("is_immutable") && !e.fields["is_immutable"].True()
	case "immutable_tags":
		return !has("is_immutable") && defaults["is_immutable"] == nil || has("is_immutable") && e.fields["is_immutable"].True()
	case "expire_all_after_days":
		return !has("expire_all_images") && defaults["expire_all_images"] == nil
	case "expire_untagged_after_days":
		return has("keep_last_untagged")
	case "keep_last_untagged":
		return has("expire_untagged_after_days")
	case "expire_all_images":
		return has("keep_last_images")
	case "keep_last_images":
		return has("expire_all_images")
	}
	return false
}

// opposite says that a field is not set, where a default sets it.
func opposite(field string) string {
	switch field {
	case "is_immutable", "delete_protection":
		return field + ": true"
	case "scan_on_push", "expire_all_images":
		return field + ": false"
	case "encryption":
		return ""
	case "tags":
		return field + ": {}"
	case "expire_untagged_after_days", "keep_last_untagged", "lifecycle_policy_json":
		return "expire_untagged_after_days: 1"
	case "expire_all_after_days":
		return field + ": 14"
	case "keep_last_images":
		return field + ": all"
	case "repository_policy_json":
		return "additional_pull_account_ids: []"
	}
	return field + ": []"
}

// scalar is the value of opposite.
func scalar(text string) *lang.Value {
	switch text {
	case "true", "false":
		return lang.NewBoolean(text == "true")
	case "{}":
		return inline(lang.NewMapping())
	case "[]":
		return inline(lang.NewList())
	case "all":
		return lang.NewText(text)
	}
	return &lang.Value{Kind: lang.Integer, Text: text}
}

// compilesAsWanted reports whether the entries with defaults come to the
// settings that they come to without.
func (w *writer) compilesAsWanted(defaults settings, entries []*entry) bool {
	got, err := w.desired(defaults, entries)
	if err != nil || len(got.Repositories) != len(entries) || !w.sameTemplates(got) {
		return false
	}
	for i, e := range entries {
		if !same(got.Repositories[i], e.want) {
			return false
		}
	}
	return true
}
