package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Times are microseconds since 1970 in UTC.

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }

// A time that may be unknown, which is the zero time, is NULL then.

func microsOrNull(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: micros(t), Valid: !t.IsZero()}
}

func timeOrZero(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return fromMicros(n.Int64)
}

// microsUp is micros for "before t": what happened within t's microsecond
// but before t counts as before.
func microsUp(t time.Time) int64 {
	if t.Nanosecond()%1000 != 0 {
		return micros(t) + 1
	}
	return micros(t)
}

// Lists and maps that are only ever read whole are JSON text; "" is none.

func toJSON[T []string | []ecr.Tag | []ecr.Digest | map[string]string](v T) (string, error) {
	if len(v) == 0 {
		return "", nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encoding %v: %w", v, err)
	}
	return string(b), nil
}

func fromJSON[T any](text string, v *T) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("decoding %q: %w", text, err)
	}
	return nil
}

// bytes is b for a column that is not null, nonEmpty its inverse.

func bytes(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// distinct returns digests or keys as strings, sorted, each once. The order
// keeps two transactions from locking the same rows the other way round.
func distinct[T ~string](all []T) []string {
	list := make([]string, len(all))
	for i, v := range all {
		list[i] = string(v)
	}
	slices.SortFunc(list, strings.Compare)
	return slices.Compact(list)
}
