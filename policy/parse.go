package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Parse reads a document of any kind: one JSON object, whose names and values
// are those of the IAM policy grammar. Conditions' booleans and numbers become
// strings. The error is an Errors with the places in text.
func Parse(text []byte) (Document, error) {
	doc, _, found, root := parse(text)
	if err := errs(found, root); err != nil {
		return Document{}, err
	}
	return doc, nil
}

// ParseFor is Parse and Validate in one, and counts the size of text itself.
// Its Errors have the places of everything that is wrong.
func ParseFor(text []byte, kind Kind) (Document, error) {
	if long := kind.checkSize(string(text)); long != nil {
		long.place = &jsonpos.Pos{Line: 1, Column: 1}
		return Document{}, errs([]finding{*long}, nil) // and do not read it
	}
	doc, broken, found, root := parse(text)
	found = append(found, kind.check(doc, broken)...)
	if err := errs(found, root); err != nil {
		return Document{}, err
	}
	return doc, nil
}

// UnmarshalJSON is Parse.
func (d *Document) UnmarshalJSON(text []byte) error {
	doc, err := Parse(text)
	if err != nil {
		return err
	}
	*d = doc
	return nil
}

// parse also returns the indexes of the statements that could not be read, and
// the text's value, nil when there is none.
func parse(text []byte) (Document, map[int]bool, []finding, *jsonpos.Value) {
	root, err := jsonpos.Parse(text)
	if err != nil {
		e := err.(*jsonpos.SyntaxError)
		return Document{}, nil, []finding{{CodeSyntax, e.Path, &e.Pos, e.Msg}}, nil
	}
	var d decoder
	doc, broken := d.document(root)
	return doc, broken, append(d.found, grammar(doc, broken)...), root
}

// decoder turns values into a Document and collects what does not fit.
type decoder struct{ found []finding }

func (d *decoder) fail(v *jsonpos.Value, format string, args ...any) {
	d.found = append(d.found, finding{CodeGrammar, v.Path(), &v.Pos, fmt.Sprintf(format, args...)})
}

// document returns no statements when there is no list of them, which it reports.
func (d *decoder) document(root *jsonpos.Value) (Document, map[int]bool) {
	var doc Document
	if !d.object(root, "Version", "Id", "Statement") {
		return doc, nil
	}
	doc.Version = Version(d.text(root.Get("Version")))
	if v := root.Get("Version"); v != nil && v.Kind == jsonpos.String && v.Text == "" {
		d.fail(v, "%s", wrongVersion(""))
	}
	doc.ID = d.text(root.Get("Id"))
	statements := root.Get("Statement")
	if statements == nil {
		d.fail(root, "Statement is missing")
		return doc, nil
	}
	items := []*jsonpos.Value{statements}
	if statements.Kind == jsonpos.Array {
		items = statements.Items
	}
	if len(items) == 0 {
		d.fail(statements, "a policy needs a statement")
	}
	broken := map[int]bool{}
	for i, v := range items {
		before := len(d.found)
		doc.Statements = append(doc.Statements, d.statement(v))
		broken[i] = len(d.found) > before
	}
	return doc, broken
}

func (d *decoder) statement(v *jsonpos.Value) Statement {
	var s Statement
	if !d.object(v, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition") {
		return s
	}
	s.Sid = d.text(v.Get("Sid"))
	s.Effect = Effect(d.text(v.Get("Effect")))
	s.Principal = d.principals(v.Get("Principal"))
	s.NotPrincipal = d.principals(v.Get("NotPrincipal"))
	s.Action = d.list(v.Get("Action"))
	s.NotAction = d.list(v.Get("NotAction"))
	s.Resource = d.list(v.Get("Resource"))
	s.NotResource = d.list(v.Get("NotResource"))
	s.Condition = d.conditions(v.Get("Condition"))
	return s
}

func (d *decoder) principals(v *jsonpos.Value) Principals {
	var p Principals
	switch {
	case v == nil:
		return p
	case v.Kind == jsonpos.String:
		if p.Everyone = v.Text == "*"; !p.Everyone {
			d.fail(v, `want "*" or an object such as {"AWS": %q}`, v.Text)
		}
		return p
	case !d.object(v, "AWS", "Service", "Federated", "CanonicalUser"):
		return p
	case len(v.Members) == 0: // an element that is there and lists no one
		p.AWS = []string{}
		return p
	}
	p.AWS = d.list(v.Get("AWS"))
	p.Service = d.list(v.Get("Service"))
	p.Federated = d.list(v.Get("Federated"))
	p.CanonicalUser = d.list(v.Get("CanonicalUser"))
	return p
}

func (d *decoder) conditions(v *jsonpos.Value) []Condition {
	if v == nil || !d.kind(v, jsonpos.Object) {
		return nil
	}
	var out []Condition
	for _, operator := range v.Members {
		if !d.kind(operator.Value, jsonpos.Object) {
			continue
		}
		if len(operator.Value.Members) == 0 {
			d.fail(operator.Value, "the operator has no condition key")
		}
		for _, key := range operator.Value.Members {
			out = append(out, Condition{operator.Name, key.Name,
				d.list(key.Value, jsonpos.Boolean, jsonpos.Number)})
		}
	}
	return out
}

// object checks that v is an object with no members but those named. It is
// false only when v is not an object.
func (d *decoder) object(v *jsonpos.Value, names ...string) bool {
	if !d.kind(v, jsonpos.Object) {
		return false
	}
	for _, m := range v.Members {
		if !slices.Contains(names, m.Name) {
			d.found = append(d.found, finding{CodeGrammar, v.Path().At(m.Name), &m.NamePos,
				"unknown element; possible are " + strings.Join(names, ", ")})
		}
	}
	return true
}

func (d *decoder) kind(v *jsonpos.Value, want jsonpos.Kind) bool {
	if v.Kind != want {
		d.fail(v, "want %s, have %s", want, v.Kind)
		return false
	}
	return true
}

func (d *decoder) text(v *jsonpos.Value) string {
	if v == nil || !d.kind(v, jsonpos.String) {
		return ""
	}
	return v.Text
}

// list reads a string or a list of strings; values of the kinds also count as
// strings. It is nil only when v is nil.
func (d *decoder) list(v *jsonpos.Value, also ...jsonpos.Kind) []string {
	if v == nil {
		return nil
	}
	items := []*jsonpos.Value{v}
	if v.Kind == jsonpos.Array {
		items = v.Items
	}
	out := []string{}
	for _, item := range items {
		switch {
		case item.Kind == jsonpos.String || slices.Contains(also, item.Kind):
			out = append(out, item.Text)
		case v == item:
			d.fail(item, "want string or a list of strings, have %s", item.Kind)
		default:
			d.fail(item, "want string, have %s", item.Kind)
		}
	}
	return out
}
