package kontor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const metaPackage = module + "/internal/store/meta"

// transactions are the rooms that may name what a transaction of the database
// is opened with: meta.Reader and meta.Tx, of which a callback of meta.Store has
// one as parameter. Who cannot name them goes through the gate.
var transactions = map[string]string{
	"internal/gate":                "opens them for all others",
	"internal/access/identity":     "reads who asks, before the gate knows the caller",
	"internal/store/meta":          "declares them",
	"internal/store/meta/metatest": "tests them",
	"internal/store/meta/sqlstore": "implements them",
	"internal/store/check":         "reads everything again, for nobody",
	"internal/store/backup":        "lists the blobs of a copy of the database, which nobody serves",
	"internal/store/move":          "copies everything as it is, for whoever has both databases",
	"internal/store/blob/small":    "is a store whose content the database has",
	"internal/store/repair":        "puts content in the place of damaged content, for who has the data",
	"internal/metrics":             "measures them",
	"internal/traces":              "follows them",
	"internal/testkit":             "looks at rows for tests",
}

// holders are the rooms that may name meta.Store besides: they build servers,
// and hand it to the gate.
var holders = map[string]string{
	"internal/datadir":    "opens the database of a folder",
	"internal/server":     "wires the gate",
	"internal/host":       "wires the server",
	"internal/host/serve": "opens the database of a service",
}

// productFiles are the files of the module that are not tests, by room.
func productFiles(t *testing.T, visit func(room string, path string, f *ast.File)) {
	t.Helper()
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == "test" || path == "tools" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		room, ok := roomOf(filepath.ToSlash(filepath.Dir(path)))
		if !ok {
			return nil // TestImportsGoDown names it
		}
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(room, path, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A caller cannot write around the gate: what it would have to name to open a
// transaction of its own is for few.
func TestTheGateOpensTransactions(t *testing.T) {
	used := map[string]bool{}
	productFiles(t, func(room, path string, f *ast.File) {
		name := ""
		for _, imp := range f.Imports {
			if p, err := strconv.Unquote(imp.Path.Value); err != nil || p != metaPackage {
				continue
			}
			if name = "meta"; imp.Name != nil {
				name = imp.Name.Name
			}
		}
		switch {
		case room == "internal/store/meta" && filepath.ToSlash(filepath.Dir(path)) == room:
			used[room] = true
		case name == ".":
			t.Errorf("%s imports %s under no name", path, metaPackage)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := s.X.(*ast.Ident); !ok || pkg.Name != name || name == "" {
				return true
			}
			_, opens := transactions[room]
			_, holds := holders[room]
			switch s.Sel.Name {
			case "Reader", "Tx":
				if used[room] = true; !opens {
					t.Errorf("%s names meta.%s: transactions are the gate's; use gate.View, gate.Tx, or a part of it such as meta.ImageReader", path, s.Sel.Name)
				}
			case "Store":
				if used[room] = true; !opens && !holds && room != "internal/store/meta/sqlite" && room != "internal/store/meta/postgres" {
					t.Errorf("%s names meta.Store: take a *gate.Gate", path)
				}
			}
			return true
		})
	})
	for _, list := range []map[string]string{transactions, holders} {
		for room := range list {
			if !used[room] {
				t.Errorf("%s opens no transactions and holds no store any longer: take it out of the rule", room)
			}
		}
	}
}

// maxMethods is how many methods a type may have; one that has more is several.
const maxMethods = 60

// Methods are counted as declared; of an interface, with those of the
// interfaces of its package that it embeds.
func TestTypesAreSmall(t *testing.T) {
	methods := map[string]int{}
	interfaces := map[string]*ast.InterfaceType{}
	productFiles(t, func(_, path string, f *ast.File) {
		pkg := filepath.ToSlash(filepath.Dir(path))
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					methods[pkg+"."+receiver(d.Recv.List[0].Type)]++
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						if i, ok := s.Type.(*ast.InterfaceType); ok {
							interfaces[pkg+"."+s.Name.Name] = i
						}
					}
				}
			}
		}
	})
	for name, i := range interfaces {
		methods[name] = countMethods(i, name[:strings.LastIndexByte(name, '.')+1], interfaces)
	}
	if methods["internal/store/meta.Tx"] < 20 || methods["internal/registry.Caller"] < 20 {
		t.Fatalf("methods are not counted: %v", methods)
	}
	for name, n := range methods {
		if n > maxMethods {
			t.Errorf("%s has %d methods, of %d at most", name, n, maxMethods)
		}
	}
}

func receiver(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.StarExpr:
		return receiver(x.X)
	case *ast.IndexExpr:
		return receiver(x.X)
	case *ast.IndexListExpr:
		return receiver(x.X)
	case *ast.Ident:
		return x.Name
	}
	return ""
}

func countMethods(i *ast.InterfaceType, pkg string, known map[string]*ast.InterfaceType) (n int) {
	for _, m := range i.Methods.List {
		embedded, ok := m.Type.(*ast.Ident)
		switch {
		case len(m.Names) > 0:
			n += len(m.Names)
		case ok && known[pkg+embedded.Name] != nil:
			n += countMethods(known[pkg+embedded.Name], pkg, known)
		}
	}
	return n
}
