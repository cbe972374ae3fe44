package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// goTest runs go test in dir and prints its summary lines, the output of what
// failed, and the counts. It fails when anything failed or was skipped, and
// when no test ran.
func goTest(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	r := results{output: map[string][]string{}}
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		var e event
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			fmt.Println(scan.Text()) // a build error
			continue
		}
		r.add(e)
	}
	scanErr := scan.Err()
	err = cmd.Wait()
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
	switch {
	case err != nil:
		return fmt.Errorf("go test: %w", err)
	case scanErr != nil:
		return scanErr
	case len(r.skipped) > 0:
		sort.Strings(r.skipped)
		return fmt.Errorf("skipped, which is not passed: %s", strings.Join(r.skipped, ", "))
	case r.passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

type results struct {
	passed, failed int
	skipped        []string
	output         map[string][]string // of running tests, by package and name
}

func (r *results) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if e.Test == "" {
			if line := e.Output; e.Action == "build-output" || summary(line) {
				fmt.Print(line)
			} else {
				r.output[key] = append(r.output[key], line)
			}
			return
		}
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			switch e.Action {
			case "pass":
				r.passed++
			case "fail":
				r.failed++
			case "skip":
				r.skipped = append(r.skipped, key)
			}
		}
		if e.Action == "fail" {
			fmt.Print(strings.Join(r.output[key], ""))
		}
		delete(r.output, key)
	}
}

// summary reports whether line is go test's closing line for a package.
func summary(line string) bool {
	for _, p := range []string{"ok  \t", "FAIL\t", "panic:", "--- FAIL"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}
