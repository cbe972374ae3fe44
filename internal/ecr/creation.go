package ecr

import "strings"

// CreationReason is why the registry creates a repository itself, as templates
// name it (API model, RCTAppliedFor).
type CreationReason string

// The reasons that there are.
const (
	CreateOnPush      CreationReason = "CREATE_ON_PUSH"
	CreateOnPull      CreationReason = "PULL_THROUGH_CACHE"
	CreateOnReplicate CreationReason = "REPLICATION"
)

// CreationReasons are all of them, in the order of the API's model.
func CreationReasons() []CreationReason {
	return []CreationReason{CreateOnReplicate, CreateOnPull, CreateOnPush}
}

// RootPrefix is the prefix of the template for repositories that no other
// template is for.
const RootPrefix = "ROOT"

// TemplatePrefixes are the prefixes of the templates that are for a repository of
// that name, the longest first: for "a/b/c" they are "a/b", "a" and RootPrefix. A
// prefix means what is below it, not a repository of its name (user guide,
// "Repository creation templates").
func TemplatePrefixes(name RepositoryName) []string {
	var out []string
	for rest := string(name); ; {
		at := strings.LastIndexByte(rest, '/')
		if at < 0 {
			return append(out, RootPrefix)
		}
		rest = rest[:at]
		out = append(out, rest)
	}
}
