package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/wording"
	"github.com/kontor-registry/kontor/lifecycle"
)

// keepsAll is from which count on a rule keeps all: a repository has at most
// 100,000 images.
const keepsAll = 100_000

// lifecycle chooses the fields for a lifecycle policy, "" for none.
func (w *writer) lifecycle(text string) chosen {
	c, ok := w.lifecycles[text]
	if !ok {
		c = w.chooseLifecycle(text)
		w.lifecycles[text] = c
	}
	return c
}

func (w *writer) chooseLifecycle(text string) chosen {
	if text == "" {
		return chosen{fields: settings{"expire_untagged_after_days": lang.NewText("never")}}
	}
	p, err := lifecycle.Decode([]byte(text))
	if err != nil {
		return chosen{err: fmt.Errorf("the lifecycle policy cannot be read: %w", err)}
	}
	short, why := shortLifecycle(p)
	if why == "" {
		why = w.tryLifecycle(p, text, short)
		if why == "" {
			return chosen{fields: short, above: lifecycleSource(p)}
		}
	}
	raw := settings{"lifecycle_policy_json": document(p.String(), "rules")}
	switch r, err := w.compile("repository", raw); {
	case err != nil:
		return chosen{err: err}
	case !plan.EqualLifecycle(text, r.Lifecycle):
		return chosen{err: fmt.Errorf("the lifecycle policy cannot be written as it is")}
	}
	c := chosen{fields: raw}
	if why != otherWording {
		c.above = []string{"Lifecycle policy as it is: " + why + "."}
		c.notes = []string{"the lifecycle policy is written as it is: " + why}
	}
	return c
}

// otherWording is why fields are not enough for an exact file.
const otherWording = "other wording"

// tryLifecycle says why the fields do not represent the policy; "" when they do.
func (w *writer) tryLifecycle(p lifecycle.Policy, text string, short settings) string {
	r, err := w.compile("repository", short)
	if err != nil {
		return err.Error()
	}
	if plan.EqualLifecycle(text, r.Lifecycle) {
		return ""
	}
	if w.opts.Exact {
		return otherWording
	}
	var q lifecycle.Policy
	if r.Lifecycle != "" {
		if q, err = lifecycle.Decode([]byte(r.Lifecycle)); err != nil {
			return err.Error()
		}
	}
	if image := wording.SameLifecycle(p, q); image != "" {
		return "fields would treat some images differently, such as " + image
	}
	return ""
}

// shortLifecycle are the fields that p's rules look like, or why there are none.
func shortLifecycle(p lifecycle.Policy) (settings, string) {
	rules := slices.SortedFunc(slices.Values(p.Rules), func(a, b lifecycle.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	s := settings{"expire_untagged_after_days": lang.NewText("never")}
	var keep []string
	list := lang.NewList()
	for _, r := range rules {
		sel := r.Selection
		byAge := sel.CountType == lifecycle.SinceImagePushed
		switch {
		case r.Action.Type != lifecycle.Expire:
			return nil, fmt.Sprintf("rule %d moves images to the archive", r.Priority)
		case sel.Class() != lifecycle.Standard:
			return nil, fmt.Sprintf("rule %d is about archived images", r.Priority)
		case !byAge && sel.CountType != lifecycle.ImageCountMoreThan:
			return nil, fmt.Sprintf("rule %d goes by the last pull", r.Priority)
		}
		n := lang.NewInteger(sel.CountNumber)
		switch sel.TagStatus {
		case lifecycle.Untagged:
			delete(s, "expire_untagged_after_days")
			if !byAge {
				s["keep_last_untagged"] = n
			} else if sel.CountNumber != 1 {
				s["expire_untagged_after_days"] = n
			}
		case lifecycle.Any:
			if !byAge {
				s["keep_last_images"] = n
				continue
			}
			s["expire_all_images"] = lang.NewBoolean(true)
			if sel.CountNumber != 14 {
				s["expire_all_after_days"] = n
			}
		default:
			pattern, why := onePattern(r)
			if why != "" {
				return nil, why
			}
			if !byAge && sel.CountNumber >= keepsAll && len(list.Items) == 0 {
				keep = append(keep, pattern)
				continue
			}
			number := "days"
			if !byAge {
				number = "keep_last"
			}
			list.Items = append(list.Items, inline(lang.NewMapping().Add("tag_pattern", lang.NewText(pattern)).Add(number, n)))
		}
	}
	if len(keep) > 0 {
		s["keep"] = texts(keep)
	}
	if len(list.Items) > 0 {
		s["expiration_rules"] = list
	}
	return s, ""
}

// onePattern is the tag pattern of a rule that has a single one.
func onePattern(r lifecycle.Rule) (pattern, why string) {
	sel := r.Selection
	switch {
	case len(sel.TagPatterns)+len(sel.TagPrefixes) != 1:
		return "", fmt.Sprintf("rule %d selects images that have tags for every one of its %d patterns (KON3001)", r.Priority, len(sel.TagPatterns)+len(sel.TagPrefixes))
	case len(sel.TagPatterns) == 1:
		pattern = sel.TagPatterns[0]
	case strings.Contains(sel.TagPrefixes[0], "*"):
		return "", fmt.Sprintf("rule %d has a prefix that no tag has: %s", r.Priority, sel.TagPrefixes[0])
	default:
		pattern = sel.TagPrefixes[0] + "*"
	}
	if !fields.TagPattern.MatchString(pattern) || len(pattern) > fields.MaxPattern {
		return "", fmt.Sprintf("rule %d has a pattern that no tag matches: %s", r.Priority, pattern)
	}
	return pattern, ""
}

// document is a policy as a mapping, which has one entry a line in lists called
// list.
func document(text, list string) *lang.Value {
	v, _ := lang.Parse(lang.Source{Name: "policy.json", Data: []byte(text)}) // an engine printed it
	v = plain(v)
	if items := v.Get(list); items != nil {
		for _, item := range items.Items {
			for _, m := range item.Members {
				m.Value.Inline = true
				flatten(m.Value)
			}
		}
	}
	return v
}

// plain is v as if it had not been read.
func plain(v *lang.Value) *lang.Value {
	out := &lang.Value{Kind: v.Kind, Text: v.Text}
	for _, item := range v.Items {
		out.Items = append(out.Items, plain(item))
	}
	for _, m := range v.Members {
		out.Add(m.Key, plain(m.Value))
	}
	return out
}

// flatten puts all of v on one line.
func flatten(v *lang.Value) {
	v.Inline = true
	for _, item := range v.Items {
		flatten(item)
	}
	for _, m := range v.Members {
		flatten(m.Value)
	}
}
