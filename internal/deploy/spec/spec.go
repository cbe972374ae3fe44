// Package spec reads Kontor's files and compiles them into the settings that
// they ask for.
//
// What it guarantees: what it accepts is valid for ECR as far as that can be
// told without asking ECR; what it refuses it names with file, line and
// column, everything at once; the same files give the same settings, byte for
// byte; each generated rule and statement knows the field that made it; and
// no input, however hostile, makes it panic or run away.
//
// It is pure: reading files is the caller's. The language of a file is YAML
// 1.2, or strict JSON for a name that ends in .json. docs/file.md is the
// reference, docs/design/0008-file-to-settings.md has the reasons.
package spec

import (
	_ "embed"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Names are the names a file may have where none is given, in the order in
// which to look for them.
func Names() []string { return []string{"kontor.yaml", "kontor.yml", "kontor.json"} }

// Source is the text of one file. Name appears in messages, and ".json" at
// its end makes it strict JSON.
type Source struct {
	Name string
	Data []byte
}

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
}

// Load reads the files as one: lists of registries and repositories are put
// together; a name given twice is an error, and so are stack and defaults
// given in two files. The error is an Errors. Notices come with and without
// an error.
func Load(files ...Source) (*File, Notices, error) {
	p := &problems{}
	r := reader{decoder: decoder{p}}
	for _, s := range files {
		if root := parse(p, s); root != nil {
			r.file(node{value: root, key: root.at})
		}
	}
	f := r.finish(files)
	// The partition of the local registry is not known yet; all but a few are
	// in "aws".
	in := partitions(f.targets, ecr.RegistryID{})
	for _, repo := range f.repositories {
		for _, partition := range in {
			repo.check(p, partition)
		}
		repo.note(p, f.targets)
	}
	errs, notices := p.sorted(files)
	if len(errs) > 0 {
		return nil, notices, errs
	}
	return f, notices, nil
}

// Stack is the name of the stack, and whether the files name it.
func (f *File) Stack() (name string, explicit bool) { return f.stack, f.explicit }

// Desired is what f asks for. local is the registry that files without
// registries deploy to; others do not use it. Each call returns new memory.
func (f *File) Desired(local ecr.RegistryID) state.Desired {
	d := state.Desired{Stack: f.stack, StackExplicit: f.explicit, Targets: slices.Clone(f.targets)}
	if len(d.Targets) == 0 {
		d.Targets = []state.Target{{Name: LocalName, Registry: local, Local: true}}
	}
	d.Partitions = map[string][]state.Repository{}
	for _, partition := range partitions(d.Targets, local) {
		rs := make([]state.Repository, len(f.repositories))
		for i, repo := range f.repositories {
			rs[i] = repo.compile(f.stack, partition)
		}
		d.Partitions[partition] = rs
	}
	d.Repositories = d.Partitions[d.Targets[0].Registry.Region.Partition()]
	return d
}

// LocalName is the name of the local registry as a target.
const LocalName = "local"

// partitions are those that the targets are in, each once, in their order;
// that of local when there are none.
func partitions(targets []state.Target, local ecr.RegistryID) []string {
	if len(targets) == 0 {
		return []string{local.Region.Partition()}
	}
	var out []string
	for _, t := range targets {
		if p := t.Registry.Region.Partition(); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
