package lang

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// The HCL that is read is that of a .tfvars file: NAME = VALUE, with strings,
// numbers, booleans, null, lists and mappings. There are no blocks, and nothing
// is evaluated: variables, functions, conditions and templates are errors, so
// that the meaning of a file does not depend on anything else.

// maxHCL bounds the bytes of a file, for a token of HCL takes about a hundred.
const maxHCL = 4 << 20

func parseHCL(p *problems, s *Source) (root *Value) {
	start := state.Position{File: s.Name, Line: 1, Column: 1}
	if len(s.Data) > maxHCL {
		p.errorf(start, nil, "the file has %d bytes; of HCL at most %d are read: split it, or write it as JSON", len(s.Data), maxHCL)
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			p.errorf(start, nil, "this HCL cannot be read (%v)", r)
			root = nil
		}
	}()
	c := &hclConverter{problems: p, source: s, name: s.Name, data: s.Data}
	tokens, _ := hclsyntax.LexConfig(c.data, c.name, hcl.InitialPos) // what is wrong the parser says again
	if !c.bounded(tokens) {
		return nil
	}
	file, diags := hclsyntax.ParseConfig(c.data, c.name, hcl.InitialPos)
	if c.diagnostics(diags) {
		c.allExpressions()
		return nil
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil
	}
	root = c.body(body)
	annotate(root, hclComments(tokens, c.data), c.data)
	return root
}

type hclConverter struct {
	*problems
	source *Source
	name   string
	data   []byte
	// expressions are the tokens that no literal has, in their order.
	expressions []hclExpression
}

// hclExpression is a token that shows that an expression is not a literal.
type hclExpression struct {
	offset  int
	at      hcl.Pos
	message string
}

func (c *hclConverter) place(p hcl.Pos) state.Position {
	return state.Position{File: c.name, Line: max(1, p.Line), Column: max(1, p.Column)}
}

// redefined is what the parser says of a name given twice; it tells where it
// was first in its text only.
var redefined = lazyregexp.New(`^The argument "([^"]+)" was already set at .*:([0-9]+),([0-9]+)-[0-9]+\.`)

// diagnostics reports what the parser found, and whether that keeps it from
// being read.
func (c *hclConverter) diagnostics(diags hcl.Diagnostics) (fatal bool) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		at := state.Position{File: c.name, Line: 1, Column: 1}
		if d.Subject != nil {
			at = c.place(d.Subject.Start)
		}
		if m := redefined.FindStringSubmatch(d.Detail); m != nil {
			c.errorf(at, jsonpos.Path{m[1]}, "given twice, first at %s:%s", m[2], m[3])
			continue
		}
		fatal = true
		c.errorf(at, nil, "%s", strings.TrimSuffix(d.Detail, "."))
	}
	return fatal
}

const onlyValues = "only literal values are allowed here: strings, numbers, true, false, null, lists and mappings"

// maxExpressions bounds the tokens that no literal has: the parser recurses by
// them, and Go cannot recover from a stack overflow.
const maxExpressions = 10_000

// bounded checks how deeply the tokens nest before they are parsed, and collects
// those that no literal has.
func (c *hclConverter) bounded(tokens hclsyntax.Tokens) bool {
	depth := 0
	for i, t := range tokens {
		found := func(at hcl.Pos, offset int, hint string) {
			c.expressions = append(c.expressions, hclExpression{offset, at, onlyValues + hint})
		}
		// named is for what follows a name that belongs to it.
		named := func(hint string) {
			start := t.Range.Start
			if i > 0 && tokens[i-1].Type == hclsyntax.TokenIdent {
				start = tokens[i-1].Range.Start
			}
			found(start, start.Byte, hint)
		}
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack:
			if depth++; depth > maxDepth {
				c.errorf(c.place(t.Range.Start), nil, "nested deeper than %d levels", maxDepth)
				return false
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack:
			depth--
		case hclsyntax.TokenMinus:
			if i+1 == len(tokens) || tokens[i+1].Type != hclsyntax.TokenNumberLit {
				found(t.Range.Start, t.Range.Start.Byte, "")
			}
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			found(t.Range.Start, t.Range.Start.Byte, fmt.Sprintf("; to write %s in a string, use %s", t.Bytes, string(t.Bytes[:1])+string(t.Bytes)))
		case hclsyntax.TokenOParen:
			hint := ""
			if i > 0 {
				switch string(tokens[i-1].Bytes) {
				case "jsonencode":
					hint = "; write the mapping without jsonencode"
				case "file", "templatefile":
					hint = "; write the content of the file here, as a heredoc"
				}
			}
			named(hint)
		case hclsyntax.TokenDot:
			named("")
		case hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenEOF, hclsyntax.TokenComma, hclsyntax.TokenEqual, hclsyntax.TokenColon,
			hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote, hclsyntax.TokenQuotedLit,
			hclsyntax.TokenStringLit, hclsyntax.TokenOHeredoc, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenInvalid, hclsyntax.TokenBadUTF8, hclsyntax.TokenQuotedNewline, hclsyntax.TokenApostrophe,
			hclsyntax.TokenBacktick, hclsyntax.TokenSemicolon, hclsyntax.TokenTabs:
		default:
			found(t.Range.Start, t.Range.Start.Byte, "")
		}
		if len(c.expressions) > maxExpressions {
			c.allExpressions()
			return false
		}
	}
	return true
}

// allExpressions reports, of a file that cannot be parsed, where expressions
// are: one to a line.
func (c *hclConverter) allExpressions() {
	line := 0
	for _, e := range c.expressions {
		if e.at.Line != line {
			c.errorf(c.place(e.at), nil, "%s", e.message)
		}
		line = e.at.Line
	}
}

// refuse reports that the expression at r is not a literal, at the token that
// shows it. It returns false if there is no such token.
func (c *hclConverter) refuse(r hcl.Range, path jsonpos.Path) bool {
	i, _ := slices.BinarySearchFunc(c.expressions, r.Start.Byte, func(e hclExpression, offset int) int { return e.offset - offset })
	if i == len(c.expressions) || c.expressions[i].offset >= r.End.Byte {
		return false
	}
	c.errorf(c.place(c.expressions[i].at), path, "%s", c.expressions[i].message)
	return true
}

// codeBlocks are block types of Terraform, OpenTofu and Terragrunt.
var codeBlocks = []string{
	"check", "data", "dependencies", "dependency", "feature", "generate", "import", "include", "locals", "module", "moved", "output",
	"provider", "remote_state", "removed", "resource", "terraform", "variable",
}

// body converts what is at the top of the file. An attribute given twice the
// parser has refused.
func (c *hclConverter) body(b *hclsyntax.Body) *Value {
	v := &Value{Kind: Mapping, At: state.Position{File: c.name, Line: 1, Column: 1}, size: 1}
	for _, block := range b.Blocks {
		at, path := c.place(block.TypeRange.Start), jsonpos.Path{block.Type}
		if len(block.Labels) > 0 || slices.Contains(codeBlocks, block.Type) {
			c.errorf(at, path, "Terraform code is not read; only NAME = VALUE is allowed here")
		} else {
			c.errorf(at, path, "blocks are not supported; write %s = ...", Clip(block.Type))
		}
	}
	attributes := make([]*hclsyntax.Attribute, 0, len(b.Attributes))
	for _, a := range b.Attributes {
		attributes = append(attributes, a)
	}
	slices.SortFunc(attributes, func(a, b *hclsyntax.Attribute) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	for i, a := range attributes {
		if i == 0 {
			v.At = c.place(a.NameRange.Start)
		}
		v.Members = append(v.Members, Member{a.Name, c.place(a.NameRange.Start), c.value(a.Expr, jsonpos.Path{a.Name})})
	}
	if len(v.Members)+len(b.Blocks) == 0 {
		v.Kind = Null
	}
	return v
}

// value converts a literal. It never returns nil.
func (c *hclConverter) value(e hclsyntax.Expression, path jsonpos.Path) *Value {
	r := e.Range()
	v := &Value{At: c.place(r.Start), size: 1}
	refuse := func() *Value {
		if !c.refuse(r, path) {
			hint := ""
			if t, ok := e.(*hclsyntax.ScopeTraversalExpr); ok && len(t.Traversal) == 1 {
				hint = fmt.Sprintf("; quote strings: %q", t.Traversal.RootName())
			}
			c.errorf(v.At, path, "%s%s", onlyValues, hint)
		}
		v.Kind = Broken
		return v
	}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return c.literal(v, e, refuse)
	case *hclsyntax.UnaryOpExpr:
		l, ok := e.Val.(*hclsyntax.LiteralValueExpr)
		if !ok || e.Op != hclsyntax.OpNegate || l.Val.Type() != cty.Number {
			return refuse()
		}
		v.Text = "-" + string(l.SrcRange.SliceBytes(c.data))
		v.Kind = numberKind(v.Text)
	case *hclsyntax.TemplateExpr:
		v.Kind, v.from, v.start = Text, c.source, r.Start.Byte
		for _, part := range e.Parts {
			l, ok := part.(*hclsyntax.LiteralValueExpr)
			if !ok || l.Val.Type() != cty.String || l.Val.IsNull() {
				return refuse()
			}
			v.Text += l.Val.AsString()
		}
	case *hclsyntax.TupleConsExpr:
		v.Kind, v.Inline = List, r.Start.Line == r.End.Line
		for i, item := range e.Exprs {
			v.Items = append(v.Items, c.value(item, path.At(i)))
		}
	case *hclsyntax.ObjectConsExpr:
		c.object(v, e, path)
	default:
		return refuse()
	}
	return v
}

func (c *hclConverter) literal(v *Value, e *hclsyntax.LiteralValueExpr, refuse func() *Value) *Value {
	switch {
	case e.Val.IsNull():
	case e.Val.Type() == cty.Bool:
		v.Kind, v.Text = Boolean, "false"
		if e.Val.True() {
			v.Text = "true"
		}
	case e.Val.Type() == cty.Number:
		v.Text = string(e.SrcRange.SliceBytes(c.data))
		v.Kind = numberKind(v.Text)
	case e.Val.Type() == cty.String:
		v.Kind, v.Text = Text, e.Val.AsString()
	default:
		return refuse()
	}
	return v
}

func numberKind(text string) Kind {
	if IsDecimal(text) {
		return Integer
	}
	return Number
}

func (c *hclConverter) object(v *Value, e *hclsyntax.ObjectConsExpr, path jsonpos.Path) {
	v.Kind, v.Inline = Mapping, e.SrcRange.Start.Line == e.SrcRange.End.Line
	seen := map[string]state.Position{}
	for _, item := range e.Items {
		at := c.place(item.KeyExpr.Range().Start)
		key, ok := hclKey(item.KeyExpr)
		if !ok {
			if !c.refuse(item.KeyExpr.Range(), path) {
				c.errorf(at, path, "a key must be a name or a quoted string")
			}
			continue
		}
		child := path.At(key)
		val := c.value(item.ValueExpr, child)
		if first, twice := seen[key]; twice {
			c.twice(at, child, first)
			continue
		}
		seen[key] = at
		v.Members = append(v.Members, Member{key, at, val})
	}
}

// hclKey is a key as written: keys are names, also those that HCL would take
// for true, null or a number.
func hclKey(e hclsyntax.Expression) (string, bool) {
	k, ok := e.(*hclsyntax.ObjectConsKeyExpr)
	if !ok {
		return "", false
	}
	if word := hcl.ExprAsKeyword(k); word != "" {
		return word, true
	}
	t, ok := k.Wrapped.(*hclsyntax.TemplateExpr)
	if !ok {
		return "", false
	}
	s := ""
	for _, part := range t.Parts {
		l, ok := part.(*hclsyntax.LiteralValueExpr)
		if !ok || l.Val.Type() != cty.String || l.Val.IsNull() {
			return "", false
		}
		s += l.Val.AsString()
	}
	return s, true
}
