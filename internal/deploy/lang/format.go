package lang

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/kontor-registry/kontor/internal/textfile"
)

// Format formats the source's text. Its meaning and comments do not change; a
// text for which that cannot be kept is an error, and so is one that cannot be
// parsed. The fields need not be valid. What Format returns, which is UTF-8, it returns again.
//
// Of YAML only indent (two spaces, also for lists in mappings), the space after
// "-" and ":", the ends of lines and blank lines (one at most) change; JSON has
// every member and item on its own line; HCL is formatted as terraform fmt does
// it.
func Format(s Source) ([]byte, error) {
	before, errs := Parse(s)
	if len(errs) > 0 {
		return nil, errs.InOrder([]string{s.Name})
	}
	text, err := textfile.Decode(s.Data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err) // Parse has said it
	}
	language := Of(s.Name)
	// Comments may need a second look to stand where they belong.
	for range 3 {
		out := layOut(language, text)
		if err := sameContent(s, before, text, out); err != nil {
			return nil, err
		}
		if bytes.Equal(out, text) {
			return out, nil
		}
		text = out
	}
	return nil, fmt.Errorf("%s cannot be formatted: the result is not stable", s.Name)
}

func layOut(l Language, text []byte) []byte {
	switch l {
	case JSON:
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
			return text // empty: anything else has been parsed
		}
		return append(b.Bytes(), '\n')
	case HCL:
		out := hclwrite.Format(text)
		if out = bytes.TrimSpace(out); len(out) == 0 {
			return nil
		}
		return append(out, '\n')
	}
	return formatYAML(text)
}

// sameContent compares the meaning and the comments of a layout with those of
// the text before.
func sameContent(s Source, before *Value, text, out []byte) error {
	after, errs := Parse(Source{Name: s.Name, Data: out})
	language := Of(s.Name)
	if len(errs) > 0 || !sameValue(before, after) || !slices.Equal(words(language, text), words(language, out)) ||
		language == YAML && !bytes.Equal(withoutSpace(text), withoutSpace(out)) {
		return fmt.Errorf("%s cannot be formatted without changing its meaning; it was not changed", s.Name)
	}
	return nil
}

// sameValue compares values, not places.
func sameValue(a, b *Value) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Members) != len(b.Members) {
		return false
	}
	for i := range a.Items {
		if !sameValue(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Members {
		if a.Members[i].Key != b.Members[i].Key || !sameValue(a.Members[i].Value, b.Members[i].Value) {
			return false
		}
	}
	return true
}

// words are the comments of a text.
func words(l Language, text []byte) []string {
	var out []string
	for _, c := range comments(l, text) {
		out = append(out, c.text)
	}
	return out
}

func withoutSpace(text []byte) []byte {
	return bytes.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return -1
		}
		return c
	}, text)
}
