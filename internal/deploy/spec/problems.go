package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// maxErrors bounds how many errors are reported at once.
const maxErrors = 100

// Error is one thing that is wrong with a file.
type Error struct {
	state.Position
	// Field is where in the file's structure, for example
	// "ecr_repositories.api.expiration_rules[0].days"; "" for the file itself.
	Field   string
	Message string
}

// Error is "FILE:LINE:COLUMN: FIELD: MESSAGE".
func (e *Error) Error() string { return line(e.Position, e.Field, e.Message) }

func line(at state.Position, field, message string) string {
	s := message
	if field != "" {
		s = field + ": " + s
	}
	if place := at.String(); place != "" {
		s = place + ": " + s
	}
	return s
}

// Errors is everything that is wrong with the files, in the order of the
// files and within one of the lines; never empty.
type Errors []*Error

// Error is the errors' texts, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors one by one, for errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

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
	// CodePromotions: the file has promotions, which nothing carries out yet.
	CodePromotions Code = "KON1007"
	// CodeOtherVariable: a .tfvars file has a variable that is no field.
	CodeOtherVariable Code = "KON1008"
)

// Notice is something that a file's author should know but that is no error.
type Notice struct {
	state.Position
	Code    Code
	Field   string // as Error.Field
	Message string
}

// String is "FILE:LINE:COLUMN: CODE: FIELD: MESSAGE".
func (n Notice) String() string { return line(n.Position, string(n.Code)+": "+n.Field, n.Message) }

// Notices are in the order of the files and within one of the lines.
type Notices []Notice

// problems collects errors and notices.
type problems struct {
	errs    Errors
	notices Notices
}

func (p *problems) errorf(at state.Position, path jsonpos.Path, format string, args ...any) {
	p.errs = append(p.errs, &Error{at, path.String(), fmt.Sprintf(format, args...)})
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
	p.errs = append(p.errs, &Error{o.Position, o.Field, fmt.Sprintf(format, args...)})
}

func (p *problems) notef(o state.Origin, code Code, format string, args ...any) {
	p.notices = append(p.notices, Notice{o.Position, code, o.Field, fmt.Sprintf(format, args...)})
}

// sorted returns what was collected in the order of the sources, each thing
// once: a default that is wrong is wrong for each repository it meets.
func (p *problems) sorted(sources []Source) (Errors, Notices) {
	order := make(map[string]int, len(sources))
	for i, s := range sources {
		if _, ok := order[s.Name]; !ok {
			order[s.Name] = i
		}
	}
	byPlace := func(a, b state.Position) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}
	slices.SortStableFunc(p.errs, func(a, b *Error) int { return byPlace(a.Position, b.Position) })
	slices.SortStableFunc(p.notices, func(a, b Notice) int { return byPlace(a.Position, b.Position) })
	errs := unique(p.errs, func(e *Error) Error { return *e })
	if extra := len(errs) - maxErrors; extra > 0 {
		last := errs[maxErrors].Position
		errs = append(errs[:maxErrors:maxErrors], &Error{last, "", fmt.Sprintf("and %d more errors from here on", extra)})
	}
	return errs, unique(p.notices, func(n Notice) Notice { return n })
}

// unique keeps the first of those with the same key.
func unique[T any, K comparable](list []T, key func(T) K) []T {
	seen := make(map[K]bool, len(list))
	return slices.DeleteFunc(list, func(t T) bool {
		k := key(t)
		twice := seen[k]
		seen[k] = true
		return twice
	})
}
