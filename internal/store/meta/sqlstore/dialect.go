package sqlstore

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

// Dialect is what differs between databases. Everything else, all SQL texts
// but the fragments below included, is shared.
type Dialect struct {
	// Goose names the dialect of the migrations; Migrations holds them.
	Goose      goose.Dialect
	Migrations fs.FS
	// Needs is the version of the schema that programs have to know at least, once this
	// program has migrated the database: raise it with a migration that programs before
	// it cannot live with. Until then older programs go on, and may be started again.
	Needs int64
	// HasTable is a query for the number of tables of a name, of parameter $1.
	HasTable string
	// LockTimeout reports whether a migration waited too long for locks, so that it may
	// succeed when it is tried again. Optional.
	LockTimeout func(err error) bool
	// LockSchema, if set, holds off other processes that are about to migrate
	// the same database until unlock is called.
	LockSchema func(ctx context.Context, db *sql.DB) (unlock func() error, err error)

	// Fenced is a query for the number of fences, with which the database refuses
	// writes: see package transfer.
	Fenced string

	// BeginRead opens a transaction that sees one moment, BeginWrite a
	// serializable one with a savepoint named fn; BeginAlone does so when no
	// other is open, and keeps others out until it ends. NextSavepoint
	// replaces the savepoint by a new one. Each is a list of statements, so
	// that a driver that can send several at once needs one round trip.
	BeginRead     []string
	BeginWrite    []string
	BeginAlone    []string
	NextSavepoint []string
	// BeginHot and BeginHotAlone are like BeginWrite and BeginAlone, but the transaction is
	// READ COMMITTED. Without them, all transactions are serializable: see meta.Hot.
	BeginHot      []string
	BeginHotAlone []string
	// Commit commits a transaction that one of these opened.
	Commit string

	// OneWriter says that no one else commits while a transaction is open
	// that BeginWrite opened, so that it sees everything at any time. Look is a
	// statement that makes a transaction which BeginRead opened see this moment.
	OneWriter bool
	Look      string
	// BeginStamped, where there may be other processes, does what the statements of
	// BeginRead, BeginWrite or BeginAlone say, and returns the stamps that the database
	// keeps, those of identities and settings. The transaction sees this moment.
	BeginStamped func(ctx context.Context, driverConn any, begin []string) (identities, settings [16]byte, err error)
	// IdentityStamp is a query for the first of them, as text or bytes, by itself.
	IdentityStamp string

	// NoBytes is an expression: bytes, none of them.
	NoBytes string

	// Now is an expression: the database's clock, in microseconds since 1970, when
	// the statement runs.
	Now string
	// SkipLocked ends a query for the row to be changed: it locks the row, and passes
	// over those that others have locked. Empty where one transaction writes at a time.
	SkipLocked string
	// HideLinks hides those links among the digests of $2, in the repository $1, that no
	// image refers to, since $3; unheld is that condition, on blob_links.
	HideLinks func(unheld string) string
	// KeyShare ends a query for rows that the transaction refers to: they stay, with their
	// keys, until it ends. Used by hot transactions only.
	KeyShare string
	// ForUpdate ends a query for rows that the transaction is about to change. Used by hot
	// transactions only.
	ForUpdate string
	// In is a condition: column is among the strings of parameter $n, which
	// holds what Strings made of them.
	In      func(column string, n int) string
	Strings func(list []string) any
	// Rows is a FROM item with one column named value, the strings of
	// parameter $n.
	Rows func(alias string, n int) string
	// PullRows is a FROM item named p with the columns repository_id, digest
	// and at, of parameter $1: a JSON array of arrays of these three.
	PullRows string
	// CountRows is a FROM item named p with the columns day, repository_id, digest,
	// unique_id, arn, pulls and at, of parameter $1: a JSON array of arrays of these.
	CountRows string

	// Prepare says to keep statements prepared on each connection, for a
	// driver that does not on its own.
	Prepare bool
	// TransactionTimeout bounds one run of a shared transaction, so that a
	// server that fell silent cannot hold up all writers. 0 means no bound.
	TransactionTimeout time.Duration

	// SessionTime is how long a connection is used at most, IdleTime how long one for
	// reading is kept that is not needed. 0 is for ever.
	SessionTime time.Duration
	IdleTime    time.Duration

	// Classify explains an error of the driver.
	Classify func(err error) Fault
	// Closed reports whether the driver's connection is beyond use. Optional.
	Closed func(driverConn any) bool
}

// Scope is how much an error spoils.
type Scope int

const (
	// ScopeStatement: nothing but the statement, which had no effect.
	ScopeStatement Scope = iota
	// ScopeSavepoint: the transaction, until it goes back to a savepoint.
	ScopeSavepoint
	// ScopeTransaction: the whole transaction.
	ScopeTransaction
	// ScopeRetry: the whole transaction, because of another one; run again it
	// may succeed.
	ScopeRetry
	// ScopeConnection: the connection is gone.
	ScopeConnection
)

// Fault is an error of the driver explained.
type Fault struct {
	Scope Scope
	// Is is the error of package meta that it amounts to; nil for none.
	Is error
}
