package lang

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// PlaceOf is where the character at the offset, in bytes, of a text stands in
// its file: on its line of a block of lines, behind the escapes before it in
// quotes. It is for documents within a text, whose own places are of no use to
// a reader of the file. It is not known of texts that were not read, and of
// those that the language has changed, as HCL does with letters that are not
// composed.
//
// White space within a text is not told apart: folding may have changed it.
func (v *Value) PlaceOf(offset int) (state.Position, bool) {
	begins, ok := v.OffsetOf(offset)
	if !ok {
		return state.Position{}, false
	}
	return positionOf(v.from.Name, string(v.from.Data), begins), true
}

// OffsetOf is PlaceOf as an offset in bytes in the source.
func (v *Value) OffsetOf(offset int) (int, bool) {
	if v.Kind != Text || v.from == nil {
		return 0, false
	}
	src := string(v.from.Data)
	start := v.start
	if start < 0 {
		start = offsetOf(src, v.At)
	}
	r := textReader{src: src, at: start}
	r.open(Of(v.from.Name))
	text := v.Text
	for at := 0; ; {
		for at < len(text) {
			c, n := utf8.DecodeRuneInString(text[at:])
			if !unicode.IsSpace(c) {
				break
			}
			at += n
		}
		c, begins, ok := r.next()
		switch {
		case at >= len(text) || at >= offset:
			return begins, true
		case !ok || !strings.HasPrefix(text[at:], c):
			return 0, false
		}
		at += len(c)
	}
}

// offsetOf is the offset in bytes of a place.
func offsetOf(src string, at state.Position) int {
	offset := 0
	for line := 1; line < at.Line; line++ {
		i := strings.IndexByte(src[offset:], '\n')
		if i < 0 {
			return len(src)
		}
		offset += i + 1
	}
	for range at.Column - 1 {
		_, n := utf8.DecodeRuneInString(src[offset:])
		offset += n
	}
	return offset
}

// positionOf is the place of an offset in bytes.
func positionOf(name, src string, offset int) state.Position {
	offset = min(offset, len(src))
	line := strings.LastIndexByte(src[:offset], '\n') + 1
	return state.Position{
		File: name, Line: strings.Count(src[:offset], "\n") + 1, Column: utf8.RuneCountInString(src[line:offset]) + 1,
	}
}

// textReader reads what the characters of a text mean, one after the other.
type textReader struct {
	src   string
	at    int
	quote byte // that ends the text; 0 for none
	// How the text's form escapes characters: with a backslash, quotes and the
	// beginning of templates by saying them twice.
	backslash, twice, template bool
}

// open reads the beginning of the text at r.at, which says its form.
func (r *textReader) open(l Language) {
	if r.at >= len(r.src) {
		return
	}
	switch c := r.src[r.at]; {
	case c == '"':
		r.at++
		r.quote, r.backslash, r.template = c, true, l == HCL
	case c == '\'' && l == YAML:
		r.at++
		r.quote, r.twice = c, true
	case l == HCL, c == '|', c == '>': // a block: its text begins on the next line
		r.template = l == HCL
		if i := strings.IndexByte(r.src[r.at:], '\n'); i >= 0 {
			r.at += i
		}
	}
}

// next returns the next character that is not white space, and where it begins.
func (r *textReader) next() (c string, begins int, ok bool) {
	for r.at < len(r.src) {
		begins = r.at
		if c = r.character(); c == "" {
			return "", begins, false
		}
		if strings.TrimSpace(c) != "" {
			return c, begins, true
		}
	}
	return "", r.at, false
}

// character reads a character; it is " " for escapes that add nothing, and ""
// at the end.
func (r *textReader) character() string {
	rest := r.src[r.at:]
	switch {
	case r.twice && strings.HasPrefix(rest, "''"):
		r.at += 2
		return "'"
	case r.quote != 0 && rest[0] == r.quote:
		return ""
	case r.backslash && rest[0] == '\\' && len(rest) > 1:
		return r.escape(rest)
	case r.template && (strings.HasPrefix(rest, "$${") || strings.HasPrefix(rest, "%%{")):
		r.at += 2
		return rest[:1]
	}
	_, n := utf8.DecodeRuneInString(rest)
	r.at += n
	return rest[:n]
}

// escapes are what characters after a backslash represent, where that is not
// themselves. Languages differ in which they have, not in what they mean.
var escapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029", '\n': " ", '\r': " ",
}

// digits are how many there are of a code point.
var digits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape reads an escape with a backslash, which rest begins with.
func (r *textReader) escape(rest string) string {
	n := digits[rest[1]]
	if n == 0 {
		r.at += 2
		if s, ok := escapes[rest[1]]; ok {
			return s
		}
		return rest[1:2]
	}
	c := codePoint(rest, n)
	r.at += 2 + n
	if low := codePoint(r.src[min(r.at, len(r.src)):], 4); utf16.IsSurrogate(c) {
		// JSON writes those beyond 16 bits in two halves.
		c = utf16.DecodeRune(c, low)
		r.at += 2 + 4
	}
	return string(c)
}

// codePoint is the one of an escape with n digits.
func codePoint(escape string, n int) rune {
	if len(escape) < 2+n {
		return utf8.RuneError
	}
	c, err := strconv.ParseUint(escape[2:2+n], 16, 31)
	if err != nil {
		return utf8.RuneError
	}
	return rune(c)
}
