package cli_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

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
	s := newShell(t)
	awsEnv(t, reg.Admin)
	file := remoteFile(reg) + "  old: {delete_protection: false}\n"
	s.write("kontor.yaml", file)
	s.want(s.run("apply", "-y"), 0)
	s.write("kontor.yaml", remoteFile(reg))
	s.write("free.yaml", "defaults: {delete_protection: false}\n"+remoteFile(reg))
	s.want(s.run("apply", "-y", "-f", "free.yaml"), 0)
	s.want(s.run("destroy", "-f", "free.yaml"), 2, "cannot prompt, because stdin is not a terminal")
	s.want(s.run("apply", "--prune"), 2, "cannot prompt, because stdin is not a terminal")
	s.terminal = true
	for _, s.stdin = range []string{"", "n\n", "\n", "destroy\n", "yess\n"} {
		s.want(s.run("destroy", "-f", "free.yaml"), 1, "DELETE 3 repositories of registry prod (account 000000000000, region us-east-1)? [y/N] ", "kontor: nothing was changed\n")
		s.want(s.run("apply", "--prune", "-f", "free.yaml"), 1, "DELETE 1 repository of registry prod", "nothing was changed")
	}
	if n := there(); n != 3 {
		t.Errorf("%d repositories are left, want 3", n)
	}
	s.stdin = "yes\n"
	s.want(s.run("apply", "--prune", "-f", "free.yaml"), 0, "old: deleted")
	s.stdin = "Y\n"
	s.want(s.run("destroy", "-f", "free.yaml"), 0, "api: deleted", "website: deleted")
	if n := there(); n != 0 {
		t.Errorf("%d repositories are left, want none", n)
	}
}
