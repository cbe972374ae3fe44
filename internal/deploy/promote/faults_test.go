package promote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
)

// Every request of a promotion fails once, on either side, and the image is
// promoted by the same run.
func TestEveryRequestFailsOnce(t *testing.T) {
	t.Parallel()
	const busy = `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`
	for name, effect := range map[string]remotetest.Effect{
		"dropped":       remotetest.Drop,
		"answer lost":   remotetest.Lose,
		"503":           remotetest.Answer(503, "busy"),
		"429":           some(6, remotetest.Answer(429, busy, "Retry-After", "1")), // of all, it would become very slow
		"answer cut":    remotetest.Cut(100),
		"upload reset":  remotetest.CutUpload(10),
		"token expired": expired(),
		"401":           remotetest.Answer(401, ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait more than they work
			w := start(t, "ecr")
			w.dev.create(t, "website")
			g := smallGraph()
			w.dev.push(t, "website", g.Content)
			w.prod.create(t, "website")
			for _, s := range []*side{w.dev, w.prod} {
				s.proxy.Reset()
				s.proxy.OnFirst("", effect)
			}
			r := request("dev/website:1.0", "prod/website:1.0")
			r.Record = true
			_, result := w.promote(r)
			w.dev.proxy.Reset()
			w.prod.proxy.Reset()
			w.prod.complete(t, "website", g)
			if h, err := w.promoter().History(t.Context(), r.To); err != nil || len(h) != 1 || result.Images[0].Record == "" {
				t.Errorf("records %+v, %v", h, err)
			}
		})
	}
}

// some has the effect n times.
func some(n int64, e remotetest.Effect) remotetest.Effect {
	var done atomic.Int64
	return func(x *remotetest.Exchange) {
		if done.Add(1) > n {
			x.Pass()
			return
		}
		e(x)
	}
}

// expired answers as ECR does to a password whose time is over, until another
// one is used.
func expired() remotetest.Effect {
	var mu sync.Mutex
	over := map[string]bool{}
	return func(x *remotetest.Exchange) {
		mu.Lock()
		old := x.R.Header.Get("Authorization")
		renew := old != "" && len(over) < 3
		if renew {
			over[old] = true
		}
		mu.Unlock()
		if renew && x.R.Method != http.MethodHead {
			remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`)(x)
			return
		}
		x.Pass()
	}
}

// orders are what a child process is told to do.
type orders struct {
	Sides map[string]childSide
	From  promote.Ref
	To    promote.Ref
}

type childSide struct {
	Host   string
	Source tokens.Source
}

// childVariable holds the orders of a process that promotes.
const childVariable = "KONTOR_TEST_PROMOTE"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := promoteAsChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// promoteAsChild is what a process does that is killed.
func promoteAsChild(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	registries := map[string]*promote.Registry{}
	for name, s := range o.Sides {
		client, err := remote.New(remote.Config{Host: s.Host, Name: name, PlainHTTP: true, Now: time.Now, Credentials: s.Source})
		if err != nil {
			return err
		}
		registries[name] = &promote.Registry{Name: name, Remote: client, ECR: true}
	}
	p := promote.New(promote.Config{
		Open: func(_ context.Context, name string) (*promote.Registry, error) { return registries[name], nil },
		Now:  time.Now,
	})
	pl, err := p.Plan(context.Background(), []promote.Request{{From: o.From, To: o.To, Record: true}})
	if err != nil {
		return err
	}
	r, err := p.Execute(context.Background(), pl, promote.ExecuteOptions{})
	if err == nil && !r.OK() {
		err = fmt.Errorf("%+v", r)
	}
	return err
}

// A promotion is killed at each of its requests: the tag is not there unless the
// whole image is, and the next run finishes what the killed one began.
func TestKilledAtEveryRequest(t *testing.T) {
	t.Parallel()
	w := start(t, "ecr")
	w.dev.create(t, "website")
	g := smallGraph()
	w.dev.push(t, "website", g.Content)
	o := orders{From: ref("dev/website:1.0"), Sides: map[string]childSide{}}
	for _, s := range []*side{w.dev, w.prod} {
		o.Sides[s.Name] = childSide{Host: s.proxy.Host, Source: tokens.Source{
			Host: s.proxy.Host, Region: ecr.Region(s.kontor.Region), Endpoint: s.kontor.URL, AccessKeyID: s.kontor.Pusher.AccessKeyID, SecretAccessKey: s.kontor.Pusher.SecretAccessKey,
		}}
	}
	tagged, finished := 0, false
	n, step := 1, 1
	if race.Enabled {
		step = 12 // of the requests, every twelfth
	}
	for ; !finished; n += step {
		if n > 500 {
			t.Fatal("a promotion has no end")
		}
		repository := fmt.Sprintf("run-%d", n)
		w.prod.create(t, repository)
		o.To = ref("prod/" + repository + ":1.0")
		finished = w.killed(t, o, n)
		there := w.prod.direct.Manifest(t, repository, "1.0") != nil
		if there {
			tagged++
			w.prod.complete(t, repository, g)
		}
		pl, _ := w.promote(promote.Request{From: o.From, To: o.To, Record: true})
		if (pl.Images[0].Status == promote.StatusThere) != there {
			t.Errorf("the tag is there: %t, planned %s", there, pl.Images[0].Status)
		}
		w.prod.complete(t, repository, g)
		if h, err := w.promoter().History(t.Context(), o.To); err != nil || len(h) != 1 {
			t.Errorf("killed at %d: %d records, %v", n, len(h), err)
		}
		if t.Failed() {
			t.Fatalf("killed at request %d", n)
		}
	}
	t.Logf("killed at request 1 to %d, one of %d, after the tag was set %d times", n-2*step, step, tagged-1)
	if n < 40 || tagged > n/4 {
		t.Errorf("the promotion had %d requests, and its tag was there after %d of them", n-2*step, tagged)
	}
}

// smallGraph is a graph whose blobs do not take long.
func smallGraph() remotetest.Graph {
	c := remotetest.NewContent(7)
	var g remotetest.Graph
	g.Content = c
	base := c.Layer(1000)
	for _, arch := range []string{"amd64", "arm64"} {
		g.Platforms = append(g.Platforms, c.Image("linux", arch, base))
	}
	g.Index = c.Index("1.0", g.Platforms...)
	g.Signatures = []remotetest.Manifest{c.Referrer(remotetest.SignatureType, g.Index)}
	g.SBOM = c.Referrer(remotetest.SBOMType, g.Platforms[1])
	g.Timestamp = c.Referrer("application/vnd.example.timestamp", g.Signatures[0])
	g.Cosign = c.Cosign(g.Index, "sig", "payload")
	return g
}

// killed promotes in a process that is killed at its nth request, when the
// registry has carried that out. It reports whether the process was done before.
func (w *world) killed(t *testing.T, o orders, n int) (finished bool) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") }), childVariable+"="+string(text))
	var stderr strings.Builder
	child.Stderr = &stderr
	var requests atomic.Int64
	killed, started := make(chan struct{}), make(chan struct{})
	var carriedOut sync.WaitGroup
	for _, s := range []*side{w.dev, w.prod} {
		s.proxy.Reset()
		s.proxy.On("", -1, func(x *remotetest.Exchange) {
			switch i := requests.Add(1); {
			case i < int64(n):
				x.Pass()
			case i == int64(n):
				carriedOut.Add(1)
				defer carriedOut.Done()
				if resp, err := x.Forward(); err == nil {
					_ = resp.Body.Close()
				}
				<-started
				close(killed) // first: the process ends at once
				_ = child.Process.Kill()
				x.Drop()
			default:
				x.Drop() // of a process that is being killed
			}
		})
	}
	defer func() {
		carriedOut.Wait()
		w.dev.proxy.Reset()
		w.prod.proxy.Reset()
	}()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	close(started)
	err = child.Wait()
	select {
	case <-killed:
		return false
	default:
	}
	if err != nil {
		t.Fatalf("the process failed at request %d of %d: %v\n%s", requests.Load(), n, err, &stderr)
	}
	return true
}
