// Package state holds the settings of repositories as plain values: what a
// file wants (desired) and what a registry has (observed). It is pure.
package state

import (
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Resource tags through which Kontor knows what it owns. There is no state
// file.
const (
	// TagStack holds the name of the stack that owns the repository.
	TagStack = "kontor:stack"
	// TagProtection has the value "off" on repositories that may be deleted by
	// prune and destroy; without it they are protected.
	TagProtection = "kontor:delete-protection"
	// TagReserved begins the keys that a file may not set itself.
	TagReserved = "kontor:"
)

// Target is a registry to deploy to, and how to reach it.
type Target struct {
	// Name in the file's registries list; "local" for the local registry.
	Name     string
	Registry ecr.RegistryID
	// RoleARN is assumed, Profile read from the AWS configuration, Endpoint
	// called in place of AWS. All optional.
	RoleARN  string
	Profile  string
	Endpoint string
	// ExternalURL is where clients reach the registry when `kontor up` serves it;
	// "" for the host of each request.
	ExternalURL string
	// Local: the registry of the data folder, not one on AWS.
	Local bool
}

// Desired is what files ask for.
type Desired struct {
	// Stack names the owner. Explicit is false when it is the default name,
	// which is not enough to delete anything.
	Stack         string
	StackExplicit bool
	Targets       []Target
	// Repositories are all that the files name, in byte order of their names,
	// each as the first of its targets has it. What one target should have
	// says For.
	Repositories []Repository
	// ByTarget holds the repositories of each target by its name, in the same
	// order: those that are wanted there, with the overrides for that target
	// and with principals of its partition.
	ByTarget map[string][]Repository
	// Wanted are the templates and upstreams, WantedByTarget those of each target
	// by its name, as with Repositories and ByTarget.
	Wanted         Wanted
	WantedByTarget map[string]Wanted
	// Clusters, AccessTests and Promotions are in the order of the files.
	Clusters    []Cluster
	AccessTests []AccessTest
	Promotions  []Promotion
	// MaxExpire is the most images of a repository that a plan may let expire;
	// nil for no such bound.
	MaxExpire *Budget
}

// For is what the target t, known by its name, should have: d with t as its
// only target and with t's repositories. A d without ByTarget, or one that
// does not know t, keeps its repositories as they are. The result shares
// memory with d.
func (d Desired) For(t Target) Desired {
	if rs, ok := d.ByTarget[t.Name]; ok {
		d.Repositories = rs
	}
	if w, ok := d.WantedByTarget[t.Name]; ok {
		d.Wanted = w
	}
	d.Targets = []Target{t}
	d.ByTarget, d.WantedByTarget = nil, nil
	return d
}

// WithPolicies is d with the repository policies that change returns, target by
// target; it is asked for those of templates as well. The result shares memory with d.
func (d Desired) WithPolicies(change func(t Target, r Repository) (policy string, err error)) (Desired, error) {
	all, wanted := map[string][]Repository{}, map[string]Wanted{}
	for _, t := range d.Targets {
		of := d.For(t)
		all[t.Name] = slices.Clone(of.Repositories)
		w := of.Wanted
		w.Templates = slices.Clone(w.Templates)
		rs := make([]*Repository, 0, len(all[t.Name])+len(w.Templates))
		for i := range all[t.Name] {
			rs = append(rs, &all[t.Name][i])
		}
		for i := range w.Templates {
			rs = append(rs, &w.Templates[i].Repository)
		}
		for _, r := range rs {
			var err error
			if r.Policy, err = change(t, *r); err != nil {
				return Desired{}, err
			}
		}
		wanted[t.Name] = w
	}
	d.ByTarget, d.WantedByTarget = all, wanted
	return d, nil
}

// Repository is the settings of one repository.
type Repository struct {
	Name       ecr.RepositoryName
	Mutability ecr.Mutability
	// Tags are resource tags. Desired: those to set; others on the
	// repository are left alone. Observed: all.
	Tags map[string]string
	// Policy and Lifecycle are the documents' texts; "" for none.
	Policy    string
	Lifecycle string
	// ScanOnPush and Encryption: nil leaves them as they are (desired). ECR
	// sets the encryption when it creates a repository and never after.
	ScanOnPush *bool
	Encryption *ecr.Encryption
	// Unprotected: the repository may be deleted although it is the file's
	// (delete_protection: false). Kept as the tag TagProtection.
	Unprotected bool
	// Origins say which field of the file made a part of the documents; only
	// in desired repositories.
	Origins Origins
}

// Origins lead from generated parts back to the file.
type Origins struct {
	// Repository is where the repository is declared.
	Repository Position
	// Rules are by rule priority, Statements by Sid.
	Rules      map[int]Origin
	Statements map[string]Origin
}

// Origin is the field that made a part.
type Origin struct {
	Field string // path in the file, for example "ecr_repositories.api.expiration_rules[0]"
	Position
}

// Position is a place in a file. Line and Column count from 1; zero when
// there is no place, as for a default.
type Position struct {
	File   string
	Line   int
	Column int
}

// String is "FILE:LINE:COLUMN", as editors and compilers know it; "FILE"
// when there is no line.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Observed is what one registry has.
type Observed struct {
	Target       Target
	Repositories map[ecr.RepositoryName]Repository
	// Hidden are repositories that a Deny keeps from the caller: by their names,
	// what is known of them, for example "exists, but the caller may not read it:
	// ...". They are not in Repositories.
	Hidden map[ecr.RepositoryName]string
	// OthersUnseen is why repositories of the stack that were not asked for by name
	// were not looked for; "" when they were.
	OthersUnseen string
	// Settings are those of the registry itself, as far as they were to be read.
	Settings Settings
}
