package spec

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// policyJSON is a policy that a field gives as a text of JSON, or as a mapping.
type policyJSON struct {
	node
	full  string // as it is given
	short string // without spaces, which are not sent, so they do not count against the length
	// within is where a character of a text stands; places are those of a
	// mapping's values by path, as in "rules[0].action".
	within func(offset int) (state.Position, bool)
	places map[string]state.Position
}

// policyJSON reads a policy; what says of which kind. The AWS CLI prints one
// under the name member, as a JSON string: that is taken, too.
func (d decoder) policyJSON(n node, what, member string) (policyJSON, bool) {
	j := policyJSON{node: n}
	if inner := memberText(n.Value, member); inner != nil {
		j.Value = inner
	}
	switch j.Kind {
	case lang.Text:
		j.full, j.within = embedded(j.Text, member, j.PlaceOf)
		var short bytes.Buffer
		if j.short = j.full; json.Compact(&short, []byte(j.full)) == nil {
			j.short = short.String()
		}
	case lang.Mapping:
		j.places = map[string]state.Position{}
		raw, err := n.AppendJSON(nil, nil, j.places)
		if err != nil {
			d.wrong(n, "%v", err)
			return j, false
		}
		j.full, j.short = string(raw), string(raw)
	default:
		d.wrong(n, "want a %s, as JSON in a string, or as a mapping, not %s", what, n)
		return j, false
	}
	return j, true
}

// memberText is the text called member of a mapping, nil when there is none.
func memberText(v *lang.Value, member string) *lang.Value {
	if text := v.Get(member); text != nil && text.Kind == lang.Text {
		return text
	}
	return nil
}

// embedded is the policy in a text: the text itself, or what stands in it as a
// JSON string, alone or under the name member. place is that of an offset in
// the text, and within that of one in the policy.
func embedded[P any](text, member string, place func(int) (P, bool)) (policy string, within func(int) (P, bool)) {
	if rest, marked := strings.CutPrefix(text, "\ufeff"); marked {
		return embedded(rest, member, func(offset int) (P, bool) { return place(offset + len(text) - len(rest)) })
	}
	v, _ := lang.Parse(lang.Source{Name: "policy.json", Data: []byte(text)}) // what is wrong with it is the engine's to say
	if v != nil && v.Kind == lang.Mapping {
		v = memberText(v, member)
	}
	if v == nil || v.Kind != lang.Text {
		return text, place
	}
	return v.Text, func(offset int) (P, bool) {
		at, ok := v.OffsetOf(offset)
		if !ok {
			var nowhere P
			return nowhere, false
		}
		return place(at)
	}
}

// EmbeddedLifecyclePolicy is the policy in the text of a file, which may be
// what the AWS CLI prints for get-lifecycle-policy: an object, or with --query
// lifecyclePolicyText a JSON string. within turns offsets in the policy into
// such in the text.
func EmbeddedLifecyclePolicy(text string) (policy string, within func(offset int) int) {
	policy, inText := embedded(text, lifecycleMember, func(offset int) (int, bool) { return offset, true })
	return policy, func(offset int) int {
		at, _ := inText(offset)
		return at
	}
}

// The names under which the AWS CLI prints policies.
const (
	lifecycleMember  = "lifecyclePolicyText"
	repositoryMember = "policyText"
)

// fault is something that an engine finds wrong with a policy.
type fault struct {
	path, message        string
	syntax, length       bool
	offset, line, column int // of the text; zero when not known
}

// placeWithin is a place in a policy's own text, which does not help a reader of
// the file.
var placeWithin = lazyregexp.New(`, first at [0-9]+:[0-9]+$`)

// report says what check finds wrong with j, each thing at its place.
func (d decoder) report(j policyJSON, check func(text string) []fault) {
	faults := check(j.short)
	tooLong := slices.ContainsFunc(faults, func(f fault) bool { return f.length })
	if j.full != j.short { // once more, for the places
		faults = slices.DeleteFunc(check(j.full), func(f fault) bool { return f.length && !tooLong })
	}
	if slices.ContainsFunc(faults, func(f fault) bool { return !f.length }) {
		faults = slices.DeleteFunc(faults, func(f fault) bool { return f.length }) // what else is wrong says more
	}
	for _, f := range faults {
		at, s := nearestPlace(j.places, f.path, j.At), f.message
		if f.path != "" {
			s = f.path + ": " + s
		}
		if j.places == nil && f.line > 0 {
			if within, ok := j.within(f.offset); ok {
				at, s = within, placeWithin.ReplaceAllString(s, "")
			} else if f.syntax {
				s = fmt.Sprintf("%s (at %d:%d of the policy)", s, f.line, f.column)
			}
		}
		d.errorf(at, j.path, "%s", s)
	}
}

// document is a lifecycle_policy_json.
type document struct {
	policy lifecycle.Policy
	// places are those of the document's values by path, as in
	// "rules[0].action"; nil when it was a text.
	places map[string]state.Position
}

// document reads a lifecycle policy.
func (d decoder) document(n node) (doc document, ok bool) {
	j, ok := d.policyJSON(n, "lifecycle policy", lifecycleMember)
	if !ok {
		return doc, false
	}
	var err error
	if doc.policy, err = lifecycle.Parse([]byte(j.short)); err != nil {
		d.report(j, lifecycleFaults)
		return doc, false
	}
	doc.places = j.places
	return doc, true
}

// lifecycleFaults is what is wrong with a lifecycle policy, in ECR's words
// where ours do not say more.
func lifecycleFaults(text string) (out []fault) {
	_, err := lifecycle.Parse([]byte(text))
	var errs lifecycle.Errors
	if !errors.As(err, &errs) && err != nil {
		return []fault{{message: err.Error()}}
	}
	for _, e := range errs {
		out = append(out, fault{
			e.Path, cmp.Or(e.Reason, e.Detail), e.Code == lifecycle.CodeSyntax, e.Code == lifecycle.CodeLength, e.Offset, e.Line, e.Column,
		})
	}
	return out
}

// policyDocument is a repository_policy_json, or extra_policy_statements.
type policyDocument struct {
	doc policy.Document
	// origins are those of the statements, by their index.
	origins []state.Origin
}

// policyDocument reads a repository policy.
func (d decoder) policyDocument(n node) (policyDocument, bool) {
	j, ok := d.policyJSON(n, "repository policy", repositoryMember)
	if !ok {
		return policyDocument{}, false
	}
	doc, err := policy.ParseFor([]byte(j.short), policy.Repository)
	if err != nil {
		d.report(j, policyFaults)
		return policyDocument{}, false
	}
	out := policyDocument{doc: doc}
	for i := range doc.Statements {
		o := n.origin()
		path := jsonpos.Path{"Statement", i}.String()
		if at, ok := j.places[path]; ok {
			o = state.Origin{Field: o.Field + "." + path, Position: at}
		}
		out.origins = append(out.origins, o)
	}
	return out, true
}

// policyFaults is what is wrong with a repository policy.
func policyFaults(text string) (out []fault) {
	_, err := policy.ParseFor([]byte(text), policy.Repository)
	var errs policy.Errors
	if !errors.As(err, &errs) && err != nil {
		return []fault{{message: err.Error()}}
	}
	for _, e := range errs {
		out = append(out, fault{e.Path, e.Detail, e.Code == policy.CodeSyntax, e.Code == policy.CodeSize, e.Offset, e.Line, e.Column})
	}
	return out
}

// statements reads a list of statements.
func (d decoder) statements(n node) (policyDocument, bool) {
	out, good := policyDocument{}, true
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
		raw = append(raw, "]}"...)
		doc, err := policy.ParseFor(raw, policy.Repository)
		if err != nil {
			d.report(policyJSON{node: item, full: string(raw), short: string(raw), places: places}, func(text string) []fault {
				faults := policyFaults(text)
				for i, f := range faults {
					faults[i].path = strings.TrimPrefix(strings.TrimPrefix(f.path, "Statement[0]"), ".")
				}
				return faults
			})
			good = false
			continue
		}
		s := doc.Statements[0]
		if strings.HasPrefix(s.Sid, "Kontor") {
			d.errorf(nearestPlace(places, "Sid", item.At), item.path, "Sid %q: names that begin with Kontor are reserved", lang.Clip(s.Sid))
			good = false
		}
		out.doc.Statements = append(out.doc.Statements, s)
		out.origins = append(out.origins, item.origin())
	}
	return out, good && n.Kind == lang.List
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
