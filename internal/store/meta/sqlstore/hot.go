package sqlstore

import (
	"errors"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A hot transaction (meta.Hot) is READ COMMITTED. What it may change is listed here, and
// docs/design/0047 says for each of these what keeps its invariants. A transaction that
// wants to change anything else is run again, serializable.

// hotChanges are the tables that hot transactions may insert into, update and delete from.
var hotChanges = map[string]map[string]bool{
	"INSERT": named("uploads", "blobs", "blob_contents", "blob_links", "manifests", "manifest_blobs", "manifest_children",
		"foreign_layers", "tags", "journal", "replications", "image_scans", "pullers", "pulls", "pull_days"),
	"UPDATE": named("uploads", "blob_links", "manifests"),
	"DELETE": named("uploads"),
}

// hotPrefixes are the beginnings of further statements that they may use.
var hotPrefixes = []string{keyUse, tokenUse}

func named(tables ...string) map[string]bool {
	all := map[string]bool{}
	for _, t := range tables {
		all[t] = true
	}
	return all
}

var (
	// errNotHot: a hot transaction wants to change what only serializable ones may.
	errNotHot = errors.New("the transaction has to be serializable")
	// errOvertaken: what a hot transaction had seen to be so has changed since.
	errOvertaken = errors.New("another transaction was faster")
)

// allowed is an error for a statement that a hot transaction must not run.
func (s *session) allowed(text string) error {
	if !s.hot || isHot(text) {
		return nil
	}
	s.failed, s.scope = errNotHot, ScopeSavepoint
	return errNotHot
}

// overtaken makes the transaction run again.
func (s *session) overtaken() error {
	s.failed, s.scope = errOvertaken, ScopeRetry
	return errOvertaken
}

var hotKnown sync.Map // answers of isHot; the texts are those of this package

func isHot(text string) bool {
	if known, ok := hotKnown.Load(text); ok {
		return known.(bool)
	}
	verb, table := change(text)
	is := verb == "" || hotChanges[verb][table] || text == dropIncomplete
	for _, allowed := range hotPrefixes {
		is = is || strings.HasPrefix(text, allowed)
	}
	hotKnown.Store(text, is)
	return is
}

// locking ends a query of a hot transaction with a lock. Others need none: they are
// serializable.
func (s *session) locking(clause string) string {
	if s.hot {
		return " " + clause
	}
	return ""
}

// tagKey is a tag that a hot transaction found to be free.
type tagKey struct {
	repo meta.RepositoryID
	tag  string
}
