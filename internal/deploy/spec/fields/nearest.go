package fields

import (
	"math"
	"strings"
)

// Nearest is the word that s was probably meant to be, "" when none is near:
// one with few letters changed, or one that s is the beginning or end of.
func Nearest(s string, words []string) string {
	s = strings.ToLower(strings.ReplaceAll(s, "-", "_"))
	if len(s) > 64 {
		return ""
	}
	best, least := "", math.MaxInt
	for _, w := range words {
		dist := distance(s, w)
		if dist > max(1, min(len(s), len(w))/3) {
			continue
		}
		if dist < least {
			best, least = w, dist
		}
	}
	for _, w := range words {
		if best == "" && len(s) >= 4 && (strings.HasPrefix(w, s) || strings.HasSuffix(w, "_"+s)) {
			best = w
		}
	}
	return best
}

// distance is how many letters must be put in, taken out, replaced or swapped
// with their neighbour to make b of a.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(row[j]+1, next[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
