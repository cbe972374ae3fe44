package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// TagTexts are tags as text.
func TagTexts(tags []ecr.Tag) []string {
	var out []string
	for _, tag := range tags {
		out = append(out, string(tag))
	}
	return out
}

// CleanLines is clean for text of several lines.
func CleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		indent := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
		lines[i] = lines[i][:indent] + Clean(lines[i][indent:])
	}
	return strings.Join(lines, "\n")
}

// Indented is a policy as people edit it.
func Indented(text string) string {
	if text == "" {
		return ""
	}
	return PrettyJSON(text)
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

var t = T

// T is a text of the catalogue: every word that people read on a page passes here, in
// templates and in code, except what package report says. catalogue.txt lists them
// all; a test writes it, and another language would stand next to it.
func T(text string, args ...any) string {
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Clean is s of others for a page: html/template makes it text, and this takes what
// would change the order of letters or is no letter.
func Clean(s string) string { return words.Clean(s) }

// Short is the beginning of a digest.
func Short(digest string) string { return words.Digest(digest) }

// Size is a number of bytes for people.
func Size(n int64) string { return words.Bytes(n) }

// CellTime is a time in a cell: for people how far away it is, and in full.
func CellTime(now, at time.Time) Cell {
	if at.IsZero() {
		return Cell{Text: t("never"), Soft: true}
	}
	return Cell{Text: distance(now, at), Sub: words.Day(at), Time: at.UTC().Format(time.RFC3339), Full: at.UTC().Format("2006-01-02 15:04:05 UTC")}
}

// distance is how far away a time is, in days, or in less where it is less.
func distance(now, at time.Time) string {
	d, ago := at.Sub(now), false
	if d < 0 {
		d, ago = -d, true
	}
	if d >= 24*time.Hour {
		return words.Distance(now, at)
	}
	text := words.Count(int(d/time.Hour), t("hour"), t("hours"))
	switch {
	case d < time.Minute && ago:
		return t("just now")
	case d < time.Minute:
		return t("within a minute")
	case d < time.Hour:
		text = words.Count(int(d/time.Minute), t("minute"), t("minutes"))
	}
	if ago {
		return t("%s ago", text)
	}
	return t("in %s", text)
}

// Count is a number.
func Count(n int) string { return strconv.Itoa(n) }

// PrettyJSON is JSON as people edit it; text that is none stays as it is.
func PrettyJSON(text string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		return text
	}
	return b.String()
}

// Mutability says whether tags can move.
func Mutability(m ecr.Mutability) string {
	switch m.Mode {
	case ecr.Mutable:
		return t("mutable")
	case ecr.Immutable:
		return t("immutable")
	}
	if strings.HasPrefix(string(m.Mode), "IMMUTABLE") {
		return t("immutable, with exceptions")
	}
	return t("mutable, with exceptions")
}
