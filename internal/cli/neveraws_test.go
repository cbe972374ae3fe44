package cli_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/kontortest"
)

// TestNoCommandGoesToAWSWithoutRegistries runs every command that reads the
// file, with credentials and with clusters of other accounts, where all services
// of AWS are a stranger that counts who comes.
func TestNoCommandGoesToAWSWithoutRegistries(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went to AWS: %s %s %s", r.Method, r.URL, r.Header.Get("X-Amz-Target"))
	}))
	defer stranger.Close()
	s := clitest.New(t)
	clitest.AWSEnv(t, kontortest.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"})
	for _, v := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_EKS"} {
		t.Setenv(v, stranger.URL)
		s.Env[v] = stranger.URL
	}
	s.Env["KONTOR_DATA"] = t.TempDir()
	s.Write("kontor.yaml", `stack: platform
clusters: [{name: apps, account: "222222222222", region: us-east-2, role_arn: "arn:aws:iam::222222222222:role/deployer", profile: apps}]
access_tests: [{principal: "222222222222", repository: api, allow: [pull]}]
lifecycle_tests: [{repository: api, image: {tags: [v1], age_days: 1}, expect: kept}]
ecr_repositories: {api: {delete_protection: false}, website: {}}
`)
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"validate"}, 0},
		{[]string{"render"}, 0},
		{[]string{"outputs"}, 0},
		{[]string{"plan", "--exit-code"}, 3},
		{[]string{"plan", "-o", "next.plan"}, 0},
		{[]string{"apply", "--yes", "next.plan"}, 0},
		{[]string{"plan", "--refresh-only", "--exit-code"}, 0},
		{[]string{"plan", "--prune", "--markdown"}, 0},
		{[]string{"lifecycle", "preview", "api"}, 0},
		{[]string{"lifecycle", "lint"}, 0},
		{[]string{"lifecycle", "test"}, 0},
		{[]string{"access", "matrix"}, 0},
		{[]string{"access", "test"}, 0},
		{[]string{"__complete", "plan", "--target", ""}, 0},
		{[]string{"destroy", "--yes"}, 1}, // website is protected
	} {
		r := s.Run(c.args...)
		if r.Code != c.code {
			t.Errorf("kontor %q: exit code %d, want %d\n%s%s", c.args, r.Code, c.code, r.Out, r.Errors)
		}
	}
}
