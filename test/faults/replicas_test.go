package faults

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/testkit/faults"
	"github.com/kontor-registry/kontor/test/cluster"
)

// Three servers on one database, which has a standby and a pooler before it, and one
// bucket behave as one registry whatever happens to any of them.
func TestReplicas(t *testing.T) {
	code, err := cluster.Run(func(g cluster.Gateway) int {
		t.Run("servers", func(t *testing.T) { newReplicas(t, g).test() }) // its volumes end before the gateway
		return 0
	})
	if err != nil || code != 0 {
		t.Fatal(code, err)
	}
}

// replicas is a world of many servers.
type replicas struct {
	*world
	gateway  cluster.Gateway
	bucket   *volume
	database *volume
	pair     *pgtest.Pair
	storage  *faults.Proxy
	pooler   *faults.Pipe   // between pooler and database
	lines    []*faults.Pipe // between a server and the pooler
}

func newReplicas(t *testing.T, g cluster.Gateway) *replicas {
	t.Helper()
	w := &replicas{world: newWorld(t), gateway: g}
	if err := os.Mkdir(filepath.Join(g.Dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.bucket = newVolume(t, filepath.Join(g.Dir, "blobs"), 14<<30)
	short, err := os.MkdirTemp("", "kf") // the path of a socket has to be short
	if err == nil {
		err = os.Chmod(short, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(short); err != nil {
			t.Error(err)
		}
	})
	disk := filepath.Join(short, "pg")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	w.database = newVolume(t, disk, 8<<30)
	t.Setenv("TMPDIR", disk)
	w.pair = pgtest.StartPair(t)
	t.Setenv("TMPDIR", "")
	w.pooler = w.pipe("unix", filepath.Join(short, ".s.PGSQL.5432"), w.pair.Primary)
	if err := os.Chmod(filepath.Join(short, ".s.PGSQL.5432"), 0o777); err != nil { // the pooler is another user
		t.Fatal(err)
	}
	through := pgtest.Bouncer(t, "postgres:///pair?host="+short, 20)
	_, dir, _ := strings.Cut(through, "host=")
	dir, _, _ = strings.Cut(dir, "&")
	dir = strings.ReplaceAll(dir, "%2F", "/")
	w.storage = faults.Start(t, g.Addr)
	for i := range 3 {
		line := w.pipe("tcp", "127.0.0.1:0", func() string { return filepath.Join(dir, ".s.PGSQL.6432") })
		w.lines = append(w.lines, line)
		w.nodes = append(w.nodes, newNode(w.dir, fmt.Sprint("server", i+1), w.settings()+fmt.Sprintf(
			"database: {url: \"postgres://postgres@%s/pair?sslmode=disable\"}\nstorage: {s3: {bucket: blobs, endpoint: %q, path_style: true, prefix: registry, access_key_id: %s, secret_access_key: %s}}\n",
			line.Addr(), w.storage.URL, cluster.AccessKey, cluster.SecretKey)))
	}
	return w
}

// pipe is one to the socket of that name.
func (w *replicas) pipe(network, at string, socket func() string) *faults.Pipe {
	w.t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		w.t.Fatal(err)
	}
	p := faults.NewPipe(l, func() (net.Conn, error) { return net.Dial("unix", socket()) })
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return p
}

func (w *replicas) test() {
	t := w.t
	w.start()
	w.under(8, w.tracks()...)
	if t.Failed() {
		return
	}
	for _, n := range w.nodes {
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}
	m, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres:///pair?user=postgres&host=" + filepath.Dir(w.pair.Primary())})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s3.Open(t.Context(), s3.Config{Bucket: "blobs", Region: "us-east-1", Endpoint: "http://" + w.gateway.Addr, PathStyle: true, Prefix: "registry",
		AccessKeyID: cluster.AccessKey, SecretAccessKey: cluster.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	w.inspect(m, small.New(small.Config{Blobs: b, Meta: m}))
	w.written()
}

// tracks are the faults that happen, one of each track at a time.
func (w *replicas) tracks() [][]fault {
	return [][]fault{
		{w.killed(), w.killed(), w.killed(), w.killed(), w.upgraded()},
		{w.frozen()},
		{w.restarted(), w.failover(), w.terminated(), w.held(), w.silent(), w.filledDatabase()},
		{w.slowdown(), w.storm(), w.filledBucket(), w.skewed()},
	}
}

// The manual's page names every fault that happens, and no other one.
func TestFaultsOfThePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| fault | |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	named := map[string]bool{}
	for line := range strings.SplitSeq(table, "\n") {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		named[cell] = true
	}
	happen := map[string]bool{}
	for _, track := range (&replicas{world: &world{}}).tracks() {
		for _, f := range track {
			happen[f.name] = true
		}
	}
	if !maps.Equal(named, happen) {
		t.Errorf("docs/reliability.md names the faults\n%q\nand these happen:\n%q", slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(happen)))
	}
}

// restarted is an immediate restart of PostgreSQL, which recovers as after a crash.
func (w *replicas) restarted() fault {
	return fault{"PostgreSQL immediate restart", func(*rand.Rand) error { return w.pair.Restart() }}
}

// failover kills the primary and promotes the standby.
func (w *replicas) failover() fault {
	return fault{"PostgreSQL failover", func(*rand.Rand) error { return w.pair.TakeOver() }}
}

// terminated ends all connections of the database.
func (w *replicas) terminated() fault {
	return fault{"backends terminated", func(*rand.Rand) error { return w.pair.Terminate() }}
}

// held is a network between one server and the database that loses everything.
func (w *replicas) held() fault {
	return fault{"server cut off from the database", func(r *rand.Rand) error {
		p := w.lines[r.IntN(len(w.lines))]
		return hold(r, p)
	}}
}

// silent is the same between the pooler and the database: for all servers.
func (w *replicas) silent() fault {
	return fault{"database cut off", func(r *rand.Rand) error { return hold(r, w.pooler) }}
}

// hold holds a pipe for some seconds. Then either what was sent arrives, or the
// connections are gone.
func hold(r *rand.Rand, p *faults.Pipe) error {
	p.Hold(true)
	time.Sleep(time.Second + time.Duration(r.Int64N(int64(3*time.Second))))
	if r.IntN(2) == 0 {
		p.Drop()
	}
	p.Hold(false)
	return nil
}

// slowdown is a store that wants fewer requests: it answers most with 503.
func (w *replicas) slowdown() fault {
	return fault{"S3 answers 503", func(r *rand.Rand) error {
		w.storage.Pick(func(*http.Request) faults.Fault {
			if rand.IntN(10) < 8 {
				return faults.SlowDown
			}
			return faults.None
		})
		return w.calm(r)
	}}
}

// storm is a network to the store that loses answers, requests, and ends of answers.
func (w *replicas) storm() fault {
	kinds := []faults.Fault{faults.AnswerLost, faults.RequestLost, faults.BodyCut, faults.BodyStall, faults.Stall}
	return fault{"S3 answers lost", func(r *rand.Rand) error {
		w.storage.Pick(func(*http.Request) faults.Fault {
			if rand.IntN(3) == 0 {
				return kinds[rand.IntN(len(kinds))]
			}
			return faults.None
		})
		return w.calm(r)
	}}
}

func (w *replicas) calm(r *rand.Rand) error {
	time.Sleep(time.Second + time.Duration(r.Int64N(int64(3*time.Second))))
	w.storage.Pick(nil)
	return nil
}

// filledBucket is a store whose disk is full.
func (w *replicas) filledBucket() fault {
	return fault{"S3 disk full", func(*rand.Rand) error { return w.bucket.full(2 * time.Second) }}
}

// filledDatabase is PostgreSQL without space for its log: it stops, and recovers when
// there is space.
func (w *replicas) filledDatabase() fault {
	return fault{"PostgreSQL disk full", func(*rand.Rand) error {
		return errors.Join(w.database.full(2*time.Second), w.pair.Revive())
	}}
}
