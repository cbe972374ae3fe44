package spec

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// receiver is an entry of event_receivers.
type receiver struct {
	state.EventReceiver
	registries setting[[]node]
}

// receiverMap reads event_receivers.
func (r *reader) receiverMap(n node) {
	if r.receiverNames == nil {
		r.receiverNames = map[string]state.Position{}
	}
	if n.Kind != lang.Mapping {
		r.wrong(n, "want a mapping from names to receivers, not %s", n)
		return
	}
	for _, m := range n.Members {
		item := node{m.Value, n.path.At(m.Key), m.At}
		if !fields.ReceiverName.MatchString(m.Key) {
			r.errorf(m.At, n.path, "%q is not a name: want 1 to 64 lower-case letters, digits, '.', '_' and '-', beginning with a letter or digit", lang.Clip(m.Key))
			continue
		}
		if first, twice := r.receiverNames[m.Key]; twice {
			r.errorf(m.At, item.path, "given twice, first at %s", from(first, m.At))
			continue
		}
		r.receiverNames[m.Key] = m.At
		r.receivers = append(r.receivers, r.receiver(m.Key, item))
	}
}

func (r *reader) receiver(name string, n node) receiver {
	before := len(r.errs)
	x := receiver{}
	x.Name, x.Origin, x.Format = name, n.origin(), fields.EventFormats[0]
	m := r.object(n, "event_receivers")
	if v, ok := m["removed"]; ok {
		x.Removed, _ = r.boolean(v)
	}
	if len(r.errs) == before && !x.Removed {
		r.need(n, m, "a receiver", "url")
	}
	if v, ok := m["url"]; ok {
		x.URL = r.checked(v, badReceiverURL)
	}
	if v, ok := m["format"]; ok {
		x.Format = r.checked(v, func(s string) string {
			if slices.Contains(fields.EventFormats, s) {
				return ""
			}
			return fmt.Sprintf("want %s, not %q", strings.Join(fields.EventFormats, ", "), lang.Clip(s))
		})
	}
	if v, ok := m["types"]; ok {
		x.Types = everything(r.texts(v, "types of events", badEventType))
	}
	if v, ok := m["repositories"]; ok {
		x.Repositories = everything(r.texts(v, "patterns of repository names", badRepositoryPattern))
	}
	if v, ok := m["secret_env"]; ok {
		x.SecretEnv = r.checked(v, func(s string) string {
			if fields.EnvironmentVariable.MatchString(s) {
				return ""
			}
			return "want the name of an environment variable, such as KONTOR_HOOK_SECRET; never the secret itself"
		})
	}
	if v, ok := m["registries"]; ok {
		x.registries = given(r.registryNames(v), v)
	}
	return x
}

// everything sorts patterns, of which "*" makes the others needless.
func everything(patterns []string) []string {
	if slices.Contains(patterns, "*") {
		return nil
	}
	return sorted(patterns)
}

func badReceiverURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Sprintf("%q is not the URL of a receiver; want one such as https://hooks.example.com/kontor", lang.Clip(s))
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "want a URL without a user, password, query and fragment, which may be secrets; add such a receiver with `kontor admin events add`"
	}
	return ""
}

func badEventType(s string) string {
	if slices.ContainsFunc(fields.EventTypes, func(t string) bool { return ecr.MatchWildcard(s, t) }) {
		return ""
	}
	return fmt.Sprintf("%q matches no type of event; the types are %s", lang.Clip(s), strings.Join(fields.EventTypes, ", "))
}

func badRepositoryPattern(s string) string {
	if _, err := ecr.ParseRepositoryName(strings.ReplaceAll(s, "*", "aa")); err != nil {
		return fmt.Sprintf("%q is not the name of a repository or a pattern such as team/*", lang.Clip(s))
	}
	return ""
}

// in are the targets that have x.
func (x receiver) in(targets []state.Target) []state.Target {
	return slices.DeleteFunc(slices.Clone(targets), func(t state.Target) bool {
		return !t.Local && x.registries.given && !slices.ContainsFunc(x.registries.value, func(n node) bool { return n.Text == t.Name })
	})
}
