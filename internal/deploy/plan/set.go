package plan

import "github.com/kontor-registry/kontor/internal/deploy/state"

// SetVersion is the version of a Set's JSON form. docs/plan.schema.json
// describes it.
const SetVersion = 1

// Set is what one run plans: a plan for each registry that could be read. Its
// JSON form is published, and is a plan file.
type Set struct {
	Version int    `json:"version"`
	Stack   string `json:"stack"`
	// Files are the names that the file was read under.
	Files []string `json:"files,omitempty"`
	Plans []Plan   `json:"plans"`
	// Failures are the registries that could not be read.
	Failures []Failure `json:"failures,omitempty"`
}

// Failure is a registry that could not be read.
type Failure struct {
	Target Target `json:"target"`
	Error  string `json:"error"`
}

// TargetOf is t as plans have it.
func TargetOf(t state.Target) Target { return targetOf(t) }

// Pending counts the changes of all plans.
func (s Set) Pending() int {
	n := 0
	for _, p := range s.Plans {
		n += len(p.Pending())
	}
	return n
}

// Refused are the plans that cannot be carried out because of an error.
func (s Set) Refused() []Plan {
	var out []Plan
	for _, p := range s.Plans {
		if len(p.Errors()) > 0 {
			out = append(out, p)
		}
	}
	return out
}
