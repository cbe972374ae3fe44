package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseWhen reads a time, a day, or how long before now; "" is the zero time.
func ParseWhen(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := ParseDuration(s)
	if err != nil {
		return time.Time{}, Usagef("%s %s: want a time such as 2026-11-23 or 2026-11-23T12:00:00Z, or how long ago, such as 12h or 7d", flag, s)
	}
	return now.Add(-d), nil
}

// maxDuration is longer than any plan, and shorter than what time.Duration
// holds.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads a length of time that may begin with days, such as "90m",
// "15d" or "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration: want one such as 90m, 12h, 15d or 1d12h", s)
	days, rest, ok := strings.Cut(s, "d")
	var d time.Duration
	if ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > uint64(maxDuration/(24*time.Hour)) {
			return 0, bad
		}
		d = time.Duration(n) * 24 * time.Hour
	} else {
		rest = s
	}
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 || more > maxDuration {
			return 0, bad
		}
		d += more
	}
	if s == "" || d > maxDuration {
		return 0, bad
	}
	return d, nil
}
