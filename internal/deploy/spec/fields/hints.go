package fields

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/spelling"
)

// Hint says what to do about a name that is not a field of the object in: where it
// belongs, what it is called here, or what was probably meant. It continues a
// sentence; "" when there is nothing to say.
func Hint(in, name string) string {
	switch {
	case in == "" && slices.Contains(Names(Repository), name):
		return "; it is a field of a repository, or of defaults"
	case in == Repository && slices.Contains(Names(""), name):
		return "; it belongs at the top of the file"
	case in == Template && slices.Contains(NotTemplate, name):
		return "; templates have no such setting: leave it out"
	case in == Override && slices.Contains(NotOverridden, name):
		return "; set it in the repository, outside overrides"
	}
	objects := []string{in}
	switch in {
	case "":
		objects = append(objects, Repository) // one level too high
	case Override:
		objects = []string{Repository}
	case Template:
		objects = append(objects, Repository)
	}
	bare := strings.TrimPrefix(snake(name), "repository_") // as terraform-aws-modules has it
	for _, name := range []string{snake(name), bare} {
		for i, o := range objects {
			help := foreignHelp(o, name)
			if near := Nearest(name, Names(o)); help == "" && i == 0 {
				help = near
			}
			if help == "" {
				continue
			}
			if slices.Contains(Names(o), help) {
				help = "did you mean " + strconv.Quote(help) + "?"
			}
			if i > 0 {
				help = "in a repository, or in defaults, " + help
			}
			return "; " + help
		}
	}
	var where []string
	for _, f := range All() {
		if w := strings.ReplaceAll(f.Where(), "`", ""); f.Name == name && !slices.Contains(where, w) {
			where = append(where, w)
		}
	}
	if len(where) == 0 {
		return ""
	}
	return "; it is a field of " + strings.Join(where, ", and of ")
}

// Nearest is the word that s was probably meant to be, "" when none is near:
// one with few letters changed, or one that s is the beginning or end of.
func Nearest(s string, words []string) string {
	s = snake(s)
	best := spelling.Nearest(s, words)
	for _, w := range words {
		if best == "" && len(s) >= 4 && (strings.HasPrefix(w, s) || strings.HasSuffix(w, "_"+s)) {
			best = w
		}
	}
	return best
}
