// Command lint checks the Go code of the project, as a tool of go vet:
//
//	go build -C tools -o /tmp/lint ./lint && go vet -vettool=/tmp/lint ./...
//
// `go run ./test/all -only lint` does that in every module. The go command
// calls it once for each package, those of dependencies included, and caches
// what it finds.
package main

import (
	"encoding/json"
	"log"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/unitchecker"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("lint: ")
	only, err := onlyFacts(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	top := linter(checks())
	if only {
		// A package that is imported: its facts are wanted, not its faults.
		unitchecker.Main(facts(top)...)
	}
	unitchecker.Main(top)
}

// onlyFacts tells whether the go command asks for the facts of a package only.
// The last argument is then a file with the configuration.
func onlyFacts(args []string) (bool, error) {
	if len(args) == 0 || !strings.HasSuffix(args[len(args)-1], ".cfg") {
		return false, nil
	}
	b, err := os.ReadFile(args[len(args)-1])
	if err != nil {
		return false, err
	}
	var unit unitchecker.Config
	err = json.Unmarshal(b, &unit)
	return unit.VetxOnly, err
}

// facts are the analyzers below top that export facts.
func facts(top *analysis.Analyzer) []*analysis.Analyzer {
	var all []*analysis.Analyzer
	seen := map[*analysis.Analyzer]bool{}
	var visit func(*analysis.Analyzer)
	visit = func(a *analysis.Analyzer) {
		if seen[a] {
			return
		}
		seen[a] = true
		if len(a.FactTypes) > 0 {
			all = append(all, a)
		}
		for _, r := range a.Requires {
			visit(r)
		}
	}
	visit(top)
	return all
}
