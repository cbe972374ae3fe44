package faults

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"

	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

var (
	runTime   = flag.Duration("for", 15*time.Second, "how long clients work; the long form is 60m")
	stopTime  = flag.Duration("stopped", 0, "how long a server is stopped by SIGSTOP: 2 s unless -for is 10m or more, else 90 s")
	seedFlag  = flag.Uint64("seed", 0, "of what clients and faults do; 0 for one by the clock")
	previous  = flag.String("previous", "", "the binary of the version before, for rolling upgrades; the same one when empty")
	each      = flag.Bool("each", false, "print each fault")
	reportTo  = flag.String("report", "", "`FILE` that the report is added to")
	otherBins = os.Getenv("KONTOR_FAULTS_BIN")
)

// long reports whether this is the long form.
func long() bool { return *runTime >= 10*time.Minute }

func stopped() time.Duration {
	switch {
	case *stopTime > 0:
		return *stopTime
	case long():
		return 90 * time.Second
	}
	return 2 * time.Second
}

// binary is kontor with a clock that can be set, built once.
var binary = sync.OnceValues(func() (string, error) {
	if otherBins != "" {
		return otherBins, nil
	}
	return build(scratch)
})

// scratch is a folder for the whole run.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	if *reportTo != "" { // now, not after an hour
		f, err := os.OpenFile(*reportTo, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "-report:", err)
			os.Exit(1)
		}
	}
	dir, err := os.MkdirTemp("", "kontor-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// world is a registry, the servers that are it, and the clients that use it.
type world struct {
	t        *testing.T
	seed     uint64
	dir      string
	binary   string
	password string
	nodes    []*node
	clients  []*client
	history  *history
	report   *report
	counts   struct{ operations, blobs atomic.Int64 }

	mu      sync.Mutex
	images  map[string]image // by digest; guarded by mu
	acked   map[string]bool  // guarded by mu
	removed map[string]bool  // digests that somebody tried to delete; guarded by mu
	offered map[string]image // plain images that clients meet at; guarded by mu
}

const (
	adminKey    = "AKIAFAULTS000000TEST"
	adminSecret = "not-a-secret-but-long-enough"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, seed: *seedFlag, dir: t.TempDir(), history: newHistory(), report: newReport(t.Name()),
		images: map[string]image{}, acked: map[string]bool{}, removed: map[string]bool{}, offered: map[string]image{},
	}
	if w.seed == 0 {
		w.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", w.seed)
	var err error
	if w.binary, err = binary(); err != nil {
		t.Fatal(err)
	}
	w.run("admin", "master-key", "new", "key")
	administrator := "aws_access_key_id = " + adminKey + "\naws_secret_access_key = " + adminSecret + "\n"
	if err := os.WriteFile(filepath.Join(w.dir, "administrator"), []byte(administrator), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// settings are those of every server.
func (w *world) settings() string {
	return fmt.Sprintf(`listen: 127.0.0.1:0
registries: [{account: "111111111111", region: us-east-2}]
master_key_file: %[1]s/key
administrator_file: %[1]s/administrator
recycle_days: "0"
audit: "off"
upload_age: 2m # clients leave many behind, and those that are open are limited
grace: 5s
console: "off"
`, w.dir)
}

// run runs a command that has to succeed, and returns what it prints.
func (w *world) run(args ...string) string {
	w.t.Helper()
	cmd := exec.Command(w.binary, args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("kontor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start starts the servers, makes the repositories, and logs in.
func (w *world) start() {
	w.t.Helper()
	for _, n := range w.nodes {
		if err := n.start(w.binary); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() {
			if err := n.kill(); err != nil {
				w.t.Error(err)
			}
			if w.t.Failed() {
				w.t.Logf("%s said at last:\n%s", n.name, lastOf(n.log.String(), 4000))
			}
		})
	}
	w.login()
}

func lastOf(text string, n int) string { return text[max(0, len(text)-n):] }

func (w *world) login() {
	w.t.Helper()
	api := ecr.New(ecr.Options{
		Region: "us-east-2", BaseEndpoint: aws.String(w.nodes[0].address()), Credentials: credentials.NewStaticCredentialsProvider(adminKey, adminSecret, ""),
	})
	for _, name := range []string{mutableRepo, fixedRepo, plainRepo} {
		in := &ecr.CreateRepositoryInput{RepositoryName: &name, ImageTagMutability: types.ImageTagMutabilityMutable}
		if name == fixedRepo {
			in.ImageTagMutability = types.ImageTagMutabilityImmutable
		}
		var exists *types.RepositoryAlreadyExistsException
		if _, err := api.CreateRepository(w.t.Context(), in); err != nil && !errors.As(err, &exists) {
			w.t.Fatal(err)
		}
	}
	out, err := api.GetAuthorizationToken(w.t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	login, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		w.t.Fatal(err)
	}
	_, w.password, _ = strings.Cut(string(login), ":")
}

// made keeps an image, whose bytes are compared in the end.
func (w *world) made(i image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[i.digest] = i
}

func (w *world) acknowledged(i image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.images[i.digest], w.acked[i.digest] = i, true
}

func (w *world) removing(i image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed[i.digest] = true
}

// lasting are the images that were acknowledged and that no one asked to delete.
func (w *world) lasting() (all []image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.acked {
		if !w.removed[d] {
			all = append(all, w.images[d])
		}
	}
	return all
}

// meet returns one of the images without tags that clients use at a time.
func (w *world) meet(epoch int64, n int) (image, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i, ok := w.offered[fmt.Sprint(epoch, "-", n)]
	return i, ok
}

// offer makes i one of them, if there is a place.
func (w *world) offer(epoch int64, i image) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range names {
		if key := fmt.Sprint(epoch, "-", n); w.offered[key].digest == "" {
			w.offered[key] = i
			return
		}
	}
}

// under lets clients work for some time while the faults of tracks happen, and then looks
// at everything.
func (w *world) under(clients int, tracks ...[]fault) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	stop, over := make(chan struct{}), make(chan struct{})
	var working, breaking, watching sync.WaitGroup
	for _, n := range w.nodes {
		watching.Go(func() { n.watch(ctx) })
	}
	defer watching.Wait()
	defer cancel()
	began := time.Now()
	w.report.begin()
	for i := range clients {
		c := newClient(w, i, w.seed)
		w.clients = append(w.clients, c)
		working.Go(func() {
			if err := c.work(ctx, stop); err != nil {
				w.t.Error(err)
				cancel()
			}
		})
	}
	for i, faults := range tracks {
		r := rand.New(rand.NewPCG(w.seed, 1000+uint64(i)))
		breaking.Go(func() {
			if err := w.inject(ctx, r, faults, over); err != nil {
				w.t.Error(err)
				cancel()
			}
		})
	}
	for end := began.Add(*runTime); ctx.Err() == nil && time.Now().Before(end); {
		select {
		case <-ctx.Done():
		case <-time.After(min(time.Until(end), 5*time.Minute)):
			w.report.took = time.Since(began)
			w.report.finish(w)
			w.t.Logf("so far: %s", w.report)
		}
	}
	close(over)
	breaking.Wait() // what was broken is whole again
	close(stop)
	working.Wait()
	w.report.took = time.Since(began)
	w.report.finish(w)
	if w.t.Failed() {
		return
	}
	for _, n := range w.nodes {
		for until := time.Now().Add(time.Minute); !n.ready(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(until) {
				w.t.Fatalf("%s is not ready a minute after the last fault\n%s", n.name, lastOf(n.log.String(), 4000))
			}
		}
	}
	for _, text := range w.final(ctx) {
		w.t.Error(text)
		w.report.lost++
	}
	for _, text := range checkHistory(w.history.all()) {
		w.t.Error(text)
		w.report.lost++
	}
}
