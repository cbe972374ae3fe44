package replication_test

import (
	"log/slog"
	"time"
)

var discard = slog.New(slog.DiscardHandler)

// clock is one that goes on with each look.
func clock() func() time.Time {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}
