package lifecycle_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

// genPolicy draws valid policies: up to nine rules of both storage classes in
// any order, each with any of the combinations the language has.
func genPolicy(t *rapid.T) lifecycle.Policy {
	n := rapid.IntRange(1, 9).Draw(t, "rules")
	priorities := rapid.SliceOfNDistinct(rapid.IntRange(1, 9999), n, n, rapid.ID).Draw(t, "priorities")
	element := rapid.StringMatching(`[a-zä"\\<][a-z0-9.]{0,5}\*?`)
	elements := rapid.SliceOfNDistinct(element, 2*n, 2*n, rapid.ID).Draw(t, "elements")

	type class struct{ last, untagged int }
	classes := map[lifecycle.StorageClass]*class{lifecycle.Standard: {}, lifecycle.Archive: {}}
	var p lifecycle.Policy
	for i, priority := range priorities {
		r := lifecycle.Rule{Priority: priority, Description: rapid.StringN(0, 20, 60).Draw(t, "description")}
		r.Selection.CountNumber = rapid.IntRange(90, 1_000_000).Draw(t, "number")
		r.Selection.CountType = rapid.SampledFrom([]lifecycle.CountType{lifecycle.ImageCountMoreThan, lifecycle.SinceImagePushed,
			lifecycle.SinceImagePulled, lifecycle.SinceImageTransitioned}).Draw(t, "type")
		if r.Selection.CountType != lifecycle.ImageCountMoreThan {
			r.Selection.CountUnit = lifecycle.Days
		}
		switch {
		case r.Selection.CountType == lifecycle.SinceImageTransitioned:
			r.Selection.StorageClass = lifecycle.Archive
		case rapid.Bool().Draw(t, "explicit"):
			r.Selection.StorageClass = lifecycle.Standard
		}
		transition := r.Selection.CountType == lifecycle.SinceImagePulled
		if r.Selection.Class() == lifecycle.Standard && !transition {
			transition = rapid.Bool().Draw(t, "transition")
		}
		r.Action.Type = lifecycle.Expire
		if transition {
			r.Action = lifecycle.Action{Type: lifecycle.Transition, TargetStorageClass: lifecycle.Archive}
		}
		c := classes[r.Selection.Class()]
		c.last = max(c.last, priority)
		r.Selection.TagStatus = lifecycle.Tagged
		if c.untagged == 0 && rapid.Bool().Draw(t, "untagged") {
			c.untagged = priority
			r.Selection.TagStatus = lifecycle.Untagged
		} else if rapid.Bool().Draw(t, "patterns") {
			r.Selection.TagPatterns = elements[2*i : 2*i+2]
		} else {
			r.Selection.TagPrefixes = elements[2*i : 2*i+1]
		}
		p.Rules = append(p.Rules, r)
	}
	for i := range p.Rules {
		s := &p.Rules[i].Selection
		if p.Rules[i].Priority == classes[s.Class()].last && rapid.Bool().Draw(t, "any") {
			s.TagStatus, s.TagPatterns, s.TagPrefixes = lifecycle.Any, nil, nil
		}
	}
	return p
}

func TestParsePrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy(t)
		if err := lifecycle.Validate(p); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		q, err := lifecycle.Parse([]byte(p.String()))
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if diff := gocmp.Diff(p, q); diff != "" {
			t.Fatalf("(-built +parsed):\n%s", diff)
		}
	})
}

func TestEqualIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy(t)
		q := lifecycle.Policy{Rules: rapid.Permutation(p.Rules).Draw(t, "order")}
		for i := range q.Rules {
			s := &q.Rules[i].Selection
			s.TagPatterns = slices.Clone(s.TagPatterns)
			slices.Reverse(s.TagPatterns)
			s.StorageClass = s.Class()
		}
		before := p.String()
		if !lifecycle.Equal(p, q) || !lifecycle.Equal(q, p) {
			t.Fatalf("not equal:\n%s\n%s", p, q)
		}
		if p.String() != before {
			t.Fatal("Equal changed its argument")
		}
		if err := lifecycle.Validate(q); err != nil {
			t.Fatalf("valid in one order, not in another: %v", err)
		}
	})
}

func TestEqualSeesEachChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy(t)
		q := lifecycle.Policy{Rules: slices.Clone(p.Rules)}
		r := &q.Rules[rapid.IntRange(0, len(q.Rules)-1).Draw(t, "rule")]
		switch rapid.IntRange(0, 7).Draw(t, "change") {
		case 0:
			r.Priority += 10_000
		case 1:
			r.Description += "!"
		case 2:
			r.Selection.CountNumber++
		case 3:
			r.Selection.TagPatterns = append(slices.Clone(r.Selection.TagPatterns), "~")
		case 4:
			r.Selection.TagPrefixes = append(slices.Clone(r.Selection.TagPrefixes), "~")
		case 5:
			r.Action.Type += "x"
		case 6:
			r.Selection.CountUnit += "x"
		case 7:
			q.Rules = q.Rules[1:]
		}
		if lifecycle.Equal(p, q) || lifecycle.Equal(q, p) {
			t.Fatalf("equal:\n%s\n%s", p, q)
		}
	})
}

// Removing rules never makes a valid policy invalid, unless none is left: what
// the rules of a policy demand, they demand of pairs.
func TestSubsetsStayValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy(t)
		p.Rules = slices.DeleteFunc(p.Rules, func(lifecycle.Rule) bool { return rapid.Bool().Draw(t, "remove") })
		if len(p.Rules) == 0 {
			return
		}
		if err := lifecycle.Validate(p); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, text := range documented {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"rules":[{"rulePriority":1e0,"selection":null,"action":[]}],"rules":[]}`))
	f.Add([]byte("{\"rules\":[{\"rulePriority\":99999999999,\"selection\":{\"tagPatternList\":[\"\\ud800\",\"\xff\"]}}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := lifecycle.Parse(text)
		if err != nil {
			es := err.(lifecycle.Errors)
			if len(es) == 0 {
				t.Fatal("no errors in Errors")
			}
			for _, e := range es {
				if e.Detail == "" || e.Offset > len(text) || e.Line < 1 || e.Column < 1 || e.Line > 1+strings.Count(string(text), "\n") {
					t.Errorf("odd error %#v", e)
				}
			}
			if !slices.IsSortedFunc(es, func(a, b *lifecycle.Error) int {
				if a.Code != b.Code {
					return 0
				}
				return cmp.Compare(a.Offset, b.Offset)
			}) {
				t.Errorf("errors out of order:\n%v", err)
			}
			return
		}
		printed := p.String()
		q, err := lifecycle.Parse([]byte(printed))
		if err != nil {
			t.Fatalf("%s: %v", printed, err)
		}
		if !lifecycle.Equal(p, q) || gocmp.Diff(p, q) != "" {
			t.Fatalf("%s re-parses as %s", printed, q)
		}
		if d, err := lifecycle.Decode(text); err != nil || !lifecycle.Equal(p, d) {
			t.Fatalf("Decode differs: %s, %v", d, err)
		}
	})
}
