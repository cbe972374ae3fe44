//go:build unix

package docs

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// callsKontor finds scripts that run kontor.
var callsKontor = regexp.MustCompile(`(?m)(^|[|(;&!])\s*kontor `)

// workflow is what a machine that is not GitHub's can do of a workflow: the
// scripts that call kontor, in the order of the file, each in a shell of its
// own as there. Others, and actions, are not run.
func workflow(b block) ([]step, error) {
	var w struct{ Jobs yaml.MapSlice }
	if err := yaml.Unmarshal([]byte(b.text), &w); err != nil {
		return nil, err
	}
	var all []step
	for _, job := range w.Jobs {
		text, err := yaml.Marshal(job.Value)
		if err != nil {
			return nil, err
		}
		var j struct {
			Steps []struct{ Run, Uses string }
		}
		if err := yaml.Unmarshal(text, &j); err != nil {
			return nil, err
		}
		if len(j.Steps) == 0 {
			return nil, fmt.Errorf("job %v has no steps", job.Key)
		}
		for _, s := range j.Steps {
			switch {
			case (s.Run == "") == (s.Uses == ""):
				return nil, fmt.Errorf("job %v: a step has either run or uses", job.Key)
			case !callsKontor.MatchString(s.Run):
				all = append(all, step{kind: notRun, line: b.line, text: s.Run + s.Uses, reason: "a step of a workflow without kontor"})
			case strings.Contains(s.Run, "${{"):
				return nil, fmt.Errorf("job %v: %q: give it an environment variable, so that the script runs here as well", job.Key, s.Run)
			default:
				all = append(all, step{kind: run, line: b.line, text: "(\nset -e\n" +
					"export GITHUB_OUTPUT=\"$TMPDIR/github-output\" GITHUB_STEP_SUMMARY=\"$TMPDIR/github-summary\"\n" +
					strings.TrimSuffix(s.Run, "\n") + "\n)\n"})
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the workflow has no jobs")
	}
	return all, nil
}
