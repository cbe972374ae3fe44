package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// repositoryForm is a repository in the canonical JSON that digests cover.
// Where a setting comes from in the file is not part of it.
type repositoryForm struct {
	Name     ecr.RepositoryName `json:"name"`
	Settings Settings           `json:"settings"`
}

func formOf(r state.Repository) repositoryForm {
	return repositoryForm{Name: r.Name, Settings: settingsOf(r, nil)}
}

// DigestDesired names what a file asks for: the stack and every repository
// with its settings, and the templates and upstreams. Comments, order and layout of the file do not enter it,
// nor do the targets.
func DigestDesired(d state.Desired) string {
	form := struct {
		Stack        string           `json:"stack"`
		Repositories []repositoryForm `json:"repositories"`
		Templates    map[string]any   `json:"templates,omitempty"`
		Upstreams    map[string]any   `json:"upstreams,omitempty"`
		Signers      map[string]any   `json:"signers,omitempty"`
		Receivers    map[string]any   `json:"event_receivers,omitempty"`
		Replication  any              `json:"replication,omitempty"`
	}{Stack: d.Stack, Repositories: []repositoryForm{}, Templates: map[string]any{}, Upstreams: map[string]any{}, Signers: map[string]any{}, Receivers: map[string]any{}}
	for _, t := range d.Wanted.Templates {
		form.Templates[t.Prefix] = templateOf(t)
	}
	for _, u := range d.Wanted.Upstreams {
		form.Upstreams[u.Prefix] = []any{upstreamOf(u), u.Removed}
	}
	for _, g := range d.Wanted.Signers {
		form.Signers[g.Name] = []any{SignerOf(g), g.Removed}
	}
	for _, r := range d.Wanted.Receivers {
		form.Receivers[r.Name] = []any{EventReceiverOf(r), r.Removed}
	}
	if d.Wanted.Replication != nil {
		form.Replication = []any{replicationOf(d.Wanted.Replication, nil), d.Wanted.ReplicatedFrom}
	}
	for _, r := range byName(d.Repositories) {
		form.Repositories = append(form.Repositories, formOf(r))
	}
	return digest(form)
}

// DigestObserved names what was seen of a registry.
func DigestObserved(o state.Observed) string {
	form := struct {
		Account      ecr.AccountID    `json:"account"`
		Region       ecr.Region       `json:"region"`
		Repositories []repositoryForm `json:"repositories"`
		Templates    map[string]any   `json:"templates,omitempty"`
		Upstreams    map[string]any   `json:"upstreams,omitempty"`
		Signers      map[string]any   `json:"signers,omitempty"`
		Receivers    map[string]any   `json:"event_receivers,omitempty"`
		Replication  any              `json:"replication,omitempty"`
	}{Account: o.Target.Registry.Account, Region: o.Target.Registry.Region, Repositories: []repositoryForm{}, Templates: map[string]any{}, Upstreams: map[string]any{}, Signers: map[string]any{}, Receivers: map[string]any{}}
	for prefix, t := range o.Settings.Templates {
		form.Templates[prefix] = templateOf(t)
	}
	for prefix, u := range o.Settings.Upstreams {
		form.Upstreams[prefix] = upstreamOf(u)
	}
	for name, g := range o.Settings.Signers {
		form.Signers[name] = SignerOf(g)
	}
	for name, r := range o.Settings.Receivers {
		form.Receivers[name] = EventReceiverOf(r)
	}
	if r := o.Settings.Replication; r != nil {
		form.Replication = replicationOf(r, Grants(o.Settings.RegistryPolicy))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Repositories)) {
		form.Repositories = append(form.Repositories, formOf(o.Repositories[name]))
	}
	return digest(form)
}

// Object names what a plan saw of one repository.
type Object struct {
	// Desired and Observed are digests; "" where the file does not name the
	// repository, or it does not exist.
	Desired  string `json:"desired,omitempty"`
	Observed string `json:"observed,omitempty"`
}

func objects(d state.Desired, o state.Observed) map[ecr.RepositoryName]Object {
	out := make(map[ecr.RepositoryName]Object, len(d.Repositories))
	for _, r := range d.Repositories {
		out[r.Name] = Object{Desired: digest(formOf(r))}
	}
	for name, r := range o.Repositories {
		x := out[name]
		x.Observed = digest(formOf(r))
		out[name] = x
	}
	return out
}

// digest hashes v's JSON: fields in the order of the types above, map keys in
// byte order, no blanks.
func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// The forms hold nothing but strings, slices and maps of strings.
		panic(fmt.Sprintf("plan: encoding a digest's form: %v", err))
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
