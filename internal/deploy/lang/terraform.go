package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Bounds on the code of Terraform, whose parser recurses by brackets and by
// operators.
const (
	maxBrackets  = 100   // open at a time
	maxOperators = 1_000 // without a comma, a bracket or the end of a line between them
)

// ParseTerraform reads the code of a module of Terraform or OpenTofu in the native
// syntax. It returns nil if that cannot be parsed. Nothing is evaluated.
func ParseTerraform(s Source) (*hclsyntax.Body, Errors) {
	p := &problems{}
	return parseTerraform(p, s), p.errs
}

func parseTerraform(p *problems, s Source) (body *hclsyntax.Body) {
	start := state.Position{File: s.Name, Line: 1, Column: 1}
	if !decode(p, &s) {
		return nil
	}
	if len(s.Data) > maxHCL {
		p.errorf(start, nil, "the file has %d bytes; of Terraform code at most %d are read", len(s.Data), maxHCL)
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			p.errorf(start, nil, "this code cannot be read (%v)", r)
			body = nil
		}
	}()
	c := &hclConverter{problems: p, source: &s, name: s.Name, data: s.Data}
	tokens, _ := hclsyntax.LexConfig(s.Data, s.Name, hcl.InitialPos) // what is wrong the parser says again
	brackets, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			brackets++
			operators = 0
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			brackets--
		case hclsyntax.TokenNewline, hclsyntax.TokenComma:
			operators = 0
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenComment:
		default:
			operators++
		}
		if brackets > maxBrackets || operators > maxOperators {
			p.errorf(c.place(t.Range.Start), nil, "this expression is too long or nested too deeply to be read")
			return nil
		}
	}
	file, diags := hclsyntax.ParseConfig(s.Data, s.Name, hcl.InitialPos)
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			at := start
			if d.Subject != nil {
				at = c.place(d.Subject.Start)
			}
			p.errorf(at, nil, "%s", strings.TrimSuffix(d.Detail, "."))
		}
	}
	if diags.HasErrors() {
		return nil
	}
	body, _ = file.Body.(*hclsyntax.Body)
	return body
}
