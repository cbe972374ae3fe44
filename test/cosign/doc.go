// Package cosign signs images with cosign at the source of a promotion, and
// verifies them with it at the destination. It is a module of its own, as cosign
// brings much with it. `go run ./test/all -only cosign` builds both programs and
// calls this.
package cosign
