package cli_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/kontortest"
)

// A plan holds what would change and nothing that gives access: none of the
// credentials it was made with. Its file is for its owner only.
func TestPlansHoldNoSecrets(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	// The server is named by the environment, with a password for some proxy.
	endpoint := strings.Replace(reg.URL, "://", "://proxy-user:proxy-password@", 1)
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
	t.Setenv("AWS_ENDPOINT_URL_ECR", endpoint)
	t.Setenv("AWS_ENDPOINT_URL_STS", reg.URL)
	s.Write("kontor.yaml", strings.Replace(clitest.RemoteFile(reg), ", endpoint: \""+reg.URL+"\"", "", 1))
	if err := os.WriteFile("next.plan", []byte("an older one"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Want(s.Run("plan", "-o", "next.plan"), 0)
	if info, err := os.Stat("next.plan"); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("next.plan: %v, %v", info.Mode(), err)
	}
	written, err := os.ReadFile("next.plan")
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"the plan file": string(written),
		"--json":        s.Want(s.Run("plan", "--json"), 0).Out,
		"the plan":      s.Want(s.Run("plan", "--documents"), 0).Out,
		"--markdown":    s.Want(s.Run("plan", "--markdown"), 0).Out,
	} {
		if !strings.Contains(text, "website") {
			t.Errorf("%s has no plan:\n%s", what, text)
		}
		for _, secret := range []string{reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey, "proxy-user", "proxy-password"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds %q:\n%s", what, secret, text)
			}
		}
	}
	s.Want(s.Run("apply", "-y", "next.plan"), 0, "Applied")
}
