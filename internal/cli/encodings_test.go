package cli_test

import (
	"encoding/binary"
	"os"
	"testing"
	"unicode/utf16"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

// encodings are what Windows writes: PowerShell's > and -Encoding utf8.
var encodings = map[string]func(string) string{
	"UTF-8 with a mark": func(s string) string { return "\ufeff" + s },
	"UTF-16": func(s string) string {
		out := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(s)) {
			out = binary.LittleEndian.AppendUint16(out, u)
		}
		return string(out)
	},
}

// Files are read as the programs of all systems write them, by each command
// that reads one.
func TestEncodingsOfFiles(t *testing.T) {
	for name, encode := range encodings {
		t.Run(name, func(t *testing.T) {
			s := clitest.New(t)
			s.Env["KONTOR_DATA"] = t.TempDir()
			write := func(name, text string) { s.Write(name, encode(text)) }
			write("k.yaml", "# é\r\necr_repositories:\r\n  app: {}\r\n")
			write("k.json", `{"ecr_repositories": {"app": {}}}`)
			write("k.hcl", "ecr_repositories = { app = {} }\r\n")
			write("k.tfvars", "ecr_repositories = { app = {} }\r\n")
			for _, file := range []string{"k.yaml", "k.json", "k.hcl", "k.tfvars"} {
				s.Want(s.Run("validate", "-f", file), 0, "1 repository")
			}
			// what is formatted is UTF-8
			s.Want(s.Run("fmt", "k.yaml"), 0)
			if got, err := os.ReadFile("k.yaml"); err != nil || string(got) != "# é\necr_repositories:\n  app: {}\n" {
				t.Errorf("%q %v", got, err)
			}

			s.Want(s.Run("plan", "-f", "k.json", "--output", "next.plan"), 0)
			plan, err := os.ReadFile("next.plan")
			if err != nil {
				t.Fatal(err)
			}
			write("next.plan", string(plan))
			s.Want(s.Run("apply", "--yes", "next.plan"), 0, "1 repository done")

			write("policy.json", clitest.ReducedPolicy)
			write("images.json", `{"imageDetails": []}`)
			s.Want(s.Run("lifecycle", "preview", "--policy", "policy.json", "--images", "images.json"), 0)
			s.Want(s.Run("lifecycle", "diff", "policy.json", "policy.json", "--images", "images.json"), 0)
			write("used.txt", "localhost:5050/app:v1 the é host\n")
			s.Want(s.Run("lease", "from", "file", "used.txt", "--dry-run"), 0, "app:v1", "the é host")
			write("trust.json", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"sts:AssumeRole"}]}`)
			s.Want(s.Run("admin", "role", "create", "deployer", "--trust", "trust.json"), 0, "role/deployer")
		})
	}
}
