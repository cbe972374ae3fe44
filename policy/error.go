package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Code sorts errors by what finds them.
type Code string

// The codes.
const (
	CodeSize    Code = "size"    // the text is too long
	CodeSyntax  Code = "syntax"  // the text is not strict JSON
	CodeGrammar Code = "grammar" // wrong in every kind of policy
	CodeKind    Code = "kind"    // wrong in this kind of policy
)

// Error is one thing that is wrong with a document.
type Error struct {
	Code Code
	// Path leads to the value, for example "Statement[0].Principal.AWS[1]"; to
	// where it is missing, for a missing one; "" is the whole document.
	Path string
	// Offset counts bytes from 0, Line and Column (in characters) from 1. All
	// three are 0 when the document did not come from a text.
	Offset, Line, Column int
	// Detail says what is wrong and what would be right. The words are ours:
	// ECR says "Invalid repository policy provided" of everything.
	Detail string
}

// Error is "line:column: path: detail", without what is absent.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		b.WriteString(jsonpos.Pos{Line: e.Line, Column: e.Column}.String() + ": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Detail)
	return b.String()
}

// Errors is everything that is wrong with a document, never empty, in the
// order of the text.
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

// finding is an Error in the making: its path still leads to a place.
type finding struct {
	code   Code
	path   jsonpos.Path
	place  *jsonpos.Pos // known already; else that of path
	detail string
}

// errs turns findings into Errors; root is nil when there is no text. Nothing
// found is nil.
func errs(found []finding, root *jsonpos.Value) error {
	if len(found) == 0 {
		return nil
	}
	out := make(Errors, len(found))
	for i, f := range found {
		e := &Error{Code: f.code, Path: f.path.String(), Detail: f.detail}
		if f.place == nil && root != nil {
			f.place = &root.Locate(f.path).Pos
		}
		if f.place != nil {
			e.Offset, e.Line, e.Column = f.place.Offset, f.place.Line, f.place.Column
		}
		out[i] = e
	}
	slices.SortStableFunc(out, func(a, b *Error) int { return cmp.Compare(a.Offset, b.Offset) })
	return out
}
