package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/server"
)

func TestLimitFlags(t *testing.T) {
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n"+server.LimitTable()) {
		t.Errorf("docs/limits.md has another table than\n%s", server.LimitTable())
	}
	s := clitest.New(t)
	s.Want(s.Run("up", "--limit", "requests"), 2, "--limit requests: want NAME=VALUE, such as requests=100")
	s.Want(s.Run("up", "--limit", "request=1"), 2, `--limit request is not a limit: want one of connections, requests,`)
	s.Env["KONTOR_LIMITS"] = "requests=100, blob-bytes=1XiB"
	s.Want(s.Run("up"), 2, `KONTOR_LIMITS blob-bytes: "1XiB" is not a number above 0, such as 100, 64MiB or 10GiB, or none`)
}
