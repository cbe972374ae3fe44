package state

import "github.com/kontor-registry/kontor/internal/ecr"

// Cluster is a Kubernetes cluster whose nodes may pull. Its account is in the
// pull statements of its repositories already, where it is not the registry's
// own; its node roles are another's to find and to grant.
type Cluster struct {
	Name    string
	Account ecr.AccountID
	Region  ecr.Region
	// RoleARN is assumed to reach the account, Profile read from the AWS
	// configuration, Endpoint called in place of AWS. All optional.
	RoleARN  string
	Profile  string
	Endpoint string
	// NodeRoleARNs are the roles of its nodes; none when EKS is to be asked.
	NodeRoleARNs []string
	// Repositories are wildcards, '*' matching any run of characters.
	Repositories []string
	Origin       Origin
}

// Pulls reports whether the cluster's nodes pull from the repository.
func (c Cluster) Pulls(name ecr.RepositoryName) bool { return matchesAny(c.Repositories, string(name)) }

func matchesAny(wildcards []string, s string) bool {
	for _, w := range wildcards {
		if ecr.MatchWildcard(w, s) {
			return true
		}
	}
	return false
}

// Promotion is a route of images between registries.
type Promotion struct {
	Name string
	From Place
	To   []Place
	// Repositories and Tags are wildcards as those of Cluster.
	Repositories []string
	Tags         []string
	// Newest takes that many of a repository's tags only, those of the images
	// that were pushed last; 0 for all.
	Newest int
	// Move are wildcards of tags that may be taken from another image.
	Move []string
	// Record leaves a record with each image.
	Record  bool
	Require Requirements
	Origin  Origin
}

// Place is a registry, and the part of its repositories whose names begin with
// Prefix and a slash; all of them for "".
type Place struct {
	Registry string // the name of a target; with a Prefix also a host
	Prefix   string
}

// String is "prod" or "docker.io/library".
func (p Place) String() string {
	if p.Prefix == "" {
		return p.Registry
	}
	return p.Registry + "/" + p.Prefix
}

// Requirements are the conditions for an image to be promoted.
type Requirements struct {
	Platforms   []string // "os/arch" or "os/arch/variant"
	Referrers   []string // artifact types
	Signature   bool
	SBOM        bool
	MinAgeHours int
	SignedBy    []string     // names of signers
	Scanned     bool         // a scan must be complete
	MaxSeverity ecr.Severity // that a scan may have found; "" for any
	Verify      []string     // a command; "{image}" stands for the image
}
