package meta

import "context"

type hotKey struct{}

// Hot returns a context that allows Update to run fn READ COMMITTED, where the database
// has that and many processes: each statement sees what was committed when it began. It
// is for what is done all day (uploads, links of blobs, pushes, pull times), whose
// invariants are held by constraints and locks of rows, one by one: docs/design/0047.
// Where fn changes anything else, the database runs it again, serializable. So must the
// caller where fn decides by what it read, and another transaction may change that.
func Hot(ctx context.Context) context.Context { return context.WithValue(ctx, hotKey{}, true) }

// IsHot reports whether ctx came from Hot.
func IsHot(ctx context.Context) bool {
	hot, _ := ctx.Value(hotKey{}).(bool)
	return hot
}
