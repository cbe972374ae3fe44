package lang

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
func (e *Error) Error() string {
	s := e.Message
	if e.Field != "" {
		s = e.Field + ": " + s
	}
	if place := e.Position.String(); place != "" {
		s = place + ": " + s
	}
	return s
}

// Errors is everything that is wrong with some files.
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

// InOrder sorts es by file, in the order of the names, and by place; leaves out
// what is said twice; and of more than a hundred keeps the first, with the
// number of the others.
func (es Errors) InOrder(files []string) Errors {
	less := Order(files)
	slices.SortStableFunc(es, func(a, b *Error) int { return less(a.Position, b.Position) })
	seen := make(map[Error]bool, len(es))
	es = slices.DeleteFunc(es, func(e *Error) bool {
		twice := seen[*e]
		seen[*e] = true
		return twice
	})
	if extra := len(es) - maxErrors; extra > 0 {
		last := es[maxErrors].Position
		es = append(es[:maxErrors:maxErrors], &Error{last, "", fmt.Sprintf("and %d more errors", extra)})
	}
	return es
}

// Order compares places for sorting: by file, in the order of the names, then
// by line and column.
func Order(files []string) func(a, b state.Position) int {
	order := make(map[string]int, len(files))
	for i, name := range files {
		if _, ok := order[name]; !ok {
			order[name] = i
		}
	}
	return func(a, b state.Position) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}
}

// problems collects errors.
type problems struct{ errs Errors }

func (p *problems) errorf(at state.Position, path jsonpos.Path, format string, args ...any) {
	p.errs = append(p.errs, &Error{at, path.String(), fmt.Sprintf(format, args...)})
}

// twice reports a key that is given at two places of a file.
func (p *problems) twice(at state.Position, path jsonpos.Path, first state.Position) {
	p.errorf(at, path, "given twice, first at %d:%d", first.Line, first.Column)
}
