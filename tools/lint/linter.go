package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// linter runs all checks on a package and reports what they find, except in
// generated files and where a comment suppresses it:
//
//	x := f() //nolint:errcheck // why that is right here
//
// The comment stands at the end of a line, or before a declaration or statement
// that it is for. It names checks and gives a reason. One that does not, or
// that suppresses nothing, is a finding as well.
func linter(all []check) *analysis.Analyzer {
	top := &analysis.Analyzer{Name: "lint", Doc: "all checks of the project"}
	names := map[*analysis.Analyzer]string{}
	for _, c := range all {
		a := collected(c.analyzer)
		names[a] = c.name
		top.Requires = append(top.Requires, a)
	}
	top.Run = func(pass *analysis.Pass) (any, error) {
		var found []finding
		for _, a := range top.Requires {
			for _, d := range pass.ResultOf[a].([]analysis.Diagnostic) {
				message := d.Message
				if a.Name != names[a] {
					message = a.Name + ": " + message // as of SA1019
				}
				found = append(found, finding{names[a], d.Pos, message})
			}
		}
		comments := map[string]bool{} // the names that they may have
		for _, name := range names {
			comments[name] = true
		}
		var left []finding
		for _, f := range pass.Files {
			if ast.IsGenerated(f) {
				continue
			}
			in := slices.Collect(func(yield func(finding) bool) {
				for _, d := range found {
					if f.FileStart <= d.pos && d.pos <= f.FileEnd && !excluded(pass, d.name, d.message) && !yield(d) {
						return
					}
				}
			})
			left = append(left, suppress(pass.Fset, f, in, comments)...)
		}
		slices.SortFunc(left, func(a, b finding) int { return cmp.Or(cmp.Compare(a.pos, b.pos), cmp.Compare(a.name, b.name)) })
		for _, d := range left {
			pass.Reportf(d.pos, "%s: %s", d.name, d.message)
		}
		return nil, nil
	}
	return top
}

// finding is what a check says of a place.
type finding struct {
	name    string // of the check
	pos     token.Pos
	message string
}

// collected is a, except for what it reports, which is its result.
func collected(a *analysis.Analyzer) *analysis.Analyzer {
	c := *a
	c.ResultType = reflect.TypeFor[[]analysis.Diagnostic]()
	c.Run = func(pass *analysis.Pass) (any, error) {
		var found []analysis.Diagnostic
		p := *pass
		p.Analyzer = a
		p.Report = func(d analysis.Diagnostic) { found = append(found, d) }
		_, err := a.Run(&p)
		return found, err
	}
	return &c
}

// A nolint comment suppresses findings.
type nolint struct {
	pos      token.Pos
	from, to int             // the lines it is for
	used     map[string]bool // its checks, and whether it suppressed something of theirs
}

var (
	looksLikeNolint = regexp.MustCompile(`^//\s*nolint\b`)
	wholeNolint     = regexp.MustCompile(`^//nolint:([a-z]+(?:,[a-z]+)*) // \S`)
)

// suppress leaves out what comments of the file suppress, and adds what is
// wrong with them. known are the names of checks.
func suppress(fset *token.FileSet, file *ast.File, found []finding, known map[string]bool) []finding {
	var left []finding
	var all []*nolint
	for _, group := range file.Comments {
		for _, c := range group.List {
			if !looksLikeNolint.MatchString(c.Text) {
				continue
			}
			m := wholeNolint.FindStringSubmatch(c.Text)
			if m == nil {
				left = append(left, finding{"nolint", c.Pos(), "want `//nolint:CHECK // the reason`, without other spaces"})
				continue
			}
			line := fset.Position(c.Pos()).Line
			n := &nolint{pos: c.Pos(), from: line, to: lastLine(fset, file, c), used: map[string]bool{}}
			for name := range strings.SplitSeq(m[1], ",") {
				if known[name] {
					n.used[name] = false
				} else {
					left = append(left, finding{"nolint", c.Pos(), fmt.Sprintf("no check is called %q", name)})
				}
			}
			all = append(all, n)
		}
	}
	for _, d := range found {
		line := fset.Position(d.pos).Line
		i := slices.IndexFunc(all, func(n *nolint) bool {
			_, ok := n.used[d.name]
			return ok && n.from <= line && line <= n.to
		})
		if i < 0 {
			left = append(left, d)
		} else {
			all[i].used[d.name] = true
		}
	}
	for _, n := range all {
		for name, used := range n.used {
			if !used {
				left = append(left, finding{"nolint", n.pos, name + " finds nothing here: remove the comment"})
			}
		}
	}
	return left
}

// lastLine is the last line of what stands below a comment on a line of its
// own, or the line of any other comment.
func lastLine(fset *token.FileSet, file *ast.File, c *ast.Comment) int {
	at := fset.Position(c.Pos())
	last := at.Line
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			return false
		}
		if start := fset.Position(n.Pos()); start.Line == at.Line+1 && start.Column == at.Column {
			last = max(last, fset.Position(n.End()).Line)
		}
		return true
	})
	return last
}
