//go:build unix

package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/race"
)

// kontorServe is a folder with the configuration of a service.
type kontorServe struct {
	t   *testing.T
	dir string
	env []string
	url string // of the server that was started last
}

func newServe(t *testing.T, more string) *kontorServe {
	t.Helper()
	if race.Enabled {
		return nil
	}
	k := &kontorServe{t: t, dir: t.TempDir()}
	k.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.dir, "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-2",
		"AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(k.dir, "administrator")}
	k.write("serve.yaml", "listen: 127.0.0.1:0\ndata: data\nmaster_key_file: key\nadministrator_file: administrator\nlog: none\n"+
		"registries: [{account: \"111111111111\", region: us-east-2, compat: ecr, hosts: [registry.example.com]}]\n"+more)
	k.write("administrator", "[default]\naws_access_key_id = AKIASERVE0000000TEST\naws_secret_access_key = not-a-secret-but-long-enough\n")
	return k
}

func (k *kontorServe) write(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// run runs kontor and wants its exit code and what it says.
func (k *kontorServe) run(code int, want string, args ...string) {
	k.t.Helper()
	cmd, err := command(k.env, args...)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd.Dir = k.dir
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		k.t.Fatal(err)
	}
	if cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), want) {
		k.t.Errorf("kontor %s: exit code %d, want %d and %q\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), code, want, out)
	}
}

func (k *kontorServe) start() *server {
	k.t.Helper()
	s, err := startServer(k.dir, k.env, "serve", "--config", "serve.yaml")
	if err != nil {
		k.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(s.out.String(), "listen    ")
	k.url, _, _ = strings.Cut(rest, "\n")
	k.write("kontor.yaml", "stack: shop\nregistries: [{name: prod, account: \"111111111111\", region: us-east-2, endpoint: \""+k.url+"\"}]\necr_repositories: {app: {}}\n")
	return s
}

// get opens a new connection for the request.
func (k *kontorServe) get(path, host string) (status int, body string) {
	k.t.Helper()
	r, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.url+path, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	r.Host, r.Close = host, true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		k.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		k.t.Fatal(err, cerr)
	}
	return resp.StatusCode, string(b)
}

// A service from its first start on: a key that is never made, one process on a
// folder, commands that reach it by its URL, and a stop.
func TestServe(t *testing.T) {
	k := newServe(t, "drain: 10ms\n")
	if k == nil {
		return // see TestScripts
	}
	k.run(1, "serve.yaml:3:18: master_key_file: key does not exist, and serve never makes one", "serve", "--config", "serve.yaml")
	k.run(0, "key is written", "admin", "master-key", "new", "key")
	k.run(1, "key exists and is not replaced", "admin", "master-key", "new", "key")
	k.run(0, "the configuration is right", "serve", "--config", "serve.yaml", "--check")
	before := k.env
	k.env = append(slices.Clip(before), "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318/secret")
	k.run(0, "traces    http://collector:4318\n", "serve", "--config", "serve.yaml", "--check")
	k.env = append(k.env, "OTEL_TRACES_SAMPLER=sometimes")
	k.run(1, `OTEL_TRACES_SAMPLER: "sometimes": want one of always_off,`, "serve", "--config", "serve.yaml", "--check")
	k.env = before
	if _, err := os.Stat(filepath.Join(k.dir, "data")); err == nil {
		t.Error("--check made the data folder")
	}
	s := k.start()
	k.run(1, "another kontor server runs on this folder", "serve", "--config", "serve.yaml")
	k.run(1, "`kontor serve` uses this folder", "admin", "usage", "--data", "data")
	if status, body := k.get("/v2/", "elsewhere.example.com"); status != 421 || !strings.Contains(body, "elsewhere.example.com") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := k.get("/v2/", "registry.example.com"); status != 401 {
		t.Errorf("status %d", status)
	}
	k.run(0, "app: created", "apply", "-y")
	k.run(0, "repository/app  pull, push", "access", "matrix", "--endpoint", k.url)
	k.run(0, "app: 0 images", "admin", "usage", "--endpoint", k.url)
	k.run(0, "administrator", "admin", "user", "list", "--endpoint", k.url)
	k.run(0, "Everything is whole", "admin", "check", "--config", "serve.yaml")
	k.run(0, "ecr:CreateRepository", "admin", "audit", "--data", "data")
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	s = k.start()
	k.run(0, "nothing to do", "plan")
	if err := s.stop(os.Interrupt); err != nil {
		t.Error(err)
	}
}

// While it drains, a server takes requests on new connections, and says that it
// is not ready. A second signal ends it.
func TestServeDrains(t *testing.T) {
	k := newServe(t, "drain: 1h\n")
	if k == nil {
		return // see TestScripts
	}
	k.run(0, "key is written", "admin", "master-key", "new", "key")
	s := k.start()
	if status, body := k.get("/readyz", "a"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		status, body := k.get("/readyz", "a")
		if status == 503 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("still ready a minute after SIGTERM: %d %s", status, body)
		}
	}
	if status, _ := k.get("/v2/", "registry.example.com"); status != 401 {
		t.Errorf("status %d", status)
	}
	// The first one may still be on its way.
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-s.ended:
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}
