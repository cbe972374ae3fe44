package spec

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// every is the wildcard of all names.
var every = []string{"*"}

// globs reads names of repositories with '*'. Names without must be some of
// the files; that is checked at the end.
func (r *reader) globs(n node) []string {
	out := []string{}
	for _, item := range r.list(n, "names of repositories, with * for any run of characters") {
		if s, ok := r.glob(item); ok {
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) glob(n node) (string, bool) {
	s, ok := r.text(n)
	if ok && !fields.RepositoryGlob.MatchString(s) {
		r.wrong(n, "%q is not a repository name, with * for any run of characters", lang.Clip(s))
		return "", false
	}
	if ok && !strings.Contains(s, "*") {
		r.named = append(r.named, n)
	}
	return s, ok
}

// checkNames finds names of repositories and registries that the files do not
// have.
func (r *reader) checkNames() {
	for _, v := range r.named {
		if _, ok := r.repositories[ecr.RepositoryName(v.Text)]; !ok {
			r.wrong(v, "the file has no repository %q", lang.Clip(v.Text))
		}
	}
	for _, v := range r.routed {
		r.registryExists(v, v.Text)
	}
	check := func(f *settings) {
		for _, v := range f.registries.value {
			r.registryExists(v, v.Text)
		}
		for name, o := range f.overrides.value {
			// the key is what is wrong, and not what it leads to
			v := node{&lang.Value{Kind: lang.Text, At: o.node.key, Text: name}, o.node.path, o.node.key}
			if !r.registryExists(v, name) || !f.registries.given {
				continue
			}
			if !slices.ContainsFunc(f.registries.value, func(n node) bool { return n.Text == name }) {
				r.wrong(v, "the repository is not deployed to registry %q: its registries do not list it", name)
			}
		}
	}
	check(&r.defaultValue)
	for _, d := range r.repositories {
		check(&d.settings)
	}
	for _, t := range r.templates {
		check(&t.settings)
	}
	for _, u := range r.upstreams {
		for _, v := range u.registries.value {
			r.registryExists(v, v.Text)
		}
	}
	for _, s := range r.signers {
		for _, v := range s.registries.value {
			r.registryExists(v, v.Text)
		}
	}
	for _, x := range r.receivers {
		for _, v := range x.registries.value {
			r.registryExists(v, v.Text)
		}
	}
	r.checkReplication()
}

// registryExists reports a name that no registry has.
func (r *reader) registryExists(n node, name string) bool {
	var names []string
	for _, reg := range r.registries {
		if reg.Name == name {
			return true
		}
		names = append(names, reg.Name)
	}
	if r.badRegistries {
		return false // it may be one that could not be read
	}
	hint := "; it has no registries"
	if len(names) > 0 {
		hint = "; it has " + strings.Join(names, ", ")
	}
	r.wrong(n, "the file has no registry %q%s", lang.Clip(name), hint)
	return false
}
