package ecr

import "strings"

// These names are in every request, so they are checked by byte. The expressions
// in the comments mean the same (TestGrammar).

// class is a set of bytes that names are made of.
type class uint8

const (
	digits     class = 1 << iota
	hexLetters       // a-f
	lower
	upper
	underscore
	dash
	dot
)

// classes has the sets that each byte is in.
var classes = func() (c [256]class) {
	for b := '0'; b <= '9'; b++ {
		c[b] = digits
	}
	for b := 'a'; b <= 'z'; b++ {
		c[b], c[b-'a'+'A'] = lower, upper
		if b <= 'f' {
			c[b] |= hexLetters
		}
	}
	c['_'], c['-'], c['.'] = underscore, dash, dot
	return c
}()

// only reports whether all of s is in c.
func only(s string, c class) bool {
	for i := range len(s) {
		if classes[s[i]]&c == 0 {
			return false
		}
	}
	return true
}

// isDigest: ^(sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$
func isDigest(s string) bool {
	if h, ok := strings.CutPrefix(s, "sha256:"); ok {
		return len(h) == 64 && only(h, digits|hexLetters)
	}
	h, ok := strings.CutPrefix(s, "sha512:")
	return ok && len(h) == 128 && only(h, digits|hexLetters)
}

// isRepositoryName: ^RepositoryNamePattern$
func isRepositoryName(s string) bool {
	for word := range strings.SplitSeq(s, "/") {
		if !isPathWord(word) {
			return false
		}
	}
	return true
}

// isPathWord: ^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$
func isPathWord(s string) bool {
	between := 0 // where what separates the letters begins
	for i := range len(s) {
		switch c := classes[s[i]]; {
		case c&(digits|lower) != 0:
			between = i + 1
		case c&(dash|underscore|dot) == 0,
			i == 0,
			s[i] != s[between], // a mixture
			c == dot && i > between,
			c == underscore && i > between+1:
			return false
		}
	}
	return s != "" && between == len(s)
}
