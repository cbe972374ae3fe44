// Command all runs every test of the project, as CI does:
//
//	go run ./test/all
//
// It first installs what the tests need, as root on Debian, or says in one
// line what to install, or that the disk is too full. Then it runs, in this order, and prints each runner's
// own summary: format, vet, lint, tests, tests with the race detector (fuzz
// seeds, the commands of the manual and PostgreSQL included), mixed load on a
// binary that is killed, other people's clients and the OCI conformance suite
// against the binary, promotion to and from other registries, blobs in S3. A test that is
// skipped counts as failed. The slowest
// packages and tests are named at the end.
//
//	go run ./test/all -only buildkit,opentofu,scanners,release
//
// runs what takes more than every run should: BuildKit, which is built from
// source, pushes to the binary, as root, to mount; OpenTofu and Trivy, too, are built from
// source; and a release is built for every platform.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// step is a part of the tests.
type step struct {
	name string
	what string
	run  func(*runner, context.Context) error
	// asked: runs only when -only names it, not with all others.
	asked bool
}

func steps() []step {
	return []step{
		{name: "tools", what: "install what the tests need", run: (*runner).install},
		{name: "format", what: "gofmt", run: (*runner).format},
		{name: "vet", what: "go vet, in every module, and the types for other platforms", run: (*runner).vet},
		{name: "lint", what: "the linter of tools/lint, and its tests", run: (*runner).lint},

		{name: "test", what: "go test of packages without goroutines, and scripts over the binary", run: (*runner).test},
		{name: "race", what: "go test -race of all others, with fuzz seeds, the manual and PostgreSQL", run: (*runner).race},
		{name: "load", what: "mixed load on the binary, which is killed again and again", run: (*runner).load},
		{name: "clients", what: "AWS CLI, SDKs, docker, skopeo, buildah, podman, ctr, crane, oras and regctl against the binary", run: (*runner).clients},
		{name: "promote", what: "promotion between Kontor and three other registries", run: (*runner).promotion},
		{name: "ecosystem", what: "helm, ko and flux keep what they make; cosign and notation sign what is promoted", run: (*runner).ecosystem},
		{name: "s3", what: "the blob store on a server of the S3 protocol, and through faults", run: (*runner).s3},
		{name: "faults", what: "replicas and one machine under faults, with a checker of what clients saw; loss of power", run: (*runner).faults},
		{name: "console", what: "the web console in chromium: accessibility, keyboard, without scripts", run: (*runner).console},
		{name: "conformance", what: "the OCI distribution conformance suite against the binary", run: (*runner).conformance},
		{name: "buildkit", what: "BuildKit pushes by a role session; only when asked for", run: (*runner).buildkit, asked: true},
		{name: "opentofu", what: "OpenTofu imports what was exported for it, and plans no change; only when asked for", run: (*runner).opentofu, asked: true},
		{name: "scanners", what: "Trivy scans what is pushed, with a database of one vulnerability; only when asked for", run: (*runner).scanners, asked: true},
		{name: "release", what: "a release for every platform; only when asked for", run: (*runner).release, asked: true},
	}
}

// runner runs steps, and keeps what they share.
type runner struct {
	out io.Writer
	tmp string // a folder for what is built, which is removed at the end
	// goFlags are those of the user, without what trimPaths adds.
	goFlags string
	// timeout is how long the tests of one package may take.
	timeout time.Duration
	// Once a step has built them: kontor, and a folder with other clients.
	binary, tools string

	packages, tests []timing // of what was tested
}

// timing is how long a package or a test took.
type timing struct {
	what test
	took time.Duration
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

func run(ctx context.Context, only string) (err error) {
	if err := enterRoot(); err != nil {
		return err
	}
	goFlags, err := trimPaths()
	if err != nil {
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
	r := &runner{out: os.Stdout, timeout: 15 * time.Minute, goFlags: goFlags}
	if r.tmp, err = os.MkdirTemp("", "kontor-test-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.tmp)) }()
	before, err := freeSpace(r.tmp)
	if err != nil {
		return err
	}
	if full := lacking(before, spaceNeeded); wanted == nil && full != "" {
		return errors.New(full)
	}
	var failed, times []string
	began := time.Now()
	for _, s := range steps() {
		if wanted == nil && s.asked || wanted != nil && !slices.Contains(wanted, s.name) {
			continue
		}
		fmt.Fprintf(r.out, "=== %s: %s\n", s.name, s.what)
		start := time.Now()
		err := s.run(r, ctx)
		took := time.Since(start).Round(100 * time.Millisecond)
		times = append(times, fmt.Sprintf("%s %s", s.name, took))
		if err != nil {
			failed = append(failed, s.name)
			fmt.Fprintf(r.out, "--- FAIL %s (%s): %v\n", s.name, took, err)
			if s.name == "tools" {
				break // without them every other failure would mislead
			}
			continue
		}
		fmt.Fprintf(r.out, "--- ok %s (%s)\n", s.name, took)
	}
	r.printSlowest("packages", r.packages)
	r.printSlowest("tests", r.tests)
	fmt.Fprintf(r.out, "=== %s in all: %s\n", time.Since(began).Round(time.Second), strings.Join(times, ", "))
	if len(failed) > 0 {
		if after, err := freeSpace(r.tmp); err == nil && lacking(after, 1<<30) != "" {
			fmt.Fprintln(r.out, "===", lacking(after, 1<<30))
		}
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return ctx.Err()
}

// printSlowest prints the ten that took longest.
func (r *runner) printSlowest(what string, all []timing) {
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b timing) int { return cmp.Compare(b.took, a.took) })
	fmt.Fprintf(r.out, "=== slowest %s:\n", what)
	for _, t := range all[:min(10, len(all))] {
		fmt.Fprintf(r.out, "%8.1fs  %s\n", t.took.Seconds(), strings.TrimSpace(t.what.pkg+" "+t.what.name))
	}
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

// trimPaths makes the go command leave the folder of the checkout out of what it
// builds, as releases do. So what it keeps serves every checkout: without, each one
// compiles and vets the whole project again. It returns GOFLAGS as it was.
func trimPaths() (before string, err error) {
	out, err := exec.Command("go", "env", "GOFLAGS").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	before = strings.TrimSpace(string(out))
	return before, os.Setenv("GOFLAGS", strings.TrimSpace(before+" -trimpath"))
}

// vetted runs go vet in a module. Findings that the go command has kept name files of the
// checkout in which they were made: where there are any, it looks again, in this one.
func (r *runner) vetted(ctx context.Context, module string, args ...string) error {
	vet := func(env ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "go", append([]string{"vet"}, args...)...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go vet %s in %s: %w", strings.Join(args, " "), module, err)
		}
		return string(out), err
	}
	if _, err := vet(); err == nil {
		return nil
	}
	out, err := vet("GOFLAGS=" + r.goFlags)
	fmt.Fprint(r.out, out)
	return err
}

// command runs a program in dir and shows what it prints.
func (r *runner) command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stdout = r.out
	cmd.Stderr = r.out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// kontor builds the binary for the steps that test it from outside.
func (r *runner) kontor(ctx context.Context) (string, error) {
	if r.binary != "" {
		return r.binary, nil
	}
	binary := filepath.Join(r.tmp, "kontor")
	if err := r.command(ctx, ".", "go", "build", "-o", binary, "./cmd/kontor"); err != nil {
		return "", err
	}
	r.binary = binary
	return binary, nil
}

func (r *runner) format(ctx context.Context) error {
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
	fmt.Fprintf(r.out, "%d files formatted\n", len(list))
	return nil
}

// modules are the folders with a go.mod that hold our code.
var modules = []string{".", "test/buildkit", "test/clients", "test/conformance", "test/console", "test/ecosystem", "test/faults", "test/opentofu", "test/opentofu/provider", "test/promote", "test/s3", "test/scanners", "tools"}

func (r *runner) vet(ctx context.Context) error {
	for _, m := range modules {
		if err := r.vetted(ctx, m, "./..."); err != nil {
			return err
		}
	}
	for _, platform := range others {
		n, err := portable(ctx, ".", "./cmd/kontor", platform)
		if err != nil {
			return fmt.Errorf("it does not compile for %s:\n%w", platform, err)
		}
		fmt.Fprintf(r.out, "%s: the types of %d packages\n", platform, n)
	}
	return nil
}

// lint is a vet of our own. The go command keeps what it finds in a package,
// for as long as neither that nor the linter changes: hence no version control in
// it, so that every commit makes the same linter.
func (r *runner) lint(ctx context.Context) error {
	linter := filepath.Join(r.tmp, "lint")
	if err := r.command(ctx, "tools", "go", "build", "-buildvcs=false", "-o", linter, "./lint"); err != nil {
		return err
	}
	for _, m := range modules {
		if err := r.vetted(ctx, m, "-vettool="+linter, "./..."); err != nil {
			return err
		}
	}
	// Its tests look where findings are.
	return r.goTest(ctx, "tools", []string{"LINT_BIN=" + linter, "GOFLAGS=" + r.goFlags}, "./...")
}

// promotion runs with the race detector: what it tests is busy in parallel. Its
// tests wait more than they work.
func (r *runner) promotion(ctx context.Context) error {
	return r.goTest(ctx, "test/promote", nil, "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-parallel", "16", "./...")
}

// ecosystem builds cosign, helm and ko, of the versions in the go.mod of
// test/ecosystem.
func (r *runner) ecosystem(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	tools := filepath.Join(r.tmp, "ecosystem")
	if err := os.MkdirAll(tools, 0o700); err != nil {
		return err
	}
	if err := r.command(ctx, "test/ecosystem", "go", "build", "-o", tools, "tool"); err != nil {
		return err
	}
	// The commands of the manual's page, which other runs of its test leave out.
	if err := r.goTest(ctx, ".", []string{"DOCS_ECOSYSTEM_BIN=" + tools}, "-run", "TestCommandsOfThePages/docs/guides/helm.md", "./test/docs"); err != nil {
		return err
	}
	return r.goTest(ctx, "test/ecosystem", []string{"KONTOR_BIN=" + binary, "ECOSYSTEM_BIN=" + tools}, "./...")
}

// opentofu builds OpenTofu and a stand-in for its AWS provider.
func (r *runner) opentofu(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	tofu, provider := filepath.Join(r.tmp, "tofu"), filepath.Join(r.tmp, "provider", "terraform-provider-aws")
	if err := r.command(ctx, "test/opentofu", "go", "build", "-o", tofu, "github.com/opentofu/opentofu/cmd/tofu"); err != nil {
		return err
	}
	if err := r.command(ctx, "test/opentofu/provider", "go", "build", "-o", provider, "."); err != nil {
		return err
	}
	return r.goTest(ctx, "test/opentofu", []string{"KONTOR_BIN=" + binary, "TOFU_BIN=" + tofu, "PROVIDER_BIN=" + provider}, "./...")
}

// scanners builds Trivy, of the version in the go.mod of test/scanners.
func (r *runner) scanners(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	trivy := filepath.Join(r.tmp, "trivy")
	// As its own makefile builds it.
	if err := r.command(ctx, "test/scanners", "env", "GOEXPERIMENT=jsonv2", "CGO_ENABLED=0", "go", "build", "-o", trivy, "github.com/aquasecurity/trivy/cmd/trivy"); err != nil {
		return err
	}
	return r.goTest(ctx, "test/scanners", []string{"KONTOR_BIN=" + binary, "TRIVY_BIN=" + trivy}, "./...")
}

// gateway builds versitygw, of the version in the go.mod of test/s3.
func (r *runner) gateway(ctx context.Context) (string, error) {
	name := filepath.Join(r.tmp, "versitygw")
	return name, r.command(ctx, "test/s3", "go", "build", "-o", name, "github.com/versity/versitygw/cmd/versitygw")
}

// s3 tests the blob store, and replicas that share one.
func (r *runner) s3(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	gateway, err := r.gateway(ctx)
	if err != nil {
		return err
	}
	env := []string{"KONTOR_BIN=" + binary, "VERSITYGW_BIN=" + gateway, "RAPID_CHECKS=20"}
	// Most of it is hashes and copies of large content, which the detector slows
	// down and has nothing to say about.
	return errors.Join(r.goTest(ctx, "test/s3", env, "./..."),
		r.goTest(ctx, "test/s3", env, "-race", "-run", "^(TestSuite|TestKilled|TestFaults)$/^(Concurrent|BusyRace|Cancelled|)$", "./..."))
}

// faults is the short form; the long one: see docs/reliability.md. What is tested is busy
// in processes of its own, so the race detector has nothing to say.
func (r *runner) faults(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("disks are mounted to be filled up and cut off: run it as root")
	}
	gateway, err := r.gateway(ctx)
	if err != nil {
		return err
	}
	return r.goTest(ctx, "test/faults", []string{"VERSITYGW_BIN=" + gateway}, "./...")
}

// console needs axe-core, of the version in test/console/package-lock.json.
func (r *runner) console(ctx context.Context) error {
	if err := r.command(ctx, "test/console", "npm", "ci", "--no-audit", "--no-fund", "--silent"); err != nil {
		return err
	}
	return r.goTest(ctx, "test/console", nil, "./...")
}

// load is the short form; `go run ./test/load -for 1h -kill-every 1m` the long.
func (r *runner) load(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	for _, compat := range []string{"ecr", "oci"} {
		if err := r.command(ctx, ".", "go", "run", "./test/load", "-for", "15s", "-kill-every", "3s", "-compat", compat, "-binary", binary); err != nil {
			return err
		}
	}
	return nil
}

// test tests what runs in one goroutine, and the scripts over the binary. Of the
// rest it runs the tests that do less with the race detector.
func (r *runner) test(ctx context.Context) error {
	p, err := split(ctx, ".")
	if err != nil {
		return err
	}
	scripts := module + "/cmd/kontor"
	err = r.goTest(ctx, ".", nil, append(p.quiet, scripts)...)
	delete(p.less, scripts)
	names := slices.Sorted(maps.Keys(p.less))
	run := slices.Concat(slices.Collect(maps.Values(p.less))...)
	slices.Sort(run)
	args := []string{"-run", "^(" + strings.Join(slices.Compact(run), "|") + ")$"}
	return errors.Join(err, r.goTest(ctx, ".", nil, append(args, names...)...))
}

// race tests all that may run in several goroutines.
func (r *runner) race(ctx context.Context) error {
	p, err := split(ctx, ".")
	if err != nil {
		return err
	}
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	tools, err := r.clientTools(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "%d packages with the race detector; %d without, which have nothing for it: %s\n",
		len(p.racing), len(p.quiet), strings.ReplaceAll(strings.Join(p.quiet, ", "), module+"/", ""))
	// SQLite, C that a translator made Go, runs many times slower under the
	// detector, and its races would not be ours. Its package only: one that
	// instantiates generic types would give everybody its copy of their code,
	// which the detector would not see.
	// Three packages at a time, as tests also wait: for disks, and for each other.
	args := []string{"-race", "-p=3", "-gcflags=modernc.org/sqlite/lib=-race=false"}
	// Of 100 cases that a test draws, and the same each time; the step test draws
	// them all, and others each time.
	// A process with the detector waits a second before it ends, unless told not to.
	env := []string{"RAPID_CHECKS=20", "RAPID_SEED=1", "GORACE=atexit_sleep_ms=50", "KONTOR_BIN=" + binary, "CLIENTS_BIN=" + tools}
	return r.goTest(ctx, ".", env, append(args, slices.Sorted(maps.Keys(p.racing))...)...)
}
