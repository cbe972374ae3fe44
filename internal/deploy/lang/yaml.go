package lang

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// The YAML that is read is YAML 1.2's core schema (so that yes and no are
// strings), one document in a source, with anchors and aliases. Merge keys and
// type tags are not supported.

// Bounds on YAML alone; JSON, which needs a fraction of the time and memory,
// is the way out for larger files.
const (
	maxYAML = 4 << 20 // bytes
	// maxKeys and maxItems are there because the parser takes time quadratic
	// in the keys of a block mapping, and in the items without a value: a
	// second for 20,000 keys in one mapping.
	maxKeys  = 50_000
	maxItems = 100_000
	// maxMarkers bounds the lines --- and ..., of which one is enough.
	maxMarkers = 100
	// maxValues bounds the values with each alias counted as what it stands
	// for, so that aliases of aliases cannot multiply.
	maxValues = 1 << 20
)

func parseYAML(p *problems, s *Source) *Value {
	name, data := s.Name, s.Data
	c := &converter{problems: p, source: s, name: name, anchors: map[string]*Value{}}
	if len(data) > maxYAML {
		p.errorf(state.Position{File: name, Line: 1, Column: 1}, nil,
			"the file has %d bytes; of YAML at most %d are read: split it, or write it as JSON", len(data), maxYAML)
		return nil
	}
	text := data
	if s.shortForms {
		text = withoutInnerColons(data)
	}
	file := c.parse(text)
	if file == nil {
		return nil
	}
	var root *Value
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.DirectiveNode:
		default:
			if root != nil {
				p.errorf(c.place(body.GetToken()), nil, "a second YAML document; only one is allowed")
				return root
			}
			root = c.value(body, nil)
		}
	}
	if root == nil {
		root = &Value{At: state.Position{File: name, Line: 1, Column: 1}, size: 1}
	}
	annotate(root, c.comments, data)
	return root
}

// colon stands for a colon within a word of a template of CloudFormation while that is
// parsed: within brackets, the library takes [ecr:PutImage] and [!Ref AWS::Region]
// for mappings. YAML does not allow this character, and places stay the same.
const colon = '\x7f'

func withoutInnerColons(text []byte) []byte {
	out := bytes.Clone(text)
	word := func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '*' || c == ':' || c == '/'
	}
	for i := 1; i < len(text)-1; i++ {
		if text[i] == ':' && word(text[i-1]) && word(text[i+1]) {
			out[i] = colon
		}
	}
	return out
}

type converter struct {
	*problems
	source   *Source
	name     string
	anchors  map[string]*Value
	full     bool // maxValues was reached and reported
	comments []comment
}

func (c *converter) place(t *token.Token) state.Position {
	if t == nil || t.Position == nil {
		return state.Position{File: c.name}
	}
	return state.Position{File: c.name, Line: t.Position.Line, Column: t.Position.Column}
}

// parse turns text into the library's tree, nil when that fails. The library
// recurses by depth and by the keys of a mapping, and Go cannot recover from
// a stack that is full; so both are bounded first, on the tokens.
func (c *converter) parse(data []byte) (file *ast.File) {
	defer func() {
		if r := recover(); r != nil {
			c.errorf(state.Position{File: c.name, Line: 1, Column: 1}, nil, "this YAML cannot be read (%v)", r)
			file = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if !c.bounded(tokens) {
		return nil
	}
	c.comments = yamlComments(tokens, data)
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, msg := state.Position{File: c.name, Line: 1, Column: 1}, err.Error()
		var located yaml.Error
		if errors.As(err, &located) {
			at, msg = c.place(located.GetToken()), located.GetMessage()
		}
		c.syntaxError(at, msg, located)
		return nil
	}
	return file
}

// syntaxError reports what the library says at a place, with advice for the
// mistakes that people make.
func (c *converter) syntaxError(at state.Position, msg string, err yaml.Error) {
	var line string
	if lines := strings.Split(string(c.source.Data), "\n"); 0 < at.Line && at.Line <= len(lines) {
		line = lines[at.Line-1]
	}
	bare := strings.TrimLeft(line, " \t")
	first := len(line)-len(bare) == at.Column-1 // the place is the first thing on its line
	if tab := strings.IndexByte(line[:len(line)-len(bare)], '\t'); tab >= 0 {
		at.Column = tab + 1
		c.errorf(at, nil, "a tab in the indentation, where YAML allows only spaces")
		return
	}
	var t *token.Token
	if err != nil {
		t = err.GetToken()
	}
	switch {
	case strings.Contains(line, "{{") || strings.Contains(line, "{%"):
		msg += "; templates are not evaluated: render the file first"
	case t == nil:
	case t.Type == token.AliasType, t.PreviousType() == token.AliasType:
		msg += "; quote a string that begins with *"
	case strings.HasSuffix(msg, "is a reserved character"):
		msg += "; quote the string"
	case msg == "mapping value is not allowed in this context":
		msg += "; write it on the next line, indented"
	case first && strings.Contains(msg, "not allowed in this context"):
		msg += "; check the indentation of this line"
	}
	c.errorf(at, nil, "%s", msg)
}

// bounded checks how deep the tokens nest and how many keys they hold.
func (c *converter) bounded(tokens token.Tokens) bool {
	flow, run, keys, items, markers := 0, 0, 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
			run++
		case token.MappingEndType, token.SequenceEndType:
			flow--
			run = 0
		case token.CollectEntryType:
			items++
			run = 0
		case token.SequenceEntryType:
			items++
			run++
			if t.Prev != nil && t.Prev.Type == t.Type && t.Position.Column <= t.Prev.Position.Column {
				run = 1 // the item before is empty
			}
		case token.MappingKeyType, token.TagType, token.AnchorType:
			run++
		case token.MappingValueType:
			keys++
		case token.DocumentHeaderType, token.DocumentEndType:
			markers++
			run = 0
		case token.CommentType:
		default:
			// a scalar ends what nests on one line; the name after & is none
			if t.Prev == nil || t.Prev.Type != token.AnchorType {
				run = 0
			}
		}
		switch {
		case flow > maxDepth || run > maxDepth:
			c.errorf(c.place(t), nil, "nested deeper than %d levels", maxDepth)
			return false
		case keys > maxKeys:
			c.errorf(c.place(t), nil, "more than %d keys; split the file, or write it as JSON", maxKeys)
			return false
		case items > maxItems:
			c.errorf(c.place(t), nil, "more than %d list items; split the file, or write it as JSON", maxItems)
			return false
		case markers > maxMarkers:
			c.errorf(c.place(t), nil, "a second YAML document; only one is allowed")
			return false
		}
	}
	return true
}

// value converts n. It never returns nil.
func (c *converter) value(n ast.Node, path jsonpos.Path) *Value {
	v := &Value{size: 1}
	if n == nil {
		return v
	}
	v.At = c.place(n.GetToken())
	if len(path) > maxDepth {
		c.errorf(v.At, nil, "nested deeper than %d levels", maxDepth)
		v.Kind = Broken
		return v
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		v.Kind, v.Text = Boolean, n.GetToken().Value
	case *ast.IntegerNode:
		v.Kind, v.Text = Number, n.GetToken().Value
		if IsDecimal(v.Text) {
			v.Kind = Integer
		}
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.Kind, v.Text = Number, n.GetToken().Value
	case *ast.StringNode:
		v.Kind, v.Text, v.Plain = Text, c.whole(n.Value), n.Token.Type == token.StringType
		v.from, v.start = c.source, -1
	case *ast.LiteralNode:
		v.Kind, v.from, v.start = Text, c.source, -1
		if n.Value != nil {
			v.Text = c.whole(n.Value.Value)
		}
	case *ast.SequenceNode:
		v.Kind, v.Inline = List, n.IsFlowStyle
		for i, item := range n.Values {
			if c.full {
				break
			}
			item := c.value(item, path.At(i))
			v.Items = append(v.Items, item)
			c.grow(v, item)
		}
	case ast.MapNode:
		c.mapping(v, n, path)
	case *ast.AnchorNode:
		v = c.value(n.Value, path)
		if n.Name != nil {
			c.anchors[n.Name.GetToken().Value] = v
		}
	case *ast.AliasNode:
		return c.alias(v, n, path)
	case *ast.TagNode:
		if function := c.function(n.GetToken().Value); function != "" {
			v.Kind = Mapping
			argument := c.value(n.Value, path.At(function))
			v.Members = []Member{{function, v.At, argument}}
			c.grow(v, argument)
			return v
		}
		c.errorf(v.At, path, "type tags such as %s are not supported; quote strings instead", Clip(n.GetToken().Value))
		v.Kind = Broken
	default:
		c.errorf(v.At, path, "this form of YAML (%s) is not supported", n.Type().YAMLName())
		v.Kind = Broken
	}
	return v
}

// function is the function of CloudFormation whose short form a tag is; "" when it
// is none, or they are not read.
func (c *converter) function(tag string) string {
	name, ok := strings.CutPrefix(tag, "!")
	switch {
	case !ok || !c.source.shortForms || name == "" || strings.HasPrefix(name, "!"):
		return ""
	case name == "Ref", name == "Condition":
		return name
	}
	return "Fn::" + name
}

// whole is a text as it stands in the file.
func (c *converter) whole(text string) string {
	if !c.source.shortForms {
		return text
	}
	return strings.ReplaceAll(text, string(colon), ":")
}

// grow counts child as a part of v.
func (c *converter) grow(v, child *Value) {
	v.size += child.size
	if v.size > maxValues && !c.full {
		c.full = true
		c.errorf(child.At, nil, "more than %d values, counting each alias as the values it refers to", maxValues)
	}
}

func (c *converter) alias(v *Value, n *ast.AliasNode, path jsonpos.Path) *Value {
	name := ""
	if n.Value != nil {
		name = n.Value.GetToken().Value
	}
	target, ok := c.anchors[name]
	if !ok {
		c.errorf(v.At, path, "there is no anchor &%s above this; quote a string that begins with *", Clip(name))
		v.Kind = Broken
		return v
	}
	return target
}

func (c *converter) mapping(v *Value, n ast.MapNode, path jsonpos.Path) {
	v.Kind = Mapping
	if m, ok := n.(*ast.MappingNode); ok {
		v.Inline = m.IsFlowStyle
	}
	seen := map[string]state.Position{}
	for it := n.MapRange(); it.Next() && !c.full; {
		keyNode := it.Key()
		at := c.place(keyNode.GetToken())
		if len(v.Members) == 0 && v.At.Line > 0 {
			if !v.Inline {
				v.At = at // a block mapping's own token is its first colon
			}
		}
		if keyNode.IsMergeKey() {
			c.errorf(at, path, "merge keys (<<) are not supported; use defaults, or an alias for a whole value")
			continue
		}
		key, err := keyText(keyNode)
		key = c.whole(key)
		if err != nil {
			c.errorf(at, path, "%v", err)
			continue
		}
		child := path.At(key)
		if first, twice := seen[key]; twice {
			c.twice(at, child, first)
			c.grow(v, c.value(it.Value(), child)) // for its own mistakes
			continue
		}
		seen[key] = at
		m := Member{key, at, c.value(it.Value(), child)}
		v.Members = append(v.Members, m)
		c.grow(v, m.Value)
	}
}

// keyText is a key as written: keys are names, also those that YAML would
// take for numbers.
func keyText(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.MappingKeyNode:
		if n.Value == nil {
			return "", errors.New("a key is missing after ?")
		}
		return keyText(n.Value)
	case *ast.StringNode:
		return n.Value, nil
	case *ast.NullNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("a key must be a plain name, not %s", n.Type().YAMLName())
}
