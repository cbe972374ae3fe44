package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// document is a lifecycle_policy_json.
type document struct {
	policy lifecycle.Policy
	// places are those of the document's values by path, as in
	// "rules[0].action"; nil when it was a text.
	places map[string]state.Position
}

// document reads a lifecycle policy, given as a text or as a mapping.
func (d decoder) document(n node) (document, bool) {
	var doc document
	var raw []byte
	switch n.Kind {
	case lang.Text:
		raw = []byte(n.Text)
		// Spaces are not sent, so they do not count against the length.
		var short bytes.Buffer
		if json.Compact(&short, raw) == nil {
			raw = short.Bytes()
		}
	case lang.Mapping:
		doc.places = map[string]state.Position{}
		var err error
		if raw, err = n.AppendJSON(nil, nil, doc.places); err != nil {
			d.wrong(n, "%v", err)
			return doc, false
		}
	default:
		d.wrong(n, "want a lifecycle policy, as a text of JSON or as a mapping, not %s", n)
		return doc, false
	}
	var err error
	if doc.policy, err = lifecycle.Parse(raw); err == nil {
		return doc, true
	}
	var errs lifecycle.Errors
	if !errors.As(err, &errs) {
		d.wrong(n, "%v", err)
		return doc, false
	}
	for _, e := range errs {
		if e.Code == lifecycle.CodeLength && errs[len(errs)-1].Code != lifecycle.CodeLength {
			continue // what else is wrong says more
		}
		d.errorf(nearestPlace(doc.places, e.Path, n.At), n.path, "%s", documentError(e))
	}
	return doc, false
}

// documentError is e without the place in the text, which only means
// something for a text that is not JSON, and with ECR's words where ours do
// not say more.
func documentError(e *lifecycle.Error) string {
	s := e.Reason
	if s == "" {
		s = e.Detail
	}
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Code == lifecycle.CodeSyntax && e.Line > 0 {
		s = fmt.Sprintf("%s (at %d:%d of the policy's text)", s, e.Line, e.Column)
	}
	return s
}

// policyDocument is a repository_policy_json, or extra_policy_statements.
type policyDocument struct {
	doc policy.Document
	// origins are those of the statements, by their index.
	origins []state.Origin
}

// policyDocument reads a repository policy, given as a text or as a mapping.
func (d decoder) policyDocument(n node) (policyDocument, bool) {
	var raw []byte
	var places map[string]state.Position
	switch n.Kind {
	case lang.Text:
		raw = []byte(n.Text)
		// Spaces are not sent, so they do not count against the length.
		var short bytes.Buffer
		if json.Compact(&short, raw) == nil {
			raw = short.Bytes()
		}
	case lang.Mapping:
		places = map[string]state.Position{}
		var err error
		if raw, err = n.AppendJSON(nil, nil, places); err != nil {
			d.wrong(n, "%v", err)
			return policyDocument{}, false
		}
	default:
		d.wrong(n, "want a repository policy, as a text of JSON or as a mapping, not %s", n)
		return policyDocument{}, false
	}
	doc, err := policy.ParseFor(raw, policy.Repository)
	if err != nil {
		d.policyErrors(n, err, func(path string) state.Position { return nearestPlace(places, path, n.At) })
		return policyDocument{}, false
	}
	out := policyDocument{doc: doc}
	for i := range doc.Statements {
		o := n.origin()
		path := jsonpos.Path{"Statement", i}.String()
		if at, ok := places[path]; ok {
			o = state.Origin{Field: o.Field + "." + path, Position: at}
		}
		out.origins = append(out.origins, o)
	}
	return out, true
}

// statements reads a list of statements.
func (d decoder) statements(n node) (policyDocument, bool) {
	out, good := policyDocument{}, true
	first := map[string]state.Position{}
	for _, item := range d.list(n, "statements") {
		if item.Kind != lang.Mapping {
			d.wrong(item, "want a statement, as a mapping with Effect, Principal and Action, not %s", item)
			good = false
			continue
		}
		places := map[string]state.Position{}
		raw, err := item.AppendJSON([]byte(`{"Version":"2012-10-17","Statement":[`), nil, places)
		if err != nil {
			d.wrong(item, "%v", err)
			good = false
			continue
		}
		doc, err := policy.ParseFor(append(raw, "]}"...), policy.Repository)
		if err != nil {
			d.policyErrors(item, err, func(path string) state.Position {
				return nearestPlace(places, strings.TrimPrefix(strings.TrimPrefix(path, "Statement[0]"), "."), item.At)
			})
			good = false
			continue
		}
		s := doc.Statements[0]
		at, twice := first[s.Sid]
		switch {
		case strings.HasPrefix(s.Sid, "Kontor"):
			d.errorf(nearestPlace(places, "Sid", item.At), item.path, "Sid %q: those that begin with Kontor are Kontor's own", lang.Clip(s.Sid))
			good = false
		case twice && s.Sid != "":
			d.errorf(nearestPlace(places, "Sid", item.At), item.path, "Sid %q is given twice, first at %s", lang.Clip(s.Sid), from(at, item.At))
			good = false
		}
		first[s.Sid] = nearestPlace(places, "Sid", item.At)
		out.doc.Statements = append(out.doc.Statements, s)
		out.origins = append(out.origins, item.origin())
	}
	return out, good && n.Kind == lang.List
}

// policyErrors reports what policy finds wrong with n, each at its place.
func (d decoder) policyErrors(n node, err error, place func(path string) state.Position) {
	var errs policy.Errors
	if !errors.As(err, &errs) {
		d.wrong(n, "%v", err)
		return
	}
	for _, e := range errs {
		s := e.Detail
		if e.Path != "" {
			path := strings.TrimPrefix(strings.TrimPrefix(e.Path, "Statement[0]"), ".")
			if n.Kind == lang.Text || strings.HasSuffix(n.path.String(), "repository_policy_json") {
				path = e.Path
			}
			if path != "" {
				s = path + ": " + s
			}
		}
		if e.Code == policy.CodeSyntax && n.Kind == lang.Text && e.Line > 0 {
			s = fmt.Sprintf("%s (at %d:%d of the policy's text)", s, e.Line, e.Column)
		}
		d.errorf(place(e.Path), n.path, "%s", s)
	}
}

// nearestPlace is where the value at path stands, or the nearest one around
// it; at when there are no places.
func nearestPlace(places map[string]state.Position, path string, at state.Position) state.Position {
	for {
		if p, ok := places[path]; ok {
			return p
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	if p, ok := places[""]; ok {
		return p
	}
	return at
}

// foreignPrincipals are the ARNs among d's principals that are not in
// partition.
func foreignPrincipals(s policy.Statement, partition string) []string {
	var out []string
	for _, arn := range slices.Concat(s.Principal.AWS, s.NotPrincipal.AWS) {
		if p := partitionOf(arn); p != "" && p != partition {
			out = append(out, arn)
		}
	}
	return out
}
