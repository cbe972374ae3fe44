package lifecyclecmd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

const testedFile = `ecr_repositories:
  api:
    expiration_rules:
    - {tag_pattern: "pr-*", days: 7}
  web: {expire_all_images: true}
lifecycle_tests:
- {repository: api, image: {tags: [release-1], age_days: 300}, expect: kept}
- {repository: api, image: {tags: [pr-1], age_days: 8}, expect: expired}
- {image: {age_days: 2}, expect: expired}
`

func TestLifecycleTests(t *testing.T) {
	s := clitest.New(t)
	s.Env["KONTOR_DATA"] = t.TempDir()
	s.Write("kontor.yaml", testedFile)
	want := `ok      kontor.yaml:7:3: repository api: an image tagged release-1, 300 days old, is kept
ok      kontor.yaml:8:3: repository api: an image tagged pr-1, 8 days old, is expired
ok      kontor.yaml:9:3: repository api: an untagged image, 2 days old, is expired
ok      kontor.yaml:9:3: repository web: an untagged image, 2 days old, is expired
4 tests passed, 0 failed.
`
	if diff := cmp.Diff(want, s.Want(s.Run("lifecycle", "test"), 0).Out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.Want(s.Run("plan", "--exit-code"), 3, "2 to create")

	s.Write("kontor.yaml", testedFile+"- {repository: web, image: {tags: [release-1], age_days: 300}, expect: kept}\n")
	const line = `kontor.yaml:10:3: lifecycle_tests[3]: in repository web the image is expired, not kept: it belongs to rule 2, made by ecr_repositories.web.expire_all_images at 5:9`
	r := s.Want(s.Run("lifecycle", "test"), 1, "FAILED  kontor.yaml:10:3: repository web: an image tagged release-1, 300 days old, is expired\n", "4 tests passed, 1 failed.\n")
	if r.Errors != line+"\nkontor: 1 lifecycle test failed\n" {
		t.Errorf("stderr:\n%s", r.Errors)
	}
	got := decode[struct {
		Tests []struct {
			Passed     bool
			Repository string
			Got        string
			Line       int
			RuleField  string
		}
	}](t, s.Want(s.Run("lifecycle", "test", "--json"), 1).Out)
	if last := got.Tests[len(got.Tests)-1]; len(got.Tests) != 5 || last.Passed || last.Got != "expired" || last.Line != 10 || last.RuleField != "ecr_repositories.web.expire_all_images" {
		t.Errorf("test --json: %+v", got)
	}
	// the plan is shown, and fails whatever the changes
	r = s.Want(s.Run("plan", "--exit-code"), 1, "2 to create")
	if !strings.Contains(r.Errors, line+"\n") {
		t.Errorf("stderr:\n%s", r.Errors)
	}
	decode[plan.Plan](t, s.Want(s.Run("plan", "--json"), 1).Out)
	if r := s.Want(s.Run("apply", "-y"), 1); !strings.Contains(r.Errors, line) || !strings.Contains(r.Errors, "nothing was changed") {
		t.Errorf("apply:\n%s%s", r.Out, r.Errors)
	}
	s.Want(s.Run("plan", "--exit-code"), 1, "2 to create")
}

func TestLifecycleLint(t *testing.T) {
	s := clitest.New(t)
	multiplatform(s)
	s.Write("new.json", clitest.ReducedPolicy)
	lint := func(more ...string) clitest.Result { return s.Run(append([]string{"lifecycle", "lint"}, more...)...) }
	at := []string{"--images", "images.json", "--at", "2026-03-01T12:00:00Z"}

	s.Want(lint("--policy", "policy.json"), 0, "0 warnings, 0 notes.\n")
	s.Want(lint("--policy", "new.json"), 1, "new.json:2:", "KON3001: warning: rules[0].selection.tagPatternList: rule 1 selects only images with tags for each of")
	s.Want(lint(append(at, "--policy", "new.json")...), 1, "new.json:2:78: KON3001: warning: rules[0].selection.tagPatternList: ",
		"    Remedy: if images with any of these tags are meant, write one rule for each element.\n", "    Images: sha256:", "(v1)",
		"KON3004", "kontor: there are 2 warnings\n")
	got := decode[struct {
		Findings []struct {
			Code, Severity, Path, File string
			Line                       int
			RulePriority               *int
			ImageDigests               []string
		}
	}](t, s.Want(lint(append(at, "--policy", "new.json", "--json")...), 1).Out)
	if f := got.Findings[0]; f.Code != "KON3001" || f.Severity != "warning" || f.File != "new.json" || f.Line != 2 || f.RulePriority == nil || *f.RulePriority != 1 || len(f.ImageDigests) != 1 {
		t.Errorf("lint --json: %+v", got)
	}

	// of the file: all repositories, without images; places are the fields'
	s.Write("kontor.yaml", "ecr_repositories:\n  one:\n    expiration_rules:\n    - {tag_pattern: \"*\", days: 3}\n    - {tag_pattern: \"v*\", days: 90}\n  two: {}\n")
	s.Want(lint(), 1, "kontor.yaml:5:7: KON3003: warning: ecr_repositories.one.expiration_rules[1]: rule 3 can never own an image: rule 2 selects every image that it selects.\n",
		"    Remedy: give it a rulePriority below 2, or remove it.\n", "kontor: there is 1 warning\n")
	s.Want(lint(append(at, "-f", "kontor.yaml")...), 1, `the file does not declare repository "team/app"`)

	// what only Kontor's registry takes is a finding, not an error
	s.Write("pulled.json", strings.NewReplacer("sinceImagePushed", "sinceImagePulled", `"untagged"`, `"any"`).Replace(untaggedPolicy))
	s.Want(lint("--policy", "pulled.json"), 1, "KON3007")
	s.Want(s.Run("lifecycle", "preview", "--policy", "pulled.json", "--images", "images.json"), 1, "pulled.json:4:23: rules[0].action.type")
	s.Want(s.Run("lifecycle", "preview", "--policy", "pulled.json", "--images", "images.json", "--assume", "kontor"), 0)
	s.Want(lint("--policy", "none.json"), 1, "none.json does not exist")
}

func TestLifecycleDiff(t *testing.T) {
	s := clitest.New(t)
	names := multiplatform(s)
	s.Write("new.json", clitest.ReducedPolicy)
	args := []string{"lifecycle", "diff", "policy.json", "new.json", "--images", "images.json", "--manifests", "manifests", "--at", "2026-03-01T12:00:00Z", "--assume", "kontor"}
	type change struct {
		Digest        string `json:"imageDigest"`
		Before, After struct{ Action string }
	}
	got := decode[struct{ Lost, Gained, Changed []change }](t, s.Want(s.Run(append(args, "--json")...), 0).Out)
	lost := map[string]string{}
	for _, c := range got.Lost {
		lost[names[c.Digest]] = c.Before.Action + " " + c.After.Action
	}
	if diff := cmp.Diff(map[string]string{"index": "keep expire", "signature": "keep expire"}, lost); diff != "" || len(got.Gained) != 0 || len(got.Changed) != 3 {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
	s.Want(s.Run(args...), 0, "Lifecycle of team/app at 2026-03-01 12:00 UTC: policy.json -> new.json\n",
		"Lost: expire under the new policy only: 2 images, 2.0 MiB\n", "(v1): kept -> expires by rule 2\n",
		"kept although rule 1 would act -> kept although rule 2 would act\n", "2 lost, 0 gained, 3 with other changes, 0 images unchanged.\n")
	back := append([]string{}, args...)
	back[2], back[3] = back[3], back[2]
	s.Want(s.Run(back...), 0, "Gained: expire under the old policy only: 2 images", "0 lost, 2 gained")
	same := append([]string{}, args...)
	same[3] = same[2]
	s.Want(s.Run(same...), 0, "0 lost, 0 gained, 0 with other changes, 5 images unchanged.")
	s.Want(s.Run("lifecycle", "diff", "policy.json", "new.json"), 2, "--images is required")
	s.Want(s.Run("lifecycle", "diff", "policy.json"), 2, "kontor lifecycle diff takes 2 arguments, and got 1")
}

// A file may ask for no lifecycle policy: that is a state like any other.
func TestNoLifecyclePolicy(t *testing.T) {
	s := clitest.New(t)
	s.Env["KONTOR_DATA"] = t.TempDir()
	multiplatform(s)
	s.Write("kontor.yaml", "ecr_repositories: {team/app: {}}\n")
	s.Want(s.Run("apply", "-y"), 0)
	s.Write("kontor.yaml", "ecr_repositories: {team/app: {expire_untagged_after_days: never}}\n")
	s.Want(s.Run("lifecycle", "lint"), 0, "0 warnings") // that untagged images stay is what the file asks for
	s.Want(s.Run("lifecycle", "preview", "team/app", "-f", "kontor.yaml", "--images", "images.json"), 0, " 0 expire")
	s.Want(s.Run("plan", "--exit-code"), 3, "- lifecycle policy\n", "1 to update")
	s.Want(s.Run("apply", "-y"), 0)
	s.Want(s.Run("plan", "--exit-code"), 0)
	s.Want(s.Run("lifecycle", "preview", "team/app", "--deployed"), 0, "There is no lifecycle policy: nothing expires.")
}

// A policy is taken in each form that the AWS CLI prints it in, and mistakes in
// it have places in the file.
func TestPolicyOfTheAWSCLI(t *testing.T) {
	escaped := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, `"`, `\"`), "\n", `\n`) }
	const wrong = "{\"rules\": [\n {\"rulePriority\": 0, \"selection\": {\"tagStatus\": \"any\", \"countType\": \"imageCountMoreThan\", \"countNumber\": 5}, \"action\": {\"type\": \"expire\"}}]}"
	for name, form := range map[string]func(policy string) string{
		"the policy":                  func(p string) string { return p },
		"--query lifecyclePolicyText": func(p string) string { return `"` + escaped(p) + `"` + "\n" },
		"the whole answer": func(p string) string {
			return "{\n    \"registryId\": \"111111111111\",\n    \"lifecyclePolicyText\": \"" + escaped(p) + "\"\n}\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := clitest.New(t)
			lint := func(policy, word string) (clitest.Result, string) {
				text := form(policy)
				s.Write("p.json", text)
				before, _, _ := strings.Cut(text, word)
				return s.Run("lifecycle", "lint", "--policy", "p.json"),
					fmt.Sprintf("p.json:%d:%d: ", strings.Count(before, "\n")+1, len(before)-strings.LastIndex(before, "\n"))
			}
			r, at := lint(strings.Replace(clitest.ReducedPolicy, `["v*`, `[    "v*`, 1), "[    ")
			s.Want(r, 1, at+"KON3001: ")
			r, at = lint(wrong, "0, ")
			s.Want(r, 1, at+"rules[0].rulePriority: ")
		})
	}
}

// A file that says that images without tags stay gets no warning that they do.
func TestLintOfNever(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", `ecr_repositories: {app: {expire_untagged_after_days: never, keep: ["v*"]}}`)
	if r := s.Run("lifecycle", "lint"); strings.Contains(r.Out, "KON3008") || r.Code != 0 {
		t.Errorf("%d %s", r.Code, r.Out)
	}
	s.Write("kontor.yaml", `ecr_repositories: {app: {lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: tagged, tagPatternList: ["a*"], countType: sinceImagePushed, countUnit: days, countNumber: 9}, action: {type: expire}}]}}}`)
	s.Want(s.Run("lifecycle", "lint"), 1, "KON3008")
}
