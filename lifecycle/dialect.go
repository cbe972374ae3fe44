package lifecycle

// Dialect is the language that policies are written in. The zero Dialect is
// that of Amazon ECR, which the functions Parse and Validate speak; each field
// adds an extension that ECR refuses.
type Dialect struct {
	// PulledExpire allows SinceImagePulled with Expire: images expire that were not
	// pulled for so long.
	PulledExpire bool
}

// Parse is the function Parse in the dialect d.
func (d Dialect) Parse(text []byte) (Policy, error) { return parse(text, d) }

// Validate is the function Validate in the dialect d.
func (d Dialect) Validate(p Policy) error { return check(p, d) }

// Extensions are the indexes of the rules of p that ECR refuses for an
// extension they use; nil when there are none.
func (p Policy) Extensions() []int {
	var out []int
	for i, r := range p.Rules {
		if r.Selection.CountType == SinceImagePulled && r.Action.Type == Expire {
			out = append(out, i)
		}
	}
	return out
}
