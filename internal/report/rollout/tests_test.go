package rollout_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// TestLifecycleTests: the published JSON of results, and the error of those that
// do not hold, a line for each.
func TestLifecycleTests(t *testing.T) {
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(`ecr_repositories:
  app: {expiration_rules: [{tag_pattern: "pr-*", days: 7}]}
lifecycle_tests:
  - {image: {tags: [v1], age_days: 99}, expect: kept}
  - {image: {tags: [pr-1], age_days: 8}, expect: kept}
  - {image: {age_days: 0.5}, expect: expired}
`)})
	if err != nil {
		t.Fatal(err)
	}
	results := rollout.NewLifecycleTests(f.RunLifecycleTests(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
	text, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"tests":[` +
		`{"passed":true,"repository":"app","tags":["v1"],"ageDays":99,"expect":"kept","got":"kept","rulePriority":null,"field":"lifecycle_tests[0]","file":"kontor.yaml","line":4,"column":5},` +
		`{"passed":false,"repository":"app","tags":["pr-1"],"ageDays":8,"expect":"kept","got":"expired","rulePriority":2,"ruleField":"ecr_repositories.app.expiration_rules[0]","field":"lifecycle_tests[1]","file":"kontor.yaml","line":5,"column":5},` +
		`{"passed":false,"repository":"app","tags":[],"ageDays":0.5,"expect":"expired","got":"kept","rulePriority":1,"ruleField":"ecr_repositories.app","field":"lifecycle_tests[2]","file":"kontor.yaml","line":6,"column":5}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err = results.Err()
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.HasPrefix(err.Error(), "kontor.yaml:5:5: lifecycle_tests[1]: in repository app the image is expired, not kept") ||
		!strings.HasSuffix(err.Error(), "\n2 lifecycle tests do not hold") {
		t.Errorf("%v", err)
	}
	results.Tests = results.Tests[:1]
	if err := results.Err(); err != nil {
		t.Error(err)
	}
}

// TestAccessTests: one that does not hold is named, several are counted.
func TestAccessTests(t *testing.T) {
	holds := rollout.AccessTest{Principal: "222222222222", Repository: "arn:aws:ecr:us-east-1:111111111111:repository/app", Right: "pull", Expect: "may", Outcome: proof.Allowed, Where: "kontor.yaml:4:5"}
	fails := holds
	fails.Failure, fails.Outcome = "it is denied", proof.Denied
	for want, tests := range map[string][]rollout.AccessTest{
		"<nil>": {holds},
		"kontor.yaml:4:5: an access test does not hold: 222222222222 may pull arn:aws:ecr:us-east-1:111111111111:repository/app: it is denied": {holds, fails},
		"2 access tests do not hold: see `kontor access test`":                                                                                 {fails, fails},
	} {
		got := "<nil>"
		if err := (rollout.AccessTests{Tests: tests}).Err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
