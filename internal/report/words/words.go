// Package words says numbers, sizes, times, images, rules and statements in
// English, the same way wherever Kontor prints or publishes them. It is pure,
// and knows nothing of where the words go: what may hold control characters,
// because it came from a registry or a file, goes through Clean first.
package words

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Clean makes s safe to print in one line: control and other unprintable
// characters are escaped.
func Clean(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}

// Count is "1 repository" or "2 repositories".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Plural is one for a single thing, and else many.
func Plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// And is "a", "a and b" or "a, b and c".
func And(list []string) string {
	if last := len(list) - 1; last > 0 {
		return strings.Join(list[:last], ", ") + " and " + list[last]
	}
	return strings.Join(list, "")
}

// Rules names rules by their ascending priorities: "rule 2", or "rules 1, 3 to
// 20 and 22".
func Rules(priorities []int) string {
	var list []string
	for i := 0; i < len(priorities); {
		last := i
		for last+1 < len(priorities) && priorities[last+1] == priorities[last]+1 {
			last++
		}
		if last-i < 2 {
			last = i
		}
		s := strconv.Itoa(priorities[i])
		if last > i {
			s += " to " + strconv.Itoa(priorities[last])
		}
		list = append(list, s)
		i = last + 1
	}
	if len(priorities) == 1 {
		return "rule " + list[0]
	}
	return "rules " + And(list)
}

// Sentence begins s with a capital letter.
func Sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// Bytes is a size in binary units with two or three digits: "1.2 GiB".
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, k := float64(n)/unit, 0
	for size >= unit-0.5 && k < 4 {
		size, k = size/unit, k+1
	}
	format := "%.1f %ciB"
	if size >= 9.95 {
		format = "%.0f %ciB"
	}
	return fmt.Sprintf(format, size, "KMGTP"[k])
}

// Moment is a time to the minute: "2026-03-01 12:00 UTC".
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// Day is a date in UTC: "2026-03-01".
func Day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// When is a day as seen from now: "2026-02-01, 28 days ago".
func When(now, t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return Day(t) + ", " + Distance(now, t)
}

// Distance is how far t is from now, in whole days: "3 days ago", "in 2 days".
func Distance(now, t time.Time) string {
	const day = 24 * time.Hour
	switch d := t.Sub(now); {
	case d <= -day:
		return Count(int(-d/day), "day", "days") + " ago"
	case d < 0:
		return "less than a day ago"
	case d == 0:
		return "now"
	case d < day:
		return "within a day"
	default:
		return "in " + Count(int(d/day), "day", "days")
	}
}

// Digest is a digest in 12 digits: "sha256:0123456789ab".
func Digest(digest string) string {
	const length = len("sha256:") + 12
	if len(digest) > length {
		return digest[:length]
	}
	return digest
}

// maxTags is how many tags of an image are named.
const maxTags = 4

// Image is an image's digest and tags, shortened: "sha256:0123456789ab (v1)".
func Image(digest string, tags []string) string {
	s := Clean(Digest(digest))
	switch n := len(tags); {
	case n == 0:
		return s + " (untagged)"
	case n > maxTags:
		return fmt.Sprintf("%s (%s and %d more tags)", s, Clean(strings.Join(tags[:maxTags], ", ")), n-maxTags)
	}
	return s + " (" + Clean(strings.Join(tags, ", ")) + ")"
}
