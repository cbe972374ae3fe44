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

func artifact(digest string, age float64, kind string, tags ...string) lifecycle.Image {
	m := image(digest, age, tags...)
	m.ArtifactType = kind
	return m
}

func keeping(n int) string {
	return fmt.Sprintf(`"countType":"imageCountMoreThan","countNumber":%d`, n)
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
		{"a policy without faults", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire), rule(3, anyImage+keeping(2), expire)), some, nil},
		{"without images, only what is always so", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire)), nil, nil},
		// lists are AND
		{"a protecting list that protects nothing", policy(bare, rule(2, tagged+`"tagPatternList":["a-*","b-*"],`+keepAll, expire), rule(3, anyImage+pushed(14), expire)), some,
			[]string{"KON3001 warning rules[1].selection.tagPatternList: a b", "KON3004 warning rules[1].selection:", "KON3016 note rules[2].selection: u"}},
		{"a list, no images", policy(bare, rule(2, tagged+`"tagPrefixList":["a-","b-"],`+pushed(3), expire)), nil,
			[]string{"KON3001 warning rules[1].selection.tagPrefixList:"}},
		// rules that match nothing
		{"selects nothing", policy(bare, rule(2, tagged+`"tagPatternList":["c-*"],`+pushed(3), expire)), some,
			[]string{"KON3002 note rules[1].selection:"}},
		{"an exact pattern that was meant as a prefix", policy(bare, rule(2, tagged+`"tagPatternList":["a-"],`+pushed(3), expire)), some,
			[]string{"KON3002 note rules[1].selection:"}},
		// shadowed
		{"a pattern within a higher one", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPrefixList":["a-"],`+pushed(30), expire)), some,
			[]string{"KON3003 warning rules[2].selection: a"}},
		{"a list is narrower than one of its elements", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*1","x"],`+pushed(30), expire)), nil,
			[]string{"KON3001 warning rules[2].selection.tagPatternList:", "KON3003 warning rules[2].selection:"}},
		{"an element is wider than a list", policy(bare, rule(2, tagged+`"tagPatternList":["a*","b*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), nil,
			[]string{"KON3001 warning rules[1].selection.tagPatternList:"}},
		{"a list that does what it says", policy(bare, rule(2, tagged+`"tagPatternList":["a-*","*-1"],`+keeping(5), expire)), some[:1],
			[]string{"KON3001 note rules[1].selection.tagPatternList:", "KON3009 note rules[1].selection.countNumber:"}},
		{"all it selects has higher owners", policy(bare, rule(2, tagged+`"tagPatternList":["*1"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), some,
			[]string{"KON3003 warning rules[2].selection: a", "KON3016 note rules[1].selection: u"}},
		{"classes do not shadow each other", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), archive),
			rule(3, tagged+`"tagPatternList":["a*"],"storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), nil, nil},
		// keep rules
		{"a keep rule below what it should stop", policy(bare, rule(2, tagged+`"tagPatternList":["a*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-1"],`+keepAll, expire)), some,
			[]string{"KON3004 warning rules[2].selection: a"}},
		{"a keep rule all whose images have owners", policy(bare, rule(2, tagged+`"tagPatternList":["*1"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["a-*"],`+keepAll, expire)), some,
			[]string{"KON3004 warning rules[2].selection: a", "KON3016 note rules[1].selection: u"}},
		// production
		{"prod dies by dev", policy(bare, rule(2, tagged+`"tagPatternList":["dev-*"],`+pushed(7), expire)), []lifecycle.Image{image("a", 9, "dev-1", "prod-1"), image("b", 1, "dev-2", "eu-PROD"), image("c", 9, "dev-3", "product")},
			[]string{"KON3005 warning rules[1].selection.tagPatternList: a b", "KON3016 note rules[1].selection: b"}},
		{"versions and environments die by dev", policy(bare, rule(2, tagged+`"tagPatternList":["dev-*"],`+keeping(1), expire)), []lifecycle.Image{
			image("new", 1, "dev-0"), image("a", 9, "dev-1", "v1.2.3"), image("b", 9, "dev-2", "1.0-alpine"), image("c", 9, "dev-3", "uat2"), image("d", 9, "dev-4", "latest"),
			image("e", 9, "dev-5", "api-2.1.0"), image("f", 9, "dev-6", "sha-1a2b3c4"), image("g", 9, "dev-7", "feature-login"), image("h", 9, "dev-8", "20260301"), image("i", 9, "dev-9", "v3"),
		}, []string{"KON3005 warning rules[1].selection.tagPatternList: a b c d e i"}},
		{"prod dies by prod", policy(bare, rule(2, tagged+`"tagPatternList":["prod-*"],`+keeping(1), expire)), []lifecycle.Image{image("a", 9, "dev-1", "prod-1"), image("b", 8, "prod-2")}, nil},
		{"prod saved by a higher rule", policy(bare, rule(2, tagged+`"tagPatternList":["prod-*"],`+keepAll, expire), rule(3, tagged+`"tagPatternList":["dev-*"],`+pushed(7), expire)),
			[]lifecycle.Image{image("a", 9, "dev-1", "prod-1"), image("b", 9, "dev-2")}, nil},
		// in use
		{"pulled within the limit", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(30), expire)), []lifecycle.Image{pulledLately, image("b", 31, "a-2")},
			[]string{"KON3006 warning rules[1].selection.countNumber: p", "KON3016 warning rules[1].selection: p"}},
		// extension
		{"pulled expires", policy(bare, rule(2, anyImage+`"countType":"sinceImagePulled","countUnit":"days","countNumber":30`, expire)), nil,
			[]string{"KON3007 warning rules[1].action.type:"}},
		// untagged
		{"no untagged rule", policy(rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(7), expire)), some, []string{"KON3008 warning rules: u"}},
		{"untagged as any", policy(rule(2, anyImage+pushed(7), expire)), nil, []string{"KON3008 note rules:", "KON3016 note rules[0].selection:"}},
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
			[]string{"KON3001 warning rules[1].selection.tagPatternList:", "KON3010 note rules[1].selection.tagPatternList[0]:"}},
		// signatures
		{"a signature dies", policy(bare, rule(2, tagged+`"tagPatternList":["v*"],`+keepAll, expire), rule(3, anyImage+pushed(7), expire)),
			[]lifecycle.Image{image("sha256:aa", 9, "v1"), image("sha256:bb", 9, "sha256-aa.sig"), image("sha256:cc", 9, "sha256-dd.sig")},
			[]string{"KON3011 warning rules[2].selection: sha256:bb"}},
		// counts that images of higher rules use up
		{"half of a count", policy(bare, rule(2, tagged+`"tagPatternList":["b-*"],`+keepAll, expire), rule(3, anyImage+keeping(4), expire)),
			[]lifecycle.Image{image("1", 1, "b-1"), image("2", 2, "b-2"), image("3", 3, "a-3"), image("4", 4, "a-4"), image("5", 5, "a-5"), image("6", 6, "a-6"), image("7", 7, "a-7")},
			[]string{"KON3012 warning rules[2].selection.countNumber: 5 6"}},
		{"little of a count", policy(bare, rule(2, tagged+`"tagPatternList":["b-*"],`+keepAll, expire), rule(3, anyImage+keeping(4), expire)),
			[]lifecycle.Image{image("1", 1, "a-1"), image("2", 2, "b-2"), image("3", 3, "a-3"), image("4", 4, "a-4"), image("5", 5, "a-5"), image("6", 6, "a-6")},
			[]string{"KON3012 note rules[2].selection.countNumber: 5"}},
		{"a count that a higher rule expires", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+keeping(1), expire), rule(3, tagged+`"tagPatternList":["*1"],`+keeping(2), expire)),
			[]lifecycle.Image{image("1", 1, "a-1"), image("2", 2, "a-01"), image("3", 3, "b-1"), image("4", 4, "c-1"), image("5", 5, "d-1")},
			[]string{"KON3012 warning rules[2].selection.countNumber: 3 4"}},
		{"others in a count, and nothing goes", policy(bare, rule(2, tagged+`"tagPatternList":["b-*"],`+keepAll, expire), rule(3, anyImage+keeping(2), expire)),
			[]lifecycle.Image{image("1", 1, "b-1"), image("2", 0.5, "a-1"), image("3", 2, "b-2"), image("u", 3)}, nil},
		// counts and pulls
		{"a count takes what was pulled", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+keeping(1), expire)), []lifecycle.Image{pulledLately, image("b", 31, "a-2"), image("c", 50, "a-3")},
			[]string{"KON3013 warning rules[1].selection.countNumber: p"}},
		{"a count archives what was pulled", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+keeping(1), archive)), []lifecycle.Image{pulledLately, image("b", 31, "a-2")}, nil},
		// counts of others
		{"signatures, caches and charts among releases", policy(bare, rule(2, tagged+`"tagPatternList":["*"],`+keeping(4), expire)),
			[]lifecycle.Image{image("1", 1, "v4"), image("s", 1.1, "sha256-11.sig"), image("c", 2, "buildcache"), artifact("h", 3, "application/vnd.cncf.helm.config.v1+json", "1.0.0"),
				image("2", 4, "v3"), artifact("3", 5, "application/vnd.oci.image.config.v1+json", "v2"), image("4", 6, "v1"), image("5", 7, "v0")},
			[]string{"KON3014 warning rules[1].selection.countNumber: 2 3 4"}},
		{"signatures alone", policy(bare, rule(2, tagged+`"tagPatternList":["sha256-*"],`+keeping(1), expire)), []lifecycle.Image{image("1", 1, "sha256-11.sig"), image("2", 2, "sha256-22.sig")}, nil},
		{"tagged parts of an index", policy(bare, rule(2, tagged+`"tagPatternList":["*"],`+keeping(3), expire)),
			[]lifecycle.Image{{Digest: "i", Tags: []string{"v2"}, PushedAt: daysAgo(1), Children: []string{"x", "y"}}, image("x", 1.1, "v2-amd64"), image("y", 1.2, "v2-arm64"), image("old", 2, "v1")},
			[]string{"KON3014 warning rules[1].selection.countNumber: old"}},
		// texts that no tag has
		{"expressions, branches and spaces", policy(bare, rule(2, tagged+`"tagPatternList":["^v.*$"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["release/*"],`+keepAll, expire),
			rule(4, tagged+`"tagPrefixList":["prod-* "],`+keeping(5), expire), rule(5, tagged+`"tagPatternList":["{a,b}*"],`+keeping(5), expire), rule(6, tagged+`"tagPrefixList":["prod-*"],`+keeping(5), expire),
			rule(7, tagged+`"tagPatternList":["-x*"],`+keeping(5), expire), rule(8, tagged+`"tagPatternList":["`+strings.Repeat("y", 129)+`"],`+keeping(5), expire)), nil,
			[]string{"KON3015 warning rules[1].selection.tagPatternList[0]:", "KON3015 warning rules[2].selection.tagPatternList[0]:", "KON3015 warning rules[3].selection.tagPrefixList[0]:",
				"KON3015 warning rules[4].selection.tagPatternList[0]:", "KON3015 warning rules[5].selection.tagPrefixList[0]:", "KON3015 warning rules[6].selection.tagPatternList[0]:", "KON3015 warning rules[7].selection.tagPatternList[0]:"}},
		{"texts that tags have", policy(bare, rule(2, tagged+`"tagPatternList":["*v1_*.x"],`+pushed(3), expire), rule(3, tagged+`"tagPrefixList":["_A.9-"],`+keepAll, expire)), nil, nil},
		{"one that no tag has, with images", policy(bare, rule(2, tagged+`"tagPrefixList":["a-*"],`+keepAll, expire)), some, []string{"KON3015 warning rules[1].selection.tagPrefixList[0]:"}},
		// nothing is left
		{"everything goes by age", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(60), expire), rule(3, anyImage+pushed(7), expire)), nil, []string{"KON3016 note rules[1].selection:"}},
		{"something is archived", policy(bare, rule(2, anyImage+pushed(7), archive)), nil, nil},
		{"something is kept", policy(bare, rule(2, tagged+`"tagPatternList":["a-*"],`+keeping(1), expire), rule(3, anyImage+pushed(7), expire)), nil, nil},
		{"something should be kept, and is not there", policy(bare, rule(2, tagged+`"tagPatternList":["c-*"],`+keeping(1), expire), rule(3, anyImage+pushed(7), expire)), some,
			[]string{"KON3002 note rules[1].selection:", "KON3016 note rules[2].selection: u"}},
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

// Descriptions that fit their rules, and others.
func TestLintDescriptions(t *testing.T) {
	const days14, count5 = `"countType":"sinceImagePushed","countUnit":"days","countNumber":14`, `"countType":"imageCountMoreThan","countNumber":5`
	for _, c := range []struct {
		description, selection string
		contradicts            bool
	}{
		{"Keep the last 5 images", anyImage + count5, false},
		{"Keep the last 10 images", anyImage + count5, true},
		{"keep five of them, as it was", anyImage + count5, false},
		{"keep four of them", anyImage + count5, true},
		{"Maintain the last 5 Dev images", tagged + `"tagPrefixList":["dev"],` + count5, false},
		{"Expire images when there are more than 5", anyImage + count5, false},
		{"Expire images when there are more than 50", anyImage + count5, true},
		{"Only the newest 3 release-* tags", anyImage + count5, true},
		{"Expire images older than 14 days", anyImage + count5, true},
		{"Expire images older than 14 days", anyImage + days14, false},
		{"images older than two weeks go", anyImage + days14, false},
		{"keep 14d", anyImage + days14, false},
		{"Expire images older than 30 days", anyImage + days14, true},
		{"after 3 months", anyImage + `"countType":"sinceImagePushed","countUnit":"days","countNumber":90`, false},
		{"after a year or so: 1 year", anyImage + `"countType":"sinceImagePushed","countUnit":"days","countNumber":365`, false},
		{"after 1 year", anyImage + days14, true},
		{"Keep last 30 images", anyImage + days14, true},
		{"Remove untagged images", anyImage + days14, true},
		{"Remove untagged images", tagged + `"tagPatternList":["*"],` + days14, true},
		{"Remove untagged images", untagged + days14, false},
		{"Remove all images, untagged ones too", anyImage + days14, false},
		{"never expire releases", tagged + `"tagPatternList":["v*"],` + count5, true},
		{"never expire releases", tagged + `"tagPatternList":["v*"],` + keepAll, false},
		{"never expire latest", tagged + `"tagPatternList":["latest"],` + keepOne, false},
		{"keep forever", tagged + `"tagPatternList":["v*"],` + days14, true},
		{"releases of 1.x and 2.x, keep 3.x", tagged + `"tagPatternList":["v*"],` + count5, false},
		{"rule 7 of our policy, see TICKET-123", anyImage + count5, false},
		{"pull requests", anyImage + days14, false},
	} {
		t.Run(c.description, func(t *testing.T) {
			text := policy(`{"description":` + fmt.Sprintf("%q", c.description) + "," + rule(2, c.selection, expire)[1:])
			found, err := lifecycle.LintText([]byte(text), nil, testNow)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, f := range found {
				if f.Code == lifecycle.LintDescription {
					got = f.Message
					if f.Severity != lifecycle.Warning || f.Path != "rules[0].description" || f.Column < 2 {
						t.Errorf("odd finding %+v", f)
					}
				}
			}
			if (got != "") != c.contradicts {
				t.Errorf("%q of %s: %q", c.description, c.selection, got)
			}
		})
	}
}

// What is in use is named, whatever was pulled.
func TestLintInUse(t *testing.T) {
	p, err := lifecycle.Decode([]byte(policy(rule(1, untagged+pushed(1), expire), rule(2, tagged+`"tagPatternList":["a-*"],`+pushed(3), expire), rule(3, tagged+`"tagPatternList":["b-*"],`+keeping(1), expire))))
	if err != nil {
		t.Fatal(err)
	}
	images := []lifecycle.Image{image("a", 9, "a-1"), image("b", 9, "b-1"), image("c", 1, "b-2"), image("d", 9, "a-2")}
	o := lifecycle.Options{InUse: map[string]string{"a": "shop/web", "b": "shop/api"}}
	var got []string
	for _, f := range o.Lint(p, images, testNow) {
		got = append(got, fmt.Sprintf("%s %s %v", f.Code, f.Severity, f.Images))
	}
	if diff := gocmp.Diff([]string{"KON3006 warning [a]", "KON3013 warning [b]"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLintPlaces(t *testing.T) {
	text := "{\"rules\": [\n {\"rulePriority\": 1, \"selection\": {\"tagStatus\": \"tagged\",\n  \"tagPatternList\": [\"a\", \"b\"], \"countType\": \"sinceImagePushed\", \"countUnit\": \"days\", \"countNumber\": 1},\n  \"action\": {\"type\": \"expire\"}}]}"
	found, err := lifecycle.LintText([]byte(text), nil, testNow)
	if err != nil || len(found) != 2 || found[0].Line != 3 || found[0].Column != 21 || found[1].Line != 1 || found[1].Column != 11 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := lifecycle.LintText([]byte("{"), nil, testNow); err == nil {
		t.Error("lints what is not a policy")
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
