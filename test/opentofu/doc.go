// Package opentofu gives what `kontor export terraform` writes, and the module of
// contrib/terraform, to OpenTofu: it formats, validates, imports and plans. It is its
// own module, as OpenTofu brings much with it, and runs only on request, as OpenTofu
// takes minutes to build: `go run ./test/all -only opentofu`.
package opentofu
