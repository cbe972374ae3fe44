package state

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ReplicationRule copies the repositories whose names begin with one of Prefixes, or all,
// to each of To.
type ReplicationRule struct {
	To       []ecr.RegistryID
	Prefixes []string
	Origin   Origin // desired only
}

// ReplicationOptions are what only a Kontor registry has for a destination: which tags go
// there, which repositories do not, and whether deletions do.
type ReplicationOptions struct {
	Tags, Exclude []string
	Deletions     bool
}

// None reports whether o says nothing.
func (o ReplicationOptions) None() bool { return len(o.Tags)+len(o.Exclude) == 0 && !o.Deletions }

// Equal reports whether o and other say the same.
func (o ReplicationOptions) Equal(other ReplicationOptions) bool {
	return slices.Equal(o.Tags, other.Tags) && slices.Equal(o.Exclude, other.Exclude) && o.Deletions == other.Deletions
}

// Replication is what of a registry is replicated where.
type Replication struct {
	Rules []ReplicationRule
	// Options are by destination, without those that say nothing; nil when they were
	// not read.
	Options map[ecr.RegistryID]ReplicationOptions
}

// ReplicationSource is another account that replicates into a registry.
type ReplicationSource struct {
	Account  ecr.AccountID
	Name     string   // of one of its registries in the file
	Prefixes []string // of the repositories, in byte order; none for all
	// Deletions: it also deletes what was deleted there.
	Deletions bool
}
