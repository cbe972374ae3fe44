// Package scanners has a real scanner, Trivy, scan images of a server: with a database of
// vulnerabilities that the test makes, so that it needs no network and its result is
// known. It is its own module, as Trivy brings much with it, and runs only on request, as
// Trivy takes many minutes to build: `go run ./test/all -only scanners`.
package scanners
