package spec

import (
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Error is one thing that is wrong with a file.
type Error = lang.Error

// Errors is everything that is wrong with the files, in the order of the
// files and within one of the lines; never empty.
type Errors = lang.Errors

// Code names a kind of notice. A code is never reused.
type Code string

// The notices.
const (
	// CodeLifecycleOverridden: lifecycle_policy_json stands in place of the
	// rules that the other fields would make.
	CodeLifecycleOverridden Code = "KON1001"
	// CodeOutlivesExpireAll: expire_all_images is set, and keep or an
	// expiration rule keeps its images longer than that would.
	CodeOutlivesExpireAll Code = "KON1002"
	// CodeOwnAccount: a grant to the account of the registry itself, which
	// gives nothing.
	CodeOwnAccount Code = "KON1003"
	// CodePolicyOverridden: repository_policy_json stands in place of the
	// statements that the other fields would make.
	CodePolicyOverridden Code = "KON1004"
	// CodeOtherPartition: a cluster cannot pull from a registry, for IAM does
	// not reach from one partition into another.
	CodeOtherPartition Code = "KON1005"
	// CodeOtherVariable: a .tfvars file, or the inputs of Terragrunt, have a
	// variable that is not a field.
	CodeOtherVariable Code = "KON1008"
	// CodeRegion: AWS has no region of that name, as far as is known.
	CodeRegion Code = "KON1009"
	// CodeTerragrunt: of a configuration of Terragrunt only inputs are read.
	CodeTerragrunt Code = "KON1010"
)

// Notice is something that a file's author should know, but not an error.
type Notice struct {
	state.Position
	Code    Code
	Field   string // as Error.Field
	Message string
}

// String is "FILE:LINE:COLUMN: CODE: FIELD: MESSAGE".
func (n Notice) String() string {
	return (&Error{Position: n.Position, Field: string(n.Code) + ": " + n.Field, Message: n.Message}).Error()
}

// Notices are in the order of the files and within one of the lines.
type Notices []Notice

// problems collects errors and notices.
type problems struct {
	errs    Errors
	notices Notices
}

func (p *problems) errorf(at state.Position, path jsonpos.Path, format string, args ...any) {
	p.errs = append(p.errs, &Error{Position: at, Field: path.String(), Message: fmt.Sprintf(format, args...)})
}

// from is the position at as seen from the position here: without the file's
// name when both are in one.
func from(at, here state.Position) string {
	if at.File == here.File {
		return fmt.Sprintf("%d:%d", at.Line, at.Column)
	}
	return at.String()
}

// failf is errorf for what a field made.
func (p *problems) failf(o state.Origin, format string, args ...any) {
	p.errs = append(p.errs, &Error{Position: o.Position, Field: o.Field, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) notef(o state.Origin, code Code, format string, args ...any) {
	p.notices = append(p.notices, Notice{o.Position, code, o.Field, fmt.Sprintf(format, args...)})
}

// sorted returns what was collected in the order of the sources, each thing
// once: a default that is wrong is wrong for each repository it meets.
func (p *problems) sorted(sources []Source) (Errors, Notices) {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	less := lang.Order(names)
	slices.SortStableFunc(p.notices, func(a, b Notice) int { return less(a.Position, b.Position) })
	seen := make(map[Notice]bool, len(p.notices))
	notices := slices.DeleteFunc(p.notices, func(n Notice) bool {
		twice := seen[n]
		seen[n] = true
		return twice
	})
	return p.errs.InOrder(names), notices
}
