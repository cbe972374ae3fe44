package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The race detector watches goroutines, so it has nothing to see in tests that
// run only one. These are run without it, which is many times faster.
//
// No one lists such packages: they are found. A package is tested without the
// detector as long as neither its files, tests included, nor those of the
// project's packages that it imports
//
//   - start goroutines, use channels, or call a function that runs what it is
//     given in a goroutine;
//   - import anything outside the project but the packages in oneGoroutine.
//
// One that itself uses sync, except for what is done once, is written for several
// goroutines, and tested with the detector as well.

// oneGoroutine are packages outside the project that run nothing of their
// callers in other goroutines, except by what is in startsGoroutine. A name
// that ends with a slash represents everything below it.
var oneGoroutine = []string{
	"bufio", "bytes", "cmp", "context", "embed", "errors", "flag", "fmt", "hash", "html", "io", "io/fs", "iter", "log/slog", "maps", "math",
	"math/big", "math/rand/v2", "mime", "net/netip", "net/url", "os", "os/exec", "path", "path/filepath", "reflect", "regexp", "runtime",
	"runtime/debug", "slices", "sort", "strconv", "strings", "syscall", "text/tabwriter", "time", "testing", "testing/iotest", "unicode",
	"unicode/utf8", "unicode/utf16", "crypto/", "encoding/", "compress/", "go/", "golang.org/x/sys/", "golang.org/x/text/",
	"github.com/goccy/go-yaml/", "github.com/google/go-cmp/", "github.com/hashicorp/hcl/v2/", "github.com/zclconf/go-cty/",
	"github.com/santhosh-tekuri/jsonschema/v6/", "pgregory.net/rapid/",
}

// startsGoroutine are the functions and methods, of whatever package or type,
// that run what they are given in other goroutines.
var startsGoroutine = []string{
	"AddCleanup", "AfterFunc", "Go", "Parallel", "RunParallel", "SetFinalizer",
	"Comparer", "Transformer", // of go-cmp, which looks whether they race
	"Cancel", "Stdin", "Stdout", "Stderr", // of os/exec, which copies from and to them; not those of os
}

const module = "github.com/kontor-registry/kontor"

// goPackage is what go list says of one.
type goPackage struct {
	Dir, ImportPath                              string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
	Imports                                      []string
	TestImports, XTestImports                    []string
}

// packages are those of a module that have tests.
type packages struct {
	quiet  []string            // tested without the race detector
	racing map[string]string   // tested with it, and why
	less   map[string][]string // of racing, the tests that do less with it
}

// split finds the packages of the module in dir.
func split(ctx context.Context, dir string) (packages, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=Dir,ImportPath,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return packages{}, fmt.Errorf("%v: %w", cmd, err)
	}
	all := map[string]goPackage{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return packages{}, err
		}
		all[p.ImportPath] = p
	}
	// What each package does that matters, without its tests and imports.
	own := map[string]string{}
	for path, p := range all {
		if own[path], err = concurrency(p.Dir, slices.Concat(p.GoFiles, p.CgoFiles), p.Imports, all, false); err != nil {
			return packages{}, err
		}
	}
	less, err := testsThatDoLess(all)
	if err != nil {
		return packages{}, err
	}
	found := packages{racing: map[string]string{}, less: map[string][]string{}}
	for path, p := range all {
		files := slices.Concat(p.GoFiles, p.CgoFiles, p.TestGoFiles, p.XTestGoFiles)
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue
		}
		imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		why, err := concurrency(p.Dir, files, imports, all, true)
		if err != nil {
			return packages{}, err
		}
		for _, imported := range reached(imports, all) {
			if why == "" && own[imported] != "" {
				why = "imports " + imported + ", which " + own[imported]
			}
		}
		if why == "" {
			found.quiet = append(found.quiet, path)
			continue
		}
		found.racing[path] = why
		if len(less[path]) > 0 {
			found.less[path] = less[path]
		}
	}
	slices.Sort(found.quiet)
	return found, nil
}

// reached are the packages of the project among imports, and those that they
// import in turn.
func reached(imports []string, all map[string]goPackage) []string {
	var found []string
	for todo := imports; len(todo) > 0; todo = todo[1:] {
		if p, ok := all[todo[0]]; ok && !slices.Contains(found, todo[0]) {
			found = append(found, todo[0])
			todo = slices.Concat(todo, p.Imports)
		}
	}
	slices.Sort(found)
	return found
}

// concurrency tells what files of a package do, or what it imports, so that
// more than one goroutine may run; "" for nothing.
func concurrency(dir string, files, imports []string, all map[string]goPackage, itself bool) (string, error) {
	for _, path := range imports {
		if path == "sync" {
			continue // what is used of it is looked at
		}
		if path == "sync/atomic" {
			if itself {
				return "imports " + path, nil
			}
			continue
		}
		_, ours := all[path]
		if !ours && !slices.ContainsFunc(oneGoroutine, func(known string) bool {
			return path+"/" == known || path == known || strings.HasSuffix(known, "/") && strings.HasPrefix(path, known)
		}) {
			return "imports " + path, nil
		}
	}
	for _, name := range files {
		why, err := concurrencyIn(filepath.Join(dir, name), itself)
		if why != "" || err != nil {
			return why, err
		}
	}
	return "", nil
}

// concurrencyIn is concurrency for the code of one file.
func concurrencyIn(name string, itself bool) (why string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		found := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			found = "starts a goroutine"
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = "uses a channel"
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found = "uses a channel"
			}
		case *ast.SelectorExpr:
			pkg, ok := n.X.(*ast.Ident)
			switch {
			case ok && pkg.Name == "os":
			case slices.Contains(startsGoroutine, n.Sel.Name):
				found = "uses " + n.Sel.Name
			case itself && ok && pkg.Name == "sync" && !strings.HasPrefix(n.Sel.Name, "Once"):
				found = "uses sync." + n.Sel.Name
			}
		}
		if found != "" && why == "" {
			at := fset.Position(n.Pos())
			why = found + " (" + filepath.Base(at.Filename) + ":" + strconv.Itoa(at.Line) + ")"
		}
		return why == ""
	})
	return why, nil
}
