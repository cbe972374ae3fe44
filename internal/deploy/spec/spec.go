// Package spec reads Kontor's files and compiles them into the settings that
// they ask for.
//
// What it guarantees: what it accepts is valid for ECR as far as that can be
// told without asking ECR; what it refuses it names with file, line and
// column, everything at once; the same files give the same settings, byte for
// byte; each generated rule and statement knows the field that made it; and
// no input, however hostile, makes it panic or run away.
//
// It is pure: reading files is the caller's. Package lang knows the languages,
// and package fields which fields there are. Here file.go, registries.go,
// clusters.go, promotions.go and the files of tests read what a file has at its
// top, repository*.go the fields of a repository, and compile*.go make the
// settings. docs/file.md is the reference; docs/design/0008-file-to-settings.md
// and 0016-formats-and-fields.md have the reasons.
package spec

import (
	_ "embed"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Names are the names a file may have where none is given, in the order in
// which to look for them.
func Names() []string {
	return []string{"kontor.yaml", "kontor.yml", "kontor.json", "kontor.hcl", "kontor.tfvars"}
}

// Endings are those of the files that are read of a folder.
func Endings() []string { return []string{".yaml", ".yml", ".json", ".hcl", ".tfvars"} }

// Source is the text of one file. Name appears in messages, and its ending
// says the language: ".json" strict JSON, ".hcl" and ".tfvars" HCL, all else
// YAML.
type Source = lang.Source

//go:embed example.yaml
var example []byte

// Example is a small file to start with. It deploys to the local registry.
func Example() Source { return Source{Name: "example.yaml", Data: slices.Clone(example)} }

// DefaultStack is the stack of files that name none.
const DefaultStack = "default"

// File is what the files say, checked, with the defaults filled in. It is not
// changed after Load.
type File struct {
	stack    string
	explicit bool
	// targets in the order of the files; none for the local registry.
	targets []state.Target
	// repositories in byte order of their names.
	repositories   []repository
	lifecycleTests []LifecycleTest
	clusters       []state.Cluster
	accessTests    []state.AccessTest
	promotions     []state.Promotion
	maxExpire      *state.Budget
	// templates and upstreams in byte order of their prefixes.
	templates      []template
	templatesGiven bool
	upstreams      []upstream
	signers        []signer   // in byte order of their names
	receivers      []receiver // in byte order of their names
	replication    []replicationRule
	// replicationGiven: the files have the field.
	replicationGiven bool
}

// Load reads the files as one: lists of registries and repositories are put
// together; a name given twice is an error, and so are stack and defaults
// given in two files. The error is an Errors. Notices come with and without
// an error.
func Load(files ...Source) (*File, Notices, error) {
	p := &problems{}
	r := reader{decoder: decoder{p}}
	for _, s := range files {
		r.source(s)
	}
	f := r.finish(files)
	// The partition of the local registry is not known yet; all but a few are
	// in "aws".
	for _, repo := range f.repositories {
		for _, v := range repo.variants(f.localOr(ecr.RegistryID{}), f.clusters) {
			v.check(p)
			v.note(p, f.clusters)
		}
	}
	targets := f.localOr(ecr.RegistryID{})
	for _, t := range f.templates {
		for _, v := range t.whole.variants(targets, f.clusters) {
			t.check(p, v, f.stack)
			v.note(p, f.clusters)
		}
	}
	for _, u := range f.upstreams {
		u.check(p, targets)
	}
	for _, t := range targets {
		if len(p.errs) == 0 { // with the names of all destinations
			f.replicationOf(t, targets, p.failf)
		}
	}
	errs, notices := p.sorted(files)
	if len(errs) > 0 {
		return nil, notices, errs
	}
	return f, notices, nil
}

// Stack is the name of the stack, and whether the files name it.
func (f *File) Stack() (name string, explicit bool) { return f.stack, f.explicit }

// KeepsUntagged reports whether f says, in some registry, that images of the
// repository which have no tag never expire (expire_untagged_after_days: never).
func (f *File) KeepsUntagged(name ecr.RepositoryName) bool {
	i := slices.IndexFunc(f.repositories, func(r repository) bool { return r.name == name })
	if i < 0 {
		return false
	}
	return slices.ContainsFunc(f.lifecycles(f.repositories[i]), func(v variant) bool {
		return !v.document.given && v.untaggedDays.given && v.untaggedDays.value == 0
	})
}

// Desired is what f asks for. local is the registry that files without
// registries deploy to; others do not use it. Each call returns new memory.
func (f *File) Desired(local ecr.RegistryID) state.Desired {
	d := f.Frame(local)
	d.ByTarget = make(map[string][]state.Repository, len(d.Targets))
	for _, t := range d.Targets {
		d.ByTarget[t.Name] = []state.Repository{}
	}
	for _, repo := range f.repositories {
		for i, v := range repo.variants(d.Targets, f.clusters) {
			r := v.compile(f.stack)
			for _, t := range v.targets {
				d.ByTarget[t.Name] = append(d.ByTarget[t.Name], r)
			}
			if i == 0 {
				d.Repositories = append(d.Repositories, r)
			}
		}
	}
	d.Wanted, d.WantedByTarget = f.wanted(d.Targets)
	return d
}

// Frame is Desired without its repositories, which are the work.
func (f *File) Frame(local ecr.RegistryID) state.Desired {
	d := state.Desired{
		Stack: f.stack, StackExplicit: f.explicit, Targets: f.localOr(local),
		Clusters: slices.Clone(f.clusters), AccessTests: slices.Clone(f.accessTests), Promotions: slices.Clone(f.promotions),
	}
	if f.maxExpire != nil {
		d.MaxExpire = new(state.Budget)
		*d.MaxExpire = *f.maxExpire
	}
	return d
}

// localOr are the targets of f: the local registry when it names none. Each
// call returns new memory.
func (f *File) localOr(local ecr.RegistryID) []state.Target {
	if len(f.targets) == 0 {
		return []state.Target{{Name: LocalName, Registry: local, Local: true}}
	}
	return slices.Clone(f.targets)
}

// LocalName is the name of the local registry as a target.
const LocalName = "local"
