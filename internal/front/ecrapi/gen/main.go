// Gen writes the wire types, the constraint table and the table of operations
// of package ecrapi from the API model under model/. Run it through
// go generate, in the package's folder.
//
// With -import FILE it first rewrites model/ecr.json from FILE, the API model
// as AWS's SDK for Python publishes it (service-2.json of ecr/2015-09-21).
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// importedFile holds what AWS publishes, backfillFile the four operations
// that no published model has yet; they are written by hand after the SDK.
const (
	importedFile = "model/ecr.json"
	backfillFile = "model/backfill.json"
)

func main() {
	from := flag.String("import", "", "service-2.json to rewrite "+importedFile+" from")
	flag.Parse()
	if err := run(".", *from); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run works in dir, the folder of package ecrapi.
func run(dir, from string) error {
	if from != "" {
		m, err := importModel(from)
		if err != nil {
			return err
		}
		b, err := m.bytes()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, importedFile), b, 0o644); err != nil {
			return err
		}
	}
	m, err := readModel(filepath.Join(dir, importedFile), filepath.Join(dir, backfillFile))
	if err != nil {
		return err
	}
	files, err := generate(m)
	if err != nil {
		return err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
