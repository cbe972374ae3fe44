package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// With the race detector, many times slower, some tests do less than without:
// those that draw cases draw fewer, and those that look at race.Enabled do as
// they say there. The step test runs these in full, without the detector. They
// are found by what they call, so that there is no list to maintain.

// doesLess are what such a test uses; an empty name represents all of a package.
var doesLess = []symbol{{"pgregory.net/rapid", ""}, {module + "/internal/race", "Enabled"}}

// symbol is a function, a variable or a constant of a package; or methods of
// all its types of one name, which then begins with a dot.
type symbol struct{ pkg, name string }

// testsOf a package are what its test files declare.
const testsOf = " [tests]"

// testsThatDoLess finds, by package, the tests from which doesLess is reached. It
// goes by names, and may find one too many; methods it follows within a package.
func testsThatDoLess(all map[string]goPackage) (map[string][]string, error) {
	users := map[symbol]map[symbol]bool{}
	tests := map[string][]string{}
	for pkg, p := range all {
		for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			imports := map[string]string{} // by what they are called in the file
			for _, spec := range file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return nil, err
				}
				if spec.Name != nil {
					imports[spec.Name.Name] = imported
				} else {
					imports[path.Base(imported)] = imported
				}
			}
			// What is only in tests is as another package, which others never use.
			in, visible := pkg, []string{pkg}
			if strings.HasSuffix(name, "_test.go") {
				in, visible = pkg+testsOf, []string{pkg + testsOf, pkg}
			}
			for _, decl := range file.Decls {
				for _, s := range declared(in, decl) {
					for _, used := range usedIn(decl, visible, imports) {
						if users[used] == nil {
							users[used] = map[symbol]bool{}
						}
						users[used][s] = true
					}
					if in != pkg && (strings.HasPrefix(s.name, "Test") || strings.HasPrefix(s.name, "Fuzz")) {
						tests[pkg] = append(tests[pkg], s.name)
					}
				}
			}
		}
	}
	reached := map[symbol]bool{}
	var reach func(symbol)
	reach = func(s symbol) {
		if !reached[s] {
			reached[s] = true
			for user := range users[s] {
				reach(user)
			}
		}
	}
	for used := range users {
		if slices.Contains(doesLess, used) || slices.Contains(doesLess, symbol{used.pkg, ""}) {
			reach(used)
		}
	}
	found := map[string][]string{}
	for pkg, names := range tests {
		for _, name := range names {
			if reached[symbol{pkg + testsOf, name}] {
				found[pkg] = append(found[pkg], name)
			}
		}
		slices.Sort(found[pkg])
	}
	return found, nil
}

// declared are the names that a declaration at the top of a file gives.
func declared(pkg string, decl ast.Decl) (found []symbol) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			return []symbol{{pkg, "." + d.Name.Name}}
		}
		return []symbol{{pkg, d.Name.Name}}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					found = append(found, symbol{pkg, name.Name})
				}
			}
		}
	}
	return found
}

// usedIn are the names in a declaration, in each of the packages where they may
// stand for something.
func usedIn(decl ast.Decl, pkgs []string, imports map[string]string) (found []symbol) {
	ast.Inspect(decl, func(n ast.Node) bool {
		name := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && imports[x.Name] != "" {
				found = append(found, symbol{imports[x.Name], n.Sel.Name})
				return false
			}
			name = "." + n.Sel.Name
		case *ast.Ident:
			name = n.Name
		}
		for _, pkg := range pkgs {
			found = append(found, symbol{pkg, name})
		}
		return true
	})
	return found
}
