package spec

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/lifecycle"
)

// The numbers behind the switches, where the file gives none.
const (
	untaggedDays  = 1  // untagged images live that long after their push
	expireAllDays = 14 // and all others with expire_all_images
)

// keepCount is the count of a rule that keeps: no repository comes to it.
const keepCount = 999_999

// lifecycle makes the lifecycle policy, and the origins of its rules by
// priority. A policy without rules represents none.
func (r repository) lifecycle() (lifecycle.Policy, map[int]state.Origin) {
	origins := map[int]state.Origin{}
	if r.document.given {
		p := r.document.value.policy
		for i, rule := range p.Rules {
			o := r.document.by
			if at, ok := r.document.value.places[jsonpos.Path{"rules", i}.String()]; ok {
				o = state.Origin{Field: fmt.Sprintf("%s.rules[%d]", o.Field, i), Position: at}
			}
			origins[rule.Priority] = o
		}
		return p, origins
	}
	var p lifecycle.Policy
	add := func(by state.Origin, description string, s lifecycle.Selection) {
		priority := len(p.Rules) + 1
		p.Rules = append(p.Rules, lifecycle.Rule{
			Priority: priority, Description: description, Selection: s, Action: lifecycle.Action{Type: lifecycle.Expire},
		})
		origins[priority] = by
	}
	for _, k := range r.keep.value {
		add(k.by, "Keep images tagged "+k.text, newest(keepCount, tagged(k)))
	}
	if r.keepUntagged.given {
		add(r.keepUntagged.by, "Keep "+theNewest(r.keepUntagged.value, "untagged image"), newest(r.keepUntagged.value, lifecycle.Selection{TagStatus: lifecycle.Untagged}))
	} else if days, by := r.untagged(); days > 0 {
		add(by, "Remove untagged images after "+plural(days, "day"), older(days, lifecycle.Selection{TagStatus: lifecycle.Untagged}))
	}
	for _, e := range r.rules.value {
		if e.keepLast > 0 {
			add(e.by, "Keep "+e.newest(), newest(e.keepLast, tagged(e.pattern)))
		} else {
			add(e.by, fmt.Sprintf("Remove images tagged %s after %s", e.pattern.text, plural(e.days, "day")), older(e.days, tagged(e.pattern)))
		}
	}
	if r.expireAll.value {
		days := r.allDays()
		add(r.expireAll.by, "Remove all other images after "+plural(days, "day"), older(days, lifecycle.Selection{TagStatus: lifecycle.Any}))
	}
	if n := r.keepNewest.value; n > 0 {
		add(r.keepNewest.by, "Keep "+theNewest(n, "image"), newest(n, lifecycle.Selection{TagStatus: lifecycle.Any}))
	}
	return p, origins
}

// untagged is after how many days untagged images go, 0 for never, and what
// says so. It has no meaning with keepUntagged.
func (r repository) untagged() (days int, by state.Origin) {
	if r.untaggedDays.given {
		return r.untaggedDays.value, r.untaggedDays.by
	}
	return untaggedDays, r.origin
}

// removesUntagged reports whether a rule is about untagged images alone.
func (r repository) removesUntagged() bool {
	days, _ := r.untagged()
	return r.keepUntagged.given || days > 0
}

// allDays is after how many days expire_all_images removes images.
func (r repository) allDays() int {
	if r.expireAllDays.given {
		return r.expireAllDays.value
	}
	return expireAllDays
}

// tagged selects the images with a tag that p matches.
func tagged(p pattern) lifecycle.Selection {
	return lifecycle.Selection{TagStatus: lifecycle.Tagged, TagPatterns: []string{p.text}}
}

// older narrows s to images pushed more than days ago.
func older(days int, s lifecycle.Selection) lifecycle.Selection {
	s.CountType, s.CountUnit, s.CountNumber = lifecycle.SinceImagePushed, lifecycle.Days, days
	return s
}

// newest narrows s to all but the newest n images.
func newest(n int, s lifecycle.Selection) lifecycle.Selection {
	s.CountType, s.CountNumber = lifecycle.ImageCountMoreThan, n
	return s
}

// newest says which images e keeps, by their number.
func (e rule) newest() string {
	return theNewest(e.keepLast, "image") + " tagged " + e.pattern.text
}

// theNewest is "the newest image", or "the newest 2 images".
func theNewest(n int, what string) string {
	if n == 1 {
		return "the newest " + what
	}
	return "the newest " + plural(n, what)
}

// plural is "1 day", or "2 days".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// checkLifecycle is check for the lifecycle policy.
func (r repository) checkLifecycle(p *problems) {
	if r.expireAllDays.own() && !r.expireAll.value {
		p.failf(r.expireAllDays.by, "expire_all_after_days has no effect without expire_all_images: true")
	}
	if r.document.given {
		return // its parser has checked it
	}
	kept := map[string]pattern{}
	for _, k := range r.keep.value {
		kept[k.text] = k
	}
	twice := false
	for _, e := range r.rules.value {
		if k, ok := kept[e.pattern.text]; ok {
			twice = true
			p.failf(e.pattern.by, "pattern %q is also in keep, at %s, so this rule would never apply", k.text, from(k.by.Position, e.pattern.by.Position))
		}
	}
	// The longest list is the one to shorten.
	by, long := r.origin, ""
	if r.rules.given {
		by, long = r.rules.by, "expiration_rules"
	}
	if len(r.keep.value) > len(r.rules.value) {
		by, long = r.keep.by, "keep"
	}
	l, _ := r.lifecycle()
	if n := len(l.Rules); n > lifecycle.MaxRules {
		var others []string
		if long != "keep" && len(r.keep.value) > 0 {
			others = append(others, "keep")
		}
		if r.removesUntagged() {
			others = append(others, "untagged images")
		}
		if long != "expiration_rules" && len(r.rules.value) > 0 {
			others = append(others, "expiration_rules")
		}
		if r.expireAll.value {
			others = append(others, "expire_all_images")
		}
		if r.keepNewest.value > 0 {
			others = append(others, "keep_last_images")
		}
		with := ""
		if len(others) > 0 {
			with = ", including those for " + and(others)
		}
		p.failf(by, "%d rules%s; ECR allows %d", n, with, lifecycle.MaxRules)
	} else if n > 0 && !twice {
		if err := lifecycle.Validate(l); err != nil {
			p.failf(by, "the resulting lifecycle policy is not valid: %v", err)
		}
	}
}

// noteLifecycle is note for the lifecycle policy.
func (r repository) noteLifecycle(p *problems) {
	if r.document.given {
		var replaced []string
		if len(r.keep.value) > 0 {
			replaced = append(replaced, "keep")
		}
		if r.removesUntagged() {
			replaced = append(replaced, "the removal of untagged images")
		}
		if r.expireAll.value {
			replaced = append(replaced, "expire_all_images")
		}
		if r.keepNewest.value > 0 {
			replaced = append(replaced, "keep_last_images")
		}
		if len(r.rules.value) > 0 {
			replaced = append(replaced, "expiration_rules")
		}
		if len(replaced) > 0 {
			p.notef(r.document.by, CodeLifecycleOverridden, "this policy replaces %s", and(replaced))
		}
		return
	}
	if !r.expireAll.value {
		return
	}
	note := func(by state.Origin, what string) {
		p.notef(by, CodeOutlivesExpireAll, "%s, although expire_all_images removes all others after %s", what, plural(r.allDays(), "day"))
	}
	if patterns := r.keep.value; len(patterns) > 0 {
		texts := make([]string, len(patterns))
		for i, k := range patterns {
			texts[i] = k.text
		}
		note(r.keep.by, fmt.Sprintf("images tagged %s never expire", strings.Join(texts, ", ")))
	}
	for _, e := range r.rules.value {
		switch {
		case e.keepLast > 0:
			stay := " stay"
			if e.keepLast == 1 {
				stay = " stays"
			}
			note(e.by, e.newest()+stay)
		case e.days > r.allDays():
			note(e.by, fmt.Sprintf("images tagged %s stay %s", e.pattern.text, plural(e.days, "day")))
		}
	}
}
