package fields

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/spelling"
)

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
