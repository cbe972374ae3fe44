// Command deploy measures what deploying many repositories costs: calls of the
// ECR API for each repository, time, and the memory of kontor. The registries
// are Kontor's own server, which throttles each operation as ECR does.
//
//	go run ./bench/deploy -repositories 10000 -new 1000 -rate 50
//
// It measures a plan of a file that is deployed already, an apply of the file
// with new repositories, and a plan after that, which must find nothing to do.
// docs/performance.md has its figures.
package main

import (
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
	"text/tabwriter"
	"time"
)

// options say what to measure.
type options struct {
	binary       string
	registries   int
	repositories int
	added        int
	rate         int64
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the `FILE` to run; built from this checkout when empty")
	flag.IntVar(&o.registries, "registries", 4, "how many registries there are")
	flag.IntVar(&o.repositories, "repositories", 10_000, "how many repositories there are, over all registries")
	flag.IntVar(&o.added, "new", 1000, "how many repositories are new, over all registries")
	flag.Int64Var(&o.rate, "rate", 50, "how many calls a second of one operation a registry takes; -1 for any number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := report(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/deploy: FAIL:", err)
		os.Exit(1)
	}
}

func report(ctx context.Context, o options, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "kontor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.binary == "" {
		o.binary = filepath.Join(dir, "kontor")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/kontor").CombinedOutput(); err != nil {
			return fmt.Errorf("building kontor: %w\n%s", err, out)
		}
	}
	phases, err := measure(ctx, o, dir)
	for _, p := range phases {
		if err := p.print(w); err != nil {
			return err
		}
	}
	return err
}

// phase is one run of kontor, and what it cost.
type phase struct {
	name string
	// repositories are those that calls are counted for.
	repositories int
	took         time.Duration
	memory       int64          // most bytes resident at once
	answered     map[string]int // calls by operation, without those throttled
	throttled    map[string]int
}

func (p phase) print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%s: %.1f s, %d MiB at most\n", p.name, p.took.Seconds(), p.memory>>20); err != nil {
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, err := fmt.Fprintf(tab, "calls\tper repository\tthrottled\toperation  \t\n")
	for _, op := range slices.Sorted(maps.Keys(p.answered)) {
		_, e := fmt.Fprintf(tab, "%d\t%.3f\t%d\t%s  \t\n", p.answered[op], float64(p.answered[op])/float64(p.repositories), p.throttled[op], op)
		err = errors.Join(err, e)
	}
	return errors.Join(err, tab.Flush())
}

// measure runs the phases in dir. Those that ended are returned with an error,
// too.
func measure(ctx context.Context, o options, dir string) ([]phase, error) {
	c := client{binary: o.binary, dir: dir}
	// The scene is set without throttling.
	w, err := open(ctx, dir, o.registries, -1)
	if err != nil {
		return nil, err
	}
	err = errors.Join(w.describe(dir), writeFile(filepath.Join(dir, "deployed.json"), w.names(), 0, o.repositories))
	if err == nil {
		_, err = c.run(ctx, w, "setting the scene", "apply", "-y", "-f", "registries.json", "-f", "deployed.json")
	}
	if err = errors.Join(err, w.close()); err != nil {
		return nil, err
	}

	if w, err = open(ctx, dir, o.registries, o.rate); err != nil {
		return nil, err
	}
	if err = w.describe(dir); err == nil {
		err = writeFile(filepath.Join(dir, "more.json"), w.names(), 0, o.repositories+o.added)
	}
	var phases []phase
	for _, step := range []struct {
		name         string
		repositories int
		args         []string
	}{
		{"plan of an unchanged file", o.repositories, []string{"plan", "--exit-code", "-f", "registries.json", "-f", "deployed.json"}},
		{fmt.Sprintf("apply of %d new repositories", o.added), o.added, []string{"apply", "-y", "-f", "registries.json", "-f", "more.json"}},
		{"plan after it", o.repositories + o.added, []string{"plan", "--exit-code", "-f", "registries.json", "-f", "more.json"}},
	} {
		if err != nil {
			break
		}
		var p phase
		if p, err = c.run(ctx, w, step.name, step.args...); err == nil {
			p.repositories = step.repositories
			phases = append(phases, p)
		}
	}
	return phases, errors.Join(err, w.close())
}
