package command

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	good := map[string]time.Duration{"90m": 90 * time.Minute, "12h": 12 * time.Hour, "15d": 15 * day, "1d12h": 36 * time.Hour, "0d": 0, "36500d": 36500 * day}
	for in, want := range good {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "-1d", "+1d", "1", "1w", "1d-1h", "-2h", "36501d", "1d876001h", "99999999999999d", "1.5d"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%s: %v, want an error", in, got)
		}
	}
}

func TestParseWhen(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := map[string]time.Time{
		"": {}, "7d": now.AddDate(0, 0, -7), "90m": now.Add(-90 * time.Minute), "2026-02-01": time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		"2026-02-01T12:00:00+02:00": time.Date(2026, 2, 1, 10, 0, 0, 0, time.UTC),
	}
	for in, want := range good {
		if got, err := ParseWhen("--since", in, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", in, got, err, want)
		}
	}
	if _, err := ParseWhen("--since", "yesterday", now); err == nil {
		t.Error("yesterday is a time")
	}
}
