package clients

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/test/cluster"
)

// everyClient runs all clients over replicas, not only one of each protocol.
var everyClient = os.Getenv("EVERY_CLIENT") != ""

// Clients that differ in how they push and pull work with two replicas as with one
// server, each request at the other replica than the one before. EVERY_CLIENT=1 runs
// all. The registry began on one machine, and was moved.
func TestReplicas(t *testing.T) {
	code, err := cluster.Run(func(g cluster.Gateway) int {
		for _, c := range []struct {
			name string
			test func(*testing.T, *kontor)
			less bool // it differs little from another
		}{
			{"docker", dockerTool, false}, {"containerd", ctr, false}, {"podman", podman, false}, {"buildah", buildah, true}, {"skopeo", skopeo, false},
			{"crane", crane, false}, {"oras", oras, false}, {"regctl", regctl, true}, {"Go SDK", goSDK, false}, {"JavaScript SDK", javaScriptSDK, true},
			{"stargz", stargz, true},
		} {
			if c.less && !everyClient {
				continue
			}
			t.Run(c.name, func(t *testing.T) { c.test(t, overReplicas(t, ociMode, g)) })
		}
		return 0
	})
	if err != nil || code != 0 {
		t.Fatal(code, err)
	}
}

// overReplicas is what upWith starts, moved to two replicas of kontor serve on one
// database, behind a pooler, and one bucket.
func overReplicas(t *testing.T, m mode, g cluster.Gateway) *kontor {
	t.Helper()
	k := upWith(t, m, file)
	k.password = k.pusherPassword()
	bucket := strings.ToLower(fmt.Sprintf("b%d", time.Now().UnixNano()))
	if err := os.Mkdir(filepath.Join(g.Dir, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	registries := fmt.Sprintf("listen: 127.0.0.1:0\nregistries: [{account: %q, region: %s, compat: %s, hosts: [localhost]}]\nmaster_key_file: %s/master.key\n",
		k.env["KONTOR_ACCOUNT"], k.env["AWS_REGION"], m.compat, k.data)
	old, now := filepath.Join(k.home, "old.yaml"), filepath.Join(k.home, "new.yaml")
	k.text(old, registries+"data: "+k.data+"\n")
	k.text(now, registries+fmt.Sprintf("audit: \"off\"\ntrusted_proxies: [127.0.0.0/8, \"::1/128\"]\ndatabase: {url: %q}\n"+
		"storage: {s3: {bucket: %s, endpoint: \"http://%s\", path_style: true, access_key_id: %s, secret_access_key: %s}}\n",
		pgtest.Bouncer(t, pgtest.Start(t), 10), bucket, g.Addr, cluster.AccessKey, cluster.SecretKey))
	k.stop()
	k.ok(kontorBin, "admin", "migrate", "--from", old, "--to", now, "--finish")
	b, err := cluster.Balance(k.replica(now), k.replica(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	k.host = strings.TrimPrefix(b.URL, "http://")
	k.env["KONTOR_REGISTRY"], k.env["AWS_ENDPOINT_URL"] = k.host, b.URL
	if err := os.MkdirAll(filepath.Join(k.home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	k.text(filepath.Join(k.home, ".docker/config.json"), fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, k.host, base64.StdEncoding.EncodeToString([]byte("AWS:"+k.password))))
	return k
}

func (k *kontor) text(name, text string) {
	k.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// replica starts a kontor serve, and returns its URL.
func (k *kontor) replica(config string) string {
	k.t.Helper()
	cmd := exec.Command(kontorBin, "serve", "--config", config)
	var out, log bytes.Buffer // read once ready is closed, or when the process has ended
	ready, ended := make(chan struct{}), make(chan error, 1)
	cmd.Env, cmd.Stdout, cmd.Stderr = k.environ(), &readyWriter{buf: &out, ready: ready}, &log
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	k.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			k.t.Errorf("stopping a replica: %v", err)
		}
		if err := <-ended; err != nil {
			k.t.Errorf("kontor serve ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		k.t.Fatalf("kontor serve ended: %v\n%s%s", err, &out, &log)
	case <-time.After(time.Minute):
		k.t.Fatal("kontor serve is not ready after a minute")
	}
	_, url, _ := strings.Cut(out.String(), "listen")
	url, _, _ = strings.Cut(url, "\n")
	return strings.TrimSpace(url)
}
