package lang

import (
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// yamlLine is a line of YAML and what begins on it.
type yamlLine struct {
	text   string         // without the line break
	tokens []*token.Token // that begin on it, without the content of block scalars
	flow   int            // how many brackets are open at its beginning
	block  bool           // a line of a block scalar
	keep   bool           // of one that keeps the blank lines at its end
	indent int            // to be given to it; -1 for that of the next line
}

func (l *yamlLine) blank() bool { return strings.TrimSpace(l.text) == "" }

// structural reports whether l begins a key, an item or a value, which says by
// its indent where it belongs.
func (l *yamlLine) structural() bool { return len(l.tokens) > 0 && l.flow == 0 && !l.comment() }

func (l *yamlLine) comment() bool {
	return len(l.tokens) > 0 && l.flow == 0 && l.tokens[0].Type == token.CommentType
}

// yamlLines splits a text, which has been parsed, into lines with their tokens.
func yamlLines(text string) []*yamlLine {
	parts := strings.Split(text, "\n")
	lines := make([]*yamlLine, len(parts))
	for i, s := range parts {
		lines[i] = &yamlLine{text: s}
	}
	flow, content := 0, false
	var header *token.Token
	at := 0 // the line that flow, content and header are up to date for
	reach := func(n int) {
		for ; at < min(n, len(lines)-1); at++ {
			l := lines[at+1]
			l.flow = flow
			if header != nil {
				l.block, l.keep = true, strings.Contains(header.Value, "+")
			}
		}
	}
	for _, t := range lexer.Tokenize(text) {
		if content { // the text of a block scalar
			content = false
			continue
		}
		n := t.Position.Line - 1
		if n < 0 || n >= len(lines) {
			continue
		}
		reach(n)
		if t.Type != token.CommentType || header == nil || header.Position.Line-1 != n {
			if header != nil && header.Position.Line-1 != n {
				header = nil
				lines[n].block = false
			}
		}
		lines[n].tokens = append(lines[n].tokens, t)
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.LiteralType, token.FoldedType:
			header, content = t, true
			if t.Next != nil && t.Next.Type == token.CommentType {
				content = false // its text comes after the comment
			}
		case token.CommentType:
			if header != nil && header.Position.Line-1 == n {
				content = true
			}
		}
	}
	reach(len(lines))
	return lines
}

// yamlLevel is a column at which keys, or the dashes of a list, stand.
type yamlLevel struct {
	before, after int // columns from 0
	dash          bool
}

type yamlLevels []yamlLevel

// at is the new column of what stood at column before.
func (s *yamlLevels) at(before int, dash bool) int {
	for len(*s) > 0 {
		top := (*s)[len(*s)-1]
		if top.before < before || top.before == before && (!top.dash || dash) {
			break
		}
		*s = (*s)[:len(*s)-1]
	}
	after := 0
	if len(*s) > 0 {
		top := (*s)[len(*s)-1]
		if top.before == before && top.dash == dash {
			return top.after
		}
		after = top.after + 2
	}
	*s = append(*s, yamlLevel{before, after, dash})
	return after
}

// formatYAML formats text, which has been parsed.
func formatYAML(text []byte) []byte {
	lines := yamlLines(strings.ReplaceAll(string(text), "\r\n", "\n"))
	var levels yamlLevels
	shift := 0
	for i, l := range lines {
		switch {
		case l.blank():
			if !l.block {
				l.text = ""
			}
		case l.structural():
			shift = l.layOut(&levels)
		case l.comment():
			l.text = strings.TrimSpace(l.text)
			l.indent = -1
			column := l.tokens[0].Position.Column - 1
			if next := nextStructural(lines[i+1:]); next == nil || next.tokens[0].Position.Column-1 != column {
				for _, level := range levels {
					if level.before == column {
						l.indent = level.after
					}
				}
			}
		default: // more of the line before
			bare := strings.TrimLeft(l.text, " ")
			l.indent = max(0, len(l.text)-len(bare)+shift)
			l.text = bare
			if !l.block {
				l.text = strings.TrimRight(bare, " \t")
			}
		}
	}
	var b strings.Builder
	indent := 0
	for i := len(lines) - 1; i >= 0; i-- {
		if l := lines[i]; l.structural() {
			indent = l.indent
		} else if l.indent < 0 {
			l.indent = indent
		}
	}
	blanks := 0
	for i, l := range lines {
		if l.blank() {
			blanks++
			if next := nextText(lines[i:]); next == nil || b.Len() == 0 || blanks > 1 && !l.keep && (next.structural() || next.comment()) {
				if !l.keep {
					continue
				}
				if i == len(lines)-1 {
					continue // what follows the last line break
				}
			}
			b.WriteString(strings.TrimRight(l.text, "\t"))
			b.WriteByte('\n')
			continue
		}
		blanks = 0
		b.WriteString(strings.Repeat(" ", l.indent))
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

func nextStructural(lines []*yamlLine) *yamlLine {
	for _, l := range lines {
		if l.structural() {
			return l
		}
	}
	return nil
}

func nextText(lines []*yamlLine) *yamlLine {
	for _, l := range lines {
		if !l.blank() {
			return l
		}
	}
	return nil
}

// layOut gives a structural line its indent and its spaces, and returns by how
// much what it begins has moved.
func (l *yamlLine) layOut(levels *yamlLevels) (shift int) {
	if t := l.tokens[0].Type; t == token.DocumentHeaderType || t == token.DocumentEndType || t == token.DirectiveType {
		*levels = nil
		l.text = strings.TrimRight(l.text, " \t")
		return 0
	}
	runes := []rune(l.text)
	dashes, column, after := "", 0, 0
	for i, t := range l.tokens {
		column = t.Position.Column - 1
		dash := t.Type == token.SequenceEntryType
		if i > 0 && t.Type == token.CommentType {
			break // after dashes alone: it says nothing of columns
		}
		if after = levels.at(column, dash); i == 0 {
			l.indent = after
		}
		if !dash {
			break
		}
		dashes += "- "
		column++ // of what follows, if that is a comment or nothing
	}
	shift = after - (l.lastColumn())
	rest := ""
	if column < len(runes) {
		rest = string(runes[column:])
	}
	l.text = strings.TrimRight(dashes+strings.TrimLeft(l.spaced(rest, column), " "), " \t")
	return shift
}

// lastColumn is that of the first token that is not a dash, or of the last dash.
func (l *yamlLine) lastColumn() int {
	column := 0
	for i, t := range l.tokens {
		if i > 0 && t.Type == token.CommentType {
			break
		}
		column = t.Position.Column - 1
		if t.Type != token.SequenceEntryType {
			break
		}
	}
	return column
}

// spaced is rest, which begins at column, with one space after the colon of
// the line's key.
func (l *yamlLine) spaced(rest string, column int) string {
	for i, t := range l.tokens {
		if t.Type == token.MappingStartType || t.Type == token.SequenceStartType {
			break
		}
		if t.Type != token.MappingValueType {
			continue
		}
		at := t.Position.Column - 1 - column
		runes := []rune(rest)
		if at < 0 || at >= len(runes) || runes[at] != ':' || i+1 == len(l.tokens) || l.tokens[i+1].Type == token.CommentType {
			break
		}
		value := strings.TrimLeft(string(runes[at+1:]), " ")
		if value == "" || value == string(runes[at+1:]) {
			break
		}
		return string(runes[:at+1]) + " " + value
	}
	return rest
}
