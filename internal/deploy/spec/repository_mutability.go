package spec

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// mutabilityFields are the fields that make imageTagMutability.
type mutabilitySettings struct {
	immutable     setting[bool]
	mutableTags   setting[[]string] // exceptions from immutable
	immutableTags setting[[]string] // exceptions from its contrary
}

func (f mutabilitySettings) over(d mutabilitySettings) mutabilitySettings {
	return mutabilitySettings{
		immutable:     f.immutable.or(d.immutable),
		mutableTags:   f.mutableTags.or(d.mutableTags),
		immutableTags: f.immutableTags.or(d.immutableTags),
	}
}

func (d decoder) mutabilitySettings(m map[string]node) mutabilitySettings {
	var f mutabilitySettings
	if v, ok := m["is_immutable"]; ok {
		if b, ok := d.boolean(v); ok {
			f.immutable = given(b, v)
		}
	}
	if v, ok := m["mutable_tags"]; ok {
		f.mutableTags = given(d.exclusions(v), v)
	}
	if v, ok := m["immutable_tags"]; ok {
		f.immutableTags = given(d.exclusions(v), v)
	}
	return f
}

// exclusions reads a list of wildcards.
func (d decoder) exclusions(n node) []string {
	var out []string
	first := map[string]state.Position{}
	items := d.list(n, "tag patterns")
	if len(items) > fields.MaxExclusions {
		d.errorf(n.key, n.path, "%d patterns; ECR allows %d", len(items), fields.MaxExclusions)
	}
	for _, item := range items {
		s, ok := d.text(item)
		if !ok {
			continue
		}
		at, twice := first[s]
		switch stars := strings.Count(s, "*"); {
		case !fields.ExclusionPattern.MatchString(s):
			d.wrong(item, "%q is not a tag pattern: want 1 to 128 letters, digits, '.', '_', '-', and '*' for any run of characters", lang.Clip(s))
		case stars > fields.MaxExclusionStars:
			d.wrong(item, "pattern %q has %d '*'; ECR allows %d here", s, stars, fields.MaxExclusionStars)
		case twice:
			d.wrong(item, "pattern %q is given twice, first at %s", s, from(at, item.At))
		default:
			first[s] = item.At
			out = append(out, s)
		}
	}
	return out
}

func (f mutabilitySettings) isImmutable() bool { return !f.immutable.given || f.immutable.value }

// mutability is what ECR is to be told. Filters are in byte order: ECR keeps
// no order.
func (f mutabilitySettings) mutability() ecr.Mutability {
	m, but, filters := ecr.Immutable, ecr.ImmutableWithExclusion, f.mutableTags.value
	if !f.isImmutable() {
		m, but, filters = ecr.Mutable, ecr.MutableWithExclusion, f.immutableTags.value
	}
	if len(filters) == 0 {
		return ecr.Mutability{Mode: m}
	}
	return ecr.Mutability{Mode: but, Filters: slices.Sorted(slices.Values(filters))}
}

// checkMutability finds exceptions from what is not so. Those of defaults are
// for the repositories that they fit.
func (f mutabilitySettings) checkMutability(p *problems) {
	if s := f.mutableTags; !f.isImmutable() && s.own() && len(s.value) > 0 {
		p.failf(s.by, "mutable_tags are exceptions from is_immutable: true, but is_immutable is false here; use immutable_tags")
	}
	if s := f.immutableTags; f.isImmutable() && s.own() && len(s.value) > 0 {
		p.failf(s.by, "immutable_tags are exceptions from is_immutable: false, but is_immutable is true here; use mutable_tags")
	}
}
