package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

func TestInit(t *testing.T) {
	for format, name := range map[string]string{"yaml": "kontor.yaml", "json": "kontor.json", "hcl": "kontor.hcl"} {
		t.Run(format, func(t *testing.T) {
			s := clitest.New(t)
			s.Want(s.Run("init", "--format", format), 0, "Wrote "+name+". Next:", "  kontor up ", "  kontor plan ")
			s.Want(s.Run("validate"), 0, "The file is valid", "3 repositories")
			s.Want(s.Run("fmt", "--check"), 0)
			s.Want(s.Run("lifecycle", "lint"), 0, "0 warnings, 0 notes.")
			written, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			// it is never overwritten, nor made unclear which file counts
			for _, args := range [][]string{{"init"}, {"init", "--format", "hcl"}, {"init", "-o", name}} {
				s.Want(s.Run(args...), 1, name+" already exists: write another file with -o FILE")
			}
			if again, err := os.ReadFile(name); err != nil || string(again) != string(written) {
				t.Errorf("%s\n%v", again, err)
			}
			// stdout has the file alone
			if r := s.Want(s.Run("init", "-o", "-", "--format", format), 0); r.Out != string(written) {
				t.Errorf("stdout: %s", r.Out)
			}
		})
	}
}

func TestInitOfOtherNames(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("init", "-o", "team.tfvars"), 0, "Wrote team.tfvars", "kontor plan -f team.tfvars ")
	s.Want(s.Run("validate", "-f", "team.tfvars"), 0, "3 repositories")
	s.Want(s.Run("init", "-o", "x.json", "--format", "hcl"), 2, "x.json would be read as json: choose a name that ends in .hcl")
	s.Want(s.Run("init", "--format", "toml"), 2, "--format toml: want yaml, json or hcl")
	s.Want(s.Run("init", "team.yaml"), 2, "takes no arguments")
	s.Want(s.Run("init", "-o", "none/k.yaml"), 1, "writing none/k.yaml: no such file or directory")
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 1 {
		t.Errorf("files: %v %v", entries, err)
	}
	// the folder's name is that of the stack, as far as a stack can have it
	for dir, want := range map[string]string{"Team é & web": "stack: Team-----web\n", "---": "stack: images\n"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Chdir(dir)
		s.Want(s.Run("init"), 0)
		if text, err := os.ReadFile("kontor.yaml"); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s %v", dir, text, err)
		}
		t.Chdir("..")
	}
	names := strings.Fields(s.Want(s.Run("__complete", "init", "--format", ""), 0).Out)
	if len(names) < 3 || strings.Join(names[:3], " ") != "yaml json hcl" {
		t.Errorf("completion: %v", names)
	}
}
