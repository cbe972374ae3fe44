package leases

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxLine is more than the longest reference: a host of 255 characters, a
// repository of 256, a tag of 128 and a digest.
const maxLine = 4096

// List reads a plain list: one reference a line, and what follows it after
// white space says who uses it. Empty lines and what follows a # are left out;
// a # within a word is part of it. The user of a line that names none is name
// and the line's number, such as "images.txt:3".
func List(name string, text []byte) ([]Use, error) {
	var out []Use
	n := 0
	for line := range bytes.Lines(text) {
		n++
		at := fmt.Sprintf("%s:%d", name, n)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("%s: the line has more than %d bytes", at, maxLine)
		case !utf8.Valid(line):
			return nil, fmt.Errorf("%s: the line is not UTF-8", at)
		}
		var words []string
		for _, w := range strings.Fields(string(line)) {
			if strings.HasPrefix(w, "#") {
				break
			}
			words = append(words, w)
		}
		if len(words) == 0 {
			continue
		}
		if _, err := ParseReference(words[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		user := at
		if len(words) > 1 {
			user = strings.Join(words[1:], " ")
		}
		out = append(out, Use{words[0], user})
	}
	return out, nil
}
