package sqlstore

import (
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
)

// An area is a part of the database that has a stamp.
type area int

const (
	areaIdentities area = iota // users, roles, policies, issuers and keys
	areaSettings               // repositories and settings of registries
	areaImages                 // images, their tags and states; of one process only
	areaBlobs                  // blobs and their links; of one process only
	areaAll                    // the whole database; of one process only
	areas
)

// stamp names a state of an area: in two snapshots with the same stamp the area has
// the same rows. The zero stamp is of a state that is not known.
type stamp [16]byte

// stamps are those of all areas in one snapshot.
type stamps [areas]stamp

// tables says which area a table belongs to; noArea stands for none. What goes by
// foreign key with a row of another area needs no mention: it hangs on the id of a
// repository, which is not used again.
var tables = map[string]area{
	"users": areaIdentities, "roles": areaIdentities, "managed_policies": areaIdentities, "issuers": areaIdentities,
	"access_keys": areaIdentities, "token_keys": areaIdentities,
	"repositories": areaSettings, "registries": areaSettings,
	"manifests": areaImages, "tags": areaImages, "image_states": areaImages,
	"blobs": areaBlobs, "blob_links": areaBlobs, "blob_contents": areaBlobs,

	"manifest_blobs": noArea, "manifest_children": noArea, "foreign_layers": noArea, "uploads": noArea, "journal": noArea,
	"deleted_repositories": noArea, "orphans": noArea, "job_leases": noArea, "job_states": noArea, "lifecycle_queue": noArea,
	"lifecycle_findings": noArea, "lifecycle_previews": noArea, "leases": noArea, "lease_collectors": noArea,
	"creation_templates": noArea, "event_deliveries": noArea, "console_sessions": noArea, "machine_tokens": noArea, "secrets": noArea, "signers": noArea, // read each time
	"image_scans": noArea, "repository_figures": noArea, "replications": noArea, "replication_backfills": noArea, "replication_rates": noArea, // read each time
	"signing_profiles": noArea, "image_signings": noArea, "upstream_fetches": noArea, // read each time
	"pullers": noArea, "pulls": noArea, "pull_days": noArea, "upstream_checks": noArea, "bin": noArea, "bin_blobs": noArea, "loose_blobs": noArea, "update_gate": noArea, "stamps": noArea,
}

// keyUse is the statement that says when a key was used last: no one is let in or
// kept out by it.
const keyUse = `UPDATE access_keys SET used_at`

// touches says which areas a statement may change, as bits.
func touches(text string) uint8 {
	if bits, known := touched.Load(text); known {
		return bits.(uint8)
	}
	bits := touchedBy(text)
	touched.Store(text, bits)
	return bits
}

// touched has the answers of touches; the texts are those of this package.
var touched sync.Map

const (
	noArea     = areas
	everything = 1<<areas - 1
)

func touchedBy(text string) uint8 {
	verb, table := change(text)
	a, known := tables[table]
	switch {
	case verb == "":
		return 0
	case !known:
		return everything
	case a == noArea || strings.HasPrefix(text, keyUse):
		return 0
	}
	return 1 << a
}

// change says what a statement changes: "INSERT", "UPDATE" or "DELETE" of a table, no verb
// for nothing, and another verb where it is not known. Of a statement WITH others, it is
// the first of these; what else they change belongs to it.
func change(text string) (verb, table string) {
	if with, rest, ok := strings.Cut(text, " AS ("); ok && strings.HasPrefix(with, "WITH ") {
		text = rest
	}
	words := strings.Fields(text)
	word := func(i int) string {
		if i >= len(words) {
			return ""
		}
		return words[i]
	}
	switch verb = word(0); verb {
	case "SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT", "PRAGMA":
		return "", ""
	case "UPDATE":
		table = word(1)
	case "INSERT", "DELETE":
		table = word(2)
	}
	table, _, _ = strings.Cut(table, "(")
	return verb, table
}

// changes counts what the one writer of a database did to each area. A count is odd
// while a commit is under way that changes its area: which of the two states a
// snapshot has that begins meanwhile is not known.
type changes [areas]atomic.Uint64

// now returns the stamps of this moment.
func (c *changes) now() (all stamps) {
	for a := range all {
		if n := c[a].Load(); n%2 == 0 {
			binary.BigEndian.PutUint64(all[a][:], n+2)
		}
	}
	return all
}

// begin is called before a commit that changes the areas of bits, end when its
// outcome is known, and before anyone is told.
func (c *changes) begin(bits uint8) { c.step(bits | 1<<areaAll) }
func (c *changes) end(bits uint8)   { c.step(bits | 1<<areaAll) }

func (c *changes) step(bits uint8) {
	for a := range c {
		if bits&(1<<a) != 0 {
			c[a].Add(1)
		}
	}
}

// same keeps those stamps that other has as well.
func (s stamps) same(other stamps) stamps {
	for a := range s {
		if s[a] != other[a] {
			s[a] = stamp{}
		}
	}
	return s
}
