//go:build !race

// Package race tells tests whether the race detector watches them, under which
// they take ten times as long: one that repeats itself may then do so less
// often. `go run ./test/all` finds such tests, and runs them without the
// detector as well, in full.
package race

// Enabled reports whether the program is built with the race detector.
const Enabled = false
