// Package buildkit runs BuildKit against the binary: its daemon builds an image
// and pushes it with the token of a role session. `go run ./test/all -only
// buildkit` builds all of them and calls this; it is not among the steps of
// every run, since the daemon takes minutes to build and root to mount.
package buildkit
