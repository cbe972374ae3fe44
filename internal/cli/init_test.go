package cli_test

import (
	"os"
	"strings"
	"testing"
)

func TestInit(t *testing.T) {
	for format, name := range map[string]string{"yaml": "kontor.yaml", "json": "kontor.json", "hcl": "kontor.hcl"} {
		t.Run(format, func(t *testing.T) {
			s := newShell(t)
			s.want(s.run("init", "--format", format), 0, "Wrote "+name+". Next:", "  kontor up ", "  kontor plan ")
			s.want(s.run("validate"), 0, "The file is valid", "3 repositories")
			s.want(s.run("fmt", "--check"), 0)
			s.want(s.run("lifecycle", "lint"), 0, "0 warnings, 0 notes.")
			written, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			// it is never overwritten, nor made unclear which file counts
			for _, args := range [][]string{{"init"}, {"init", "--format", "hcl"}, {"init", "-o", name}} {
				s.want(s.run(args...), 1, name+" already exists: write another file with -o FILE")
			}
			if again, err := os.ReadFile(name); err != nil || string(again) != string(written) {
				t.Errorf("%s\n%v", again, err)
			}
			// stdout has the file alone
			if r := s.want(s.run("init", "-o", "-", "--format", format), 0); r.out != string(written) {
				t.Errorf("stdout: %s", r.out)
			}
		})
	}
}

func TestInitOfOtherNames(t *testing.T) {
	s := newShell(t)
	s.want(s.run("init", "-o", "team.tfvars"), 0, "Wrote team.tfvars", "kontor plan -f team.tfvars ")
	s.want(s.run("validate", "-f", "team.tfvars"), 0, "3 repositories")
	s.want(s.run("init", "-o", "x.json", "--format", "hcl"), 2, "x.json would be read as json: choose a name that ends in .hcl")
	s.want(s.run("init", "--format", "toml"), 2, "--format toml: want yaml, json or hcl")
	s.want(s.run("init", "team.yaml"), 2, "takes no arguments")
	s.want(s.run("init", "-o", "none/k.yaml"), 1, "writing none/k.yaml: no such file or directory")
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
		s.want(s.run("init"), 0)
		if text, err := os.ReadFile("kontor.yaml"); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s %v", dir, text, err)
		}
		t.Chdir("..")
	}
	names := strings.Fields(s.want(s.run("__complete", "init", "--format", ""), 0).out)
	if len(names) < 3 || strings.Join(names[:3], " ") != "yaml json hcl" {
		t.Errorf("completion: %v", names)
	}
}
