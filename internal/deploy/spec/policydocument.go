package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/policy"
)

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
	switch n.kind {
	case text:
		raw = []byte(n.text)
		// Spaces are not sent, so they do not count against the length.
		var short bytes.Buffer
		if json.Compact(&short, raw) == nil {
			raw = short.Bytes()
		}
	case mapping:
		places = map[string]state.Position{}
		var err error
		if raw, err = n.appendJSON(nil, nil, places); err != nil {
			d.wrong(n, "%v", err)
			return policyDocument{}, false
		}
	default:
		d.wrong(n, "want a repository policy, as a text of JSON or as a mapping, not %s", n)
		return policyDocument{}, false
	}
	doc, err := policy.ParseFor(raw, policy.Repository)
	if err != nil {
		d.policyErrors(n, err, func(path string) state.Position { return nearestPlace(places, path, n.at) })
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
	for _, item := range d.list(n, "statements") {
		if item.kind != mapping {
			d.wrong(item, "want a statement, as a mapping with Effect, Principal and Action, not %s", item)
			good = false
			continue
		}
		places := map[string]state.Position{}
		raw, err := item.appendJSON([]byte(`{"Version":"2012-10-17","Statement":[`), nil, places)
		if err != nil {
			d.wrong(item, "%v", err)
			good = false
			continue
		}
		doc, err := policy.ParseFor(append(raw, "]}"...), policy.Repository)
		if err != nil {
			d.policyErrors(item, err, func(path string) state.Position {
				return nearestPlace(places, strings.TrimPrefix(strings.TrimPrefix(path, "Statement[0]"), "."), item.at)
			})
			good = false
			continue
		}
		s := doc.Statements[0]
		if strings.HasPrefix(s.Sid, "Kontor") {
			d.errorf(nearestPlace(places, "Sid", item.at), item.path, "Sid %q: those that begin with Kontor are Kontor's own", clip(s.Sid))
			good = false
		}
		out.doc.Statements = append(out.doc.Statements, s)
		out.origins = append(out.origins, item.origin())
	}
	return out, good && n.kind == list
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
			if n.kind == text || strings.HasSuffix(n.path.String(), "repository_policy_json") {
				path = e.Path
			}
			if path != "" {
				s = path + ": " + s
			}
		}
		if e.Code == policy.CodeSyntax && n.kind == text && e.Line > 0 {
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
