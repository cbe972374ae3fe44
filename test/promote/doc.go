// Package promote promotes images between Kontor and another registry,
// distribution v3: it has no referrers API and keeps lists of referrers under
// tags. It is its own module, as distribution brings much with it.
package promote
