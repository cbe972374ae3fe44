package lazyregexp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// What is malformed panics late, so every expression of the house is compiled
// here.
func TestExpressions(t *testing.T) {
	n := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "New" {
				return true
			}
			if x, ok := f.X.(*ast.Ident); !ok || x.Name != "lazyregexp" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true // made of others, and used by each test of its package
			}
			expression, err := strconv.Unquote(literal.Value)
			if err == nil {
				_, err = regexp.Compile(expression)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", name, literal.Value, err)
			}
			n++
			return true
		})
		return nil
	})
	if err != nil || n < 20 {
		t.Errorf("%d expressions, %v", n, err)
	}
}

func TestRegexp(t *testing.T) {
	r := lazyregexp.New(`^a(b+)$`)
	if r.String() != `^a(b+)$` || !r.MatchString("abb") || r.MatchString("ab ") || r.FindStringSubmatch("abb")[1] != "bb" || r.ReplaceAllString("ab", "x") != "x" {
		t.Error(r)
	}
}
