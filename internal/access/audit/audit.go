// Package audit records who changed what and who was denied what: JSON
// lines in files of a folder, which turn over by size and age and are removed
// after a while.
//
// It guarantees that a change whose durable func returned nil is on disk, that
// what cannot be written is an error to those who asked for a change or were
// denied one, so that both can be refused, and that a line is whole: a write
// that fails is taken back. Reads that cannot be recorded are counted, unless
// the mode is Strict.
//
// What a line says is in Record. The package knows neither policies nor
// requests, and leaves it to others what is worth a record.
package audit

import (
	"errors"
	"fmt"
	"time"
)

// Mode says what is recorded.
type Mode string

// The modes.
const (
	// Changes records changes and denials.
	Changes Mode = "changes"
	// All also records reads. A read that cannot be recorded is allowed.
	All Mode = "all"
	// Strict is All, but a read that cannot be recorded is refused.
	Strict Mode = "strict"
)

// ParseMode reads a Mode; "" is Changes.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case "":
		return Changes, nil
	case Changes, All, Strict:
		return m, nil
	}
	return "", fmt.Errorf("%q is not a kind of audit log; use changes, all or strict", s)
}

// Decision is how a request was answered.
type Decision string

// The decisions.
const (
	Allowed Decision = "allowed"
	Denied  Decision = "denied"
)

// Record is a line of the log.
type Record struct {
	// Time is when it was written, in UTC.
	Time time.Time `json:"time"`
	// RequestID is the answer's; empty for jobs of the server.
	RequestID string `json:"request_id,omitempty"`
	// Principal is an ARN, or "system: reason" for jobs; empty for a login that
	// failed.
	Principal string `json:"principal,omitempty"`
	// PrincipalID is the unique id of the user or role, and AccessKey the key
	// that it used, which for a failed login is the one that was claimed.
	PrincipalID string `json:"principal_id,omitempty"`
	AccessKey   string `json:"access_key,omitempty"`
	// Token is the name of the machine token that it sent, whose id is in
	// AccessKey.
	Token string `json:"token,omitempty"`
	// Session has what temporary credentials add.
	Session *Session `json:"session,omitempty"`
	// Source is the address that the request came from.
	Source    string `json:"source,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	// Via is "console" for what was done in the web console; empty for the APIs.
	Via string `json:"via,omitempty"`
	// Operation is the server's name for what was asked, Action the IAM action
	// that decided, Resource an ARN or "*".
	Operation string   `json:"operation,omitempty"`
	Action    string   `json:"action"`
	Resource  string   `json:"resource"`
	Decision  Decision `json:"decision"`
	// Statement is what decided, such as `repository policy, statement 1`; empty
	// when nothing allows.
	Statement string `json:"statement,omitempty"`
	// DependsOn are condition keys for want of which it is denied.
	DependsOn []string `json:"depends_on,omitempty"`
	// Reason is what the caller was told of a denial.
	Reason string `json:"reason,omitempty"`
	// Suppressed counts records like this one that were left out before it,
	// because there were too many.
	Suppressed int64 `json:"suppressed,omitempty"`
}

// Session is what temporary credentials add to a Record.
type Session struct {
	Role           string    `json:"role,omitempty"`
	IssuedAt       time.Time `json:"issued_at"`
	MFA            bool      `json:"mfa,omitempty"`
	SourceIdentity string    `json:"source_identity,omitempty"`
}

// maxText bounds what strangers write into the log.
const maxText = 512

// bounded is r as it is written.
func (r Record) bounded() Record {
	for _, s := range []*string{&r.UserAgent, &r.AccessKey, &r.Operation, &r.Action, &r.Resource, &r.Source} {
		*s = (*s)[:min(len(*s), maxText)]
	}
	// ARNs of long paths, and of the subjects of identity providers.
	for _, s := range []*string{&r.Reason, &r.Principal} {
		*s = (*s)[:min(len(*s), 4*maxText)]
	}
	return r
}

// ErrClosed is what a closed log answers.
var ErrClosed = errors.New("audit: the log is closed")
