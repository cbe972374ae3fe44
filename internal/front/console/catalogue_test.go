package console

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/front/console/parts"
)

var update = flag.Bool("update", false, "write catalogue.txt")

// words are letters that people would read.
var readable = regexp.MustCompile(`[A-Za-z]{2,}`)

// glob are the files that match.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(names), err)
	}
	return names
}

// Every text on a page comes through the catalogue, which catalogue.txt lists.
func TestCatalogue(t *testing.T) {
	texts := map[string]bool{}
	files := token.NewFileSet()
	names := append(glob(t, "*.go"), glob(t, "*/*.go")...)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := c.Fun.(*ast.Ident); !ok || id.Name != "t" || len(c.Args) == 0 {
				return true
			}
			lit, ok := c.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the text of t is not a literal", files.Position(c.Pos()))
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			texts[s] = true
			return true
		})
	}
	pages := append(glob(t, "templates/*.html"), glob(t, "*/templates/*.html")...)
	call := regexp.MustCompile(`\{\{t "([^"]*)"\}\}`)
	action := regexp.MustCompile(`\{\{[^}]*\}\}`)
	tag := regexp.MustCompile(`<[^>]*>`)
	attribute := regexp.MustCompile(`(?:aria-label|title|placeholder|alt)="([^"]*)"`)
	for _, name := range pages {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(b), -1) {
			texts[m[1]] = true
		}
		bare := action.ReplaceAllString(string(b), "")
		for _, m := range attribute.FindAllStringSubmatch(bare, -1) {
			if readable.MatchString(m[1]) {
				t.Errorf("%s: an attribute has a text of its own: %q", name, m[1])
			}
		}
		for line := range strings.SplitSeq(tag.ReplaceAllString(bare, "\n"), "\n") {
			if s := strings.TrimSpace(line); readable.MatchString(s) && !strings.Contains(s, "Kontor") && !strings.Contains(s, "copy ") {
				t.Errorf("%s: a text that is not of the catalogue: %q", name, s)
			}
		}
	}
	var want strings.Builder
	for _, s := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(&want, "%s\n", strconv.Quote(s))
	}
	if *update {
		if err := os.WriteFile("catalogue.txt", []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("catalogue.txt")
	if err != nil || string(got) != want.String() {
		t.Errorf("catalogue.txt is out of date: run `go test ./internal/front/console -run TestCatalogue -update` (%v)", err)
	}
}

// What browsers load is small, and htmx comes with its licence.
func TestAssets(t *testing.T) {
	total := 0
	files, err := parts.Assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := parts.Assets.ReadFile("assets/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(f.Name()) != ".LICENSE" {
			total += len(b)
		}
	}
	if total > 60<<10 || total < 10<<10 {
		t.Errorf("assets have %d bytes, of 60 KiB at most", total)
	}
	licence, err := parts.Assets.ReadFile("assets/htmx.LICENSE")
	if err != nil || !strings.Contains(string(licence), "BSD") {
		t.Errorf("%s %v", licence, err)
	}
}
