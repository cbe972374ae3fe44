package authz

import "github.com/kontor-registry/kontor/policy"

// Question is r as package policy understands it, for those who decide more
// than Decide does: who may assume a role, and what a simulation says.
func Question(r Request) policy.Request { return r.question() }

// Compile reads an identity policy, or a role's trust policy, and keeps it for
// the next time. One that cannot be read denies everything.
func Compile(text string) *policy.Compiled { return identityCache.compiled(text) }
