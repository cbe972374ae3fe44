package lifecycle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// notAPolicy is what ECR says of a text it cannot read as a policy at all.
const notAPolicy = "Could not map policyString into LifecyclePolicy."

// Parse reads the text of a policy as PutLifecyclePolicy would: the policy it
// returns is valid. The error is an Errors with the places in text.
func Parse(text []byte) (Policy, error) { return parse(text, Dialect{}) }

func parse(text []byte, dialect Dialect) (Policy, error) {
	n := utf8.RuneCount(text)
	length := checkLength(n, &jsonpos.Pos{Line: 1, Column: 1})
	if n > MaxText {
		return Policy{}, errs(length, nil)
	}
	root, found := read(text)
	d := decoder{found: append(length, found...)}
	if root == nil {
		return Policy{}, errs(d.found, nil)
	}
	p, broken := d.policy(root)
	if broken != nil {
		d.found = append(d.found, validate(p, dialect, broken)...)
	}
	if err := errs(d.found, root); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// Decode reads the text of a policy without asking whether ECR would accept
// it: values have the right types and nothing is unknown or missing, but they
// may be out of range, of a later version of the language, or contradict one
// another. It is for showing and comparing policies that are in force
// already. The error is an Errors with the places in text.
func Decode(text []byte) (Policy, error) {
	root, found := read(text)
	if root == nil {
		return Policy{}, errs(found, nil)
	}
	var d decoder
	p, _ := d.policy(root)
	if err := errs(d.found, root); err != nil {
		return Policy{}, err
	}
	return p, nil
}

// UnmarshalJSON is Decode.
func (p *Policy) UnmarshalJSON(text []byte) error {
	q, err := Decode(text)
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// read returns the text's value, which is an object, or what is wrong with it.
func read(text []byte) (*jsonpos.Value, []finding) {
	root, err := jsonpos.Parse(text)
	if err != nil {
		e := err.(*jsonpos.SyntaxError)
		return nil, []finding{{Error{Code: CodeSyntax, Detail: notAPolicy, Reason: e.Msg}, e.Path, &e.Pos}}
	}
	if root.Kind != jsonpos.Object {
		return nil, []finding{{Error{Code: CodeSyntax, Detail: notAPolicy, Reason: "want an object, have " + root.Kind.String()}, nil, &root.Pos}}
	}
	return root, nil
}

// decoder turns values into a Policy and collects what does not fit the shape.
type decoder struct{ found []finding }

// policy also returns the set of the indexes of the rules that do not fit, nil
// when there is no list of rules at all.
func (d *decoder) policy(root *jsonpos.Value) (Policy, map[int]bool) {
	var p Policy
	d.object(root, []string{"rules"}, nil)
	rules := root.Get("rules")
	if !d.kind(rules, jsonpos.Array) {
		return p, nil
	}
	p.Rules = make([]Rule, len(rules.Items))
	broken := map[int]bool{}
	for i, v := range rules.Items {
		before := len(d.found)
		p.Rules[i] = d.rule(v)
		broken[i] = len(d.found) > before
	}
	return p, broken
}

func (d *decoder) rule(v *jsonpos.Value) Rule {
	var r Rule
	if !d.object(v, []string{"rulePriority", "selection", "action"}, []string{"description"}) {
		return r
	}
	r.Priority = d.integer(v.Get("rulePriority"))
	r.Description = d.text(v.Get("description"))
	if s := v.Get("selection"); s != nil {
		r.Selection = d.selection(s)
	}
	if a := v.Get("action"); a != nil && d.object(a, []string{"type"}, []string{"targetStorageClass"}) {
		r.Action.Type = ActionType(d.text(a.Get("type")))
		r.Action.TargetStorageClass = StorageClass(d.formWord(a.Get("targetStorageClass"), targetClasses, detailAction))
	}
	return r
}

func (d *decoder) selection(v *jsonpos.Value) Selection {
	var s Selection
	if !d.object(v, []string{"tagStatus", "countType", "countNumber"},
		[]string{"tagPatternList", "tagPrefixList", "storageClass", "countUnit"}) {
		return s
	}
	s.TagStatus = TagStatus(d.text(v.Get("tagStatus")))
	s.TagPatterns = d.list(v.Get("tagPatternList"))
	s.TagPrefixes = d.list(v.Get("tagPrefixList"))
	s.StorageClass = StorageClass(d.word(v.Get("storageClass"), storageClasses))
	s.CountType = CountType(d.text(v.Get("countType")))
	s.CountUnit = CountUnit(d.formWord(v.Get("countUnit"), countUnits, detailRule))
	s.CountNumber = d.integer(v.Get("countNumber"))
	return s
}

func (d *decoder) fail(v *jsonpos.Value, place *jsonpos.Pos, code Code, detail, reason string) {
	d.found = append(d.found, finding{Error{Code: code, Detail: detail, Reason: reason}, v.Path(), place})
}

// kind checks v's type. A v that is nil is not of it, and not an error: object
// has reported it.
func (d *decoder) kind(v *jsonpos.Value, want jsonpos.Kind) bool {
	if v == nil {
		return false
	}
	if v.Kind != want {
		d.wrongType(v, want.String())
		return false
	}
	return true
}

func (d *decoder) wrongType(v *jsonpos.Value, want string) {
	have := v.Kind.String()
	if v.IsInteger() {
		have = "integer"
	}
	d.fail(v, &v.Pos, CodeSchema, fmt.Sprintf("instance type (%s) does not match any allowed primitive type (allowed: %s)",
		have, quoted(want)), "")
}

// object checks that v is an object that has all the required members, and otherwise
// only optional ones. It is false only when v is not an object.
func (d *decoder) object(v *jsonpos.Value, required, optional []string) bool {
	if !d.kind(v, jsonpos.Object) {
		return false
	}
	var missing, unknown []string
	for _, name := range required {
		if v.Get(name) == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		d.fail(v, &v.Pos, CodeSchema, "object has missing required properties ("+quoted(missing...)+")", "")
	}
	var place *jsonpos.Pos
	for _, m := range v.Members {
		if !slices.Contains(required, m.Name) && !slices.Contains(optional, m.Name) {
			unknown = append(unknown, m.Name)
			if place == nil {
				place = &m.NamePos
			}
		}
	}
	if len(unknown) > 0 {
		d.fail(v, place, CodeSchema, "object instance has properties which are not allowed by the schema: ("+quoted(unknown...)+")", "")
	}
	return true
}

// text returns a string's content; "" when v is absent or no string.
func (d *decoder) text(v *jsonpos.Value) string {
	if !d.kind(v, jsonpos.String) {
		return ""
	}
	return v.Text
}

// word is text for an optional member whose absence is "" in a Policy, so
// that "" itself must be refused here.
func (d *decoder) word(v *jsonpos.Value, possible []string) string {
	s := d.text(v)
	if v != nil && v.Kind == jsonpos.String && s == "" {
		d.fail(v, &v.Pos, CodeSchema, notInEnum(s, possible), "")
	}
	return s
}

// formWord is word for a member that some forms of the schema do not have: ECR
// says of another type only that no form matches.
func (d *decoder) formWord(v *jsonpos.Value, possible []string, detail string) string {
	if v != nil && v.Kind != jsonpos.String {
		d.fail(v, &v.Pos, CodeSchema, detail, fmt.Sprintf("want one of %s, or leave it out; have %s", quoted(possible...), v.Kind))
		return ""
	}
	return d.word(v, possible)
}

func (d *decoder) list(v *jsonpos.Value) []string {
	if !d.kind(v, jsonpos.Array) {
		return nil
	}
	if len(v.Items) == 0 {
		d.fail(v, &v.Pos, CodeSchema, "array is too short: must have at least 1 elements but instance has 0 elements", "")
		return nil
	}
	list := make([]string, len(v.Items))
	for i, item := range v.Items {
		list[i] = d.text(item)
	}
	return list
}

func (d *decoder) integer(v *jsonpos.Value) int {
	if v == nil {
		return 0
	}
	if !v.IsInteger() {
		d.wrongType(v, "integer")
		return 0
	}
	n, err := strconv.ParseInt(v.Text, 10, 32)
	if err != nil {
		d.fail(v, &v.Pos, CodeSchema, notAPolicy, fmt.Sprintf("must be between %d and %d", math.MinInt32, math.MaxInt32))
	}
	return int(n)
}

// quoted is the names, sorted, as a JSON list without spaces.
func quoted(names ...string) string {
	out := slices.Sorted(slices.Values(names))
	for i, s := range out {
		out[i] = string(jsonpos.AppendString(nil, s))
	}
	return "[" + strings.Join(out, ",") + "]"
}

func notInEnum(s string, possible []string) string {
	return fmt.Sprintf("instance value (%s) not found in enum (possible values: %s)", jsonpos.AppendString(nil, s), quoted(possible...))
}
