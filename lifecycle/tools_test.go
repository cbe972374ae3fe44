package lifecycle_test

import (
	"errors"
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

func TestDiff(t *testing.T) {
	images := []lifecycle.Image{image("a", 20, "a-1"), image("b", 20, "b-1"), image("c", 20, "c-1"), image("d", 20, "d-1"), image("e", 1, "e")}
	before := mustParse(t, policy(rule(1, tagged+`"tagPatternList":["a-*"],`+keepAll, expire), rule(2, anyImage+pushed(14), expire)))
	after := mustParse(t, policy(rule(1, tagged+`"tagPatternList":["b-*"],`+keepAll, expire), rule(2, tagged+`"tagPatternList":["d-*"],`+pushed(7), expire),
		rule(3, anyImage+pushed(14), expire)))
	d := lifecycle.Diff(before, after, images, testNow)
	digests := func(changes []lifecycle.Change) (out string) {
		for _, c := range changes {
			out += c.Image.Digest
		}
		return out
	}
	if got := digests(d.Lost) + " " + digests(d.Gained) + " " + digests(d.Changed); got != "a b c" {
		t.Errorf("lost, gained, changed: %s", got) // d goes by rule 2 of both
	}
	if c := d.Changed[0]; c.Before.Rule != 2 || c.After.Rule != 3 {
		t.Errorf("%+v", c)
	}
}

func TestDiffOfTheSameIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		images := genImages(t, p)
		genGraph(t, images)
		q := lifecycle.Policy{Rules: rapid.Permutation(p.Rules).Draw(t, "order")}
		if diff := gocmp.Diff(lifecycle.Difference{}, lifecycle.Diff(p, q, images, testNow)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTrials(t *testing.T) {
	p := mustParse(t, policy(
		rule(1, untagged+pushed(1), expire),
		rule(2, tagged+`"tagPatternList":["release-*"],`+keepAll, expire),
		rule(3, tagged+`"tagPatternList":["main-*"],"countType":"imageCountMoreThan","countNumber":3`, expire),
		rule(4, tagged+`"tagPatternList":["old-*"],"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, archive),
		rule(5, anyImage+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire),
		rule(6, anyImage+pushed(14), expire)))
	days := func(n float64) *float64 { return &n }
	for _, c := range []lifecycle.Test{
		{Tags: []string{"release-1"}, AgeDays: 300, Expect: lifecycle.Kept},
		{AgeDays: 2, Expect: lifecycle.Expired},
		{Tags: []string{"main-1"}, AgeDays: 300, Newer: 2, Expect: lifecycle.Kept},
		{Tags: []string{"main-1"}, AgeDays: 300, Newer: 3, Expect: lifecycle.Expired},
		{Tags: []string{"old-1"}, AgeDays: 300, Expect: lifecycle.Archived},
		{Tags: []string{"old-1"}, AgeDays: 300, PulledDaysAgo: days(29), Expect: lifecycle.Kept},
		{Tags: []string{"x"}, AgeDays: 300, ArchivedDaysAgo: days(91), Expect: lifecycle.Expired},
		{Tags: []string{"x"}, AgeDays: 300, ArchivedDaysAgo: days(89), Expect: lifecycle.Kept},
		{Tags: []string{"x"}, AgeDays: 14, Expect: lifecycle.Kept},
		{Tags: []string{"x"}, AgeDays: 14.1, Expect: lifecycle.Expired},
	} {
		t.Run(fmt.Sprintf("%v of %v days is %s", c.Tags, c.AgeDays, c.Expect), func(t *testing.T) {
			got := c.Run(p, testNow)
			if !got.Passed || got.Got != c.Expect || got.Why.Image.Digest != "test" {
				t.Errorf("%+v: %+v", c, got)
			}
			c.Expect = "other"
			if got := c.Run(p, testNow); got.Passed {
				t.Errorf("%+v passes", c)
			}
		})
	}
	among := []lifecycle.Image{image("1", 1, "main-7"), image("2", 1, "main-8"), image("3", 1, "main-9")}
	main := lifecycle.Test{Tags: []string{"main-1"}, AgeDays: 300, Expect: lifecycle.Expired}
	if got := main.RunAmong(p, among, testNow); !got.Passed || got.Why.Owner().Rank != 4 {
		t.Errorf("%+v", got)
	}
}

func TestDialect(t *testing.T) {
	text := policy(rule(1, untagged+pushed(1), expire), rule(2, anyImage+`"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, expire))
	if _, err := lifecycle.Parse([]byte(text)); err == nil {
		t.Error("ECR's dialect takes the extension")
	}
	extended := lifecycle.Dialect{PulledExpire: true}
	p, err := extended.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]int{1}, p.Extensions()); diff != "" {
		t.Error(diff)
	}
	var es lifecycle.Errors
	if err := lifecycle.Validate(p); !errors.As(err, &es) || es[0].Path != "rules[1].action.type" {
		t.Error(err)
	}
	if err := extended.Validate(p); err != nil {
		t.Error(err)
	}
	p.Rules = p.Rules[:1]
	if p.Extensions() != nil {
		t.Error("marks a policy without extensions")
	}
}

func TestHeldClose(t *testing.T) {
	images := []lifecycle.Image{
		{Digest: "index", Children: []string{"amd64", "arm64"}}, {Digest: "amd64"}, {Digest: "arm64"},
		{Digest: "signature", Subject: "index"}, {Digest: "sbom", Subject: "arm64"}, {Digest: "other", Children: []string{"arm64"}}, {Digest: "alone"},
	}
	held := lifecycle.Held{"amd64": "web", "absent": "batch"}
	want := lifecycle.Held{"absent": "batch", "amd64": "web", "index": "web", "arm64": "web", "signature": "web", "sbom": "web"}
	if diff := gocmp.Diff(want, held.Close(images)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	two := lifecycle.Held{"amd64": "web", "arm64": "api"}.Close(images)
	for d, by := range map[string]string{"amd64": "web", "arm64": "api", "index": "api", "other": "api", "signature": "api"} {
		t.Run(d, func(t *testing.T) {
			if two[d] != by {
				t.Errorf("%s is held by %q, want %q", d, two[d], by)
			}
		})
	}
	if got := (lifecycle.Held)(nil).Close(images); got != nil {
		t.Errorf("%v is held by no lease", got)
	}
}

// Any policy that can be decoded, valid or not, is evaluated, explained,
// linted and forecast without harm, and rules that ECR refuses included.
func FuzzDecoded(f *testing.F) {
	for _, text := range documented {
		f.Add([]byte(text), "prod-1", "beta-2")
	}
	f.Add([]byte(`{"rules":[{"rulePriority":-1,"selection":{"tagStatus":"tagged","tagPatternList":["","**","a*"],"tagPrefixList":["","*"],`+
		`"countType":"imageCountMoreThan","countNumber":-5},"action":{"type":"transition"}}]}`), "", "a")
	f.Fuzz(func(t *testing.T, text []byte, one, two string) {
		p, err := lifecycle.Decode(text)
		if err != nil {
			return
		}
		images := []lifecycle.Image{image("a", 400, one), image("b", 3, one, two), image("c", 1), {Digest: "d", Children: []string{"c", "d"}, Subject: "a"}}
		images[0].Status, images[0].LastArchivedAt = lifecycle.StatusArchived, daysAgo(399)
		for _, o := range allOptions {
			if out := o.Decide(p, images, testNow); len(out) != len(images) {
				t.Fatalf("%d outcomes", len(out))
			}
			o.Explain(p, images, testNow, "b")
			o.Forecast(p, images, testNow, lifecycle.Horizon{Days: 2, Rate: lifecycle.RatePresent})
		}
		if _, err := lifecycle.LintText(text, images, testNow); err != nil {
			t.Fatal(err)
		}
	})
}
