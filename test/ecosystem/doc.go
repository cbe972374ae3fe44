// Package ecosystem runs programs that keep more than images in a registry against
// Kontor: cosign and notation sign at the source of a promotion and verify at the
// destination, helm keeps charts, ko builds images with SBOMs, and flux's client
// keeps manifests. It is its own module, as these bring much with them.
package ecosystem
