package lifecycle_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

// The reference evaluator: slow, and written from the documented procedure
// alone. For each rule, S is the images of its class that its tag criteria
// select and M those of S that its count or age is about, both regardless of
// other rules. Then each rule acts on what is in its M and in the S of no
// higher rule of its class. Ties go by digest; ages are elapsed time.
func reference(p lifecycle.Policy, images []lifecycle.Image, now time.Time) map[string]string {
	rules := slices.Clone(p.Rules)
	slices.SortFunc(rules, func(a, b lifecycle.Rule) int { return a.Priority - b.Priority })
	out := map[string]string{}
	for _, m := range images {
		out[m.Digest] = "keep"
	}
	owned := map[string]bool{}
	for _, r := range rules {
		var s []lifecycle.Image
		for _, m := range images {
			if selects(r, m) {
				s = append(s, m)
			}
		}
		for _, m := range marks(r, s, now) {
			if !owned[m.Digest] {
				out[m.Digest] = fmt.Sprint(r.Action.Type, " ", r.Priority)
			}
		}
		for _, m := range s {
			owned[m.Digest] = true
		}
	}
	return out
}

func selects(r lifecycle.Rule, m lifecycle.Image) bool {
	class := lifecycle.Standard
	if m.Status == lifecycle.StatusArchived {
		class = lifecycle.Archive
	}
	if m.Status == lifecycle.StatusActivating || r.Selection.Class() != class {
		return false
	}
	switch r.Selection.TagStatus {
	case lifecycle.Any:
		return true
	case lifecycle.Untagged:
		return len(m.Tags) == 0
	}
	for _, p := range r.Selection.TagPatterns {
		if !slices.ContainsFunc(m.Tags, func(tag string) bool { return wild(p, tag) }) {
			return false
		}
	}
	for _, p := range r.Selection.TagPrefixes {
		if !slices.ContainsFunc(m.Tags, func(tag string) bool { return strings.HasPrefix(tag, p) }) {
			return false
		}
	}
	return true
}

// wild reports whether pattern matches all of s.
func wild(pattern, s string) bool {
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '*' {
			for j := i; j <= len(s); j++ {
				if wild(pattern[i+1:], s[j:]) {
					return true
				}
			}
			return false
		}
		if i >= len(s) || s[i] != pattern[i] {
			return false
		}
	}
	return len(s) == len(pattern)
}

func marks(r lifecycle.Rule, s []lifecycle.Image, now time.Time) []lifecycle.Image {
	pushed := func(m lifecycle.Image) time.Time {
		if !m.LastActivatedAt.IsZero() {
			return m.LastActivatedAt
		}
		return m.PushedAt
	}
	if r.Selection.CountType == lifecycle.ImageCountMoreThan {
		s = slices.Clone(s)
		slices.SortFunc(s, func(a, b lifecycle.Image) int {
			if c := pushed(b).Compare(pushed(a)); c != 0 {
				return c
			}
			return strings.Compare(b.Digest, a.Digest)
		})
		return s[min(len(s), r.Selection.CountNumber):]
	}
	var old []lifecycle.Image
	for _, m := range s {
		t := pushed(m)
		switch r.Selection.CountType {
		case lifecycle.SinceImagePulled:
			if m.LastPulledAt.After(t) {
				t = m.LastPulledAt
			}
		case lifecycle.SinceImageTransitioned:
			t = m.LastArchivedAt
		}
		if now.Sub(t) > time.Duration(r.Selection.CountNumber)*24*time.Hour {
			old = append(old, m)
		}
	}
	return old
}

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// genImages draws images whose tags meet the lists of p now and then, with
// times at, next to and far from the limits, many of them equal.
func genImages(t *rapid.T, p lifecycle.Policy) []lifecycle.Image {
	tags := []string{"x", "latest"}
	for _, r := range p.Rules {
		for _, s := range slices.Concat(r.Selection.TagPatterns, r.Selection.TagPrefixes) {
			tags = append(tags, strings.ReplaceAll(s, "*", ""), strings.ReplaceAll(s, "*", "-1"))
		}
	}
	tags = slices.DeleteFunc(tags, func(s string) bool { return s == "" })
	ago := func(what string) time.Time {
		days := rapid.IntRange(0, 130).Draw(t, what)
		return testNow.Add(-time.Duration(days)*24*time.Hour + time.Duration(rapid.IntRange(-1, 1).Draw(t, "off")))
	}
	n := rapid.IntRange(0, 25).Draw(t, "images")
	images := make([]lifecycle.Image, n)
	for i := range images {
		m := &images[i]
		m.Digest = fmt.Sprintf("sha256:%02d", (i*37)%100)
		m.Tags = rapid.SliceOfN(rapid.SampledFrom(tags), 0, 3).Draw(t, "tags")
		m.PushedAt = ago("pushed")
		if rapid.Bool().Draw(t, "pulled") {
			m.LastPulledAt = ago("pull")
		}
		m.Status = rapid.SampledFrom([]lifecycle.Status{"", "", lifecycle.StatusActive, lifecycle.StatusArchived, lifecycle.StatusActivating}).Draw(t, "status")
		if m.Status == lifecycle.StatusArchived || m.Status == lifecycle.StatusActivating {
			m.LastArchivedAt = ago("archived")
		} else if rapid.IntRange(0, 4).Draw(t, "restored") == 0 {
			m.LastActivatedAt = m.PushedAt.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "return")) * 24 * time.Hour)
		}
	}
	return images
}

// genGraph makes some of the images children and referrers of others.
func genGraph(t *rapid.T, images []lifecycle.Image) {
	for i := 1; i < len(images); i++ {
		other := rapid.IntRange(0, i-1).Draw(t, "other")
		switch rapid.IntRange(0, 4).Draw(t, "edge") {
		case 0:
			images[other].Children = append(images[other].Children, images[i].Digest)
		case 1:
			images[i].Children = append(images[i].Children, images[other].Digest)
		case 2:
			images[i].Subject = images[other].Digest
		}
	}
}

// genSmallPolicy is genPolicy with counts and ages that images reach, and now
// and then the extension.
func genSmallPolicy(t *rapid.T) lifecycle.Policy {
	p := genPolicy(t)
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.Selection.CountType == lifecycle.SinceImageTransitioned {
			r.Selection.CountNumber = rapid.IntRange(90, 120).Draw(t, "days")
			continue
		}
		r.Selection.CountNumber = rapid.IntRange(1, 20).Draw(t, "small")
		if r.Selection.CountType == lifecycle.SinceImagePulled && rapid.Bool().Draw(t, "extension") {
			r.Action = lifecycle.Action{Type: lifecycle.Expire}
		}
	}
	return p
}

func fates(outcomes []lifecycle.Outcome) map[string]string {
	out := map[string]string{}
	for _, o := range outcomes {
		out[o.Digest] = "keep"
		if o.Action != lifecycle.Keep {
			out[o.Digest] = fmt.Sprint(o.Action, " ", o.Rule)
		}
	}
	return out
}

func TestEvaluateAgreesWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		if diff := gocmp.Diff(reference(p, images, testNow), fates(lifecycle.Evaluate(p, images, testNow))); diff != "" {
			t.Fatalf("%s\n(-reference +evaluated):\n%s", p, diff)
		}
	})
}

// Patterns agree with regular expressions, on an alphabet that provokes them.
func TestPatternsAgreeWithRegexp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{1,8}`).Draw(t, "pattern")
		r := lifecycle.Rule{Priority: 1, Action: lifecycle.Action{Type: lifecycle.Expire}, Selection: lifecycle.Selection{
			TagStatus: lifecycle.Tagged, TagPatterns: []string{pattern}, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: 1}}
		m := lifecycle.Image{Digest: "d", Tags: []string{rapid.StringMatching(`[ab]{1,10}`).Draw(t, "tag")}, PushedAt: testNow.AddDate(0, 0, -2)}
		got := lifecycle.Evaluate(lifecycle.Policy{Rules: []lifecycle.Rule{r}}, []lifecycle.Image{m}, testNow)
		want := regexp.MustCompile("^" + strings.ReplaceAll(pattern, "*", ".*") + "$").MatchString(m.Tags[0])
		if (got[0].Owner == 1) != want || selects(r, m) != want {
			t.Fatalf("%q on %q: %v, want %v; by the reference %v", pattern, m.Tags, got[0], want, selects(r, m))
		}
	})
}
