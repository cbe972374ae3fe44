package main

import (
	"fmt"
	"go/token"
	"os"
	"regexp"
	"slices"

	"codeberg.org/polyfloyd/go-errorlint/errorlint"
	"github.com/golangci/misspell"
	"github.com/golangci/rowserrcheck/passes/rowserr"
	"github.com/golangci/unconvert"
	"github.com/gordonklaus/ineffassign/pkg/ineffassign"
	"github.com/karamaru-alpha/copyloopvar"
	"github.com/kisielk/errcheck/errcheck"
	revive "github.com/mgechev/revive/lint"
	"github.com/mgechev/revive/rule"
	"github.com/ryanrolds/sqlclosecheck/pkg/analyzer"
	usestdlibvars "github.com/sashamelentyev/usestdlibvars/pkg/analyzer"
	"github.com/timakin/bodyclose/passes/bodyclose"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inline"
	"golang.org/x/tools/go/packages"
	"honnef.co/go/tools/simple"
	"honnef.co/go/tools/staticcheck"
	"honnef.co/go/tools/stylecheck"
	"honnef.co/go/tools/unused"
)

// check is an analyzer, and the name by which it is reported and suppressed.
type check struct {
	name     string
	analyzer *analysis.Analyzer
}

// checks are all there are, except for those of go vet, which test/all runs as
// well.
func checks() []check {
	all := []check{
		{"bodyclose", bodyclose.Analyzer},
		{"copyloopvar", copyloopvar.NewAnalyzer()},
		{"errcheck", errcheckAnalyzer},
		{"errorlint", errorlintAnalyzer()},
		{"govet", inline.Analyzer}, // of go fix, which suggests where vet tells
		{"ineffassign", ineffassign.Analyzer},
		{"misspell", misspellAnalyzer},
		{"revive", reviveAnalyzer()},
		{"rowserrcheck", rowserr.NewAnalyzer()},
		{"sqlclosecheck", analyzer.NewDeferOnlyAnalyzer()},
		{"unconvert", unconvertAnalyzer},
		{"unused", unusedAnalyzer},
		{"usestdlibvars", usestdlibvars.New()},
	}
	for _, a := range slices.Concat(staticcheck.Analyzers, simple.Analyzers, stylecheck.Analyzers) {
		if !slices.Contains(notChecked, a.Analyzer.Name) {
			all = append(all, check{"staticcheck", a.Analyzer})
		}
	}
	return all
}

// notChecked are names and comments, which are revive's matter, and the form
// of error texts, which may begin with the name of an object.
var notChecked = []string{"ST1000", "ST1003", "ST1005", "ST1016", "ST1020", "ST1021", "ST1022"}

// excluded tells of findings that are none here.
func excluded(pass *analysis.Pass, name, message string) bool {
	switch name {
	case "revive":
		// "ErrInUse: another process has it." is a comment, too.
		return commentForm.MatchString(message)
	case "errcheck":
		// Programs for developers; there is no one to tell.
		return printsOnly.MatchString(message) && forDevelopers.MatchString(pass.Pkg.Path())
	}
	return false
}

var (
	commentForm   = regexp.MustCompile(`^exported: comment on exported (var|const) \w+ should be of the form`)
	printsOnly    = regexp.MustCompile(`^error of fmt\.Fprint`)
	forDevelopers = regexp.MustCompile(`^github\.com/kontor-registry/kontor/(release|test)\b`)
)

// cannotFail are functions whose errors no one need look at.
var cannotFail = []string{
	// They do not fail, or fail again where it is looked at.
	"(*strings.Builder).WriteString",
	"(*bytes.Buffer).Write",
	"(*bytes.Buffer).WriteString",
	"fmt.Fprint(os.Stderr)",
	"fmt.Fprintf(os.Stderr)",
	"fmt.Fprintln(os.Stderr)",
}

var errcheckAnalyzer = &analysis.Analyzer{
	Name: "errcheck",
	Doc:  "errors that are not looked at",
	Run: func(pass *analysis.Pass) (any, error) {
		checker := errcheck.Checker{Exclusions: errcheck.Exclusions{
			Symbols:                slices.Concat(errcheck.DefaultExcludedSymbols, cannotFail),
			SymbolRegexpsByPackage: map[string]*regexp.Regexp{},
			BlankAssignments:       true,
			TypeAssertions:         true,
		}}
		found := checker.CheckPackage(&packages.Package{Fset: pass.Fset, Syntax: pass.Files, Types: pass.Pkg, TypesInfo: pass.TypesInfo})
		for _, e := range found.Unique().UncheckedErrors {
			name := e.SelectorName
			if name == "" {
				name = e.FuncName
			}
			report(pass, e.Pos.Filename, e.Pos.Line, e.Pos.Column, fmt.Sprintf("error of %s is not checked", name))
		}
		return nil, nil
	},
}

// errorlintAnalyzer leaves assertions alone: where a type of error is
// asserted, wrapping it would be the mistake.
func errorlintAnalyzer() *analysis.Analyzer {
	a := errorlint.NewAnalyzer()
	for name, value := range map[string]string{"errorf": "true", "errorf-multi": "true", "comparison": "true", "asserts": "false"} {
		if err := a.Flags.Set(name, value); err != nil {
			panic(err) // of a name, which does not depend on input
		}
	}
	return a
}

var misspellAnalyzer = &analysis.Analyzer{
	Name: "misspell",
	Doc:  "words that are often spelled wrong, in code, comments and texts",
	Run: func(pass *analysis.Pass) (any, error) {
		words := misspell.Replacer{Replacements: misspell.DictMain}
		words.Compile()
		for _, file := range pass.Files {
			name := pass.Fset.PositionFor(file.Pos(), false).Filename
			b, err := pass.ReadFile(name)
			if err != nil {
				return nil, err
			}
			_, wrong := words.Replace(string(b))
			for _, w := range wrong {
				report(pass, name, w.Line, w.Column+1, fmt.Sprintf("%q is a misspelling of %q", w.Original, w.Corrected))
			}
		}
		return nil, nil
	},
}

// reviveAnalyzer wants a comment on whatever is exported, and on packages.
func reviveAnalyzer() *analysis.Analyzer {
	exported := &rule.ExportedRule{}
	if err := exported.Configure(revive.Arguments{"sayRepetitiveInsteadOfStutters", "disableStutteringCheck"}); err != nil {
		panic(err) // of an argument, which does not depend on input
	}
	rules := []revive.Rule{exported, &rule.PackageCommentsRule{}}
	return &analysis.Analyzer{
		Name: "revive",
		Doc:  "comments on packages and on what they export",
		Run: func(pass *analysis.Pass) (any, error) {
			var names []string
			for _, file := range pass.Files {
				names = append(names, pass.Fset.PositionFor(file.Pos(), false).Filename)
			}
			linter := revive.New(os.ReadFile, 0)
			failures, err := linter.Lint([][]string{names}, rules, revive.Config{})
			if err != nil {
				return nil, err
			}
			for f := range failures {
				if f.Confidence >= 0.8 {
					report(pass, f.Position.Start.Filename, f.Position.Start.Line, f.Position.Start.Column, f.RuleName+": "+f.Failure)
				}
			}
			return nil, nil
		},
	}
}

var unconvertAnalyzer = &analysis.Analyzer{
	Name: "unconvert",
	Doc:  "conversions to the type that a value has",
	Run: func(pass *analysis.Pass) (any, error) {
		for _, p := range unconvert.Run(pass) {
			report(pass, p.Filename, p.Line, p.Column, "unnecessary conversion")
		}
		return nil, nil
	},
}

// unusedAnalyzer reports what staticcheck's only returns. Of a package with
// tests, the go command has it look at both together.
var unusedAnalyzer = &analysis.Analyzer{
	Name:     "unused",
	Doc:      "constants, variables, functions, fields and types that nothing uses",
	Requires: []*analysis.Analyzer{unused.Analyzer.Analyzer},
	Run: func(pass *analysis.Pass) (any, error) {
		result := pass.ResultOf[unused.Analyzer.Analyzer].(unused.Result)
		// What is there once for each of several types is used if one of them is.
		key := func(o unused.Object) string {
			return fmt.Sprintf("%s:%d %s", o.Position.Filename, o.Position.Line, o.Name)
		}
		used := map[string]bool{}
		for _, o := range result.Used {
			used[key(o)] = true
		}
		for _, o := range result.Unused {
			if o.Kind != "type param" && !used[key(o)] {
				report(pass, o.Position.Filename, o.Position.Line, o.Position.Column, fmt.Sprintf("%s %s is unused", o.Kind, o.Name))
			}
		}
		return nil, nil
	},
}

// report reports at a place in a file of the package.
func report(pass *analysis.Pass, filename string, line, column int, message string) {
	for _, f := range pass.Files {
		file := pass.Fset.File(f.FileStart)
		if file.Name() == filename && line <= file.LineCount() {
			pass.Reportf(file.LineStart(line)+token.Pos(column-1), "%s", message)
			return
		}
	}
	panic(fmt.Sprintf("%s:%d is in no file of %s: %s", filename, line, pass.Pkg.Path(), message))
}
