package s3

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/testkit/faults"
)

// trap stands between one process and its database and bucket. It can hold the process
// at a statement or a request, which then never comes to its end.
type trap struct {
	t      *testing.T
	pipe   *faults.Pipe
	bucket *faults.Proxy

	mu      sync.Mutex
	text    string        // what to hold, "" for nothing; guarded by mu
	reached chan struct{} // closed when it was seen; guarded by mu
	freed   chan struct{} // closed when the process is gone; guarded by mu
}

// newTrap stands before the database at the socket that address names, and before the
// bucket.
func newTrap(t *testing.T, address string) *trap {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &trap{t: t, bucket: faults.Start(t, gateway.Addr)}
	h.pipe = faults.NewPipe(l, func() (net.Conn, error) {
		c, err := net.Dial("unix", filepath.Join(u.Query().Get("host"), ".s.PGSQL."+u.Query().Get("port")))
		return &trapped{c, h}, err
	})
	t.Cleanup(func() {
		if err := h.pipe.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// inDatabase and inBucket are the lines of a configuration that goes through the trap.
func (h *trap) inDatabase(name string) string {
	return inDatabase("postgres://postgres@" + h.pipe.Addr().String() + name + "?sslmode=disable")
}

func (h *trap) inBucket(dir, bucket string) string {
	return strings.Replace(inBucket(dir, bucket), "http://"+gateway.Addr, h.bucket.URL, 1)
}

// at is a moment at which a process is held: a statement that has this text, or, where
// method is set, a request for a blob.
type at struct{ method, statement string }

// killed runs a command that goes through the trap, and kills it when it is held. A
// command that ends before is an error.
func (h *trap) killed(dir string, moment at, args ...string) {
	h.t.Helper()
	reached, freed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.mu.Lock()
	h.text, h.reached, h.freed = moment.statement, reached, freed
	h.mu.Unlock()
	if moment.method != "" {
		h.bucket.Pick(func(r *http.Request) faults.Fault {
			if r.Method != moment.method || !strings.Contains(r.URL.Path, "/blobs/") && !strings.Contains(r.URL.Path, "/uploads/") {
				return faults.None
			}
			once.Do(func() { close(reached) })
			return faults.Stall
		})
	}
	cmd := exec.Command(os.Getenv("KONTOR_BIN"), args...)
	var said strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	select {
	case <-reached:
		if err := cmd.Process.Kill(); err != nil {
			h.t.Error(err)
		}
		if err := ended(<-gone); err != nil {
			h.t.Error(err)
		}
	case err := <-gone:
		h.t.Errorf("the command ended, with %v, and never came to %v\n%s", err, moment, &said)
	case <-time.After(2 * time.Minute):
		if err := cmd.Process.Kill(); err != nil {
			h.t.Error(err)
		}
		if err := ended(<-gone); err != nil {
			h.t.Error(err)
		}
		h.t.Errorf("the command does not come to %v\n%s", moment, &said)
	}
	h.mu.Lock()
	h.text = ""
	h.mu.Unlock()
	h.bucket.Pick(nil)
	close(freed)
}

// trapped is a connection to the database.
type trapped struct {
	net.Conn
	h *trap
}

func (c *trapped) Write(b []byte) (int, error) {
	c.h.mu.Lock()
	held := c.h.text != "" && bytes.Contains(b, []byte(c.h.text))
	freed := c.h.freed
	if held {
		c.h.text = ""
		close(c.h.reached)
	}
	c.h.mu.Unlock()
	if held {
		<-freed
		return 0, errors.New("held")
	}
	return c.Conn.Write(b)
}
