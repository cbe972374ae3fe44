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

// AccessTest says what a principal may and may not do in repositories.
type AccessTest struct {
	// Principal is an account id, the ARN of an account's root, a role, a user
	// or a session, or the name of a service.
	Principal string
	// Repositories are wildcards as those of Cluster.
	Repositories []string
	// Allow and Deny hold pull, push, delete, admin, or actions such as
	// "ecr:PutImage". All of Allow must be allowed, and none of Deny.
	Allow, Deny []string
	Origin      Origin
}

// Covers reports whether the test is about the repository.
func (t AccessTest) Covers(name ecr.RepositoryName) bool {
	return matchesAny(t.Repositories, string(name))
}

// Promotion is a route of images between registries.
type Promotion struct {
	Name string
	// From and To are names of targets.
	From string
	To   []string
	// Repositories and Tags are wildcards as those of Cluster.
	Repositories []string
	Tags         []string
	Origin       Origin
}

// Budget bounds a number of images: by Count, or when Share is set, by Percent
// of all there are.
type Budget struct {
	Share   bool
	Percent float64 // 0 to 100
	Count   int     // 0 or more
	Origin  Origin
}

// Exceeded reports whether n of all images are more than b allows.
func (b Budget) Exceeded(n, all int) bool {
	if b.Share {
		return float64(n)*100 > b.Percent*float64(all)
	}
	return n > b.Count
}
