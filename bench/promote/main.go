// Command promote measures what copying images between registries costs: Kontor's
// promotion, `crane cp` and `skopeo copy --all`, side by side in one run. Both
// registries are Kontor's own server, on this machine.
//
//	go run ./bench/promote
//
// It copies images of four platforms with shared layers from the repositories of
// one account to those of another: first into empty repositories, then once more
// when everything is there. It prints medians, ratios and the most memory that a
// process had. docs/performance.md has its figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	images int
	rounds int
	base   int           // bytes of the layer that the images of a platform share
	layer  int           // bytes of the layer that only one image has
	delay  time.Duration // of a request's way to a registry and back
	compat string
	kontor string
	crane  string
	skopeo string
}

func main() {
	var o options
	flag.IntVar(&o.images, "images", 10, "how many images are copied, each from another repository")
	flag.IntVar(&o.rounds, "rounds", 7, "how often all is measured")
	flag.IntVar(&o.base, "base", 8<<20, "`bytes` of the layer that the images of a platform share")
	flag.IntVar(&o.layer, "layer", 1<<20, "`bytes` of the layer that only one image has")
	delay := flag.Duration("delay", -1, "how much longer each request and each new connection takes, as over a network with such a round trip; measured with 0 and 5ms unless given")
	flag.StringVar(&o.compat, "compat", "ecr", "ecr or oci")
	flag.StringVar(&o.crane, "crane", "", "the `FILE` of crane; built from the module of test/clients when empty")
	flag.StringVar(&o.skopeo, "skopeo", "skopeo", "the `FILE` of skopeo")
	flag.StringVar(&o.kontor, "kontor", "", "the `FILE` of kontor; built when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	delays := []time.Duration{*delay}
	if *delay < 0 {
		delays = []time.Duration{0, 5 * time.Millisecond}
	}
	err := report(ctx, o, delays, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/promote: FAIL:", err)
		os.Exit(1)
	}
}

func report(ctx context.Context, o options, delays []time.Duration, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "kontor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, b := range []struct {
		file         *string
		module, path string
	}{{&o.kontor, ".", "./cmd/kontor"}, {&o.crane, filepath.Join("test", "clients"), "github.com/google/go-containerregistry/cmd/crane"}} {
		if *b.file != "" {
			continue
		}
		*b.file = filepath.Join(dir, filepath.Base(b.path))
		// Both as they are released, without cgo.
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", *b.file, b.path)
		build.Dir, build.Env = b.module, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", b.path, err, out)
		}
	}
	for i, delay := range delays {
		o.delay = delay
		world, err := open(ctx, filepath.Join(dir, fmt.Sprint(i)), o)
		if err != nil {
			return err
		}
		figures, err := measure(ctx, world, o)
		if err = errors.Join(err, world.close()); err != nil {
			return err
		}
		if err := print(w, o, figures); err != nil {
			return err
		}
	}
	return nil
}

// figure is what one tool took in all rounds.
type figure struct {
	tool        tool
	first, warm []time.Duration
	memory      int64
}

// measure runs the tools in turns, each round in another order, so that none has
// a quieter machine than the others.
func measure(ctx context.Context, w *world, o options) ([]*figure, error) {
	var figures []*figure
	for _, t := range w.tools(o) {
		figures = append(figures, &figure{tool: t})
	}
	for round := range o.rounds {
		order := slices.Concat(figures[round%len(figures):], figures[:round%len(figures)])
		for _, f := range order {
			target := fmt.Sprintf("%s-%d", f.tool.name, round)
			if err := w.targets(ctx, target, o.images); err != nil {
				return nil, err
			}
			for _, times := range []*[]time.Duration{&f.first, &f.warm} {
				took, memory, err := f.tool.copy(ctx, w, target, o.images)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", f.tool.name, err)
				}
				*times, f.memory = append(*times, took), max(f.memory, memory)
			}
			if err := w.check(ctx, target, o.images); err != nil {
				return nil, fmt.Errorf("after %s: %w", f.tool.name, err)
			}
		}
	}
	return figures, nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

func print(w io.Writer, o options, figures []*figure) error {
	_, err := fmt.Fprintf(w, "%d images of 4 platforms, a layer of %d KiB shared and one of %d KiB for each image, compat %s, %v of delay; medians of %d rounds\n\n",
		o.images, o.base>>10, o.layer>>10, o.compat, o.delay, o.rounds)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, e := fmt.Fprintf(tab, "tool\tfirst copy\tratio\tagain\tratio\tmemory\t\n")
	err = errors.Join(err, e)
	ours := figures[0]
	for _, f := range figures {
		first, warm := median(f.first), median(f.warm)
		_, e := fmt.Fprintf(tab, "%s\t%d ms\t%.2f\t%d ms\t%.2f\t%d MiB\t\n", f.tool.name, first.Milliseconds(), float64(median(ours.first))/float64(first),
			warm.Milliseconds(), float64(median(ours.warm))/float64(warm), f.memory>>20)
		err = errors.Join(err, e)
	}
	_, e = fmt.Fprintln(tab)
	return errors.Join(err, e, tab.Flush())
}
