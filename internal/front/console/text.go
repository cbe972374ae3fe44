package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
)

// t is a text of the catalogue: every word that people read on a page passes here, in
// templates and in code, except what package report says. catalogue.txt lists them
// all; a test writes it, and another language would stand next to it.
func t(text string, args ...any) string {
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// clean is s of others for a page: html/template makes it text, and this takes what
// would change the order of letters or is no letter.
func clean(s string) string { return words.Clean(s) }

// short is the beginning of a digest.
func short(digest string) string { return words.Digest(digest) }

// size is a number of bytes for people.
func size(n int64) string { return words.Bytes(n) }

// cellTime is a time in a cell: for people how far away it is, and in full.
func cellTime(now, at time.Time) cell {
	if at.IsZero() {
		return cell{Text: t("never"), Soft: true}
	}
	return cell{Text: distance(now, at), Sub: words.Day(at), Time: at.UTC().Format(time.RFC3339), Full: at.UTC().Format("2006-01-02 15:04:05 UTC")}
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

// functions are what templates call.
var functions = template.FuncMap{
	"t":     t,
	"clean": clean,
	"asset": assetURL,
}

// count is a number.
func count(n int) string { return strconv.Itoa(n) }

// prettyJSON is JSON as people edit it; text that is none stays as it is.
func prettyJSON(text string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", "  "); err != nil {
		return text
	}
	return b.String()
}
