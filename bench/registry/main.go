// Command registry measures what pushes and pulls cost: Kontor, distribution v3
// and Debian's docker-registry, side by side in one run with two servers that show
// what the machine allows: null keeps everything in memory, rawsync writes each
// blob to a file with fsync. Both speak the bare protocol and check nothing.
//
//	go run ./bench/registry
//
// Kontor runs as its users run it: with logins, policies and durable writes. The
// peers run without a login. Each scenario is measured in rounds, and in each
// round the servers take turns in another order; what counts is the ratio within a
// run. docs/performance.md has its figures.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options say what to measure, and with what.
type options struct {
	scenarios, targets string // comma separated; all when empty
	rounds             int
	each               time.Duration // a scenario runs in a round
	tags               int           // of the image with many tags
	large              int64         // bytes of a large blob
	prepared           int           // images to delete, and blobs to mount in each repository
	compat             string
	serve              string // a configuration
	kontor             string
	distribution       string
	json, svg          string // files
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		if err := serveLimit(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench/registry:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.scenarios, "scenarios", "", "only the scenarios of this `LIST`, separated by commas: "+strings.Join(scenarioNames(), ", "))
	flag.StringVar(&o.targets, "targets", "", "only the servers of this `LIST`: kontor, serve, distribution, debian, rawsync, null")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each scenario is measured")
	flag.DurationVar(&o.each, "each", 2*time.Second, "how long a scenario runs against a server in a round")
	flag.IntVar(&o.tags, "tags", 1000, "how many tags the image with many tags has")
	flag.Int64Var(&o.large, "large", 256<<20, "`bytes` of a large blob")
	flag.IntVar(&o.prepared, "prepared", 3000, "how many images are prepared to be deleted, and blobs to be mounted")
	flag.StringVar(&o.serve, "serve-config", "", "also measure kontor serve with the configuration in `FILE`, such as one of PostgreSQL and S3; AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are those of its administrator")
	flag.StringVar(&o.compat, "compat", "oci", "ecr or oci")
	flag.StringVar(&o.kontor, "kontor", "", "the `FILE` of kontor; built when empty")
	flag.StringVar(&o.distribution, "distribution", "", "the `FILE` of test/promote/distribution; built when empty")
	flag.StringVar(&o.json, "json", "", "write all figures to `FILE`")
	flag.StringVar(&o.svg, "svg", "", "draw the ratios to the first peer into `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/registry: FAIL:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "kontor-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	chosen, err := chooseScenarios(o)
	if err != nil {
		return err
	}
	targets, err := chooseTargets(ctx, o, dir)
	if err != nil {
		return err
	}
	var results []result
	for _, s := range chosen {
		r, err := compare(ctx, o, s, targets)
		if err != nil {
			return err
		}
		results = append(results, r)
		if err := r.print(w); err != nil {
			return err
		}
	}
	if o.json != "" {
		b, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.json, append(b, '\n'), 0o600); err != nil {
			return err
		}
	}
	if o.svg != "" {
		return os.WriteFile(o.svg, draw(results), 0o600)
	}
	return nil
}
