package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/lifecycle"
)

func image(digest string, age float64, tags ...string) lifecycle.Image {
	return lifecycle.Image{Digest: digest, PushedAt: daysAgo(age), Tags: tags}
}

const keepAll = `"countType":"imageCountMoreThan","countNumber":999999`

func TestLint(t *testing.T) {
	bare := rule(1, untagged+pushed(1), expire)
	some := []lifecycle.Image{image("a", 2, "a-1"), image("b", 1, "b-1"), image("u", 0.5)}
	pulledLately := image("p", 40, "a-1")
	pulledLately.LastPulledAt = daysAgo(3)
	for _, c := range []struct {
		name   string
		policy string
		images []lifecycle.Image
		want   []string // code severity path: images
	}{
		{"a policy without faults", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire), rule(3, anyImage+pushed(14), expire)), some, nil},
		{"without images, only what is always so", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire)), nil, nil},
		// lists are AND
		{"a protecting list that protects nothing", policy(bare, rule(2, tagged+`"tagPatternList":["a-*","b-*"],`+keepAll, expire), rule(3, anyImage+pushed(14), expire)), some,
			[]string{"KON3001 warning rules[1].selection.tagPatternList: a b", "KON3004 warning rules[1].selection:"}},
		{"a list, no images", policy(bare, rule(2, tagged+`"tagPrefixList":["a-","b-"],`+pushed(3), expire)), nil,
			[]string{"KON3001 note rules[1].selection.tagPrefixList:"}},
		// rules that match nothing
		{"selects nothing", policy(bare, rule(2, tagged+`"tagPatternList":["c-*"],`+pushed(3), expire)), some,
			[]string{"KON3002 note rules[1].selection:"}},
		{"an exact pattern that was meant as a prefix", policy(bare, rule(2, tagged+`"tagPatternList":["a-"],`+pushed(3), expire)), some,
			[]string{"KON3002 note rules[1].selection:"}},
		// shadowed
		{"a pattern within a higher one", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPrefixList":["a-"],`+pushed(30), expire)), some,
			[]string{"KON3003 warning rules[2].selection: a"}},
		{"a list is narrower than one of its elements", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*1","x"],`+pushed(30), expire)), nil,
			[]string{"KON3001 note rules[2].selection.tagPatternList:", "KON3003 warning rules[2].selection:"}},
		{"an element is wider than a list", policy(bare, rule(2, tagged+`"tagPatternList":["a*","b*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), nil,
			[]string{"KON3001 note rules[1].selection.tagPatternList:"}},
		{"all it selects has higher owners", policy(bare, rule(2, tagged+`"tagPatternList":["*1"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), some,
			[]string{"KON3003 warning rules[2].selection: a"}},
		{"classes do not shadow each other", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), archive),
			rule(3, tagged+`"tagPatternList":["a*"],"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), nil, nil},
		// keep rules
		{"a keep rule below what it should stop", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-1"],`+keepAll, expire)), some,
			[]string{"KON3004 warning rules[2].selection: a"}},
		{"a keep rule all whose images have owners", policy(bare, rule(2, tagged+`"tagPatternList":["*1"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+keepAll, expire)), some,
			[]string{"KON3004 warning rules[2].selection: a"}},
		// production
		{"prod dies by dev", policy(bare, rule(2, tagged+`"tagPatternList":["dev-*"],`+pushed(7), expire)), []lifecycle.Image{image("a", 9, "dev-1", "prod-1"), image("b", 1, "dev-2", "eu-PROD"), image("c", 9, "dev-3", "product")},
			[]string{"KON3005 warning rules[1].selection.tagPatternList: a b"}},
		{"prod dies by prod", policy(bare, rule(2, tagged+`"tagPatternList":["prod-*"],`+pushed(7), expire)), []lifecycle.Image{image("a", 9, "dev-1", "prod-1")}, nil},
		{"prod saved by a higher rule", policy(bare, rule(2, tagged+`"tagPatternList":["prod-*"],`+keepAll, expire), rule(3, tagged+`"tagPatternList":["dev-*"],`+pushed(7), expire)),
			[]lifecycle.Image{image("a", 9, "dev-1", "prod-1"), image("b", 9, "dev-2")}, nil},
		// in use
		{"pulled within the limit", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), []lifecycle.Image{pulledLately, image("b", 31, "a-2")},
			[]string{"KON3006 warning rules[1].selection.countNumber: p"}},
		// extension
		{"pulled expires", policy(bare, rule(2, anyImage+`"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, expire)), nil,
			[]string{"KON3007 warning rules[1].action.type:"}},
		// untagged
		{"no untagged rule", policy(rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire)), some, []string{"KON3008 warning rules: u"}},
		{"untagged as any", policy(rule(2, anyImage+pushed(7), expire)), nil, []string{"KON3008 note rules:"}},
		{"untagged of the archive only", policy(rule(2, untagged+`"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), nil,
			[]string{"KON3008 warning rules:"}},
		// counts out of reach
		{"count of one tag", policy(bare, rule(2, tagged+`"tagPatternList":["latest"],`+keepOne, expire)), nil,
			[]string{"KON3009 note rules[1].selection.countNumber:"}},
		{"count beyond the repository", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],"countType":"imageCountMoreThan","countNumber":50`, expire)), some,
			[]string{"KON3009 note rules[1].selection.countNumber:"}},
		// duplicates
		{"pattern and prefix", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire), rule(3, tagged+`"tagPrefixList":["a-"],`+pushed(9), expire)), some,
			[]string{"KON3010 warning rules[2].selection: a"}},
		{"an element within another", policy(bare, rule(2, tagged+`"tagPatternList":["a*","a-*"],`+pushed(7), expire)), nil,
			[]string{"KON3001 note rules[1].selection.tagPatternList:", "KON3010 note rules[1].selection.tagPatternList[0]:"}},
		// signatures
		{"a signature dies", policy(bare, rule(2, tagged+`"tagPatternList":["v*"],`+keepAll, expire), rule(3, anyImage+pushed(7), expire)),
			[]lifecycle.Image{image("sha256:aa", 9, "v1"), image("sha256:bb", 9, "sha256-aa.sig"), image("sha256:cc", 9, "sha256-dd.sig")},
			[]string{"KON3011 warning rules[2].selection: sha256:bb"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := lifecycle.LintText([]byte(c.policy), c.images, testNow)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", f.Code, f.Severity, f.Path, strings.Join(f.Images, " "))))
				if f.Message == "" || f.Remedy == "" || f.Line != 1 || f.Column < 1 || strings.HasSuffix(f.Message, ".") {
					t.Errorf("odd finding %+v", f)
				}
				if f.Rule > 0 && !strings.Contains(f.Message, fmt.Sprint("rule ", f.Rule)) && !strings.Contains(f.Message, fmt.Sprint("of rule ", f.Rule)) {
					t.Errorf("which rule? %q", f.Message)
				}
			}
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLintPlaces(t *testing.T) {
	text := "{\"rules\": [\n {\"rulePriority\": 1, \"selection\": {\"tagStatus\": \"tagged\",\n  \"tagPatternList\": [\"a\", \"b\"], \"countType\": \"sinceImagePushed\", \"countUnit\": \"days\", \"countNumber\": 1},\n  \"action\": {\"type\": \"expire\"}}]}"
	found, err := lifecycle.LintText([]byte(text), nil, testNow)
	if err != nil || len(found) != 2 || found[0].Line != 3 || found[0].Column != 21 || found[1].Line != 1 || found[1].Column != 11 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := lifecycle.LintText([]byte("{"), nil, testNow); err == nil {
		t.Error("lints what is no policy")
	}
}

// What lint calls unreachable owns nothing, whatever the images.
func TestLintUnreachableOwnsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genSmallPolicy(t)
		for i := range p.Rules {
			// few letters, so that patterns overlap
			s := &p.Rules[i].Selection
			if s.TagStatus == lifecycle.Tagged {
				s.TagPatterns, s.TagPrefixes = rapid.SliceOfN(rapid.StringMatching(`[ab]{0,2}\*?[ab]{0,1}\*?`), 1, 2).Draw(t, "patterns"), nil
			}
		}
		images := genImages(t, p)
		for i := range images {
			if len(images[i].Tags) > 0 {
				images[i].Tags = rapid.SliceOfN(rapid.StringMatching(`[ab]{1,4}`), 1, 2).Draw(t, "tags")
			}
		}
		never := map[int]bool{}
		for _, f := range lifecycle.Lint(p, nil, testNow) {
			if f.Code == lifecycle.LintShadowed || f.Code == lifecycle.LintKeepsNone || f.Code == lifecycle.LintDuplicate && strings.HasSuffix(f.Path, "selection") {
				never[f.Rule] = true
			}
		}
		for _, o := range lifecycle.Evaluate(p, images, testNow) {
			if never[o.Owner] {
				t.Fatalf("%s\nrule %d is said to own nothing, and owns %s", p, o.Owner, o.Digest)
			}
		}
	})
}
