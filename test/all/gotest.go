package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// goTest runs go test in dir and prints its summary lines, all output of what
// failed, and the counts. It fails when anything failed or was skipped, and
// when no test ran.
//
// A package that does not come to its end is stopped after a while: the
// goroutines that it prints then are part of its output.
func (r *runner) goTest(ctx context.Context, dir string, env []string, args ...string) error {
	args = append([]string{"test", "-json", "-count=1", "-timeout=" + r.timeout.String()}, args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = r.out
	// Ctrl-C reaches the go command as well, which ends its tests.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	res := results{out: r.out, output: map[test]*strings.Builder{}, parents: map[test]bool{}}
	lines := bufio.NewReader(out)
	for err = nil; err == nil; {
		var line []byte
		line, err = lines.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			res.add(e)
		} else {
			fmt.Fprintf(r.out, "%s", line) // of the go command
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	waitErr := cmd.Wait()
	res.printLeft(func(test) bool { return true }) // it was cut short
	r.packages = append(r.packages, res.packages...)
	r.tests = append(r.tests, res.tests...)
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", res.passed, res.failed, len(res.skipped))
	switch {
	case waitErr != nil:
		return fmt.Errorf("go test: %w", waitErr)
	case err != nil:
		return fmt.Errorf("reading what go test prints: %w", err)
	case len(res.skipped) > 0:
		slices.Sort(res.skipped)
		return fmt.Errorf("skipped, which is not passed: %s", strings.Join(res.skipped, ", "))
	case res.passed == 0:
		return fmt.Errorf("no test ran")
	}
	return nil
}

// test names a test of a package, or with an empty name the package.
type test struct{ pkg, name string }

type results struct {
	out            io.Writer
	passed, failed int
	skipped        []string
	output         map[test]*strings.Builder // of those that have not passed
	parents        map[test]bool             // tests with subtests
	packages       []timing
	tests          []timing // those without subtests
}

func (r *results) add(e event) {
	at := test{e.Package, e.Test}
	switch e.Action {
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
			r.parents[test{e.Package, e.Test[:i]}] = true
		}
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if e.Test == "" && summary(e.Output) {
			fmt.Fprint(r.out, e.Output)
			return
		}
		if r.output[at] == nil {
			r.output[at] = &strings.Builder{}
		}
		r.output[at].WriteString(e.Output)
	case "pass", "fail", "skip":
		r.end(at, e)
	}
}

// end counts a test or a package that came to its end.
func (r *results) end(at test, e event) {
	took := timing{at, time.Duration(e.Elapsed * float64(time.Second))}
	switch {
	case at.name == "":
		r.packages = append(r.packages, took)
	case !r.parents[at]:
		r.tests = append(r.tests, took)
	}
	switch {
	case e.Action == "fail" && at.name == "":
		// The tests that are left: those that were running when one panicked
		// or the package timed out. No event reports their end.
		r.printLeft(func(t test) bool { return t.pkg == at.pkg })
	case e.Action == "fail":
		r.failed++
		r.print(at)
	case e.Action == "skip" && at.name != "":
		r.skipped = append(r.skipped, at.pkg+" "+at.name)
	case e.Action == "pass" && at.name != "":
		r.passed++
	}
	delete(r.output, at)
}

// print prints what a test printed, once.
func (r *results) print(at test) {
	if b := r.output[at]; b != nil {
		fmt.Fprint(r.out, b)
		delete(r.output, at)
	}
}

// printLeft prints the output of tests whose end no event reports.
func (r *results) printLeft(of func(test) bool) {
	left := slices.SortedFunc(maps.Keys(r.output), func(a, b test) int {
		return cmp.Or(strings.Compare(a.pkg, b.pkg), strings.Compare(a.name, b.name))
	})
	for _, at := range left {
		if of(at) {
			r.print(at)
		}
	}
}

// summary reports whether line is go test's closing line for a package.
func summary(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t")
}
