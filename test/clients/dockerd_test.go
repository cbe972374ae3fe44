package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/test/dockerd"
)

// docker starts a daemon of the test's own, and is docker's client with it.
func (k *kontor) docker() *docker {
	k.t.Helper()
	d, err := dockerd.Start(k.environ())
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			k.t.Error(err)
		}
	})
	k.env["DOCKER_HOST"] = d.Host()
	return &docker{k}
}

type docker struct{ *kontor }

// run is what docker prints on its standard output, without the space around.
func (d *docker) run(args ...string) string {
	d.t.Helper()
	return strings.TrimSpace(string(d.ok(dockerd.Docker, args...)))
}

// refuses runs docker, which must fail and say text.
func (d *docker) refuses(text string, args ...string) {
	d.t.Helper()
	d.fails([]string{text}, dockerd.Docker, args...)
}

// login runs `docker login` as the user who may push and pull.
func (d *docker) login(host, password string) ([]byte, error) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), dockerd.Docker, "login", "-u", "AWS", "--password-stdin", host)
	cmd.Env, cmd.Stdin = d.environ(), strings.NewReader(password)
	return cmd.CombinedOutput()
}

// A builder of docker's.
type builder struct{ name, buildKit string }

var builders = []builder{{"the builder without BuildKit", "0"}, {"BuildKit", "1"}}

// builds builds an image whose file /hello.txt has content, and returns what
// the builder prints.
func (d *docker) builds(b builder, image, from string, content []byte, args ...string) string {
	d.t.Helper()
	dir := filepath.Join(d.t.TempDir(), "context")
	if err := os.Mkdir(dir, 0o700); err != nil {
		d.t.Fatal(err)
	}
	for name, text := range map[string][]byte{"hello.txt": content, "Dockerfile": []byte("FROM " + from + "\nCOPY hello.txt /\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	d.env["DOCKER_BUILDKIT"] = b.buildKit
	defer delete(d.env, "DOCKER_BUILDKIT")
	stdout, stderr, err := d.kontor.run(dockerd.Docker, append(append([]string{"build", "--network=none", "--tag", image}, args...), dir)...)
	if err != nil {
		d.t.Fatalf("docker build with %s: %v\n%s%s", b.name, err, stdout, stderr)
	}
	return string(stdout) + string(stderr)
}

// forget removes an image by its id, with all of its names, and returns the id.
func (d *docker) forget(image string) string {
	d.t.Helper()
	id := d.run("image", "inspect", "--format", "{{.Id}}", image)
	d.run("rmi", "--force", id)
	return id
}

// pulls pulls an image, which must be the one with id.
func (d *docker) pulls(image, id string) {
	d.t.Helper()
	d.run("pull", image)
	if got := d.run("image", "inspect", "--format", "{{.Id}}", image); got != id {
		d.t.Errorf("docker pull of %s brought %s, not %s", image, got, id)
	}
}

// holds checks /hello.txt of an image.
func (d *docker) holds(image string, content []byte) {
	d.t.Helper()
	container := d.run("create", image, "/hello.txt") // which is never started
	to := filepath.Join(d.t.TempDir(), "hello.txt")
	d.run("cp", container+":/hello.txt", to)
	d.run("rm", container)
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, content) {
		d.t.Errorf("hello.txt of %s is not what was built: %v", image, err)
	}
}

func TestDocker(t *testing.T) { inBothModes(t, dockerTool) }

func dockerTool(t *testing.T, k *kontor) {
	d := k.docker()
	password := k.pusherPassword()
	website := k.host + "/website"

	// Without `kontor login`, docker logs in itself.
	d.run("logout", k.host)
	d.refuses("no basic auth credentials", "pull", website+":v1")
	if out, err := d.login(k.host, password+"x"); err == nil || !bytes.Contains(out, []byte("failed with status: 401 Unauthorized")) {
		t.Errorf("docker login with a wrong password: %v\n%s", err, out)
	}
	if out, err := d.login(k.host, password); err != nil || !bytes.Contains(out, []byte("Login Succeeded")) {
		t.Fatalf("docker login: %v\n%s", err, out)
	}

	// What each builder builds is pushed, and pulled by tag and by digest.
	for i, b := range builders {
		tag := "built" + b.buildKit
		image, content := website+":"+tag, []byte("hello "+b.buildKit+"\n")
		d.builds(b, image, "scratch", content)
		pushed := d.run("push", image)
		manifest := k.get("/v2/website/manifests/"+tag, password)
		if digest := tag + ": digest: " + string(ecr.DigestOf(manifest)); !strings.Contains(pushed, digest) {
			t.Errorf("%s: docker push does not say %q:\n%s", b.name, digest, pushed)
		}
		id := d.forget(image)
		d.pulls(image, id)
		d.holds(image, content)
		d.forget(image)
		d.pulls(website+"@"+string(ecr.DigestOf(manifest)), id)

		// The tag exists: no other image goes there, nor the same where the
		// mode has it so.
		d.run("tag", website+"@"+string(ecr.DigestOf(manifest)), image)
		k.again("website", tag, dockerd.Docker, "push", image)
		d.builds(b, image, "scratch", []byte("hello again\n"))
		d.refuses("tag invalid: "+tagExists("website", tag), "push", image)
		if got := k.get("/v2/website/manifests/"+tag, password); !bytes.Equal(got, manifest) {
			t.Errorf("%s: after refused pushes the tag is at %s", b.name, got)
		}
		// Where tags are mutable, it does.
		moves := k.host + "/test:" + tag
		d.run("tag", website+"@"+string(ecr.DigestOf(manifest)), moves)
		d.run("push", moves)
		d.run("tag", image, moves)
		d.run("push", moves)
		if got := k.get("/v2/test/manifests/"+tag, password); bytes.Equal(got, manifest) {
			t.Errorf("%s: docker push did not move the tag of a mutable repository", b.name)
		}

		// An image of the registry is what another builds on.
		d.forget(image)
		d.forget(website + "@" + string(ecr.DigestOf(manifest)))
		other := builders[len(builders)-1-i]
		d.builds(other, website+":on-"+tag, image, []byte("on top\n"))
		d.run("push", website+":on-"+tag)
		if layers := len(layersOf(t, k.get("/v2/website/manifests/on-"+tag, password))); layers != 2 {
			t.Errorf("an image on %s has %d layers, not 2", image, layers)
		}
	}

	// BuildKit keeps its cache in the image, and another builder finds it.
	cached, content := website+":cached", []byte("costly\n")
	d.builds(builders[1], cached, "scratch", content, "--build-arg", "BUILDKIT_INLINE_CACHE=1")
	d.run("push", cached)
	d.forget(cached)
	d.run("builder", "prune", "--all", "--force")
	if out := d.builds(builders[1], "again", "scratch", content, "--progress=plain", "--cache-from", cached); !strings.Contains(out, " CACHED\n") {
		t.Errorf("BuildKit does not use the cache in the image:\n%s", out)
	}

	// The release's image comes as it was pushed, and runs.
	k.push("website", "v1")
	index, _ := layout(t)
	release := website + ":v1"
	for _, arch := range []string{"amd64", "arm64", runtime.GOARCH} {
		_, config := platform(t, index.Digest, arch)
		d.run("pull", "--platform", "linux/"+arch, release)
		if got := d.run("image", "inspect", "--format", "{{.Id}}", release); got != config {
			t.Errorf("docker pull of %s brought %s, not %s", arch, got, config)
		}
	}
	if got := d.run("run", "--rm", "--network=none", release, "version"); !strings.Contains(got, "v0.0.0-test") {
		t.Errorf("docker run of the release printed %s", got)
	}

	// What is wrong is refused: unknown repository and tag.
	const nowhere = "The repository with name 'nowhere' does not exist in the registry with id '000000000000'"
	d.run("tag", release, k.host+"/nowhere:v1")
	d.refuses("name unknown: "+nowhere, "push", k.host+"/nowhere:v1")
	d.refuses(nowhere, "pull", k.host+"/nowhere:v1")
	d.refuses("manifest unknown: Requested image not found", "pull", website+":v9")

	d.manifestLists(password)
	if k.password == "" { // it asks the server of a data folder
		d.credentialHelper()
	}
}

// manifestLists has `docker manifest` make a list of two images, built0 and
// built1 in website.
func (d *docker) manifestLists(password string) {
	t, website := d.t, d.host+"/website"
	list := website + ":list"
	d.run("manifest", "create", "--insecure", list, website+":built0", website+":built1")
	d.run("manifest", "annotate", "--os", "linux", "--arch", "arm64", list, website+":built1")
	d.run("manifest", "push", "--insecure", list)
	raw := d.get("/v2/website/manifests/list", password)
	var want []string
	for _, tag := range []string{"built0", "built1"} {
		want = append(want, string(ecr.DigestOf(d.get("/v2/website/manifests/"+tag, password))))
	}
	if diff := cmp.Diff(want, children(t, raw)); diff != "" {
		t.Errorf("the list that docker manifest pushed: %s", diff)
	}
	type entry struct {
		Digest   string
		Platform struct{ OS, Architecture string }
	}
	var pushed, inspected struct {
		MediaType string
		Manifests []entry
	}
	if err := errors.Join(json.Unmarshal(raw, &pushed), json.Unmarshal([]byte(d.run("manifest", "inspect", "--insecure", list)), &inspected)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pushed, inspected); diff != "" {
		t.Errorf("docker manifest inspect: %s", diff)
	}
	if len(pushed.Manifests) != 2 || pushed.Manifests[1].Platform.Architecture != "arm64" || pushed.MediaType != "application/vnd.docker.distribution.manifest.list.v2+json" {
		t.Errorf("docker manifest pushed %s", raw)
	}
	// The tag exists, as for images.
	d.again("website", "list", dockerd.Docker, "manifest", "push", "--insecure", list)
	d.run("manifest", "annotate", "--arch", "riscv64", list, website+":built1")
	d.refuses(tagExists("website", "list"), "manifest", "push", "--insecure", list)
	d.refuses("no such manifest", "manifest", "inspect", "--insecure", website+":v9")
	// Of images that the registry does not have there is no list.
	d.refuses("no such manifest", "manifest", "create", "--insecure", website+":other", website+":v9")
}

// credentialHelper has docker ask docker-credential-kontor, and no login that
// is stored.
func (d *docker) credentialHelper() {
	t := d.t
	bin, config := t.TempDir(), t.TempDir()
	if err := os.Symlink(kontorBin, filepath.Join(bin, "docker-credential-kontor")); err != nil {
		t.Fatal(err)
	}
	encode := func(name string, v any) {
		t.Helper()
		b, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(filepath.Join(config, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	encode("config.json", map[string]any{"credHelpers": map[string]string{d.host: "kontor"}})
	encode("credentials.json", map[string]any{"hosts": []any{map[string]any{"match": d.host, "local": true, "data": d.data}}})
	image := d.host + "/website:by-helper"
	d.builds(builders[0], image, "scratch", []byte("by helper\n"))
	d.env["DOCKER_CONFIG"] = config
	d.refuses("no basic auth credentials", "push", image) // without the helper on PATH
	d.env["PATH"] = bin + string(os.PathListSeparator) + os.Getenv("PATH")
	d.env["KONTOR_CREDENTIALS"] = filepath.Join(config, "credentials.json")
	d.run("push", image)
	d.pulls(image, d.forget(image))
	for _, b := range builders {
		d.builds(b, "on-helper", d.forgotten(image), []byte("more\n"))
	}
	d.run("manifest", "inspect", "--insecure", image)
}

// forgotten is an image that the daemon has to pull.
func (d *docker) forgotten(image string) string {
	d.t.Helper()
	d.run("image", "prune", "--all", "--force")
	d.run("builder", "prune", "--all", "--force")
	return image
}

// layersOf is the layers of an image.
func layersOf(t *testing.T, manifest []byte) []descriptor {
	t.Helper()
	var m struct{ Layers []descriptor }
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	return m.Layers
}

// A push that breaks off costs nothing but time.
func TestDockerPushInterrupted(t *testing.T) {
	inBothModes(t, func(t *testing.T, k *kontor) {
		d := k.docker()
		password := k.pusherPassword()
		random := rand.NewChaCha8([32]byte{})
		const part = 6 << 20 // of a layer that is larger
		begin := func(tag string) (r *relay, push *exec.Cmd, content []byte) {
			t.Helper()
			content = make([]byte, 2*part)
			if _, err := random.Read(content); err != nil {
				t.Fatal(err)
			}
			r = k.relay(part)
			if out, err := d.login(r.host, password); err != nil {
				t.Fatalf("docker login: %v\n%s", err, out)
			}
			d.builds(builders[0], tag, "scratch", content)
			d.run("tag", tag, r.host+"/website:"+tag)
			push = exec.CommandContext(t.Context(), dockerd.Docker, "push", r.host+"/website:"+tag)
			push.Env = d.environ()
			said := new(bytes.Buffer)
			push.Stdout, push.Stderr = said, said
			if err := push.Start(); err != nil {
				t.Fatal(err)
			}
			<-r.reached
			return r, push, content
		}
		came := func(tag string, content []byte) {
			t.Helper()
			id := d.forget(tag)
			d.pulls(k.host+"/website:"+tag, id)
			d.holds(k.host+"/website:"+tag, content)
		}

		// docker goes on, over a new connection.
		r, push, content := begin("cut")
		r.proceed()
		if err := push.Wait(); err != nil {
			t.Fatalf("docker push over a connection that is cut: %v\n%s", err, push.Stdout)
		}
		came("cut", content)

		// A user gives up, and pushes again.
		r, push, content = begin("killed")
		if err := push.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := push.Wait(); err == nil {
			t.Fatalf("docker push succeeded before all was sent:\n%s", push.Stdout)
		}
		r.close()
		if got := k.do(http.MethodGet, "/v2/website/manifests/killed", password, nil, ""); got.status != http.StatusNotFound {
			t.Fatalf("after half a push, the registry has the image: %d %s", got.status, got.body)
		}
		d.run("tag", "killed", k.host+"/website:killed")
		d.run("push", k.host+"/website:killed")
		came("killed", content)
	})
}

// relay is a way to the registry on which, once clients have sent so many
// bytes, nothing of the connection goes on until the test says so.
type relay struct {
	host    string
	reached chan struct{} // closed when the bytes are sent

	listener net.Listener
	registry string        // its address
	over     chan struct{} // closed by proceed
	left     atomic.Int64
	all      sync.WaitGroup
	mu       sync.Mutex
	open     []net.Conn // guarded by mu
	closed   bool       // guarded by mu
}

func (k *kontor) relay(bytes int64) *relay {
	k.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(k.t.Context(), "tcp", "localhost:0")
	if err != nil {
		k.t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		k.t.Fatal(err)
	}
	r := &relay{host: "localhost:" + port, listener: l, registry: k.host, reached: make(chan struct{}), over: make(chan struct{})}
	r.left.Store(bytes)
	r.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.all.Go(func() { r.carry(client) })
		}
	})
	k.t.Cleanup(r.close)
	return r
}

// carry connects a client with the registry until one of them hangs up.
func (r *relay) carry(client net.Conn) {
	registry, err := net.Dial("tcp", r.registry)
	if err != nil {
		_ = client.Close()
		return
	}
	hangUp := func() { _, _ = client.Close(), registry.Close() }
	defer hangUp()
	r.mu.Lock()
	closed := r.closed
	r.open = append(r.open, client, registry)
	r.mu.Unlock()
	if closed {
		return
	}
	r.all.Go(func() {
		_, _ = io.Copy(client, registry)
		hangUp()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := client.Read(buf)
		if _, werr := registry.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		if left := r.left.Add(-int64(n)); left <= 0 && left+int64(n) > 0 {
			close(r.reached)
			<-r.over
			return
		}
	}
}

// proceed cuts the connection that waits. New ones carry everything.
func (r *relay) proceed() { close(r.over) }

// close cuts every connection.
func (r *relay) close() {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed = true
	_ = r.listener.Close()
	for _, c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	select {
	case <-r.over:
	default:
		close(r.over)
	}
	r.all.Wait()
}
