// Package spelling finds the word that a misspelt one was probably meant to be.
package spelling

import "math"

// maxWord bounds the words that are compared, in bytes.
const maxWord = 64

// Nearest returns the first of words that differs from s in the fewest letters; ""
// when all differ in more than a third of theirs. Letter case counts.
func Nearest(s string, words []string) string {
	if len(s) > maxWord {
		return ""
	}
	best, least := "", math.MaxInt
	for _, w := range words {
		d := distance(s, w)
		if d <= max(1, min(len(s), len(w))/3) && d < least {
			best, least = w, d
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
