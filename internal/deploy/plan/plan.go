// Package plan compares what a file wants with what a registry has, and holds
// the result as data: a Plan prints, compares and round-trips through JSON,
// and package deploy carries out exactly what it says. It is pure.
//
// What it guarantees:
//   - policy documents compare by meaning, and having none is a state like any
//     other;
//   - only the resource tags that the file sets, and Kontor's own, are touched;
//   - a repository that carries another stack's tag is never changed, and one
//     that left the file is reported and left as it is, unless deleting is
//     asked for: then only what is the stack's, not protected and, unless that
//     is asked for too, empty;
//   - everything that an existing repository would lose is named;
//   - a template with another stack's mark is never changed, nor is an upstream rule
//     that the file does not name (docs/design/0032).
//
// The effects of a plan on images are for its callers to fill in, who can read
// them: EffectsOf. It leaves out those on principals.
package plan

import (
	"net/url"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Version is the version of a plan's JSON form. A field that changes its
// meaning, or goes, raises it.
const Version = 1

// Plan is what apply would do to one registry. The field names of its JSON
// form are published.
type Plan struct {
	Version int    `json:"version"`
	Stack   string `json:"stack"`
	Target  Target `json:"target"`
	// DesiredDigest and ObservedDigest name the two sides the plan was made
	// from: "sha256:" and the hex of their canonical JSON.
	DesiredDigest  string `json:"desired_digest"`
	ObservedDigest string `json:"observed_digest"`
	// Objects names both sides repository by repository: those of the file, and
	// those that were seen.
	Objects map[ecr.RepositoryName]Object `json:"objects,omitempty"`
	// RefreshOnly: the plan shows drift and cannot be carried out.
	RefreshOnly bool `json:"refresh_only,omitempty"`
	// End is what the plan deletes.
	End End `json:"end,omitempty"`
	// Changes holds each repository of the file, in byte order of the names,
	// also those with nothing to do, and those to delete.
	Changes []Change `json:"changes"`
	// Templates and Upstreams are the settings of the registry itself that the file
	// names, in byte order of their prefixes, and the templates to delete.
	Templates []TemplateChange `json:"templates,omitempty"`
	Upstreams []UpstreamChange `json:"upstreams,omitempty"`
	// Signers and Receivers are those that the file names, in byte order.
	Signers   []SignerChange        `json:"signers,omitempty"`
	Receivers []EventReceiverChange `json:"event_receivers,omitempty"`
	// Replication is nil where the file has none.
	Replication *ReplicationChange `json:"replication,omitempty"`
	// Findings are ordered by repository, then code.
	Findings []Finding `json:"findings"`
}

// Target is the registry a plan is for.
type Target struct {
	Name     string        `json:"name"`
	Account  ecr.AccountID `json:"account"`
	Region   ecr.Region    `json:"region"`
	RoleARN  string        `json:"role_arn,omitempty"`
	Profile  string        `json:"profile,omitempty"`
	Endpoint string        `json:"endpoint,omitempty"`
	Local    bool          `json:"local,omitempty"`
}

// Registry is the target's account and region.
func (t Target) Registry() ecr.RegistryID {
	return ecr.RegistryID{Account: t.Account, Region: t.Region}
}

func targetOf(t state.Target) Target {
	return Target{
		Name: t.Name, Account: t.Registry.Account, Region: t.Registry.Region,
		RoleARN: t.RoleARN, Profile: t.Profile, Endpoint: withoutUser(t.Endpoint), Local: t.Local,
	}
}

// withoutUser leaves out user and password, which AWS_ENDPOINT_URL may have: a
// plan holds no secrets.
func withoutUser(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.User == nil {
		return endpoint
	}
	u.User = nil
	return u.String()
}

// Op is what happens to one repository.
type Op string

// The operations. A repository is adopted when it exists and carries no
// stack's tag: it then belongs to the file's stack.
const (
	OpNone   Op = "none"
	OpCreate Op = "create"
	OpAdopt  Op = "adopt"
	OpUpdate Op = "update"
	OpDelete Op = "delete"
)

// Change is one repository's part of a plan.
type Change struct {
	Repository ecr.RepositoryName `json:"repository"`
	Op         Op                 `json:"op"`
	// Before is what the plan saw; nil when the repository does not exist.
	// After is what it leaves, nil for OpDelete. Both are nil for OpNone.
	Before *Settings `json:"before,omitempty"`
	After  *Settings `json:"after,omitempty"`
	// Differences lead from Before to After: mutability, tags by key, policy,
	// lifecycle. For a repository to create they list what it gets.
	Differences []Difference `json:"differences,omitempty"`
	// Images are those that OpDelete deletes with the repository; nil when it
	// is to go only if it is empty.
	Images *Images `json:"images,omitempty"`
	// Effects are those of another lifecycle policy; nil when they were not computed.
	Effects *Effects `json:"effects,omitempty"`
}

// Images counts what a repository holds.
type Images struct {
	Count     int   `json:"count"`
	SizeBytes int64 `json:"size_bytes"`
}

// Settings of one repository, as far as Kontor manages them.
type Settings struct {
	Mutability Mutability `json:"mutability"`
	// Tags are the managed ones: those of the file and the owner tag. Others
	// on the repository are left alone and do not appear.
	Tags map[string]string `json:"tags"`
	// Policy and Lifecycle are the documents' texts; "" for none.
	Policy    string `json:"policy,omitempty"`
	Lifecycle string `json:"lifecycle,omitempty"`
	// ScanOnPush and Encryption are nil where the file leaves them as they are.
	ScanOnPush *bool       `json:"scan_on_push,omitempty"`
	Encryption *Encryption `json:"encryption,omitempty"`
}

// Encryption is a repository's, which ECR sets when it creates it and never
// after. KMSKey is empty for the key that AWS manages.
type Encryption struct {
	Type   string `json:"type"`
	KMSKey string `json:"kms_key,omitempty"`
}

// Mutability is ecr.Mutability with filters in byte order.
type Mutability struct {
	Mode    ecr.TagMutability `json:"mode"`
	Filters []string          `json:"filters,omitempty"`
}

// Field names a setting of a repository.
type Field string

// The fields, in the order in which differences list them.
const (
	FieldMutability Field = "mutability"
	FieldEncryption Field = "encryption"
	FieldScanOnPush Field = "scan_on_push"
	FieldTag        Field = "tag"
	FieldPolicy     Field = "policy"
	FieldLifecycle  Field = "lifecycle"
)

// Action is how a setting or a part of a document changes.
type Action string

// The actions: there after but not before, there before but not after, or
// there both times with another meaning.
const (
	Add    Action = "add"
	Remove Action = "remove"
	Modify Action = "modify"
)

// Difference is one setting that changes. The values are in the change's
// Before and After.
type Difference struct {
	Field  Field  `json:"field"`
	Key    string `json:"key,omitempty"` // of a tag
	Action Action `json:"action"`
	// Parts are the statements or rules that a document gains, loses or
	// changes; empty when one side cannot be read, for which there is a
	// finding.
	Parts []Part `json:"parts,omitempty"`
	// OtherWording is set for a document that has the same effect as before, on
	// images and on the rights of people.
	OtherWording *Wording `json:"other_wording,omitempty"`
}

// Wording is what another wording of a policy changes: at most actions that only
// read, for those who have rights in the repository.
type Wording struct {
	Gained []string `json:"gained,omitempty"`
	Lost   []string `json:"lost,omitempty"`
}

// Same reports whether nothing changes.
func (w *Wording) Same() bool { return w != nil && len(w.Gained)+len(w.Lost) == 0 }

// Reworded reports whether a change is documents in other words with the same effect,
// and nothing else.
func (c Change) Reworded() bool {
	return c.Op == OpUpdate && len(c.Differences) > 0 &&
		!slices.ContainsFunc(c.Differences, func(d Difference) bool { return !d.OtherWording.Same() })
}

// Part is a statement of a repository policy or a rule of a lifecycle policy.
type Part struct {
	// Name is a statement's Sid, "#2" for the second statement when it has
	// none, or a rule's priority, for example "10".
	Name   string `json:"name"`
	Action Action `json:"action"`
	// Old and New are the part's JSON text; "" where it is not there.
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
	// Field is the field of the file that made the new part, if known.
	Field string `json:"field,omitempty"`
}

// Code names a kind of finding. A code is never reused.
type Code string

// The findings of a diff.
const (
	// CodeLeftFile: a repository of this stack is no longer in the file.
	CodeLeftFile Code = "KON2001"
	// CodeForeignStack: a repository of the file belongs to another stack.
	CodeForeignStack Code = "KON2002"
	// CodeUnreadable: a document of an existing repository cannot be parsed,
	// so what it holds cannot be listed.
	CodeUnreadable Code = "KON2003"
	// CodeEncryption: a repository exists with another encryption than the
	// file's.
	CodeEncryption Code = "KON2004"
	// CodeProtected: a repository that is to be deleted is protected.
	CodeProtected Code = "KON2005"
	// CodeNotEmpty: a repository that is to be deleted holds images.
	CodeNotEmpty Code = "KON2006"
	// CodeDeletesImages: a repository is deleted with its images.
	CodeDeletesImages Code = "KON2007"
	// CodeHidden: a Deny keeps a repository from the caller.
	CodeHidden Code = "KON2008"
	// CodeOthersUnseen: it was not looked for repositories that left the file.
	CodeOthersUnseen Code = "KON2009"
	// CodeTagStays: a tag of the stack's repositories is not in the file.
	CodeTagStays Code = "KON2010"
)

// Severity says what a finding does to a plan.
type Severity string

// The severities. A plan with an error is not carried out.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Finding is something the reader of a plan should know.
type Finding struct {
	Code       Code               `json:"code"`
	Severity   Severity           `json:"severity"`
	Repository ecr.RepositoryName `json:"repository,omitempty"`
	// Message is a whole sentence that names the object and what to do.
	Message string `json:"message"`
	// Field is the place in the file, if there is one.
	Field string `json:"field,omitempty"`
}

// Pending returns the changes that do something.
func (p Plan) Pending() []Change {
	var out []Change
	for _, c := range p.Changes {
		if c.Op != OpNone {
			out = append(out, c)
		}
	}
	return out
}

// Errors returns the findings that keep the plan from being carried out.
func (p Plan) Errors() []Finding {
	var out []Finding
	for _, f := range p.Findings {
		if f.Severity == Error {
			out = append(out, f)
		}
	}
	return out
}

// Count returns how many repositories have op.
func (p Plan) Count(op Op) int {
	n := 0
	for _, c := range p.Changes {
		if c.Op == op {
			n++
		}
	}
	return n
}

// Has reports whether one of the differences is in field.
func (c Change) Has(field Field) bool {
	for _, d := range c.Differences {
		if d.Field == field {
			return true
		}
	}
	return false
}
