// Package blob is the contract of the content store. Content is kept under an
// opaque key that is chosen when its upload begins and never used again; which
// digest lies under which key is known to package meta alone.
//
// It guarantees that content whose Commit returned nil survives the loss of
// power and is what its digest says. It leaves out who may see what.
//
// The suite in blobtest says in code what every implementation must do.
package blob

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Errors of the store. Implementations wrap them; test with errors.Is.
var (
	// ErrNotFound: nothing is kept under the key, or an upload's bytes are not
	// all there.
	ErrNotFound = errors.New("blob: not found")
	// ErrBusy: another writer is appending to this key.
	ErrBusy = errors.New("blob: upload is being written by another request")
	// ErrDigestMismatch: the content is not what the digest says. Nothing of
	// it is left.
	ErrDigestMismatch = errors.New("blob: content does not match digest")
	// ErrNoSpace: the medium is full.
	ErrNoSpace = errors.New("blob: no space left")
	// ErrUnavailable: the store does not answer, or is too busy. Trying again
	// later may help.
	ErrUnavailable = errors.New("blob: the store is busy or does not answer")
)

// Key is an opaque name: 32 lower-case hex digits, random. Content that the database
// has, next to the blob's row, has a key that begins with InDatabase.
type Key string

// InDatabase is what the keys of content begin with that lies in the database.
const InDatabase = "db-"

// InDatabase reports whether content under k lies in the database, and not in a Store.
func (k Key) InDatabase() bool { return strings.HasPrefix(string(k), InDatabase) }

// NewDatabaseKey makes a key that was never used before, for content in the database.
// It begins with the time, so that rows that come after each other lie next to each
// other: 12 hex digits for milliseconds since 1970, and 20 that are random.
func NewDatabaseKey(now time.Time) Key {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return Key(fmt.Sprintf("%s%012x%x", InDatabase, max(now.UnixMilli(), 0), b))
}

// Valid reports whether k is 32 lower-case hex digits. Nothing else ever becomes part of
// a path.
func (k Key) Valid() bool {
	if len(k) != 32 {
		return false
	}
	for i := range len(k) {
		if c := k[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// NewKey makes a key that was never used before.
func NewKey() Key {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return Key(hex.EncodeToString(b[:]))
}

// Progress is how far an upload has come, and what is needed to continue in
// another request or process. The zero value is the beginning.
type Progress struct {
	Offset int64  // bytes received
	State  []byte // the store's own; opaque to everybody else
}

// Store keeps content. It is safe for concurrent use.
type Store interface {
	// Append continues writing the upload key from p, dropping bytes beyond
	// p.Offset that a crash may have left. ErrBusy, ErrNotFound.
	Append(ctx context.Context, key Key, p Progress) (Writer, error)
	// Discard removes an unfinished upload. Removing what is not there is
	// nothing. ErrBusy.
	Discard(ctx context.Context, key Key) error
	// Open opens committed content. ErrNotFound.
	Open(ctx context.Context, key Key) (File, error)
	// Delete removes committed content. Readers that have it open continue.
	// Removing what is not there is nothing.
	Delete(ctx context.Context, key Key) error
	// List yields all committed content, and after it all uploads, in no
	// particular order.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// Installed is a Store that can be told from others.
type Installed interface {
	// Installation returns the id of the store: a random text that it keeps next to
	// its content, made by the first call.
	Installation(ctx context.Context) (string, error)
}

// Bound is a Store that knows the database it belongs to.
type Bound interface {
	// Bind makes the store belong to the database with an id, unless it belongs to
	// one, and returns the id of the one that it belongs to.
	Bind(ctx context.Context, database string) (string, error)
}

// Bind binds s, where it is one that can be, and returns the id of its database.
func Bind(ctx context.Context, s Store, database string) (string, error) {
	if b, ok := s.(Bound); ok {
		return b.Bind(ctx, database)
	}
	return database, nil
}

// InstallationOf is the id of s, "" of a Store that has none.
func InstallationOf(ctx context.Context, s Store) (string, error) {
	if i, ok := s.(Installed); ok {
		return i.Installation(ctx)
	}
	return "", nil
}

// Committed is a Writer that knows the file that Commit made, as who opens it would
// find it.
type Committed interface {
	// Committed returns nil unless Commit returned nil, or where there is no file.
	Committed() fs.FileInfo
}

// Holder is a Writer that may have all of its content in memory.
type Holder interface {
	// Held returns everything that was received, in this request and before, if it is
	// in memory and nothing of it in the store: then Abort leaves nothing behind, and
	// the State of what Suspend returns is all that is needed to go on. The caller must
	// not change it, and may use it after the Writer has ended.
	Held() (content []byte, ok bool)
}

// Verifier is a Store that may keep checksums of its own.
type Verifier interface {
	// Verified reports whether the store notices by itself when content is
	// damaged, and answers with an error. Other content is read before it is
	// served.
	Verified() bool
}

// Redirector is a Store from which clients may be able to fetch content.
type Redirector interface {
	// Redirect returns a URL at which a client gets committed content with GET,
	// for some minutes, or "" where it must be served. Whether there is content
	// under key is not asked.
	Redirect(ctx context.Context, key Key) (string, error)
}

// File is opened content. A disk store's File is an *os.File, so that
// http.ServeContent uses sendfile.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Info describes an entry of the store.
type Info struct {
	Key       Key
	SizeBytes int64
	ModTime   time.Time
	Upload    bool // unfinished
}

// Writer receives an upload's bytes. It is for one goroutine. Exactly one of
// Suspend, Commit and Abort ends it.
type Writer interface {
	io.Writer
	// Offset is the number of bytes received, those of earlier requests
	// included.
	Offset() int64
	// Suspend makes the bytes durable and returns where to continue.
	Suspend(ctx context.Context) (Progress, error)
	// Commit checks that the content matches one of the digests, and returns
	// which; it is durable under its key when Commit returns.
	// ErrDigestMismatch (nothing is left), ErrNoSpace.
	Commit(ctx context.Context, any ...ecr.Digest) (ecr.Digest, error)
	// Abort removes everything received under the key.
	Abort() error
}
