//go:build unix && !race

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// gate stands before a registry and does something at one of the calls that
// change something.
type gate struct {
	*httptest.Server

	mu     sync.Mutex
	n      int         // guarded by mu; changes since at
	which  int         // guarded by mu; 0 for none
	before bool        // guarded by mu; do it before the call takes effect, or after
	do     func() bool // guarded by mu; false for a call that is lost, if before
}

func newGate(t *testing.T, reg *kontortest.Registry) *gate {
	t.Helper()
	to, err := url.Parse(reg.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	// The host stays that of the request: it is signed.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		now, before, do := false, false, func() bool { return true }
		if op != "" && !strings.HasPrefix(op, "Get") && !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") {
			g.mu.Lock()
			g.n++
			now, before, do = g.n == g.which, g.before, g.do
			g.mu.Unlock()
		}
		if now && before && !do() {
			return
		}
		// What was asked is done, whether or not someone waits for the answer.
		proxy.ServeHTTP(w, r.WithContext(t.Context()))
		if now && !before {
			do()
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gate) at(which int, before bool, do func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n, g.which, g.before, g.do = 0, which, before, do
}

func (g *gate) changes() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// ended is a process that has, and what it said.
type ended struct {
	code        int // -1 by a signal
	out, errors string
}

// interrupted is a deployment whose apply is interrupted.
type interrupted struct {
	t    *testing.T
	gate *gate
	api  *ecr.Client
	env  []string
	dir  string
}

func newInterrupted(t *testing.T) *interrupted {
	t.Helper()
	reg := kontortest.Start(t)
	i := &interrupted{t: t, gate: newGate(t, reg), api: awstest.ECR(reg), dir: t.TempDir()}
	i.env = []string{
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + reg.Admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + reg.Admin.SecretAccessKey,
	}
	file := func(name, account, days string, more string) {
		text := fmt.Sprintf("stack: team\nregistries: [{name: prod, account: %q, region: %s, endpoint: %q}]\necr_repositories:\n", reg.Account, reg.Region, i.gate.URL) +
			fmt.Sprintf("  aa: &it {additional_pull_account_ids: [%q], expire_untagged_after_days: %s}\n  bb: *it\n%s", account, days, more)
		if err := os.WriteFile(filepath.Join(i.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file("before.yaml", "333333333333", "1", "")
	file("kontor.yaml", "444444444444", "7", "  cc: *it\n  dd: *it\n")
	return i
}

// scene is what there is before: two repositories that will change.
func (i *interrupted) scene() {
	i.t.Helper()
	i.gate.at(0, false, nil)
	for _, name := range []string{"cc", "dd"} {
		_, err := i.api.DeleteRepository(i.t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name})
		var gone *types.RepositoryNotFoundException
		if err != nil && !errors.As(err, &gone) {
			i.t.Fatal(err)
		}
	}
	if r := i.run(i.start("apply", "-y", "-f", "before.yaml")); r.code != 0 {
		i.t.Fatalf("%+v", r)
	}
}

// process is a kontor that runs.
type process struct {
	*exec.Cmd
	out, errors bytes.Buffer
	stopping    *heard
	started     chan struct{} // closed when there is a process to signal
}

// heard passes on what is written to w, and tells when something was.
type heard struct {
	w    io.Writer
	once sync.Once
	at   chan struct{} // closed with the first bytes
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.w.Write(p)
	h.once.Do(func() { close(h.at) })
	return n, err
}

func (i *interrupted) start(args ...string) *process {
	i.t.Helper()
	cmd, err := command(i.env, args...)
	if err != nil {
		i.t.Fatal(err)
	}
	p := &process{Cmd: cmd, stopping: &heard{at: make(chan struct{})}, started: make(chan struct{})}
	p.stopping.w = &p.errors
	cmd.Dir, cmd.Stdout, cmd.Stderr = i.dir, &p.out, p.stopping
	return p
}

// run runs p to its end.
func (i *interrupted) run(p *process) ended {
	i.t.Helper()
	if err := p.Start(); err != nil {
		i.t.Fatal(err)
	}
	close(p.started)
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		i.t.Fatal(err)
	}
	return ended{p.ProcessState.ExitCode(), p.out.String(), p.errors.String()}
}

// signal sends sig to p.
func (i *interrupted) signal(p *process, sig os.Signal) {
	<-p.started
	if err := p.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		i.t.Error(err)
	}
}

// whole fails unless the repositories that there were have their policies.
func (i *interrupted) whole(when string, names ...string) {
	i.t.Helper()
	for _, name := range names {
		p, err := i.api.GetRepositoryPolicy(i.t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
		if err != nil || !strings.Contains(aws.ToString(p.PolicyText), "BatchGetImage") {
			i.t.Errorf("%s: %s: %v", when, name, err)
		}
		if _, err := i.api.GetLifecyclePolicy(i.t.Context(), &ecr.GetLifecyclePolicyInput{RepositoryName: &name}); err != nil {
			i.t.Errorf("%s: %s: %v", when, name, err)
		}
	}
}

// heals applies once more: then all is as the file says.
func (i *interrupted) heals(when string) {
	i.t.Helper()
	i.gate.at(0, false, nil)
	for _, args := range [][]string{{"apply", "-y"}, {"plan", "--exit-code"}} {
		if r := i.run(i.start(args...)); r.code != 0 {
			i.t.Errorf("%s: %v afterwards: exit code %d\n%s%s", when, args, r.code, r.out, r.errors)
		}
	}
	i.whole(when+" and another apply", "aa", "bb", "cc", "dd")
}

// TestApplyKilledAtEveryChange kills kontor by SIGKILL before and after each
// call of an apply that changes something takes effect.
func TestApplyKilledAtEveryChange(t *testing.T) {
	i := newInterrupted(t)
	for which := 1; ; which++ {
		for _, before := range []bool{true, false} {
			i.scene()
			p := i.start("apply", "-y", "--parallelism", "1")
			i.gate.at(which, before, func() bool {
				i.signal(p, os.Kill)
				return false
			})
			r := i.run(p)
			if n := i.gate.changes(); which > n {
				if r.code != 0 || n < 8 {
					t.Errorf("%d changes, exit code %d\n%s%s", n, r.code, r.out, r.errors)
				}
				return
			}
			when := fmt.Sprintf("killed at change %d (before it: %t)", which, before)
			if r.code != -1 {
				t.Errorf("%s: exit code %d", when, r.code)
			}
			i.whole(when, "aa", "bb")
			i.heals(when)
		}
	}
}

// TestApplyInterrupted: an interrupt lets kontor finish the repository that it
// is at, and say what it did and what not; another one ends it.
func TestApplyInterrupted(t *testing.T) {
	i := newInterrupted(t)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		i.scene()
		p := i.start("apply", "-y", "--parallelism", "1")
		// The first change is aa's.
		i.gate.at(1, true, func() bool {
			i.signal(p, sig)
			<-p.stopping.at // it has got it
			return true
		})
		r := i.run(p)
		for _, want := range []string{"\naa: updated ", "\nApplied: 1 repository done, 3 not reached.\n    not reached: bb, cc, dd\n"} {
			if !strings.Contains(r.out, want) {
				t.Errorf("%v: no %q in\n%s", sig, want, r.out)
			}
		}
		want := "kontor: stopping: finishing the repositories in progress; interrupt again to stop at once\n" +
			"kontor: stopped: 3 repositories are not as the file says: run apply again\n"
		if r.code != 1 || r.errors != want {
			t.Errorf("%v: exit code %d, stderr\n%s", sig, r.code, r.errors)
		}
		i.whole(fmt.Sprint("after ", sig), "aa", "bb")
		i.heals(fmt.Sprint(sig))
	}

	i.scene()
	p := i.start("apply", "-y", "--parallelism", "1", "--json")
	i.gate.at(1, true, func() bool {
		i.signal(p, os.Interrupt)
		<-p.stopping.at
		return true
	})
	r := i.run(p)
	if n := bytes.Count([]byte(r.out), []byte(`"status": "skipped"`)); r.code != 1 || n != 3 || strings.Count(r.out, `"status": "done"`) != 1 {
		t.Errorf("--json: exit code %d\n%s", r.code, r.out)
	}
	i.heals("--json")

	i.scene()
	gone := make(chan struct{}) // the client has stopped waiting for the answer
	p = i.start("apply", "-y", "--parallelism", "1")
	i.gate.at(1, true, func() bool {
		i.signal(p, os.Interrupt)
		<-p.stopping.at
		for { // the first may not be put behind it yet
			i.signal(p, os.Interrupt)
			select {
			case <-gone:
				return false
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	r = i.run(p)
	close(gone)
	if r.code != -1 {
		t.Errorf("interrupted twice: exit code %d\n%s%s", r.code, r.out, r.errors)
	}
	i.whole("interrupted twice", "aa", "bb")
	i.heals("interrupted twice")
}
