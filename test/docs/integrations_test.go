//go:build unix

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// readYAML reads a file of the checkout.
func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err == nil {
		err = yaml.UnmarshalWithOptions(b, into, yaml.Strict())
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// The hooks for pre-commit run as pre-commit runs them: in the folder of the
// repository, on the files whose names match.
func TestPreCommitHooks(t *testing.T) {
	var hooks []struct {
		ID, Name, Description, Entry, Language, Files string
		PassFilenames                                 *bool `yaml:"pass_filenames"`
	}
	readYAML(t, ".pre-commit-hooks.yaml", &hooks)
	const good = "ecr_repositories:\n  website: {}\n"
	bad := map[string]string{
		"kontor-fmt":            "ecr_repositories:\n      website:   {}\n",
		"kontor-validate":       "ecr_repositories:\n  Website: {}\n",
		"kontor-lifecycle-lint": "ecr_repositories:\n  website:\n    gc_rules:\n      - {tag_patterns: [\"^v.*$\"], keep_last: 3}\n",
	}
	if len(hooks) != len(bad) {
		t.Errorf("%d hooks, want %d", len(hooks), len(bad))
	}
	m := newMachine(t)
	for _, h := range hooks {
		t.Run(h.ID, func(t *testing.T) {
			if h.Language != "golang" || h.Name == "" || !regexp.MustCompile(h.Files).MatchString("deploy/kontor.yaml") {
				t.Errorf("%+v", h)
			}
			// run returns what the hook says, and the file after it.
			run := func(content string) (out, after string, err error) {
				t.Helper()
				dir := t.TempDir()
				name := filepath.Join(dir, "kontor.yaml")
				if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				args := strings.Fields(h.Entry)
				if h.PassFilenames == nil || *h.PassFilenames {
					args = append(args, "kontor.yaml")
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(m.bin, args[0]), args[1:]...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "KONTOR_DATA=", "KONTOR_FILE=")
				b, err := cmd.CombinedOutput()
				now, rerr := os.ReadFile(name)
				if rerr != nil {
					t.Fatal(rerr)
				}
				return string(b), string(now), err
			}
			if out, after, err := run(good); err != nil || after != good {
				t.Errorf("a good file: %v\n%s%s", err, out, after)
			}
			// pre-commit takes a file that a hook changed for a failure.
			if out, after, err := run(bad[h.ID]); err == nil && after == bad[h.ID] {
				t.Errorf("a bad file is taken: %s", out)
			}
		})
	}
}

// The scripts of the GitHub Action put kontor on the PATH of a job.
func TestAction(t *testing.T) {
	var action struct {
		Name, Description string
		Inputs            map[string]struct{ Description, Default string }
		Runs              struct {
			Using string
			Steps []struct {
				Uses, Shell, Run string
				With             map[string]any
			}
		}
	}
	readYAML(t, "action.yml", &action)
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	path := filepath.Join(temp, "path")
	for _, s := range action.Runs.Steps {
		if s.Run == "" {
			continue
		}
		cmd := exec.CommandContext(t.Context(), s.Shell, "-e", "-c", s.Run)
		cmd.Env = append(os.Environ(), "RUNNER_TEMP="+temp, "GITHUB_ACTION_PATH="+checkout, "GITHUB_PATH="+path)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(b)), "kontor"), "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "kontor ") {
		t.Errorf("%s, %v", out, err)
	}
}
