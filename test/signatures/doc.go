// Package signatures signs images at the source of a promotion, and verifies the
// signatures at the destination: with the program cosign, and with the library of
// the program notation. It is a module of its own, as both bring much with them.
// `go run ./test/all -only signatures` builds what is needed and calls this.
package signatures
