// Command all runs every test of the project, as CI does:
//
//	go run ./test/all
//
// It first installs what the tests need, as root on Debian, or says in one
// line what to install. Then it runs, in this order, and prints each runner's
// own summary: format, vet, lint, tests with the race detector (fuzz seeds,
// scripts over the binary and PostgreSQL included), mixed load on a binary that
// is killed, other people's clients and the OCI conformance suite against the
// binary, promotion to and from another registry. A test that is skipped counts
// as failed.
//
//	go run ./test/all -only buildkit
//
// runs what takes more than every run should: BuildKit, which is built from
// source, pushes to the binary. It needs root, to mount.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// step is one runner.
type step struct {
	name string
	what string
	run  func(context.Context) error
	// asked: runs only when -only names it, not with all others.
	asked bool
}

func steps() []step {
	return []step{
		{name: "tools", what: "install what the tests need", run: install},
		{name: "format", what: "gofmt", run: format},
		{name: "vet", what: "go vet, in every module", run: vet},
		{name: "lint", what: "golangci-lint", run: lint},
		{name: "race", what: "go test -race, with fuzz seeds, scripts and PostgreSQL", run: race},
		{name: "load", what: "mixed load on the binary, which is killed again and again", run: load},
		{name: "clients", what: "AWS CLI, SDKs, skopeo, buildah, podman, ctr, crane, oras and regctl against the binary", run: clients},
		{name: "promote", what: "promotion between Kontor and distribution", run: promotion},
		{name: "conformance", what: "the OCI distribution conformance suite against the binary", run: conformance},
		{name: "buildkit", what: "BuildKit pushes by a role session; only when asked for", run: buildkit, asked: true},
	}
}

func main() {
	only := flag.String("only", "", "run only these `steps`, separated by commas")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./test/all [-only STEPS]\n\nsteps, in order:")
		for _, s := range steps() {
			fmt.Fprintf(flag.CommandLine.Output(), "  %-11s %s\n", s.name, s.what)
		}
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "test/all:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	if err := enterRoot(); err != nil {
		return err
	}
	var wanted []string
	if only != "" {
		wanted = strings.Split(only, ",")
		for _, w := range wanted {
			if !slices.ContainsFunc(steps(), func(s step) bool { return s.name == w }) {
				return fmt.Errorf("there is no step %q: see -h", w)
			}
		}
	}
	var failed []string
	began := time.Now()
	for _, s := range steps() {
		if wanted == nil && s.asked || wanted != nil && !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Printf("=== %s: %s\n", s.name, s.what)
		start := time.Now()
		err := s.run(ctx)
		took := time.Since(start).Round(100 * time.Millisecond)
		if err != nil {
			failed = append(failed, s.name)
			fmt.Printf("--- FAIL %s (%s): %v\n", s.name, took, err)
			if s.name == "tools" {
				break // without them every other failure would mislead
			}
			continue
		}
		fmt.Printf("--- ok %s (%s)\n", s.name, took)
	}
	fmt.Printf("=== %s in all\n", time.Since(began).Round(time.Second))
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return ctx.Err()
}

// enterRoot goes to the folder of the module, where every step starts.
func enterRoot() error {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return fmt.Errorf("run it inside the checkout")
	}
	return os.Chdir(filepath.Dir(mod))
}

// command runs a program in dir and shows what it prints.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdout = os.Stdout
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

func format(ctx context.Context) error {
	files, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	list := strings.FieldsFunc(string(files), func(r rune) bool { return r == 0 })
	out, err := exec.CommandContext(ctx, "gofmt", append([]string{"-l", "-s"}, list...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("gofmt: %w\n%s", err, out)
	}
	if len(out) > 0 {
		return fmt.Errorf("not formatted:\n%s", out)
	}
	fmt.Printf("%d files formatted\n", len(list))
	return nil
}

// modules are the folders with a go.mod of their own that hold our code.
var modules = []string{".", "test/buildkit", "test/clients", "test/conformance", "test/promote"}

func vet(ctx context.Context) error {
	for _, m := range modules {
		if err := command(ctx, m, "go", "vet", "./..."); err != nil {
			return err
		}
	}
	return nil
}

func lint(ctx context.Context) error {
	tools, err := filepath.Abs("tools/go.mod")
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := command(ctx, m, "go", "tool", "-modfile="+tools, "golangci-lint", "run", "./..."); err != nil {
			return err
		}
	}
	return nil
}

func race(ctx context.Context) error {
	// -count=1: a run that killed a server or filled a disk yesterday says
	// nothing about today.
	// SQLite, C that a translator made Go, runs many times slower under the
	// detector, and its races would not be ours. Its package only: one that
	// instantiates generic types would give everybody its copy of their code,
	// which the detector would not see.
	return goTest(ctx, ".", nil, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-count=1", "-timeout=20m", "./...")
}

// promotion runs on a race detector, too: what it tests is busy in parallel.
func promotion(ctx context.Context) error {
	return goTest(ctx, "test/promote", nil, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-count=1", "-timeout=10m", "./...")
}

// load is the short form; `go run ./test/load -for 1h -kill-every 1m` the long.
func load(ctx context.Context) error {
	for _, compat := range []string{"ecr", "oci"} {
		if err := command(ctx, ".", "go", "run", "./test/load", "-for", "15s", "-kill-every", "3s", "-compat", compat); err != nil {
			return err
		}
	}
	return nil
}
