package clients

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// containerd is a containerd of the test's own, and arguments of ctr.
type containerd struct {
	*kontor
	socket string
	blobs  string // the content store: a folder like an image layout
}

// containerd starts one. It mounts, to unpack: that takes root.
func (k *kontor) containerd() *containerd {
	k.t.Helper()
	dir := k.t.TempDir()
	c := &containerd{kontor: k, socket: filepath.Join(dir, "c.sock"), blobs: filepath.Join(dir, "root", "io.containerd.content.v1.content")}
	config := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `version = 2
root = %q
state = %q
temp = %q
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), filepath.Join(dir, "tmp"), c.socket), 0o600); err != nil {
		k.t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(containerdBin, "--config", config)
	cmd.Env = k.environ()
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	k.t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			k.t.Errorf("stopping containerd: %v", err)
		}
		if err := <-ended; err != nil {
			k.t.Errorf("containerd ended with %v\n%s", err, &log)
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err := k.run(ctrBin, "--address", c.socket, "version"); err == nil {
			return c
		}
		select {
		case err := <-ended:
			ended <- err
			k.t.Fatalf("containerd ended: %v\n%s", err, &log)
		default:
		}
		if time.Now().After(deadline) {
			k.t.Fatal("containerd does not answer after a minute")
		}
	}
}

// ctr is ctr's arguments. It reads no one's logins.
func (c *containerd) ctr(args ...string) []string {
	return append([]string{"--address", c.socket}, args...)
}

func (c *containerd) images(args ...string) []byte {
	c.t.Helper()
	return c.ok(ctrBin, c.ctr(append([]string{"images"}, args...)...)...)
}

func TestContainerd(t *testing.T) { inBothModes(t, ctr) }

func ctr(t *testing.T, k *kontor) {
	c := k.containerd()
	login := []string{"--plain-http", "--user", "AWS:" + k.pusherPassword()}
	pull := func(args ...string) []string {
		return append(append([]string{"pull", "--snapshotter", "native"}, login...), args...)
	}
	push := func(args ...string) []string { return append(append([]string{"push"}, login...), args...) }
	fails := func(texts []string, args ...string) {
		t.Helper()
		k.fails(texts, ctrBin, c.ctr(append([]string{"images"}, args...)...)...)
	}
	index, _ := layout(t)
	k.push("website", "v1")
	v1 := k.host + "/website:v1"

	// All platforms, and every byte of them is in containerd's store.
	c.images(pull("--all-platforms", v1)...)
	same(t, c.blobs)
	if got := c.ok(ctrBin, c.ctr("content", "get", index.Digest)...); !bytes.Equal(got, blobOf(t, imageDir, index.Digest)) {
		t.Errorf("ctr content get brought %s", got)
	}
	if got := string(c.images("ls", "name=="+v1)); !strings.Contains(got, index.Digest) {
		t.Errorf("ctr images ls does not say %s:\n%s", index.Digest, got)
	}

	// It unpacks to what is in the layers, and runs.
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	c.images("mount", "--snapshotter", "native", v1, root)
	defer c.images("unmount", "--rm", "--snapshotter", "native", root)
	layers, _ := platform(t, index.Digest, runtime.GOARCH)
	for _, d := range layers {
		unpacked(t, root, blobOf(t, imageDir, d.Digest))
	}
	k.ok(filepath.Join(root, "kontor"), "version")

	// Pushed to other repositories, it comes back byte for byte.
	for _, to := range []string{"scraper:v1", "test:v1"} {
		c.images(push(k.host+"/"+to, v1)...)
		back := filepath.Join(t.TempDir(), "back")
		k.ok(skopeoBin, "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "docker://"+k.host+"/"+to, "oci:"+back+":v1")
		same(t, back)
		if got := k.ok(skopeoBin, "inspect", "--raw", "--tls-verify=false", "docker://"+k.host+"/"+to); !bytes.Equal(got, blobOf(t, imageDir, index.Digest)) {
			t.Errorf("%s is not the index that was pushed:\n%s", to, got)
		}
	}

	// The tag exists. ctr looks at it before it pushes, so that the same image
	// is nothing to do in both modes. Of a refusal it tells the status only.
	other := k.host + "/test:other"
	k.ok(skopeoBin, "copy", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+other)
	c.images(pull(other)...)
	c.images(push(v1)...)
	fails([]string{"unexpected status: 400 Bad Request"}, push(v1, other)...)
	if got := k.get("/v2/website/manifests/v1", k.pusherPassword()); !bytes.Equal(got, blobOf(t, imageDir, index.Digest)) {
		t.Errorf("after a refused push the tag is at %s", got)
	}
	// Where tags are mutable, it moves.
	c.images(push(k.host+"/test:v1", other)...)

	// What is wrong is refused: unknown repository and tag, no login.
	fails([]string{"404 Not Found"}, push(k.host+"/nowhere:v1", v1)...)
	fails([]string{k.host + "/website:v9: not found"}, pull(k.host+"/website:v9")...)
	fails([]string{"401 Unauthorized"}, "pull", "--plain-http", v1)
	fails([]string{"401 Unauthorized"}, "push", "--plain-http", k.host+"/test:v2", v1)
}

// unpacked compares the files of a layer with those below root.
func unpacked(t *testing.T, root string, layer []byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		want, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(h.Name)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the layer has: %v", h.Name, err)
		}
		files++
	}
	if files == 0 {
		t.Error("the layer has no file")
	}
}
