package lang

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// comment is a comment of a text, with its marks and without the space around
// it. Lines and columns count from 1.
type comment struct {
	text               string
	line, column, last int  // the lines on which it begins and ends
	own                bool // nothing stands before it on its line
}

// comments are those of a text, which has been parsed, in their order.
func comments(l Language, text []byte) []comment {
	switch l {
	case HCL:
		tokens, _ := hclsyntax.LexConfig(text, "", hcl.InitialPos) // it has been parsed
		return hclComments(tokens, text)
	case YAML:
		return yamlComments(lexer.Tokenize(string(text)), text)
	}
	return nil
}

func hclComments(tokens hclsyntax.Tokens, text []byte) []comment {
	var out []comment
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenComment {
			continue
		}
		s := strings.TrimSpace(string(t.Bytes))
		before := text[:t.Range.Start.Byte]
		before = before[bytes.LastIndexByte(before, '\n')+1:]
		line := t.Range.Start.Line
		out = append(out, comment{s, line, t.Range.Start.Column, line + strings.Count(s, "\n"), len(bytes.TrimSpace(before)) == 0})
	}
	return out
}

func yamlComments(tokens token.Tokens, text []byte) []comment {
	var out []comment
	var lines [][]byte
	for _, t := range tokens {
		if t.Type != token.CommentType {
			continue
		}
		if lines == nil {
			lines = bytes.Split(text, []byte("\n"))
		}
		at := t.Position
		own := at.Line < 1 || at.Line > len(lines) || bytes.HasPrefix(bytes.TrimSpace(lines[at.Line-1]), []byte("#"))
		out = append(out, comment{strings.TrimSpace(t.Value), at.Line, at.Column, at.Line, own})
	}
	return out
}

// lines are the comment's words, line by line, without its marks.
func (c comment) lines() []string {
	s := c.text
	if block, ok := strings.CutPrefix(s, "/*"); ok {
		var out []string
		for line := range strings.SplitSeq(strings.TrimSpace(strings.TrimSuffix(block, "*/")), "\n") {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "* ")))
		}
		return out
	}
	s = strings.TrimPrefix(s, "//")
	s = strings.TrimPrefix(s, "#")
	return []string{strings.TrimPrefix(s, " ")}
}

// entry is a member or item of a tree, and where it begins.
type entry struct {
	line, column int
	value        *Value
	// opens: it is an item of a list, and its own first entry stands on the same
	// line, so that what is at the end of the line belongs to that.
	opens bool
}

// entries are those of root in their order, each value once.
func entries(root *Value) []entry {
	var out []entry
	seen := map[*Value]bool{root: true}
	var walk func(v *Value)
	add := func(line, column int, v *Value, item bool) {
		if seen[v] {
			return // an alias of YAML
		}
		seen[v] = true
		opens := item && !v.Inline && (len(v.Items) > 0 || len(v.Members) > 0 && v.Members[0].At.Line == line)
		out = append(out, entry{line, column, v, opens})
		walk(v)
	}
	walk = func(v *Value) {
		for _, m := range v.Members {
			add(m.At.Line, m.At.Column, m.Value, false)
		}
		for _, item := range v.Items {
			add(item.At.Line, item.At.Column, item, true)
		}
	}
	walk(root)
	slices.SortStableFunc(out, func(a, b entry) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column)) })
	return out
}

// annotate gives the values of root the comments and blank lines of the text
// that they were read from.
func annotate(root *Value, all []comment, text []byte) {
	list := entries(root)
	if len(list) == 0 {
		for i := range all {
			root.Above = paragraph(root.Above, all, i)
		}
		return
	}
	lines := bytes.Split(text, []byte("\n"))
	blank := func(line int) bool {
		return 0 < line && line <= len(lines) && len(bytes.TrimSpace(lines[line-1])) == 0
	}
	// The head of a file ends with the last blank line before its first entry.
	head := list[0].line - 1
	for head > 0 && !blank(head) {
		head--
	}
	begins := make(map[*Value]int, len(all)) // the lines of entries' first comments
	for i, c := range all {
		after, _ := slices.BinarySearchFunc(list, c, func(e entry, c comment) int {
			return cmp.Or(cmp.Compare(e.line, c.line), cmp.Compare(e.column, c.column))
		})
		switch {
		case c.own && c.line < head:
			root.Above = paragraph(root.Above, all, i)
		case c.own && after == len(list):
			root.Below = paragraph(root.Below, all, i)
		case c.own:
			e := list[after].value
			e.Above = append(e.Above, c.lines()...)
			if begins[e] == 0 {
				begins[e] = c.line
			}
		case after == 0:
			root.Above = append(root.Above, c.lines()...)
		default:
			e := lineOwner(list[:after], c.line)
			e.Beside = strings.TrimSpace(e.Beside + " " + strings.Join(c.lines(), " "))
		}
	}
	for i, e := range list {
		line := cmp.Or(begins[e.value], e.line)
		e.value.Gap = i > 0 && list[i-1].line < line && blank(line-1)
	}
}

// paragraph adds the i-th comment to lines, after an empty one where there is
// space between it and the one before.
func paragraph(lines []string, all []comment, i int) []string {
	if len(lines) > 0 && all[i-1].last < all[i].line-1 {
		lines = append(lines, "")
	}
	return append(lines, all[i].lines()...)
}

// lineOwner is what a comment at the end of the line belongs to, of the
// entries before it.
func lineOwner(before []entry, line int) *Value {
	i, _ := slices.BinarySearchFunc(before, line, func(e entry, line int) int {
		if e.line < line {
			return -1
		}
		return 1
	})
	if i == len(before) {
		return before[i-1].value // it is at the end of something longer
	}
	for before[i].opens && i+1 < len(before) {
		i++
	}
	return before[i].value
}
