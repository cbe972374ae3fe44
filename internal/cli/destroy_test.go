package cli_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// TestDestroyAsks: on a terminal destroy and apply --prune ask, and no is the
// answer of everything but y and yes.
func TestDestroyAsks(t *testing.T) {
	reg := kontortest.Start(t)
	there := func() int {
		out, err := awstest.ECR(reg).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Repositories)
	}
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	file := clitest.RemoteFile(reg) + "  old: {delete_protection: false}\n"
	s.Write("kontor.yaml", file)
	s.Want(s.Run("apply", "-y"), 0)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	s.Write("free.yaml", "defaults: {delete_protection: false}\n"+clitest.RemoteFile(reg))
	s.Want(s.Run("apply", "-y", "-f", "free.yaml"), 0)
	s.Want(s.Run("destroy", "-f", "free.yaml"), 2, "cannot prompt, because stdin is not a terminal")
	s.Want(s.Run("apply", "--prune"), 2, "cannot prompt, because stdin is not a terminal")
	s.Terminal = true
	for _, s.Stdin = range []string{"", "n\n", "\n", "destroy\n", "yess\n"} {
		s.Want(s.Run("destroy", "-f", "free.yaml"), 1, "DELETE 3 repositories of registry prod (account 000000000000, region us-east-1)? [y/N] ", "kontor: nothing was changed\n")
		s.Want(s.Run("apply", "--prune", "-f", "free.yaml"), 1, "DELETE 1 repository of registry prod", "nothing was changed")
	}
	if n := there(); n != 3 {
		t.Errorf("%d repositories are left, want 3", n)
	}
	s.Stdin = "yes\n"
	s.Want(s.Run("apply", "--prune", "-f", "free.yaml"), 0, "old: deleted")
	s.Stdin = "Y\n"
	s.Want(s.Run("destroy", "-f", "free.yaml"), 0, "api: deleted", "website: deleted")
	if n := there(); n != 0 {
		t.Errorf("%d repositories are left, want none", n)
	}
}
