package cli_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	s := newShell(t)
	s.env["KONTOR_DATA"] = t.TempDir()
	s.write("kontor.yaml", testedFile)
	want := `ok      kontor.yaml:7:3: repository api: an image tagged release-1, 300 days old, is kept
ok      kontor.yaml:8:3: repository api: an image tagged pr-1, 8 days old, is expired
ok      kontor.yaml:9:3: repository api: an untagged image, 2 days old, is expired
ok      kontor.yaml:9:3: repository web: an untagged image, 2 days old, is expired
4 tests passed, 0 failed.
`
	if diff := cmp.Diff(want, s.want(s.run("lifecycle", "test"), 0).out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s.want(s.run("plan", "--exit-code"), 3, "2 to create")

	s.write("kontor.yaml", testedFile+"- {repository: web, image: {tags: [release-1], age_days: 300}, expect: kept}\n")
	const line = `kontor.yaml:10:3: lifecycle_tests[3]: in repository web the image is expired, not kept: it belongs to rule 2, made by ecr_repositories.web.expire_all_images at 5:9`
	r := s.want(s.run("lifecycle", "test"), 1, "FAILED  kontor.yaml:10:3: repository web: an image tagged release-1, 300 days old, is expired\n", "4 tests passed, 1 failed.\n")
	if r.errors != line+"\nkontor: 1 lifecycle test does not hold\n" {
		t.Errorf("stderr:\n%s", r.errors)
	}
	got := decode[struct {
		Tests []struct {
			Passed     bool
			Repository string
			Got        string
			Line       int
			RuleField  string
		}
	}](t, s.want(s.run("lifecycle", "test", "--json"), 1).out)
	if last := got.Tests[len(got.Tests)-1]; len(got.Tests) != 5 || last.Passed || last.Got != "expired" || last.Line != 10 || last.RuleField != "ecr_repositories.web.expire_all_images" {
		t.Errorf("test --json: %+v", got)
	}
	// the plan is shown, and fails whatever the changes
	r = s.want(s.run("plan", "--exit-code"), 1, "2 to create")
	if !strings.Contains(r.errors, line+"\n") {
		t.Errorf("stderr:\n%s", r.errors)
	}
	decode[plan.Plan](t, s.want(s.run("plan", "--json"), 1).out)
	if r := s.want(s.run("apply", "-y"), 1); !strings.Contains(r.errors, line) || !strings.Contains(r.errors, "nothing was changed") {
		t.Errorf("apply:\n%s%s", r.out, r.errors)
	}
	s.want(s.run("plan", "--exit-code"), 1, "2 to create")
}

const reducedPolicy = `{"rules": [
  {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["v*", "prod-*"], "countType": "imageCountMoreThan", "countNumber": 99999}, "action": {"type": "expire"}},
  {"rulePriority": 2, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}
]}`

func TestLifecycleLint(t *testing.T) {
	s := newShell(t)
	multiplatform(s)
	s.write("new.json", reducedPolicy)
	lint := func(more ...string) result { return s.run(append([]string{"lifecycle", "lint"}, more...)...) }
	at := []string{"--images", "images.json", "--at", "2026-03-01T12:00:00Z"}

	s.want(lint("--policy", "policy.json"), 0, "0 warnings, 0 notes.\n")
	s.want(lint("--policy", "new.json"), 1, "new.json:2:", "KON3001: warning: rules[0].selection.tagPatternList: rule 1 selects only images with tags for each of")
	s.want(lint(append(at, "--policy", "new.json")...), 1, "new.json:2:78: KON3001: warning: rules[0].selection.tagPatternList: ",
		"    Remedy: if images with any of these tags are meant, write one rule for each element.\n", "    Images: sha256:", "(v1)",
		"KON3004", "kontor: there are 2 warnings\n")
	got := decode[struct {
		Findings []struct {
			Code, Severity, Path, File string
			Line                       int
			RulePriority               *int
			ImageDigests               []string
		}
	}](t, s.want(lint(append(at, "--policy", "new.json", "--json")...), 1).out)
	if f := got.Findings[0]; f.Code != "KON3001" || f.Severity != "warning" || f.File != "new.json" || f.Line != 2 || f.RulePriority == nil || *f.RulePriority != 1 || len(f.ImageDigests) != 1 {
		t.Errorf("lint --json: %+v", got)
	}

	// of the file: all repositories, without images; places are the fields'
	s.write("kontor.yaml", "ecr_repositories:\n  one:\n    expiration_rules:\n    - {tag_pattern: \"*\", days: 3}\n    - {tag_pattern: \"v*\", days: 90}\n  two: {}\n")
	s.want(lint(), 1, "kontor.yaml:5:7: KON3003: warning: ecr_repositories.one.expiration_rules[1]: rule 3 can never own an image: rule 2 selects every image that it selects.\n",
		"    Remedy: give it a rulePriority below 2, or remove it.\n", "kontor: there is 1 warning\n")
	s.want(lint(append(at, "-f", "kontor.yaml")...), 1, `the file does not declare repository "team/app"`)

	// what only Kontor's registry takes is a finding, not an error
	s.write("pulled.json", strings.NewReplacer("sinceImagePushed", "sinceImagePulled", `"untagged"`, `"any"`).Replace(untaggedPolicy))
	s.want(lint("--policy", "pulled.json"), 1, "KON3007")
	s.want(s.run("lifecycle", "preview", "--policy", "pulled.json", "--images", "images.json"), 1, "pulled.json:4:23: rules[0].action.type")
	s.want(s.run("lifecycle", "preview", "--policy", "pulled.json", "--images", "images.json", "--assume", "kontor"), 0)
	s.want(lint("--policy", "none.json"), 1, "none.json does not exist")
}

func TestLifecycleDiff(t *testing.T) {
	s := newShell(t)
	names := multiplatform(s)
	s.write("new.json", reducedPolicy)
	args := []string{"lifecycle", "diff", "policy.json", "new.json", "--images", "images.json", "--manifests", "manifests", "--at", "2026-03-01T12:00:00Z", "--assume", "kontor"}
	type change struct {
		Digest        string `json:"imageDigest"`
		Before, After struct{ Action string }
	}
	got := decode[struct{ Lost, Gained, Changed []change }](t, s.want(s.run(append(args, "--json")...), 0).out)
	lost := map[string]string{}
	for _, c := range got.Lost {
		lost[names[c.Digest]] = c.Before.Action + " " + c.After.Action
	}
	if diff := cmp.Diff(map[string]string{"index": "keep expire", "signature": "keep expire"}, lost); diff != "" || len(got.Gained) != 0 || len(got.Changed) != 3 {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
	s.want(s.run(args...), 0, "Lifecycle of team/app at 2026-03-01 12:00 UTC: policy.json -> new.json\n",
		"Lost: expire under the new policy only: 2 images, 2.0 MiB\n", "(v1): kept -> expires by rule 2\n",
		"kept although rule 1 would act -> kept although rule 2 would act\n", "2 lost, 0 gained, 3 with other changes, 0 images unchanged.\n")
	back := append([]string{}, args...)
	back[2], back[3] = back[3], back[2]
	s.want(s.run(back...), 0, "Gained: expire under the old policy only: 2 images", "0 lost, 2 gained")
	same := append([]string{}, args...)
	same[3] = same[2]
	s.want(s.run(same...), 0, "0 lost, 0 gained, 0 with other changes, 5 images unchanged.")
	s.want(s.run("lifecycle", "diff", "policy.json", "new.json"), 2, "--images is required")
	s.want(s.run("lifecycle", "diff", "policy.json"), 2, "kontor lifecycle diff takes 2 arguments, and got 1")
}

// A file may ask for no lifecycle policy: that is a state like any other.
func TestNoLifecyclePolicy(t *testing.T) {
	s := newShell(t)
	s.env["KONTOR_DATA"] = t.TempDir()
	multiplatform(s)
	s.write("kontor.yaml", "ecr_repositories: {team/app: {}}\n")
	s.want(s.run("apply", "-y"), 0)
	s.write("kontor.yaml", "ecr_repositories: {team/app: {expire_untagged_after_days: never}}\n")
	s.want(s.run("lifecycle", "lint"), 0, "0 warnings") // that untagged images stay is what the file asks for
	s.want(s.run("lifecycle", "preview", "team/app", "-f", "kontor.yaml", "--images", "images.json"), 0, " 0 expire")
	s.want(s.run("plan", "--exit-code"), 3, "- lifecycle policy\n", "1 to update")
	s.want(s.run("apply", "-y"), 0)
	s.want(s.run("plan", "--exit-code"), 0)
	s.want(s.run("lifecycle", "preview", "team/app", "--deployed"), 0, "There is no lifecycle policy: nothing expires.")
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
			s := newShell(t)
			lint := func(policy, word string) (result, string) {
				text := form(policy)
				s.write("p.json", text)
				before, _, _ := strings.Cut(text, word)
				return s.run("lifecycle", "lint", "--policy", "p.json"),
					fmt.Sprintf("p.json:%d:%d: ", strings.Count(before, "\n")+1, len(before)-strings.LastIndex(before, "\n"))
			}
			r, at := lint(strings.Replace(reducedPolicy, `["v*`, `[    "v*`, 1), "[    ")
			s.want(r, 1, at+"KON3001: ")
			r, at = lint(wrong, "0, ")
			s.want(r, 1, at+"rules[0].rulePriority: ")
		})
	}
}
