package deploy

import (
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Step is one call that changes a repository.
type Step string

// The steps, in the order in which a repository goes through them. Creating
// sets tags, mutability, scanning and encryption too.
const (
	StepCreate          Step = "create"
	StepTags            Step = "tags"
	StepUntag           Step = "untag"
	StepMutability      Step = "mutability"
	StepScanning        Step = "scan-on-push"
	StepPolicy          Step = "policy"
	StepDeletePolicy    Step = "delete-policy"
	StepLifecycle       Step = "lifecycle"
	StepDeleteLifecycle Step = "delete-lifecycle"
	// StepDelete deletes the repository with all that it has.
	StepDelete Step = "delete"
)

// Status is how one repository came out.
type Status string

// The ways a repository comes out.
const (
	// StatusDone: every step was applied, or was found applied.
	StatusDone Status = "done"
	// StatusMoved: the repository is not as the plan saw it; nothing was done.
	StatusMoved Status = "moved"
	// StatusFailed: a step failed; Left says what is missing.
	StatusFailed Status = "failed"
	// StatusSkipped: apply was stopped before it came to the repository.
	StatusSkipped Status = "skipped"
)

// RepositoryResult is what became of one change of the plan.
type RepositoryResult struct {
	Repository kecr.RepositoryName `json:"repository"`
	Op         plan.Op             `json:"op"`
	Status     Status              `json:"status"`
	// Done are the steps applied by this run, Left those that are still to
	// do.
	Done []Step `json:"done,omitempty"`
	Left []Step `json:"left,omitempty"`
	// Error says why, when Status is not StatusDone. Code is that of the API's
	// answer, if one came.
	Error string `json:"error,omitempty"`
	Code  string `json:"code,omitempty"`
}

// Result is what an apply did and did not do.
type Result struct {
	Target plan.Target `json:"target"`
	// Repositories holds each pending change of the plan, in its order.
	Repositories []RepositoryResult `json:"repositories"`
	// Settings holds each pending change of a template or an upstream rule, in the
	// order in which they were made.
	Settings []SettingResult `json:"settings,omitempty"`
}

// Count returns how many repositories came out as s.
func (r Result) Count(s Status) int {
	n := 0
	for _, x := range r.Repositories {
		if x.Status == s {
			n++
		}
	}
	return n
}

// Lasting is how many repositories, templates and rules failed with what a further try does not help:
// see Lasts.
func (r Result) Lasting() int {
	n := 0
	for _, x := range r.Repositories {
		if x.Status == StatusFailed && Lasts(x.Code) {
			n++
		}
	}
	for _, x := range r.Settings {
		if x.Status == StatusFailed && Lasts(x.Code) {
			n++
		}
	}
	return n
}

// OK reports whether everything was done.
func (r Result) OK() bool { return r.Undone() == 0 && r.UndoneSettings() == 0 }

// Undone is how many repositories are not as planned.
func (r Result) Undone() int { return len(r.Repositories) - r.Count(StatusDone) }

// UndoneSettings is how many templates and upstream rules are not as planned.
func (r Result) UndoneSettings() int { return len(r.Settings) - r.CountSettings(StatusDone) }

// Progress is called for each pending change of the plan, in its order, as
// soon as the change and all before it have come out. It is called by one
// goroutine, and may be nil.
type Progress func(RepositoryResult)

// Kind is a kind of setting of a registry itself.
type Kind string

// The kinds.
const (
	KindTemplate Kind = "template"
	KindUpstream Kind = "upstream"
	KindSigner   Kind = "signer"         // Prefix is its name
	KindReceiver Kind = "event receiver" // Prefix is its name
	// KindReplication is the replication configuration, of which there is one; Prefix is "".
	KindReplication Kind = "replication"
)

// SettingResult is what became of a change of a template or of an upstream rule.
type SettingResult struct {
	Kind   Kind    `json:"kind"`
	Prefix string  `json:"prefix"`
	Op     plan.Op `json:"op"`
	Status Status  `json:"status"`
	Error  string  `json:"error,omitempty"`
	Code   string  `json:"code,omitempty"`
}

// CountSettings returns how many templates and upstream rules came out as s.
func (r Result) CountSettings(s Status) int {
	n := 0
	for _, x := range r.Settings {
		if x.Status == s {
			n++
		}
	}
	return n
}
