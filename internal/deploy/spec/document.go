package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
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
