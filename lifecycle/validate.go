package lifecycle

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// The possible values of the enumerations, sorted as ECR prints them.
var (
	tagStatuses    = []string{string(Any), string(Tagged), string(Untagged)}
	storageClasses = []string{string(Archive), string(Standard)}
	targetClasses  = []string{string(Archive)}
	countUnits     = []string{string(Days)}
	actionTypes    = []string{string(Expire), string(Transition)}
)

// Details whose wording was seen from ECR. A rule has to match one of four
// forms, by its count type (hashicorp/terraform-provider-aws#45909), and its
// action one of two (cloudposse/terraform-aws-ecr#158).
const (
	detailRule     = "instance failed to match exactly one schema (matched 0 out of 4)"
	detailAction   = "instance failed to match exactly one schema (matched 0 out of 2)"
	detailUntagged = "Only one rule can select Untagged images per storage class"
	detailAny      = "Rule for tagStatus=ANY must have the lowest priority per storage class"
	detailNoList   = "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED."
)

// Validate checks a policy built in code as Parse does a text, the length of
// the text being that of p.String(). The error is an Errors without places.
func Validate(p Policy) error { return check(p, Dialect{}) }

func check(p Policy, dialect Dialect) error {
	found := checkLength(utf8.RuneCountInString(p.String()), nil)
	return errs(append(found, validate(p, dialect, nil)...), nil)
}

// checkLength judges a text of n characters that begins at place.
func checkLength(n int, place *jsonpos.Pos) []finding {
	bound, limit, word := "", 0, ""
	switch {
	case n < MinText:
		bound, limit, word = "greater", MinText, "least"
	case n > MaxText:
		bound, limit, word = "less", MaxText, "most"
	default:
		return nil
	}
	return []finding{{Error{
		Code:   CodeLength,
		Detail: fmt.Sprintf("must have length %s than or equal to %d", bound, limit),
		Reason: fmt.Sprintf("the policy's text has %d characters, at %s %d are allowed", n, word, limit),
	}, nil, place}}
}

// validate checks the rules of p whose index is not in broken: each in itself,
// then those with values of the schema against one another. What is wrong
// among some of the rules stays wrong whatever the others turn out to be.
func validate(p Policy, dialect Dialect, broken map[int]bool) []finding {
	v := validator{policy: p, dialect: dialect}
	switch n := len(p.Rules); {
	case n == 0:
		v.fail(CodeSchema, jsonpos.Path{"rules"}, "array is too short: must have at least 1 elements but instance has 0 elements",
			"a policy needs a rule")
	case n > MaxRules:
		v.fail(CodeSchema, jsonpos.Path{"rules"},
			fmt.Sprintf("array is too long: must have at most %d elements but instance has %d elements", MaxRules, n), "")
	}
	var sound []int
	for i, r := range p.Rules {
		if broken[i] {
			continue
		}
		before := len(v.found)
		v.schema(jsonpos.Path{"rules", i}, r)
		if len(v.found) == before {
			sound = append(sound, i)
			v.tagList(jsonpos.Path{"rules", i, "selection"}, r.Selection)
		}
	}
	v.priorities(sound)
	v.perClass(sound)
	v.elements(sound)
	return v.found
}

type validator struct {
	policy  Policy
	dialect Dialect
	found   []finding
}

func (v *validator) fail(code Code, path jsonpos.Path, detail, reason string) {
	v.found = append(v.found, finding{Error{Code: code, Detail: detail, Reason: reason}, path, nil})
}

// oneOf reports a combination that none of the schema's alternatives allows.
func (v *validator) oneOf(path jsonpos.Path, reason string, args ...any) {
	v.fail(CodeSchema, path, detailRule, fmt.Sprintf(reason, args...))
}

func (v *validator) enum(path jsonpos.Path, s string, possible []string) {
	if !slices.Contains(possible, s) {
		v.fail(CodeSchema, path, notInEnum(s, possible), "")
	}
}

func (v *validator) number(path jsonpos.Path, n, least int) {
	switch {
	case n < least:
		v.fail(CodeSchema, path, fmt.Sprintf("numeric instance is lower than the required minimum (minimum: %d, found: %d)", least, n), "")
	case n > math.MaxInt32:
		v.fail(CodeSchema, path, notAPolicy, fmt.Sprintf("must be at most %d", math.MaxInt32))
	}
}

// schema checks what one rule's values must be, alone and together.
func (v *validator) schema(at jsonpos.Path, r Rule) {
	v.number(at.At("rulePriority"), r.Priority, 1)
	v.utf8(at.At("description"), r.Description)
	s, sel := r.Selection, at.At("selection")
	v.enum(sel.At("tagStatus"), string(s.TagStatus), tagStatuses)
	v.list(sel.At("tagPatternList"), s.TagPatterns)
	v.list(sel.At("tagPrefixList"), s.TagPrefixes)
	if s.StorageClass != "" {
		v.enum(sel.At("storageClass"), string(s.StorageClass), storageClasses)
	}
	if s.CountUnit != "" {
		v.enum(sel.At("countUnit"), string(s.CountUnit), countUnits)
	}
	least := 1
	if s.CountType == SinceImageTransitioned {
		least = MinArchivedDays
	}
	v.number(sel.At("countNumber"), s.CountNumber, least)
	v.count(at, r)
	v.action(at.At("action"), r.Action)
}

// count checks the table of count types: unit, storage class and action.
func (v *validator) count(at jsonpos.Path, r Rule) {
	s, sel := r.Selection, at.At("selection")
	switch s.CountType {
	case ImageCountMoreThan, SinceImagePushed, SinceImagePulled, SinceImageTransitioned:
	default:
		v.oneOf(sel.At("countType"), "countType is %s, %s, %s or %s, not %q",
			ImageCountMoreThan, SinceImagePushed, SinceImagePulled, SinceImageTransitioned, s.CountType)
		return
	}
	if s.CountType == ImageCountMoreThan && s.CountUnit != "" {
		v.oneOf(sel.At("countUnit"), "%s takes no countUnit", s.CountType)
	}
	if s.CountType != ImageCountMoreThan && s.CountUnit == "" {
		v.oneOf(sel.At("countUnit"), "%s needs countUnit %s", s.CountType, Days)
	}
	// only sinceImageTransitioned is for archived images, and must say so
	if s.CountType == SinceImageTransitioned && s.StorageClass != Archive {
		v.oneOf(sel.At("storageClass"), "%s needs storageClass %s", s.CountType, Archive)
	}
	if s.CountType != SinceImageTransitioned && s.StorageClass == Archive {
		v.oneOf(sel.At("storageClass"), "%s is only for storageClass %s", s.CountType, Standard)
	}
	if s.CountType == SinceImagePulled && r.Action.Type == Expire && !v.dialect.PulledExpire {
		v.oneOf(at.At("action", "type"), "%s can only %s, not %s", s.CountType, Transition, Expire)
	}
	if s.CountType == SinceImageTransitioned && r.Action.Type == Transition {
		v.oneOf(at.At("action", "type"), "%s can only %s, not %s", s.CountType, Expire, Transition)
	}
}

func (v *validator) action(at jsonpos.Path, a Action) {
	v.enum(at.At("type"), string(a.Type), actionTypes)
	target := at.At("targetStorageClass")
	switch {
	case a.TargetStorageClass != "" && a.TargetStorageClass != Archive:
		v.enum(target, string(a.TargetStorageClass), targetClasses)
	case a.Type == Expire && a.TargetStorageClass != "":
		v.fail(CodeSchema, target, detailAction, fmt.Sprintf("%s takes no targetStorageClass", a.Type))
	case a.Type == Transition && a.TargetStorageClass == "":
		v.fail(CodeSchema, target, detailAction, fmt.Sprintf("%s needs targetStorageClass %s", a.Type, Archive))
	}
}

// list checks the elements of a tag list; that it is there is tagList's
// business.
func (v *validator) list(at jsonpos.Path, list []string) {
	for i, s := range list {
		if s == "" {
			v.fail(CodeSchema, at.At(i), `string "" is too short (length: 0, required minimum: 1)`, "")
		}
		if slices.Contains(list[:i], s) {
			v.fail(CodeSchema, at.At(i), "array must not contain duplicate elements", fmt.Sprintf("%q is in the list already", s))
		}
		v.utf8(at.At(i), s)
	}
}

func (v *validator) utf8(at jsonpos.Path, s string) {
	if !utf8.ValidString(s) {
		v.fail(CodeSchema, at, notAPolicy, "is not valid UTF-8")
	}
}

// tagList checks that tagged rules, and only they, have exactly one list, and
// how many wildcards it has. Only the text for no list at all is known.
func (v *validator) tagList(sel jsonpos.Path, s Selection) {
	patterns, prefixes := len(s.TagPatterns) > 0, len(s.TagPrefixes) > 0
	which := "tagPrefixList"
	if patterns {
		which = "tagPatternList"
	}
	switch {
	case s.TagStatus == Tagged && !patterns && !prefixes:
		v.fail(CodeRule, sel, detailNoList, "")
	case s.TagStatus == Tagged && patterns && prefixes:
		v.fail(CodeRule, sel, "Must specify only one of tagPrefixList or tagPatternList when tagStatus=TAGGED.", "")
	case s.TagStatus != Tagged && (patterns || prefixes):
		v.fail(CodeRule, sel.At(which), fmt.Sprintf("Cannot specify tagPrefixList or tagPatternList when tagStatus=%s.",
			strings.ToUpper(string(s.TagStatus))), "")
	}
	for i, p := range s.TagPatterns {
		if n := strings.Count(p, "*"); n > MaxWildcard {
			v.fail(CodeRule, sel.At("tagPatternList", i), fmt.Sprintf("Tag pattern must not contain more than %d wildcards.", MaxWildcard),
				fmt.Sprintf("pattern %q has %d asterisks, at most %d are allowed", p, n, MaxWildcard))
		}
	}
}

// priorities checks that no two rules have the same. The text is ours.
func (v *validator) priorities(rules []int) {
	first := map[int]int{}
	for _, i := range rules {
		n := v.policy.Rules[i].Priority
		if j, twice := first[n]; twice {
			v.fail(CodeRule, jsonpos.Path{"rules", i, "rulePriority"}, "Rule priorities must be unique.",
				fmt.Sprintf("priority %d is that of rules[%d] already", n, j))
			continue
		}
		first[n] = i
	}
}

// perClass checks that a storage class has at most one rule for untagged
// images, and none after a rule for any.
func (v *validator) perClass(rules []int) {
	untagged := map[StorageClass]int{}
	last := map[StorageClass]int{}
	for _, i := range rules {
		r := v.policy.Rules[i]
		c := r.Selection.Class()
		if j, ok := last[c]; !ok || r.Priority > v.policy.Rules[j].Priority {
			last[c] = i
		}
		if r.Selection.TagStatus != Untagged {
			continue
		}
		if j, twice := untagged[c]; twice {
			v.fail(CodeRule, jsonpos.Path{"rules", i, "selection", "tagStatus"}, detailUntagged,
				fmt.Sprintf("rules[%d] selects the untagged images of storage class %s already", j, c))
			continue
		}
		untagged[c] = i
	}
	for _, i := range rules {
		r := v.policy.Rules[i]
		j := last[r.Selection.Class()]
		if r.Selection.TagStatus == Any && v.policy.Rules[j].Priority > r.Priority {
			v.fail(CodeRule, jsonpos.Path{"rules", i, "rulePriority"}, detailAny,
				fmt.Sprintf("a rule for any image comes last, but rules[%d] of the same storage class has the greater number %d",
					j, v.policy.Rules[j].Priority))
		}
	}
}

// elements checks that within a storage class no two rules share a pattern or
// a prefix. Patterns and prefixes do not collide with each other. The text is
// ours.
func (v *validator) elements(rules []int) {
	type element struct {
		class StorageClass
		list  string
		text  string
	}
	first := map[element]int{}
	for _, i := range rules {
		s := v.policy.Rules[i].Selection
		for _, l := range []struct {
			name string
			list []string
		}{{"tagPatternList", s.TagPatterns}, {"tagPrefixList", s.TagPrefixes}} {
			for k, text := range l.list {
				e := element{s.Class(), l.name, text}
				if j, twice := first[e]; twice {
					v.fail(CodeRule, jsonpos.Path{"rules", i, "selection", l.name, k},
						fmt.Sprintf("Rules must have a unique set of %ss per storage class.", l.name),
						fmt.Sprintf("%q is in the %s of rules[%d] already", text, l.name, j))
					continue
				}
				first[e] = i
			}
		}
	}
}
