// Package old has functions about which something is known where they are
// called: facts of this package.
package old

// Way was the way.
//
// Deprecated: use another.
func Way() {}

// Sum does nothing but return.
func Sum(a, b int) int { return a + b }
