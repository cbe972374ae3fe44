package state

import "strings"

// EventReceiver is a webhook that a Kontor registry tells of events.
type EventReceiver struct {
	Name string
	// URL is without a query. In observed ones, parts of its path that may be secrets are
	// "...".
	URL    string
	Format string // eventbridge, cloudevents or cloudevents-binary
	// Types and Repositories are names and patterns, in byte order; none for all.
	Types, Repositories []string
	// SecretEnv is the environment variable with the secret; "" for one that the server
	// makes. Desired only.
	SecretEnv string
	// OfServer: the server's configuration file has it, and it is changed there. Observed only.
	OfServer bool
	// Removed: the receiver is to go. Desired only.
	Removed bool
	Origin  Origin
}

// Told is what r is told of, in words.
func (r EventReceiver) Told() string {
	what := "all events"
	if len(r.Types) > 0 {
		what = strings.Join(r.Types, ", ")
	}
	if len(r.Repositories) > 0 {
		what += " of " + strings.Join(r.Repositories, ", ")
	}
	return what
}

// SameURL reports whether two URLs are the same as far as a registry shows them: parts of
// the path that may be secrets are "...".
func SameURL(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] && x[i] != "..." && y[i] != "..." {
			return false
		}
	}
	return true
}
