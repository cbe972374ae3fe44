// Package promote promotes images between Kontor and other registries:
// distribution v3, which has no referrers API and keeps lists of referrers under
// tags, go-containerregistry's registry and CUE's ociregistry, both with that API
// and without. It is its own module, as these bring much with them.
package promote
