package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ConsoleSession is one login to the console, or a link that becomes one.
type ConsoleSession struct {
	// ID is a hash of the secret that the browser has: who reads the database
	// cannot log in with it.
	ID string
	// Link: it is a one-time link that nobody has opened yet.
	Link bool
	// Account, UniqueID and Principal are those of who logged in, KeyID the access
	// key used, and Token the session token of temporary credentials: of those of a
	// user, KeyID is the access key that they come from.
	Account   ecr.AccountID
	UniqueID  string
	Principal string // ARN, for lists
	KeyID     string
	Token     []byte
	Source    string // address of the browser; "" when it is not known
	UserAgent string
	CreatedAt time.Time
	UsedAt    time.Time // about when the last request came
	ExpiresAt time.Time
}

// ConsoleSessionReader reads sessions of the console.
type ConsoleSessionReader interface {
	// ConsoleSession returns the session, or ErrNotFound. It may have expired.
	ConsoleSession(ctx context.Context, id string) (ConsoleSession, error)
	// ListConsoleSessions returns at most limit sessions and links of the account in
	// byte order of their ids, after the id after; with uniqueID those of that
	// principal only.
	ListConsoleSessions(ctx context.Context, account ecr.AccountID, uniqueID, after string, limit int) ([]ConsoleSession, error)
}

// ConsoleSessionWriter changes sessions of the console.
type ConsoleSessionWriter interface {
	// InsertConsoleSession adds s. ErrExists.
	InsertConsoleSession(ctx context.Context, s ConsoleSession) error
	// UseConsoleSession stores UsedAt where it is later; a session that is gone is
	// passed over.
	UseConsoleSession(ctx context.Context, id string, at time.Time) error
	// DeleteConsoleSession removes the session. ErrNotFound.
	DeleteConsoleSession(ctx context.Context, id string) error
	// DeleteExpiredConsoleSessions removes those that expired before t.
	DeleteExpiredConsoleSessions(ctx context.Context, t time.Time) error
}
