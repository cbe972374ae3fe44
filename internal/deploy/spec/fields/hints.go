package fields

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/spelling"
)

// Hint says what to do about a name that is no field of the object in: where it
// belongs, or what was probably meant. It continues a sentence; "" when there is
// nothing to say.
func Hint(in, name string) string {
	switch {
	case in == "" && slices.Contains(Names(Repository), name):
		return "; it is a field of a repository, or of defaults"
	case in == Repository && slices.Contains(Names(""), name):
		return "; it belongs at the top of the file"
	case in == Override && slices.Contains(NotOverridden, name):
		return "; it belongs to the repository, outside overrides"
	}
	if near := Nearest(name, Names(in)); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

// Nearest is the word that s was probably meant to be, "" when none is near:
// one with few letters changed, or one that s is the beginning or end of.
func Nearest(s string, words []string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	best := spelling.Nearest(s, words)
	for _, w := range words {
		if best == "" && len(s) >= 4 && (strings.HasPrefix(w, s) || strings.HasSuffix(w, "_"+s)) {
			best = w
		}
	}
	return best
}
