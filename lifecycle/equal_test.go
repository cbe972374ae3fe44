package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

// Each pair is two policies and whether they say the same. The reasons are
// those of the Amazon ECR user guide, "Lifecycle policy properties", and of
// docs/design/0010-one-parser-each.md.
func TestEqualTable(t *testing.T) {
	rule := func(priority int, members string) string {
		return fmt.Sprintf(`{"rulePriority":%d,"selection":{"tagStatus":"tagged","countType":"imageCountMoreThan","countNumber":3,%s},"action":{"type":"expire"}}`, priority, members)
	}
	doc := func(rules ...string) string { return `{"rules":[` + strings.Join(rules, ",") + `]}` }
	const (
		a    = `"tagPatternList":["a*"]`
		b    = `"tagPatternList":["b*"]`
		days = `{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":3},"action":{"type":"expire"}}`
		text = `{"rulePriority":1,"description":"%s","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":3},"action":{"type":"expire"}}`
		pull = `{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePulled","countUnit":"days","countNumber":3},"action":{"type":"transition","targetStorageClass":"archive"}}`
	)
	described := func(s string) string { return doc(fmt.Sprintf(text, s)) }
	for _, c := range []struct {
		name, x, y string
		want       bool
	}{
		{"white space", doc(days), strings.NewReplacer(",", ",\n  ", ":", " : ").Replace(doc(days)), true},
		{"order of the members", doc(days),
			`{"rules":[{"action":{"type":"expire"},"selection":{"countNumber":3,"countUnit":"days","countType":"sinceImagePushed","tagStatus":"untagged"},"rulePriority":1}]}`, true},
		{"escapes", doc(rule(1, `"tagPatternList":["a/*"]`)), doc(rule(1, `"tagPatternList":["\u0061\/\u002a"]`)), true},
		// "the ordering of rules in the policy document doesn't matter": priorities do.
		{"order of rules", doc(rule(1, a), rule(2, b)), doc(rule(2, b), rule(1, a)), true},
		{"priorities exchanged", doc(rule(1, a), rule(2, b)), doc(rule(2, a), rule(1, b)), false},
		// A preview names the rule by its priority, so that another number is a change to be seen.
		{"a gap between priorities", doc(rule(1, a), rule(2, b)), doc(rule(1, a), rule(3, b)), false},
		{"a rule more", doc(rule(1, a), rule(2, b)), doc(rule(1, a)), false},
		// "If you specify multiple tags, only the images with all specified tags are selected": no order.
		{"order of patterns", doc(rule(1, `"tagPatternList":["a*","b*"]`)), doc(rule(1, `"tagPatternList":["b*","a*"]`)), true},
		{"order of prefixes", doc(rule(1, `"tagPrefixList":["a","b"]`)), doc(rule(1, `"tagPrefixList":["b","a"]`)), true},
		{"a pattern twice", doc(rule(1, `"tagPatternList":["a*","a*"]`)), doc(rule(1, a)), true},
		{"a pattern more", doc(rule(1, `"tagPatternList":["a*","b*"]`)), doc(rule(1, a)), false},
		{"letter case of patterns", doc(rule(1, a)), doc(rule(1, `"tagPatternList":["A*"]`)), false},
		{"a prefix is not the pattern of its text", doc(rule(1, `"tagPrefixList":["a"]`)), doc(rule(1, `"tagPatternList":["a"]`)), false},
		// "Default: standard".
		{"storage class", doc(rule(1, a)), doc(rule(1, a+`,"storageClass":"standard"`)), true},
		{"another storage class", doc(rule(1, a)), doc(rule(1, a+`,"storageClass":"archive"`)), false},
		// "description: (Optional)".
		{"an empty description", described(""), doc(days), true},
		{"a description", described("x"), doc(days), false},
		{"descriptions", described("x"), described("X"), false},
		{"numbers", doc(days), strings.Replace(doc(days), `:3`, `:4`, 1), false},
		{"age and count", doc(days), doc(`{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}`), false},
		{"push and pull", strings.Replace(doc(pull), "Pulled", "Pushed", 1), doc(pull), false},
		{"untagged and any", doc(days), strings.Replace(doc(days), "untagged", "any", 1), false},
		{"actions", doc(pull), strings.Replace(doc(pull), `"transition","targetStorageClass":"archive"`, `"expire"`, 1), false},
		{"units", doc(days), strings.Replace(doc(days), `"countUnit":"days",`, "", 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := lifecycle.Decode([]byte(c.x))
			if err != nil {
				t.Fatal(err)
			}
			y, err := lifecycle.Decode([]byte(c.y))
			if err != nil {
				t.Fatal(err)
			}
			if lifecycle.Equal(x, y) != c.want || lifecycle.Equal(y, x) != c.want {
				t.Errorf("want equal %v:\n%s\n%s", c.want, x, y)
			}
		})
	}
}

// Policies that Equal calls the same do the same to all images, so that no
// mistake of Equal lets a change go unseen.
func TestEqualPoliciesDoTheSame(t *testing.T) {
	equal := 0
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		q := lifecycle.Policy{Rules: rapid.Permutation(p.Rules).Draw(t, "order")}
		for i := range q.Rules {
			s := &q.Rules[i].Selection
			s.TagPatterns = append(slices.Clone(s.TagPatterns), s.TagPatterns...)
			slices.Reverse(s.TagPatterns)
			s.StorageClass = s.Class()
		}
		r := &q.Rules[rapid.IntRange(0, len(q.Rules)-1).Draw(t, "rule")]
		other := genSmallPolicy(t).Rules[0]
		switch rapid.IntRange(0, 9).Draw(t, "change") {
		case 0:
			r.Priority += 10_000
		case 1:
			r.Selection.TagStatus, r.Selection.TagPatterns, r.Selection.TagPrefixes = other.Selection.TagStatus, other.Selection.TagPatterns, other.Selection.TagPrefixes
		case 2:
			r.Selection.CountNumber = other.Selection.CountNumber
		case 3:
			r.Selection.CountType, r.Selection.CountUnit, r.Selection.StorageClass, r.Action =
				other.Selection.CountType, other.Selection.CountUnit, other.Selection.StorageClass, other.Action
		case 4:
			q.Rules = q.Rules[1:]
		}
		images := genImages(t, p)
		genGraph(t, images)
		same := lifecycle.Equal(p, q)
		a, b := fmt.Sprint(fates(lifecycle.Decide(p, images, testNow))), fmt.Sprint(fates(lifecycle.Decide(q, images, testNow)))
		if same && a != b {
			t.Fatalf("equal, but %s and %s:\n%s\n%s", a, b, p, q)
		}
		if same {
			equal++
		}
	})
	if equal == 0 {
		t.Error("no two that are drawn are equal")
	}
}
