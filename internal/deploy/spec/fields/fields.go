// Package fields says which fields a file has. One table holds for each its
// name, type and default, the setting of ECR that it becomes, ECR's limit and
// an example: file.go those of the file, registries, clusters and tests,
// repository.go those of a repository. The decoder of package spec, the JSON
// Schema, the manual and kontor explain are made of it, so that they cannot
// drift apart. forms.go has the forms of texts and the bounds that go with it.
package fields

import (
	"slices"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Field is one field of a file, as the manual, the JSON Schema and kontor
// explain tell of it. The decoder knows the fields from the same table.
type Field struct {
	// Name as in the file; In is the object it stands in, which is "" for the
	// file, Repository, or the path of a nested one, such as "registries" or
	// "lifecycle_tests.image".
	Name, In string
	Required bool
	// Type, Summary, Default, Becomes, Limit and Details are Markdown of one
	// paragraph each. Default is that of a field that is not Required; Becomes
	// is the setting of ECR that comes of it, Limit what ECR bounds; "" where
	// there is none.
	Type    string
	Summary string
	Default string
	Becomes string
	Limit   string
	Details []string
	// Example is a whole file; "" where the field around it has one that shows
	// this too.
	Example string

	schema schema
}

// Repository is Field.In of the fields of a repository and of defaults.
const Repository = "repository"

// ID names a field among all: "is_immutable", "registries.account",
// "expiration_rules.days". The field registries of a repository is
// "repository.registries".
func (f Field) ID() string {
	switch f.In {
	case "":
		return f.Name
	case Repository:
		if f.Name == "registries" {
			return Repository + "." + f.Name
		}
		return f.Name
	}
	return f.In + "." + f.Name
}

// Where says in words what the field stands in.
func (f Field) Where() string {
	switch f.In {
	case "":
		return "the top of the file"
	case Repository:
		switch {
		case slices.Contains(NotOverridden, f.Name):
			return "a repository, a template, or `defaults`"
		case slices.Contains(NotTemplate, f.Name):
			return "a repository, `defaults`, or `overrides`"
		}
		return "a repository, a template, `defaults`, or `overrides`"
	case Principal:
		return "an entry of `pull_principals` or `push_principals` that is a service"
	case "encryption", "plan":
		return "`" + f.In + "`"
	case "promotions.require":
		return "`require` of an entry of `promotions`"
	case "lifecycle_tests.image":
		return "`image` of an entry of `lifecycle_tests`"
	}
	return "an entry of `" + f.In + "`"
}

// Table is what there is to say of f in short: names and values, the values in
// Markdown.
func (f Field) Table() [][2]string {
	rows := [][2]string{{"place", f.Where()}, {"type", f.Type}}
	if f.Required {
		rows = append(rows, [2]string{"required", "yes"})
	} else {
		rows = append(rows, [2]string{"default", f.Default})
	}
	if f.Becomes != "" {
		rows = append(rows, [2]string{"becomes", f.Becomes})
	}
	if f.Limit != "" {
		rows = append(rows, [2]string{"ECR limit", f.Limit})
	}
	return rows
}

// All are all fields, in the order of the manual: a nested one follows the
// field that it stands in.
func All() []Field {
	var out []Field
	for _, f := range slices.Concat(fileTable, repositoryTable) {
		f.Details = slices.Clone(f.Details)
		out = append(out, f)
	}
	return out
}

// IDs are the names that Find takes, sorted.
func IDs() []string {
	var out []string
	for _, f := range All() {
		out = append(out, f.ID())
	}
	slices.Sort(out)
	return out
}

// The parts of paths that lead to fields.
var (
	repositoryPath = lazyregexp.New(`^(defaults|ecr_repositories(\["[^"]*"\]|\.[^.\[]+))\.`)
	prefixPath     = lazyregexp.New(`^(templates|upstreams|signers|event_receivers)(\["[^"]*"\]|\.[^.\[]+)\.`)
	overridePath   = lazyregexp.New(`^overrides(\["[^"]*"\]|\.[^.\[]+)\.`)
	indexes        = lazyregexp.New(`\[[^\]]*\]`)
)

// Find returns the fields that name means: an ID, a bare name, or a path
// as errors have it, such as "ecr_repositories.api.expiration_rules[0].days".
// For a name that is none it returns the ID that was probably meant, or "".
func Find(name string) (found []Field, near string) {
	name = repositoryPath.ReplaceAllString(name, "")
	name = prefixPath.ReplaceAllString(name, "$1.")
	name = overridePath.ReplaceAllString(name, "")
	name = strings.Trim(indexes.ReplaceAllString(name, ""), ".")
	if rest, ok := strings.CutPrefix(name, Template+"."); ok && slices.Contains(Names(Repository), rest) && !slices.Contains(NotTemplate, rest) {
		name = rest
	}
	for _, p := range []string{"pull_principals.", "push_principals."} {
		if rest, ok := strings.CutPrefix(name, p); ok {
			name = Principal + "." + rest
		}
	}
	bare := func(f Field) bool { return f.Name == name }
	if strings.Contains(name, ".") {
		bare = func(f Field) bool { return f.ID() == name }
	}
	var nested []Field
	for _, f := range All() {
		switch {
		case !bare(f):
		case strings.Contains(name, ".") || f.In == "" || f.In == Repository:
			found = append(found, f)
		default:
			nested = append(nested, f)
		}
	}
	// A name that stands at the top or in a repository means that.
	if len(found) == 0 {
		found = nested
	}
	if len(found) > 0 {
		return found, ""
	}
	return nil, Nearest(name, IDs())
}

// Names are the fields of the object in, in the order of the table. They are
// not to be changed.
func Names(in string) []string { return namesOfFields()[in] }

var namesOfFields = sync.OnceValue(func() map[string][]string {
	out := map[string][]string{}
	for _, f := range slices.Concat(fileTable, repositoryTable) {
		out[f.In] = append(out[f.In], f.Name)
	}
	out[Override] = slices.DeleteFunc(slices.Clone(out[Repository]), func(s string) bool { return slices.Contains(NotOverridden, s) })
	out[Template] = append(out[Template], slices.DeleteFunc(slices.Clone(out[Repository]), func(s string) bool { return slices.Contains(NotTemplate, s) })...)
	for in, names := range out {
		out[in] = slices.Clip(names)
	}
	return out
})
