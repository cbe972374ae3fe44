package state

import "github.com/kontor-registry/kontor/internal/ecr"

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
