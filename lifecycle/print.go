package lifecycle

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// String is the policy as JSON without spaces, in the order of its rules and
// with the members in ECR's order. Parse reads it back as an equal policy.
func (p Policy) String() string {
	b := []byte(`{"rules":[`)
	for i, r := range p.Rules {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return string(append(b, "]}"...))
}

// MarshalJSON is String; package json may add escapes.
func (p Policy) MarshalJSON() ([]byte, error) { return []byte(p.String()), nil }

func (r Rule) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"rulePriority":`...), int64(r.Priority), 10)
	b = member(b, "description", r.Description)
	b = jsonpos.AppendString(append(b, `,"selection":{"tagStatus":`...), string(r.Selection.TagStatus))
	b = list(b, "tagPatternList", r.Selection.TagPatterns)
	b = list(b, "tagPrefixList", r.Selection.TagPrefixes)
	b = member(b, "storageClass", string(r.Selection.StorageClass))
	b = jsonpos.AppendString(append(b, `,"countType":`...), string(r.Selection.CountType))
	b = member(b, "countUnit", string(r.Selection.CountUnit))
	b = strconv.AppendInt(append(b, `,"countNumber":`...), int64(r.Selection.CountNumber), 10)
	b = jsonpos.AppendString(append(b, `},"action":{"type":`...), string(r.Action.Type))
	b = member(b, "targetStorageClass", string(r.Action.TargetStorageClass))
	return append(b, "}}"...)
}

// member appends an optional string.
func member(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return jsonpos.AppendString(append(b, `,"`+name+`":`...), value)
}

// list appends an optional list.
func list(b []byte, name string, values []string) []byte {
	for i, s := range values {
		if i == 0 {
			b = append(b, `,"`+name+`":[`...)
		} else {
			b = append(b, ',')
		}
		b = jsonpos.AppendString(b, s)
	}
	if len(values) > 0 {
		b = append(b, ']')
	}
	return b
}

// Equal reports whether a and b say the same: the order of rules and of tag
// lists is irrelevant, and an absent storage class is Standard. Priorities
// count, not only their order, because previews report them; descriptions
// count, because people read them and a changed one must reach ECR.
func Equal(a, b Policy) bool {
	return normal(a).String() == normal(b).String()
}

// normal is a copy of p in the one form that all policies equal to p have.
func normal(p Policy) Policy {
	rules := slices.Clone(p.Rules)
	for i := range rules {
		s := &rules[i].Selection
		s.StorageClass = s.Class()
		s.TagPatterns = set(s.TagPatterns)
		s.TagPrefixes = set(s.TagPrefixes)
	}
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(string(a.append(nil)), string(b.append(nil))))
	})
	return Policy{rules}
}

func set(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
