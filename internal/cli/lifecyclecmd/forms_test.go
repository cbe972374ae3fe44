package lifecyclecmd_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

const looked = "2026-03-01T12:00:00Z"

// detail is an image as describe-images prints it, pushed days before looked.
func detail(name string, days int, more string) string {
	at, err := time.Parse(time.RFC3339, looked)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"imageDigest": %q, "imagePushedAt": %q, "imageSizeInBytes": 10%s}`, push.DigestOf(name), at.AddDate(0, 0, -days).Format(time.RFC3339), more)
}

func tagged(tag string) string { return fmt.Sprintf(`, "imageTags": [%q]`, tag) }

const (
	image = `, "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json"`
	index = `, "imageManifestMediaType": "application/vnd.oci.image.index.v1+json"`
)

func describe(details ...string) string {
	return `{"imageDetails": [` + strings.Join(details, ",\n") + `]}`
}

func anyAfter(days int) string {
	return fmt.Sprintf(`{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": %d}, "action": {"type": "expire"}}]}`, days)
}

// Policies and images come as people have them.
func TestFormsOfFiles(t *testing.T) {
	s := clitest.New(t)
	text := describe(detail("a", 9, tagged("a")+image))
	policy := anyAfter(7)
	s.Write("images.json", text)
	s.Write("policy.json", policy)
	quoted, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	s.Write("string.json", string(quoted)+"\n")
	s.Write("answer.json", `{"registryId": "111111111111", "lifecyclePolicyText": `+string(quoted)+`}`)
	s.Write("mark.json", "\ufeff"+policy)
	broken, err := json.Marshal(strings.Replace(policy, `"any"`, `"all"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	s.Write("broken.json", string(broken))
	preview := func(stdin string, args ...string) clitest.Result {
		s.Stdin = stdin
		return s.Run(append([]string{"lifecycle", "preview", "--at", looked}, args...)...)
	}
	const goes = "1 image: 1 expires (10 B), 0 are archived, 0 are kept.\n"
	s.Want(preview(text, "--images", "-", "--policy", "policy.json"), 0, goes)
	s.Want(preview(policy, "--images", "images.json", "--policy", "-"), 0, goes, "by stdin\n")
	s.Want(preview("", "--images", "-", "--policy", "-"), 2, "--images - and --policy - both read stdin")
	s.Want(preview("[1]", "--images", "-", "--policy", "policy.json"), 1, "kontor: stdin:1:2: [0]: want an object, have number: not what `aws ecr describe-images` prints\n")
	for _, file := range []string{"string.json", "answer.json", "mark.json"} {
		s.Want(preview("", "--images", "images.json", "--policy", file), 0, goes)
	}
	s.Want(preview("", "--images", "images.json", "--policy", "broken.json"), 1, "broken.json:1:68: rules[0].selection.tagStatus: ")
	s.Want(s.Run("lifecycle", "lint", "--policy", "string.json"), 0, "string.json:1:14: KON3008: ", "string.json:1:52: KON3016: ")
	s.Stdin = policy
	s.Want(s.Run("lifecycle", "diff", "-", "policy.json", "--images", "images.json", "--at", looked), 0, "stdin -> policy.json\n", "1 image unchanged")
	s.Want(s.Run("lifecycle", "diff", "-", "-", "--images", "images.json"), 2, "only one of OLD, NEW and --images can be stdin")
	for _, ref := range []string{"@" + push.DigestOf("a"), "@" + strings.TrimPrefix(push.DigestOf("a"), "sha256:"), "@" + strings.TrimPrefix(push.DigestOf("a"), "sha256:")[:12]} {
		s.Want(s.Run("lifecycle", "explain", ref, "--images", "images.json", "--policy", "policy.json", "--at", looked), 0, "Rule 1 expires it at the next run")
	}
	s.Want(s.Run("lifecycle", "explain", "@xyz0123456789", "--images", "images.json", "--policy", "policy.json"), 2, "want a digest such as")
}

// What is certain is said with certainty, and nothing else.
func TestCertainty(t *testing.T) {
	s := clitest.New(t)
	s.Write("policy.json", anyAfter(7))
	const doubt = "Not known: "
	for _, c := range []struct {
		name, images string
		policy       string
		want         []string
		certain      bool
	}{
		{"no image is an index", describe(detail("a", 9, image), detail("b", 9, tagged("b")+image)), "", []string{"2 images: 2 expire (20 B), 0 are archived"}, true},
		{"tagged and untagged parts", describe(detail("a", 9, image), detail("b", 9, tagged("1.0-amd64")+image), detail("c", 9, tagged("1.0")+index)), "",
			[]string{"Not known: 2 of the 3 images may belong to an index, which would keep them; the manifests of the indexes would show it.\n", "3 images: 3 expire (30 B), 2 of them perhaps, 0 are"}, false},
		{"media types that are not told", describe(detail("a", 9, tagged("a"))), "", []string{"Not known: the image may belong to an index, which would keep it;", "1 image: 1 expires (10 B), 1 of them perhaps,"}, false},
		{"nothing goes", describe(detail("a", 1, tagged("a")), detail("c", 1, tagged("1.0")+index)), "", []string{"2 images: 0 expire, 0 are archived, 2 are kept."}, true},
		{"no push time", describe(`{"imageDigest": "sha256:a", "imageTags": ["a"]`+image+`}`, detail("b", 9, tagged("b")+image)), "",
			[]string{"Not known: when 1 image was pushed. Rules by age do not act on them, and counts treat them as the newest.\n", "2 images: 1 expires"}, false},
		{"archived images that are not listed", describe(detail("b", 9, tagged("b")+image)), strings.Replace(anyAfter(7), `"type": "expire"`, `"type": "transition", "targetStorageClass": "archive"`, 1),
			[]string{"Not known: which images are archived. aws ecr describe-images lists them only with --filter imageStatus=ANY.\n"}, false},
		{"archived images that are", describe(detail("b", 9, tagged("b")+image), detail("z", 900, image+`, "imageStatus": "ARCHIVED", "lastArchivedAt": 5`)), strings.Replace(anyAfter(7), `"type": "expire"`, `"type": "transition", "targetStorageClass": "archive"`, 1),
			[]string{"2 images: 0 expire, 1 is archived"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.T = t
			s.Write("images.json", c.images)
			s.Write("policy.json", anyAfter(7))
			if c.policy != "" {
				s.Write("policy.json", c.policy)
			}
			r := s.Want(s.Run("lifecycle", "preview", "--images", "images.json", "--policy", "policy.json", "--at", looked), 0, c.want...)
			if strings.Contains(r.Out, doubt) == c.certain {
				t.Errorf("certain is %v:\n%s", c.certain, r.Out)
			}
		})
	}
	s.T = t
	s.Write("policy.json", anyAfter(7))
	s.Write("images.json", describe(detail("b", 9, tagged("1.0-amd64")+image), detail("c", 9, tagged("1.0")+index)))
	s.Want(s.Run("lifecycle", "explain", ":1.0-amd64", "--images", "images.json", "--policy", "policy.json", "--at", looked), 0,
		"Rule 1 expires it at the next run, unless an index lists it:", "Not known: whether an index lists it")
	r := s.Want(s.Run("lifecycle", "explain", ":1.0", "--images", "images.json", "--policy", "policy.json", "--at", looked), 0, "Rule 1 expires it at the next run:")
	if strings.Contains(r.Out, doubt) {
		t.Errorf("an index is said to be a part of one:\n%s", r.Out)
	}
}

// manyRules are 12 rules about tags that no image has, a count and one about all.
func manyRules() string {
	rules := []string{}
	for i := range 12 {
		rules = append(rules, fmt.Sprintf(`{"rulePriority": %d, "selection": {"tagStatus": "tagged", "tagPatternList": ["x%d-*"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3}, "action": {"type": "expire"}}`, i+1, i))
	}
	rules = append(rules,
		`{"rulePriority": 20, "description": "builds", "selection": {"tagStatus": "tagged", "tagPatternList": ["dev-ft-*"], "countType": "imageCountMoreThan", "countNumber": 9}, "action": {"type": "expire"}}`,
		`{"rulePriority": 25, "selection": {"tagStatus": "tagged", "tagPatternList": ["dev-*"], "countType": "imageCountMoreThan", "countNumber": 3}, "action": {"type": "expire"}}`,
		`{"rulePriority": 30, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 40}, "action": {"type": "transition", "targetStorageClass": "archive"}}`,
		`{"rulePriority": 31, "selection": {"tagStatus": "tagged", "storageClass": "archive", "tagPatternList": ["old-*"], "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 90}, "action": {"type": "expire"}}`)
	return `{"rules": [` + strings.Join(rules, ",\n") + `]}`
}

// Explain names the neighbours and what comes after the archive; rules that
// have no part in it are put together.
func TestExplainTellsTheWholeStory(t *testing.T) {
	s := clitest.New(t)
	s.Write("policy.json", manyRules())
	s.Write("images.json", describe(
		detail("1", 1, tagged("dev-ft-1")+image), detail("2", 2, tagged("dev-7")+image), detail("3", 3, tagged("dev-ft-2")+image), detail("4", 4, tagged("dev-ft-3")+image),
		detail("5", 5, tagged("dev-6")+image), detail("6", 6, tagged("dev-5")+image), detail("7", 7, image+tagged("dev-4")),
		detail("old", 39, tagged("old-1")+image), detail("other", 60, tagged("other")+image),
	))
	args := []string{"--images", "images.json", "--policy", "policy.json", "--at", looked}
	explain := func(ref string) clitest.Result {
		return s.Run(append([]string{"lifecycle", "explain", ref}, args...)...)
	}
	r := s.Want(explain(":dev-5"), 0,
		"Rule 25 expires it at the next run: it is number 6 of 7, counted from the newest, and the rule keeps 3.\n"+
			"The 5 newer ones are dev-ft-1, dev-7, dev-ft-2, dev-ft-3 and dev-6; 3 of them belong to rule 20.\n",
		"  rules 1 to 12, 20 and 31 do not select it.\n", "  rule 25: ", "  rule 30: ")
	if strings.Contains(r.Out, "rule 7:") {
		t.Errorf("rules that do not select it have lines of their own:\n%s", r.Out)
	}
	s.Want(explain(":dev-4"), 0, "The 6 newer ones are dev-ft-1, dev-7, dev-ft-2, dev-ft-3, dev-6 and 1 more; 3 of them belong to rule 20.\n")
	s.Want(explain(":dev-7"), 0, "It is kept by rule 25: ", "The newer one is dev-ft-1; it belongs to rule 20.\n")
	s.Want(explain(":old-1"), 0, "It will be archived at the first run after 2026-03-02 12:00 UTC, in 1 day.\n"+
		"An archived image cannot be pulled until it is restored; rule 31 expires it 90 days later, on 2026-05-31.\n")
	s.Want(explain(":other"), 0, "An archived image cannot be pulled until it is restored; no rule for archived images selects it, so it stays in the archive.\n")
	got := decode[struct {
		NewerCount  int
		Newer       []struct{ OwnerPriority int }
		NewerOwners []struct{ RulePriority, Images int }
		ExpiresAt   time.Time
	}](t, s.Want(s.Run(append([]string{"lifecycle", "explain", ":dev-5", "--json"}, args...)...), 0).Out)
	if got.NewerCount != 5 || len(got.Newer) != 5 || fmt.Sprint(got.NewerOwners) != "[{20 3} {25 2}]" {
		t.Errorf("explain --json: %+v", got)
	}

	r = s.Want(s.Run(append([]string{"lifecycle", "preview"}, args...)...), 0, "rule 25: ", "rule 30: ", "Rules 1 to 12, 20 and 31 do nothing now.\n")
	if strings.Contains(r.Out, "rule 7:") || strings.Contains(r.Out, "nothing\n") {
		t.Errorf("rules that do nothing have lines of their own:\n%s", r.Out)
	}
	s.Want(s.Run(append([]string{"lifecycle", "preview", "--list"}, args...)...), 0,
		"WHAT HAPPENS         PUSHED      PULLED  SIZE  DIGEST               TAGS      IN USE BY\n",
		"expires by rule 25   2026-02-22  never   10 B  "+push.DigestOf("7")[:19]+"  dev-4\n", "archived by rule 30  2025-12-31  never   10 B  "+push.DigestOf("other")[:19]+"  other\n",
		"kept by rule 20      2026-02-28  never   10 B  "+push.DigestOf("1")[:19]+"  dev-ft-1\n")
	s.Want(s.Run(append([]string{"lifecycle", "forecast", "--list", "--days", "2"}, args...)...), 0,
		"2026-03-01  rule 25 expires 3 images, 30 B\n              "+push.DigestOf("5")[:19]+" (dev-6)\n", "Rules 1 to 12, 20 and 31 do nothing in this time.\n")
}

// Images in use are counted, and named when they are asked for.
func TestPreviewOfImagesInUse(t *testing.T) {
	s := clitest.New(t)
	s.Write("policy.json", anyAfter(7))
	pulled := `, "lastRecordedPullTime": "2026-03-01T06:00:00Z"`
	s.Write("images.json", describe(detail("a", 9, tagged("a")+image+pulled), detail("b", 9, tagged("b")+image), detail("c", 1, tagged("c")+image)))
	s.Write("leases.txt", "111111111111.dkr.ecr.us-east-1.amazonaws.com/app:b shop/web\n111111111111.dkr.ecr.us-east-1.amazonaws.com/app:c shop/api\n")
	args := []string{"app", "--images", "images.json", "--policy", "policy.json", "--at", looked, "--leases", "leases.txt"}
	s.Want(s.Run(append([]string{"lifecycle", "preview"}, args...)...), 1, "In use by leases: 2 images, of which 1 expires; --list names them.\n", "Pulled in the last 7 days: 1 of the 2 images that expire.\n",
		"the policy expires 1 image in use")
	s.Want(s.Run(append([]string{"lifecycle", "preview", "--list"}, args...)...), 1, "  b     shop/web\n", "  c     shop/api\n")
	s.Want(s.Run(append([]string{"lifecycle", "lint"}, args...)...), 1, "KON3006: warning: ", "rule 1 expires 2 images in use or pulled within its 7 days")
}

// Every image of a repository with expire_all_images is meant to go.
func TestLintTakesTheFileAtItsWord(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", "ecr_repositories:\n  previews: {expire_all_images: true}\n  other:\n    lifecycle_policy_json:\n      rules:\n      - {rulePriority: 1, selection: {tagStatus: any, countType: sinceImagePushed, countUnit: days, countNumber: 7}, action: {type: expire}}\n")
	r := s.Want(s.Run("lifecycle", "lint"), 0, "0 warnings, 2 notes.\n", "KON3016")
	if strings.Contains(r.Out, "previews") {
		t.Errorf("what the file asks for is a finding:\n%s", r.Out)
	}
}

// A report changes nothing of what it reports, and goes by the registry's clock.
func TestLooksAreNoPulls(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	s.Want(s.Run("apply", "-y"), 0)
	p := push.To(t, awstest.ECR(reg), "api")
	index := p.Index("v1", p.Image("amd64", ""), p.Image("arm64", ""))
	lone := p.Image("lone", "")
	reg.Advance(30 * 24 * time.Hour)
	at := reg.Now().UTC().Format("2006-01-02")
	for _, args := range [][]string{{"preview", "api"}, {"explain", "api:v1"}, {"forecast", "api"}, {"lint", "api"}, {"snapshot", "api", "-o", "snap"}, {"preview", "--images", "snap"}} {
		r := s.Run(append([]string{"lifecycle"}, args...)...)
		if r.Code != 0 {
			t.Errorf("%v: %s%s", args, r.Out, r.Errors)
		}
		if strings.HasPrefix(r.Out, "Lifecycle ") && !strings.Contains(r.Out, " at "+at) {
			t.Errorf("%v does not look at %s:\n%s", args, at, r.Out)
		}
		if strings.Contains(r.Errors, "count that as a pull") {
			t.Errorf("%v says what AWS does: %s", args, r.Errors)
		}
	}
	s.Want(s.Run("lifecycle", "preview", "api"), 0, "  expires 1 image,", "Kept although a rule would act: 2 images", "4 images: 1 expires")
	pulled := func() string {
		t.Helper()
		reg.RunLifecycle(t, "api") // which looks at the pulls of the last seconds, too
		out, err := p.API.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("api")})
		if err != nil || len(out.ImageDetails) != 3 {
			t.Fatalf("%d images, %v", len(out.ImageDetails), err)
		}
		var list []string
		for _, d := range out.ImageDetails {
			if d.LastRecordedPullTime != nil {
				list = append(list, *d.ImageDigest)
			}
		}
		return strings.Join(list, " ")
	}
	if got := pulled(); got != "" {
		t.Errorf("looking was a pull of %s", got)
	}
	if _, err := p.API.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String("api"), ImageIds: []types.ImageIdentifier{{ImageDigest: &index}}}); err != nil {
		t.Fatal(err)
	}
	if got := pulled(); got != index {
		t.Errorf("a pull of the index is one of %q", got)
	}

	// what is gone is looked up
	s.Want(s.Run("lifecycle", "explain", "api@"+lone[:20]), 0, "No image in api has the digest "+lone[:20]+". The journal has:\n",
		"api@"+lone[:19]+": deleted, ", "rule 1", "It can be restored until ", "kontor admin restore api@"+lone+"\n")
	gone := decode[struct {
		Journal    []struct{ RulePriority int }
		Restorable struct{ ImageDigest string }
	}](t, s.Want(s.Run("lifecycle", "explain", "api@"+lone, "--json"), 0).Out)
	if len(gone.Journal) != 1 || gone.Journal[0].RulePriority != 1 || gone.Restorable.ImageDigest != lone {
		t.Errorf("explain --json: %+v", gone)
	}
	s.Want(s.Run("lifecycle", "explain", "api:never"), 1, "kontor: no image in api has the tag never\n")

	// who may only push and pull is told what is not known
	clitest.AWSEnv(t, reg.Pusher)
	r := s.Run("lifecycle", "explain", "api:v1", "--policy", "snap/policy.json")
	if r.Code != 0 || !strings.Contains(r.Errors, "kontor:ListIndexManifests") {
		t.Errorf("the pusher: %s%s", r.Out, r.Errors)
	}
}

// A plan says which images another lifecycle policy would expire.
func TestPlanTellsWhichImagesGo(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	s.Want(s.Run("apply", "-y"), 0)
	p := push.To(t, awstest.ECR(reg), "api")
	for i := range 5 {
		p.Image(fmt.Sprint("build ", i), "", fmt.Sprint("v", i))
		reg.Advance(time.Hour)
	}
	s.Write("kontor.yaml", strings.Replace(clitest.RemoteFile(reg), "  website:", "    expiration_rules:\n      - {tag_pattern: \"v*\", keep_last: 2}\n  website:", 1))
	const goes = "        - of 5 images, 3 expire (27 B, frees 21 B) at the next run, which the old policy keeps\n"
	r := s.Want(s.Run("plan"), 0, goes)
	for _, tag := range []string{"v0", "v1", "v2"} {
		if !strings.Contains(r.Out[strings.Index(r.Out, goes):], tag) {
			t.Errorf("%s is not named:\n%s", tag, r.Out)
		}
	}
	s.Want(s.Run("plan", "--markdown"), 0, "\n**3 images expire at the next run.**\n", "| of 5 images, 3 expire (27 B, frees 21 B) at the next run, which the old policy keeps |")
	got := decode[struct {
		Plans []struct {
			Changes []struct {
				Effects *struct {
					Images struct{ Expire []struct{ Count int } }
				}
			}
		}
	}](t, s.Want(s.Run("plan", "--json"), 0).Out)
	n := 0
	for _, c := range got.Plans[0].Changes {
		if c.Effects != nil {
			n += c.Effects.Images.Expire[0].Count
		}
	}
	if n != 3 {
		t.Errorf("plan --json: %d images go, want 3", n)
	}
	s.Want(s.Run("plan", "-o", "p.plan"), 0)
	s.Want(s.Run("apply", "-y", "p.plan"), 0)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	text := `{"Version":"2012-10-17","Statement":[{"Sid":"Closed","Effect":"Deny","Principal":"*","Action":"ecr:DescribeImages","Resource":"*"}]}`
	if _, err := p.API.PutRegistryPolicy(t.Context(), &ecr.PutRegistryPolicyInput{PolicyText: &text}); err != nil {
		t.Fatal(err)
	}
	s.Want(s.Run("plan"), 0, "        ~ which images that affects is not known: ", "ecr:DescribeImages", "Effects: the images of 1 repository could not be read.")
	if _, err := p.API.DeleteRegistryPolicy(t.Context(), &ecr.DeleteRegistryPolicyInput{}); err != nil {
		t.Fatal(err)
	}
	s.Want(s.Run("plan"), 0, "        + 3 images (27 B) stay that the old policy expires at the next run\n", "Effects: 3 images stay that would expire within 30 days.\n")
}
