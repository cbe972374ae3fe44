package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/server"
)

// world is a server of several accounts.
type world struct {
	calls    calls
	bindings []server.Binding
	server   *server.Server
	dir      *datadir.Dir
	stop     context.CancelFunc
	ended    chan error
}

// open serves n accounts on the data folder in dir. Each takes rate calls of
// one operation a second.
func open(ctx context.Context, dir string, n int, rate int64) (*world, error) {
	d, err := datadir.Open(ctx, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	w := &world{dir: d, ended: make(chan error, 1)}
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		w.bindings = append(w.bindings, server.Binding{
			Registry: ecr.RegistryID{Account: ecr.AccountID(fmt.Sprintf("11111111111%d", i)), Region: "us-east-1"},
			Host:     l.Addr().String(), Listeners: []net.Listener{l},
		})
	}
	w.server, err = server.New(ctx, server.Config{
		Meta: d.Meta, Blobs: d.Blobs, Key: d.Key, Bindings: w.bindings,
		ImageNow: time.Now, AuthNow: time.Now, Log: slog.New(slog.DiscardHandler),
		Limits: server.Limits{OperationRate: rate}, Observer: &w.calls,
	})
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop = stop
	go func() { w.ended <- w.server.Run(run) }()
	return w, nil
}

func (w *world) close() error {
	w.stop()
	return errors.Join(<-w.ended, w.dir.Close())
}

// names are those of the registries in files.
func (w *world) names() []string {
	var out []string
	for _, b := range w.bindings {
		out = append(out, "r"+string(b.Registry.Account))
	}
	return out
}

// describe writes registries.json, and an AWS configuration with a profile for
// each account.
func (w *world) describe(dir string) error {
	var (
		registries []any
		profiles   strings.Builder
	)
	for i, name := range w.names() {
		b := w.bindings[i]
		registries = append(registries, map[string]any{
			"name": name, "account": b.Registry.Account, "region": b.Registry.Region, "profile": name, "endpoint": "http://" + b.Host,
		})
		c, err := w.server.Identity().Credentials(context.Background(), b.Registry.Account, identity.Administrator)
		if err != nil {
			return err
		}
		fmt.Fprintf(&profiles, "[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, c.AccessKeyID, c.SecretAccessKey)
	}
	return errors.Join(
		writeJSON(filepath.Join(dir, "registries.json"), map[string]any{"registries": registries}),
		os.WriteFile(filepath.Join(dir, "aws"), []byte(profiles.String()), 0o600))
}

// calls counts calls of the ECR API. It is a server's Observer.
type calls struct {
	mu                  sync.Mutex
	answered, throttled map[string]int // guarded by mu; by operation
}

func (c *calls) reset() { c.take() }

// take returns the calls since the last time.
func (c *calls) take() (answered, throttled map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answered, throttled = c.answered, c.throttled
	c.answered, c.throttled = map[string]int{}, map[string]int{}
	return answered, throttled
}

// Request counts.
func (c *calls) Request(o server.Observation) {
	op, ok := strings.CutPrefix(o.Operation, "ecr ")
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Limit != "" {
		c.throttled[op]++
		return
	}
	c.answered[op]++
}

// Connection, Job and Pending are of no interest.
func (c *calls) Connection(int)                  {}
func (c *calls) Job(string, jobs.Removed, error) {}
func (c *calls) Pending(int64, int)              {}
