package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// node is a server: a configuration, and a process that comes and goes.
type node struct {
	name   string
	config string
	clock  string // the file that its clock is set by

	turn sync.Mutex // held by the fault that happens to the process

	mu  sync.Mutex
	url string // guarded by mu; of the process that runs, or ran last
	log *tail

	wasReady atomic.Bool // when the load balancer asked last

	cmd  *exec.Cmd  // owned by who has turn
	gone chan error // as cmd
}

// tail keeps the end of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, b...); len(t.b) > 128<<10 {
		t.b = t.b[len(t.b)-64<<10:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

func newNode(dir, name, config string) *node {
	n := &node{name: name, config: filepath.Join(dir, name+".yaml"), clock: filepath.Join(dir, name+".clock"), log: &tail{}}
	if err := os.WriteFile(n.config, []byte(config), 0o600); err != nil {
		panic(err) // a folder of the test
	}
	return n
}

// startTime is how long a start may take. While its database is gone a server does not
// start, and is started again.
const startTime = 2 * time.Minute

// start starts the process and waits until it is ready; one that ends before is started
// again, as a service manager does it.
func (n *node) start(binary string) error {
	var err error
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = n.startOnce(binary); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not start: %w\n%s", n.name, err, n.log)
}

func (n *node) startOnce(binary string) error {
	n.cmd = exec.Command(binary, "serve", "--config", n.config)
	n.cmd.Dir, n.cmd.Stderr = filepath.Dir(n.config), n.log
	n.cmd.Env = append(os.Environ(), clockVariable+"="+n.clock)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	at, gone := make(chan string, 1), make(chan error, 1)
	n.gone = gone
	go func() {
		url := ""
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, value, _ := strings.Cut(lines.Text(), " "); name == "listen" {
				url = strings.TrimSpace(value)
			}
			if strings.HasPrefix(lines.Text(), "kontor is ready") {
				at <- url
			}
		}
		gone <- n.cmd.Wait()
	}()
	select {
	case url := <-at:
		n.mu.Lock()
		n.url = url
		n.mu.Unlock()
		return nil
	case err := <-gone:
		gone <- err
		return fmt.Errorf("it ended: %w", err)
	case <-time.After(startTime):
		return errors.Join(errors.New("it is not ready"), n.kill())
	}
}

// address is where the process serves, or served.
func (n *node) address() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}

// kill ends the process at once.
func (n *node) kill() error {
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	n.gone <- <-n.gone
	return nil
}

// stop asks it to end, and waits for that.
func (n *node) stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-n.gone:
		n.gone <- err
		if err != nil && !strings.Contains(lastOf(n.log.String(), 2000), "kontor: ServiceUnavailableException") { // what it had to write on a full disk
			return fmt.Errorf("%s ended after SIGTERM with %w\n%s", n.name, err, n.log)
		}
		return nil
	case <-time.After(2 * time.Minute):
		return fmt.Errorf("%s does not end after SIGTERM\n%s", n.name, n.log)
	}
}

// setClock sets the clock of the process, running or not, off by d.
func (n *node) setClock(d time.Duration) error {
	return os.WriteFile(n.clock, []byte(strconv.FormatInt(int64(d), 10)), 0o600)
}

// ready reports whether the server says that it would serve requests.
func (n *node) ready() bool {
	resp, err := readiness.Get(n.address() + "/readyz")
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// watch asks the server again and again whether it is ready, until ctx is done.
func (n *node) watch(ctx context.Context) {
	for ctx.Err() == nil {
		n.wasReady.Store(n.ready())
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// readiness asks for nothing else, as a load balancer does.
var readiness = &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
