package spec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
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

// own reports whether the repository itself gives s, and not defaults.
func (s setting[T]) own() bool {
	return s.given && s.by.Field != "defaults" && !strings.HasPrefix(s.by.Field, "defaults.")
}

// fields are the settings of a repository as one place of a file gives them.
type settings struct {
	mutabilitySettings
	lifecycleSettings
	accessSettings
	tags       setting[map[string]string]
	scan       setting[bool]
	encryption setting[ecr.Encryption]
	protection setting[bool]
	// registries and overrides are not among the fields of an override.
	registries setting[[]node]
	overrides  setting[map[string]override]
}

// override is an entry of overrides.
type override struct {
	node     node
	settings settings
}

// over is f with the defaults d: a field that f gives replaces the default
// whole.
func (f settings) over(d settings) settings {
	return settings{
		mutabilitySettings: f.mutabilitySettings.over(d.mutabilitySettings),
		lifecycleSettings:  f.lifecycleSettings.over(d.lifecycleSettings),
		accessSettings:     f.accessSettings.over(d.accessSettings),
		tags:               f.tags.or(d.tags),
		scan:               f.scan.or(d.scan),
		encryption:         f.encryption.or(d.encryption),
		protection:         f.protection.or(d.protection),
		registries:         f.registries.or(d.registries),
		overrides:          f.overrides.or(d.overrides),
	}
}

// repository reads the settings of a repository, or defaults.
func (d decoder) repository(n node) settings {
	return d.settingsIn(d.object(n, fields.Repository))
}

// settingsIn reads the fields of a repository out of the members of an object.
func (d decoder) settingsIn(m map[string]node) settings {
	f := d.settings(m)
	if v, ok := m["registries"]; ok {
		f.registries = given(d.registryNames(v), v)
	}
	if v, ok := m["overrides"]; ok {
		f.overrides = given(d.overrides(v), v)
	}
	return f
}

// settings reads the fields of an override, which a repository has too.
func (d decoder) settings(m map[string]node) settings {
	f := settings{mutabilitySettings: d.mutabilitySettings(m), lifecycleSettings: d.lifecycleSettings(m), accessSettings: d.accessSettings(m)}
	if v, ok := m["tags"]; ok {
		f.tags = given(d.tags(v), v)
	}
	if v, ok := m["scan_on_push"]; ok {
		if b, ok := d.boolean(v); ok {
			f.scan = given(b, v)
		}
	}
	if v, ok := m["encryption"]; ok {
		if e, ok := d.encryption(v); ok {
			f.encryption = given(e, v)
		}
	}
	if v, ok := m["delete_protection"]; ok {
		if b, ok := d.boolean(v); ok {
			f.protection = given(b, v)
		}
	}
	return f
}

// registryNames reads the names of registries. Whether there are such is
// known only when all files have been read.
func (d decoder) registryNames(n node) []node {
	var out []node
	first := map[string]state.Position{}
	if n.Kind == lang.Mapping {
		d.wrong(n, "want a list of names of registries, not a mapping; settings for one registry go into overrides")
		return nil
	}
	items := d.list(n, "names of registries")
	if n.Kind == lang.List && len(items) == 0 {
		d.wrong(n, "name at least one registry")
	}
	for _, item := range items {
		if item.Kind == lang.Mapping {
			d.wrong(item, "want the name of a registry; registries are described at the top of the file, and only named here")
			continue
		}
		s, ok := d.text(item)
		if !ok {
			continue
		}
		if at, twice := first[s]; twice {
			d.wrong(item, "registry %q is given twice, first at %s", lang.Clip(s), from(at, item.At))
			continue
		}
		first[s] = item.At
		out = append(out, item)
	}
	return out
}

// overrides reads a mapping from names of registries to fields.
func (d decoder) overrides(n node) map[string]override {
	if n.Kind != lang.Mapping {
		d.wrong(n, "want a mapping from names of registries to fields of a repository, not %s", n)
		return nil
	}
	out := make(map[string]override, len(n.Members))
	for _, m := range n.Members {
		item := node{m.Value, n.path.At(m.Key), m.At}
		out[m.Key] = override{item, d.settings(d.object(item, fields.Override))}
	}
	return out
}

func (d decoder) encryption(n node) (ecr.Encryption, bool) {
	var e ecr.Encryption
	before := len(d.errs)
	m := d.object(n, "encryption")
	if m == nil || len(d.errs) == before && !d.need(n, m, "encryption", "type") {
		return e, false
	}
	if v, ok := m["type"]; ok {
		if e.Type, ok = d.text(v); ok && !slices.Contains(fields.EncryptionTypes, e.Type) {
			d.wrong(v, "want AES256, KMS or KMS_DSSE, not %q", lang.Clip(e.Type))
		}
	}
	if v, ok := m["kms_key"]; ok {
		s, ok := d.text(v)
		switch {
		case !ok:
		case e.Type == "AES256":
			d.errorf(v.key, v.path, "AES256 does not use a key; use type KMS")
		case s == "" || len(s) > fields.MaxARN || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }):
			d.wrong(v, "want the id, ARN or alias (alias/NAME) of a key, 1 to %d characters", fields.MaxARN)
		case strings.HasPrefix(s, "arn:") && len(strings.SplitN(s, ":", 6)) < 6:
			d.wrong(v, "%q is not the ARN of a key; want one such as arn:aws:kms:us-east-2:111111111111:key/...", lang.Clip(s))
		}
		e.KMSKey = s
	}
	return e, len(d.errs) == before
}

func (d decoder) tags(n node) map[string]string {
	if n.Kind != lang.Mapping {
		d.wrong(n, "want a mapping from tag keys to strings, not %s", n)
		return nil
	}
	if own := fields.MaxTags - 1; len(n.Members) > own {
		d.errorf(n.key, n.path, "%d tags; ECR allows %d, and one of them is %s", len(n.Members), fields.MaxTags, state.TagStack)
	}
	out := make(map[string]string, len(n.Members))
	for _, m := range n.Members {
		lower := strings.ToLower(m.Key)
		switch {
		case strings.HasPrefix(lower, state.TagReserved), strings.HasPrefix(lower, "aws:"):
			prefix, _, _ := strings.Cut(lower, ":")
			d.errorf(m.At, n.path, "tag %q: keys that begin with %s: are reserved", lang.Clip(m.Key), prefix)
			continue
		}
		if why := badTagText(m.Key, 1, fields.MaxTagKey); why != "" {
			d.errorf(m.At, n.path, "tag key %q: %s", lang.Clip(m.Key), why)
			continue
		}
		v := node{m.Value, n.path.At(m.Key), m.At}
		if v.Kind == lang.Null {
			d.errorf(m.At, v.path, `a tag needs a value; "" is one`)
			continue
		}
		s, ok := d.text(v)
		if !ok {
			continue
		}
		if why := badTagText(s, 0, fields.MaxTagValue); why != "" {
			d.wrong(v, "tag value: %s", why)
			continue
		}
		out[m.Key] = s
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

// resourceTags are the tags of a repository of the stack.
func (f settings) resourceTags(stack string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, f.tags.value)
	out[state.TagStack] = stack
	if f.unprotected() {
		out[state.TagProtection] = "off"
	}
	return out
}

func (f settings) unprotected() bool { return f.protection.given && !f.protection.value }
