// Command load keeps the real binary under mixed load from many clients, kills
// it with SIGKILL again and again, starts it again on the same folder, and in
// the end looks at everything that was ever acknowledged:
//
//	go run ./test/load -for 1h -kill-every 1m
//
// Clients push images of several layers (in one request, streamed, in chunks,
// through the layer API, mounted), indexes, and images that refer to others;
// move tags, pull and compare digests, delete by tag and by digest through
// both APIs, and list. Each client knows what its requests did. A request that
// was in flight when the server was killed must have happened as a whole or
// not at all; the client looks which when the server is back.
//
// The end: each image that must be there is read, byte by byte, by digest and
// by tag; what must be gone is gone; lists hold exactly that; and `kontor
// admin check` finds nothing. Otherwise it exits with 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"time"
)

type options struct {
	binary, data, compat string
	duration, killEvery  time.Duration
	clients              int
	pause                time.Duration
	seed                 uint64
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the `FILE` to run; built from this checkout when empty")
	flag.StringVar(&o.data, "data", "", "the data `FOLDER`, which must not exist; a temporary one when empty")
	flag.StringVar(&o.compat, "compat", "ecr", "the server's --compat: ecr or oci")
	flag.DurationVar(&o.duration, "for", 30*time.Second, "how long clients work")
	flag.DurationVar(&o.killEvery, "kill-every", 4*time.Second, "how long a server lives")
	flag.IntVar(&o.clients, "clients", 32, "how many clients work at once")
	flag.DurationVar(&o.pause, "pause", 0, "how long a client waits between two operations")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of what the clients do")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "test/load: FAIL:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	fmt.Printf("seed %d, %d clients for %s, a kill every %s, --compat %s\n", o.seed, o.clients, o.duration, o.killEvery, o.compat)
	dir, err := os.MkdirTemp("", "kontor-load-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.data == "" {
		o.data = filepath.Join(dir, "registry")
	}
	if o.binary == "" {
		o.binary = filepath.Join(dir, "kontor")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/kontor").CombinedOutput(); err != nil {
			return fmt.Errorf("building kontor: %w\n%s", err, out)
		}
	}
	s, err := newServer(o, filepath.Join(dir, "kontor.json"))
	if err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.kill()) }()
	l := &load{server: s, stats: newStats(), pause: o.pause}
	for i := range o.clients {
		l.clients = append(l.clients, newClient(l, i, rand.New(rand.NewPCG(o.seed, uint64(i)))))
	}
	began := time.Now()
	if err := l.work(ctx, o); err != nil {
		return err
	}
	took := time.Since(began)
	l.stats.print(took, s)
	e := l.expected()
	if err := l.verify(ctx, e); err != nil {
		return err
	}
	if err := s.kill(); err != nil {
		return err
	}
	return s.check(ctx, e)
}

// load is the clients and what they work on.
type load struct {
	server  *server
	clients []*client
	stats   *stats
	pause   time.Duration
}

// work lets the clients work while the server is killed and started. It
// leaves a server that was killed once more and runs.
func (l *load) work(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	until := time.Now().Add(o.duration)
	var all sync.WaitGroup
	done := make(chan struct{})
	for _, c := range l.clients {
		all.Go(func() {
			if err := c.work(ctx, done); err != nil {
				fmt.Printf("client %d at %s: %v\n", c.number, time.Now().UTC().Format(time.TimeOnly), err)
				cancel(fmt.Errorf("client %d: %w", c.number, err))
			}
		})
	}
	var err error
	for err == nil {
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-time.After(min(o.killEvery, max(time.Until(until), 0))):
			last := !time.Now().Before(until)
			if last {
				close(done) // what is in flight now is still killed
			}
			if err = l.server.kill(); err == nil {
				err = l.server.start(ctx)
			}
			if err != nil {
				cancel(err)
			}
			if last {
				all.Wait()
				return errors.Join(err, causeOf(ctx))
			}
		}
	}
	err = errors.Join(err, l.server.kill())
	all.Wait()
	return err
}

// causeOf is why ctx ended, nil when it did not.
func causeOf(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
