package cli_test

import (
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// TestEndpointWithoutFile: what can be asked of a local registry can be asked of
// one elsewhere, without a file, and a file that lies about does not count.
func TestEndpointWithoutFile(t *testing.T) {
	reg := kontortest.Start(t)
	reg.CreateRepository(t, "team/app")
	s := clitest.New(t)
	s.Write("kontor.yaml", "registries: [{name: prod, account: \"999999999999\", region: us-east-1}]\necr_repositories: {}\n")
	clitest.AWSEnv(t, reg.Admin)
	push.To(t, awstest.ECR(reg), "team/app").Image("one", "", "v1")
	at := func(args ...string) []string { return append(args, "--endpoint", reg.URL, "--region", reg.Region) }
	s.Write("policy.json", `{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]}`)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"access", "matrix"}, "user/administrator\n  arn:aws:ecr:us-east-1:000000000000:repository/team/app  pull, push, delete, admin"},
		{[]string{"access", "check", "arn:aws:iam::000000000000:user/pusher", "push", "team/app"}, "user/pusher may push"},
		{[]string{"access", "who-can", "pull", "team/app"}, "user/pusher"},
		{[]string{"lifecycle", "preview", "team/app", "--policy", "policy.json"}, "1 image: 0 expire"},
		{[]string{"lifecycle", "explain", "team/app:v1", "--policy", "policy.json"}, "v1"},
		{[]string{"lifecycle", "forecast", "team/app", "--policy", "policy.json"}, "Now 1 image"},
		{[]string{"lifecycle", "lint", "team/app", "--policy", "policy.json"}, ""},
		{[]string{"lifecycle", "snapshot", "team/app", "-o", "snap"}, "1 image"},
	} {
		s.Want(s.Run(at(tt.args...)...), 0, tt.want)
	}
	s.Want(s.Run("access", "matrix", "--endpoint", "localhost"), 2, "want a URL such as")
	s.Want(s.Run("access", "matrix", "--region", "us-east-1"), 2, "--region needs --endpoint")
	s.Want(s.Run(at("access", "matrix", "-f", "kontor.yaml")...), 2, "leave out --data and --target, and -f")
	s.Want(s.Run(at("access", "matrix", "--planned")...), 2, "--planned needs a file")
	s.Want(s.Run(at("lifecycle", "preview", "team/app", "--data", "x")...), 2, "leave out --data and --target, and -f")
	s.Want(s.Run(at("lifecycle", "preview", "team/app", "--images", "x")...), 2, "leave out --target, --data and --endpoint")
	s.Want(s.Run(at("lifecycle", "lint")...), 2, "name the repository")
}
