package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format lays out the source's text in the one way of its language, with the
// same meaning and the same comments: what does not hold to that is an error,
// and so is text that cannot be parsed. Whether its fields are right does not
// matter. What Format returns, it returns again.
//
// Of YAML only indent (two spaces, also for lists in mappings), the space after
// "-" and ":", the ends of lines and blank lines (one at most) change; JSON has
// every member and item on a line of its own; HCL is laid out as terraform fmt
// does.
func Format(s Source) ([]byte, error) {
	p := &problems{}
	before := parse(p, s)
	if errs, _ := p.sorted([]Source{s}); len(errs) > 0 {
		return nil, errs
	}
	text := bytes.TrimPrefix(s.Data, []byte("\ufeff"))
	language := languageOf(s.Name)
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
	return nil, fmt.Errorf("%s cannot be formatted: it does not come to rest", s.Name)
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
func sameContent(s Source, before *value, text, out []byte) error {
	p := &problems{}
	after := parse(p, Source{Name: s.Name, Data: out})
	language := languageOf(s.Name)
	if len(p.errs) > 0 || !sameValue(before, after) || !slices.Equal(comments(language, text), comments(language, out)) ||
		language == YAML && !bytes.Equal(withoutSpace(text), withoutSpace(out)) {
		return fmt.Errorf("%s cannot be formatted without changing what it says; it is left as it is", s.Name)
	}
	return nil
}

// sameValue compares values, not places.
func sameValue(a, b *value) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.kind != b.kind || a.text != b.text || len(a.items) != len(b.items) || len(a.members) != len(b.members) {
		return false
	}
	for i := range a.items {
		if !sameValue(a.items[i], b.items[i]) {
			return false
		}
	}
	for i := range a.members {
		if a.members[i].key != b.members[i].key || !sameValue(a.members[i].value, b.members[i].value) {
			return false
		}
	}
	return true
}

// comments are those of a text in their order, without the space around them.
func comments(l Language, text []byte) []string {
	var out []string
	switch l {
	case HCL:
		tokens, _ := hclsyntax.LexConfig(text, "", hcl.InitialPos) // it has been parsed
		for _, t := range tokens {
			if t.Type == hclsyntax.TokenComment {
				out = append(out, strings.TrimSpace(string(t.Bytes)))
			}
		}
	case YAML:
		for _, t := range lexer.Tokenize(string(text)) {
			if t.Type == token.CommentType {
				out = append(out, strings.TrimSpace(t.Value))
			}
		}
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
