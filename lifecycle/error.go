package lifecycle

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Code sorts errors by the step of the check that finds them, in the order in
// which ECR takes these steps.
type Code string

// The steps.
const (
	// CodeLength: the text has too few or too many characters. ECR reports it
	// as a constraint of the parameter itself, all the others as a "Lifecycle
	// policy validation failure".
	CodeLength Code = "length"
	// CodeSyntax: the text is not strict JSON, or not an object.
	CodeSyntax Code = "syntax"
	// CodeSchema: a value is missing, unknown, of a wrong type, out of range
	// or in a combination that does not exist.
	CodeSchema Code = "schema"
	// CodeRule: values are right in themselves but contradict one another.
	CodeRule Code = "rule"
)

// Error is one thing that is wrong with a policy.
type Error struct {
	Code Code
	// Path leads to the value, for example "rules[1].selection.countUnit";
	// to where it is missing, for a missing one; "" is the whole policy.
	Path string
	// Offset counts bytes from 0, Line and Column (in characters) from 1. All
	// three are 0 when the policy did not come from a text.
	Offset, Line, Column int
	// Detail is what ECR says after "Lifecycle policy validation failure: ",
	// or for CodeLength as the constraint itself.
	Detail string
	// Reason is what to do about it, where Detail does not tell; else "".
	Reason string
}

// Error is "line:column: path: reason", without what is absent. Detail stands
// in for an absent Reason.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		b.WriteString(jsonpos.Pos{Line: e.Line, Column: e.Column}.String() + ": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(cmp.Or(e.Reason, e.Detail))
	return b.String()
}

// Errors is everything that is wrong with a policy, never empty, in the order in
// which ECR finds it.
type Errors []*Error

// Detail is what ECR says of es: the details of all that the check of the
// schema finds, one a line, and of any other step the first
// (simple-container-com/api#34, a log of 10 November 2025). A rule of which
// several members do not go together is one that matches no form, once.
func (es Errors) Detail() string {
	lines := []string{es[0].Detail}
	last := es[0]
	for _, e := range es[1:] {
		if e.Code != es[0].Code || e.Code != CodeSchema {
			break
		}
		again := e.Detail == last.Detail && (e.Detail == detailRule || e.Detail == detailAction) && ruleOf(e.Path) == ruleOf(last.Path)
		if last = e; !again {
			lines = append(lines, e.Detail)
		}
	}
	return strings.Join(lines, "\n")
}

// ruleOf is the beginning of a path that leads to a rule.
func ruleOf(path string) string {
	rule, _, _ := strings.Cut(path, "]")
	return rule
}

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

// finding is an Error in the making: its path still leads to a place.
type finding struct {
	Error
	path  jsonpos.Path
	place *jsonpos.Pos // known already; else that of path
}

// errs turns findings into Errors in the order of the steps and, within one,
// of the text; root is nil when there is no text. Nothing found is nil.
func errs(found []finding, root *jsonpos.Value) error {
	if len(found) == 0 {
		return nil
	}
	out := make(Errors, len(found))
	for i, f := range found {
		e := f.Error
		e.Path = f.path.String()
		if f.place == nil && root != nil {
			f.place = &root.Locate(f.path).Pos
		}
		if f.place != nil {
			e.Offset, e.Line, e.Column = f.place.Offset, f.place.Line, f.place.Column
		}
		out[i] = &e
	}
	steps := []Code{CodeLength, CodeSyntax, CodeSchema, CodeRule}
	slices.SortStableFunc(out, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(slices.Index(steps, a.Code), slices.Index(steps, b.Code)), cmp.Compare(a.Offset, b.Offset))
	})
	return out
}
