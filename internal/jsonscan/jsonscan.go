// Package jsonscan walks over JSON that is known to be valid, without copying
// it: a reader of outside bytes can decide what to keep before memory is spent.
// Text that is not valid JSON makes it panic or return nonsense; ask json.Valid
// first.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Space returns the place of the first byte at i or later that is no white
// space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// Skip returns the end of the value that begins at i.
func Skip(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			i++
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\n', '\r': // inside an object or array
			i++
		default: // a number or a word
			for i < len(b) && !bytes.ContainsRune([]byte(",]}: \t\n\r"), rune(b[i])) {
				i++
			}
		}
		if depth == 0 {
			return i
		}
	}
}

// Unquote is the value of a string.
func Unquote(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // raw is a valid JSON string
	return s
}

// Elements yields the elements of an array, each as it is written.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := Space(array, Space(array, 0)+1); array[i] != ']'; {
			end := Skip(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = next(array, end)
		}
	}
}

// Members yields the names and values of an object, these as they are written.
func Members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := Space(object, Space(object, 0)+1); object[i] != '}'; {
			end := Skip(object, i)
			name := Unquote(object[i:end])
			i = Space(object, Space(object, end)+1)
			end = Skip(object, i)
			if !yield(name, object[i:end:end]) {
				return
			}
			i = next(object, end)
		}
	}
}

// next steps over a comma, if there is one, to the next member or the end.
func next(b []byte, i int) int {
	if i = Space(b, i); b[i] == ',' {
		i = Space(b, i+1)
	}
	return i
}
