package spec_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
)

const pageNote = "This page is generated from the table behind `kontor explain` and the JSON Schema.\n"

// fieldPages are the pages of docs/fields by their names.
func fieldPages() map[string]string {
	pages, summaries := map[string]string{}, map[string]*strings.Builder{"": {}, fields.Repository: {}}
	name := ""
	for _, f := range fields.All() {
		outer := f.In == "" || f.In == fields.Repository
		if outer {
			name = f.Name + ".md"
			dflt := f.Default
			if f.Required {
				dflt = "required"
			}
			fmt.Fprintf(summaries[f.In], "| [`%s`](%s) | %s | %s |\n", f.Name, name, dflt, f.Summary)
			if pages[name] == "" {
				pages[name] = "# " + f.Name + "\n\n" + pageNote
			}
		}
		pages[name] += fieldSection(f, outer)
	}
	pages["README.md"] = "# Fields of the file\n\n" + pageNote + `
[The file](../file.md) describes how files are written and read.

## At the top

| field | default | |
|---|---|---|
` + summaries[""].String() + `
## A repository

Each of these is also a field of ` + "`defaults`" + `.

| field | default | |
|---|---|---|
` + summaries[fields.Repository].String()
	return pages
}

func fieldSection(f fields.Field, outer bool) string {
	var b strings.Builder
	switch {
	case outer && f.In == "":
		fmt.Fprintf(&b, "\n## %s at the top\n", f.Name)
	case outer:
		fmt.Fprintf(&b, "\n## %s of a repository\n", f.Name)
	default:
		fmt.Fprintf(&b, "\n### %s\n", f.ID())
	}
	fmt.Fprintf(&b, "\n%s\n\n| | |\n|---|---|\n", f.Summary)
	for _, row := range f.Table() {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	if len(f.Details) > 0 {
		b.WriteByte('\n')
	}
	for _, d := range f.Details {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	if f.Example != "" {
		fmt.Fprintf(&b, "\n```yaml\n%s```\n", f.Example)
	}
	return b.String()
}

// namesOfPages is for tests that read them all.
func namesOfPages() []string { return slices.Sorted(maps.Keys(fieldPages())) }
