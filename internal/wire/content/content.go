// Package content answers requests for stored content: whole, in ranges, or not
// at all when the client has it. It is http.ServeContent where that is right.
//
// Source: RFC 9110 section 14.
package content

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Serve answers r, a GET or HEAD, with c. The headers that describe c, with an
// Etag, are set already. To keep downloads cheap w must be net/http's own
// ResponseWriter, or implement io.ReaderFrom through it, and c an *os.File.
func Serve(w http.ResponseWriter, r *http.Request, c io.ReadSeeker) {
	switch ranges, satisfiable := ranges(r.Header.Get("Range")); {
	case !satisfiable && r.Header.Get("If-Range") == "":
		size, err := c.Seek(0, io.SeekEnd)
		if err != nil {
			http.Error(w, "The content cannot be read.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		http.Error(w, "The range is empty.", http.StatusRequestedRangeNotSatisfiable)
		return
	case ranges == "" || !satisfiable:
		r.Header.Del("Range")
	default:
		r.Header.Set("Range", ranges)
	}
	http.ServeContent(w, r, "", time.Time{}, c)
}

// ranges is a Range header as net/http understands it: "" for one in another
// unit than bytes, which is to be ignored, and without ranges of the last 0
// bytes, which net/http takes for satisfiable (section 14.1.2).
func ranges(header string) (rest string, satisfiable bool) {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return "", true
	}
	var kept []string
	for _, spec := range strings.Split(list, ",") {
		if last, suffix := strings.CutPrefix(strings.TrimSpace(spec), "-"); suffix && last != "" && strings.Trim(last, "0") == "" {
			continue
		}
		kept = append(kept, spec)
	}
	return "bytes=" + strings.Join(kept, ","), len(kept) > 0
}
