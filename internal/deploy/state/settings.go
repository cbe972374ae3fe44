package state

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Reasons are why a registry creates repositories itself: the appliedFor of a
// template. Source: ECR API model, RCTAppliedFor.
var Reasons = []ecr.CreationReason{ecr.CreateOnPush, ecr.CreateOnPull, ecr.CreateOnReplicate}

// Template is a repository creation template.
type Template struct {
	// Repository has the settings of the repositories: Mutability, Tags, Policy,
	// Lifecycle, Encryption and, if desired, Origins. Its Name is Below(Prefix),
	// which is none of a repository.
	Repository
	// Prefix is without a slash at its end, or ecr.RootPrefix.
	Prefix string
	// Description is without the mark of the owner, which is Stack; "" for none.
	Description string
	Stack       string
	// AppliedFor is in byte order.
	AppliedFor []ecr.CreationReason
	RoleARN    string
	// Field is the template's place in the file; only in desired ones.
	Field string
}

// MaxDescription bounds the description of a template with the mark, in
// characters. Source: ECR API model, RepositoryTemplateDescription.
const MaxDescription = 256

// The mark that stands at the end of the description of a template which a stack
// owns: templates have no tags of their own.
const (
	markBegin = "[" + TagStack + "="
	markEnd   = "]"
)

// Marked is a description with the mark of stack; without one for "".
func Marked(description, stack string) string {
	if stack == "" {
		return description
	}
	mark := markBegin + stack + markEnd
	if description == "" {
		return mark
	}
	return description + " " + mark
}

// Unmarked takes the mark out of a description, if there is one.
func Unmarked(s string) (description, stack string) {
	rest, ok := strings.CutSuffix(s, markEnd)
	i := strings.LastIndex(rest, markBegin)
	if !ok || i < 0 || i+len(markBegin) == len(rest) {
		return s, ""
	}
	return strings.TrimSuffix(rest[:i], " "), rest[i+len(markBegin):]
}

// Upstream is a pull-through cache rule.
type Upstream struct {
	// Prefix and UpstreamPrefix are without a slash at their end, or ecr.RootPrefix.
	Prefix, UpstreamPrefix string
	Host                   string // such as "registry-1.docker.io"
	// Credential is the ARN of a secret; desired, also the name of a credential
	// of a Kontor registry. "" for none.
	Credential string
	RoleARN    string
	// Removed: a rule with this prefix, for this upstream, is to go. Desired only.
	Removed bool
	Origin  Origin
}

// String is "docker-hub/* from registry-1.docker.io".
func (u Upstream) String() string {
	s := Below(u.Prefix) + " from " + u.Host
	if u.UpstreamPrefix != ecr.RootPrefix && u.UpstreamPrefix != "" {
		s += "/" + u.UpstreamPrefix
	}
	return s
}

// Below is what a prefix is for, in a word: "team/*", or "*".
func Below(prefix string) string {
	if prefix == ecr.RootPrefix {
		return "*"
	}
	return prefix + "/*"
}

// IsARN reports whether a credential is given as an ARN and not as a name.
func IsARN(credential string) bool { return strings.HasPrefix(credential, "arn:") }

// CanonicalHost is a host in the spelling of ECR: Docker Hub has several.
func CanonicalHost(host string) string {
	switch host {
	case "docker.io", "index.docker.io":
		return "registry-1.docker.io"
	}
	return host
}

// SameUpstream reports whether two rules are for the same part of the same
// registry.
func (u Upstream) SameUpstream(other Upstream) bool {
	return CanonicalHost(u.Host) == CanonicalHost(other.Host) && prefixOr(u.UpstreamPrefix) == prefixOr(other.UpstreamPrefix)
}

func prefixOr(prefix string) string {
	if prefix == "" {
		return ecr.RootPrefix
	}
	return prefix
}

// Wanted are the settings of a registry that a file names besides repositories.
type Wanted struct {
	// Templates and Upstreams are in byte order of their prefixes.
	Templates []Template
	Upstreams []Upstream
	// Signers and Receivers are in byte order of their names.
	Signers   []Signer
	Receivers []EventReceiver
	// Replication is the whole of it; nil where the file has none. ReplicatedFrom are
	// the other accounts whose registries, by the file, replicate into the registry, in
	// byte order.
	Replication *Replication
	// ReplicationRules is how many rules the file has; only in those of all targets.
	ReplicationRules int
	ReplicatedFrom   []ReplicationSource
	// ReplicationAccounts are those of the file's registries. BothWays are the names of
	// the registries to which the registry replicates what they replicate to it.
	ReplicationAccounts []ecr.AccountID
	BothWays            []string
	// TemplatesGiven: the file has the field, so that its stack's templates are
	// looked for also where it lists none there.
	TemplatesGiven bool
}

// Settings are the settings of a registry that were observed.
type Settings struct {
	// Templates and Upstreams are by prefix; nil when they were not read.
	Templates map[string]Template
	Upstreams map[string]Upstream
	// Signers are by name; nil when they were not read, and then NoSigners says why.
	Signers   map[string]Signer
	NoSigners string
	// Receivers are the receivers of events, as Signers.
	Receivers   map[string]EventReceiver
	NoReceivers string
	// Credentials are the ARNs of a Kontor registry's credentials, by name; nil
	// when they were not read, and then NoCredentials says why.
	Credentials   map[string]string
	NoCredentials string
	// Replication is nil when it was not read. NoReplicationOptions says why its Options
	// are not known.
	Replication          *Replication
	NoReplicationOptions string
	// RegistryPolicy is the text, "" for none; RegistryPolicySeen is false when it was
	// not read, and RegistryPolicyUnseen says why if that was tried.
	RegistryPolicy       string
	RegistryPolicySeen   bool
	RegistryPolicyUnseen string
	// TemplatesUnseen is why the templates could not be read, where the file
	// names none; "" when they were. UpstreamsUnseen and
	// ReplicationUnseen are the same of the rules.
	TemplatesUnseen, UpstreamsUnseen, ReplicationUnseen string
}

// NamesCredentials reports whether a rule names its credential, and not its ARN.
func (w Wanted) NamesCredentials() bool {
	return slices.ContainsFunc(w.Upstreams, func(u Upstream) bool { return u.Credential != "" && !IsARN(u.Credential) })
}
