package buildkit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The repositories of one account, and a role of another that may push there,
// which a user of a third assumes.
const (
	file = `
stack: buildkit
registries:
  - {name: owner, account: "111111111111", region: us-east-1}
ecr_repositories:
  app: {additional_push_account_ids: ["222222222222"]}
  cache: {is_immutable: false, additional_push_account_ids: ["222222222222"]}
  other: {additional_pull_account_ids: ["222222222222"]}
`
	people = `
identities:
  - account: "333333333333"
    users:
      - name: carl
        inline:
          assume: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "sts:AssumeRole", Resource: "arn:aws:iam::222222222222:role/builder"}]}
        access_keys: [{id: AKIACARL00000000TEST, secret: carl-s-long-secret}]
  - account: "222222222222"
    users:
      - name: bea
        policies: [AdministratorAccess]
        access_keys: [{id: AKIABEA000000000TEST, secret: bea-s-long-secret}]
    roles:
      - name: builder
        policies: [AmazonEC2ContainerRegistryPowerUser]
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {AWS: "arn:aws:iam::333333333333:user/carl"}, Action: "sts:AssumeRole"}]}
`
	denied = "denied: User: arn:aws:sts::222222222222:assumed-role/builder/build is not authorized to perform: ecr:"
)

// A multi-stage build with its cache is pushed by the session of a role; what
// the role may not is refused, and so is everything once the role is gone.
func TestRoleSessionPushes(t *testing.T) {
	for _, compat := range []string{"ecr", "oci"} {
		t.Run(compat, func(t *testing.T) { roleSessionPushes(t, compat) })
	}
}

func roleSessionPushes(t *testing.T, compat string) {
	b := bench(t, compat)
	var got struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	decode(t, b.aws("AKIACARL00000000TEST", "carl-s-long-secret", "",
		"sts", "assume-role", "--role-arn", "arn:aws:iam::222222222222:role/builder", "--role-session-name", "build"), &got)
	c := got.Credentials
	token := strings.TrimSpace(string(b.aws(c.AccessKeyId, c.SecretAccessKey, c.SessionToken, "ecr", "get-login-password")))
	b.login(token)

	digest := b.builds("app:v1")
	if got := b.manifest("app", "v1", token); got != digest {
		t.Errorf("app:v1 has the digest %s, BuildKit says %s", got, digest)
	}
	// A cache is an image, or an index of blobs, which ECR refuses, or part of the image
	// itself. Another builder, which has nothing but the cache, builds the same.
	for name, export := range map[string]string{
		"image":  "type=registry,mode=max,registry.insecure=true,image-manifest=true,oci-mediatypes=true,ref=" + b.host + "/cache:image",
		"index":  "type=registry,mode=max,registry.insecure=true,image-manifest=false,ref=" + b.host + "/cache:index",
		"inline": "type=inline",
	} {
		from := b.host + "/cache:" + name
		if name == "inline" {
			from = b.host + "/app:inline"
		}
		b.buildctl("prune", "--all")
		if name == "index" && compat == "ecr" { // as ECR does
			b.refused("app:index", "required for pushing image into repository with name 'cache'", "--export-cache", export)
			continue
		}
		built := b.builds("app:"+name, "--export-cache", export)
		if name != "inline" && b.manifest("cache", name, token) == "" {
			t.Errorf("%s: the cache has no digest", name)
		}
		b.buildctl("prune", "--all")
		again := b.builds("app:from-"+name, "--import-cache", "type=registry,registry.insecure=true,ref="+from)
		if name != "inline" && (built != digest || again != digest) {
			t.Errorf("%s: built %s, and with the cache %s, not %s", name, built, again, digest)
		}
	}

	b.change() // another image
	b.refused("app:v1", "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.")
	b.refused("other:v1", denied+"InitiateLayerUpload on resource: arn:aws:ecr:us-east-1:111111111111:repository/other "+
		"because no resource-based policy allows the ecr:InitiateLayerUpload action")
	b.aws("AKIABEA000000000TEST", "bea-s-long-secret", "", "iam", "detach-role-policy", "--role-name", "builder",
		"--policy-arn", "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPowerUser")
	b.refused("app:v3", denied)
	b.aws("AKIABEA000000000TEST", "bea-s-long-secret", "", "iam", "delete-role", "--role-name", "builder")
	b.refused("app:v3", "401 Unauthorized")
}

func TestMain(m *testing.M) {
	for _, name := range []string{"KONTOR_BIN", "BUILDKITD", "BUILDCTL", "CRUN"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set: run `go run ./test/all -only buildkit` in the root of the project\n", name)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// tools is a registry and a builder.
type tools struct {
	t      *testing.T
	home   string
	host   string // of the registry, "localhost:PORT"
	addr   string // of buildkitd
	source string // folder of the Dockerfile
}

func bench(t *testing.T, compat string) *tools {
	t.Helper()
	b := &tools{t: t, home: t.TempDir(), source: t.TempDir()}
	b.write(filepath.Join(b.home, "kontor.yaml"), file)
	b.write(filepath.Join(b.home, "people.yaml"), people)
	// nothing runs in a container: the test is about pushing
	b.write(filepath.Join(b.source, "Dockerfile"), "FROM scratch AS base\nCOPY hello.txt /base/\nFROM scratch\nCOPY --from=base /base /app\nLABEL who=test\n")
	b.write(filepath.Join(b.source, "hello.txt"), "hello\n")

	data := filepath.Join(b.home, "data")
	b.start("Press Ctrl-C", os.Getenv("KONTOR_BIN"), "up", "--data", data, "--listen", "localhost:0", "--compat", compat,
		"-f", filepath.Join(b.home, "kontor.yaml"), "--identities", filepath.Join(b.home, "people.yaml"))
	var env map[string]string
	decode(t, b.ok(b.command(os.Getenv("KONTOR_BIN"), "env", "--data", data, "--format", "json")), &env)
	b.host = env["KONTOR_REGISTRY"]

	// A short path: addresses of sockets have 107 characters at most.
	dir, err := os.MkdirTemp("", "bk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	b.addr = "unix://" + filepath.Join(dir, "sock")
	b.start("running server on", os.Getenv("BUILDKITD"), "--addr", b.addr, "--root", filepath.Join(dir, "root"),
		"--containerd-worker=false", "--oci-worker=true", "--oci-worker-snapshotter=native", "--oci-worker-binary", os.Getenv("CRUN"))
	return b
}

func (b *tools) write(path, text string) {
	b.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// start starts a server and returns when it has written ready.
func (b *tools) start(ready, name string, args ...string) {
	b.t.Helper()
	cmd := b.command(name, args...)
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	up, ended := make(chan struct{}), make(chan string, 1)
	go func() {
		var text bytes.Buffer
		buf := make([]byte, 4096)
		for seen := false; ; {
			n, err := r.Read(buf)
			text.Write(buf[:n])
			if !seen && bytes.Contains(text.Bytes(), []byte(ready)) {
				seen = true
				close(up)
			}
			if err != nil { // the end: the program's side is closed
				ended <- text.String()
				return
			}
		}
	}()
	b.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			b.t.Errorf("stopping %s: %v", filepath.Base(name), err)
		}
		text := <-ended
		// BuildKit's daemon exits with 1 when it is told to stop.
		if err := cmd.Wait(); err != nil && name == os.Getenv("KONTOR_BIN") {
			b.t.Errorf("%s ended with %v:\n%s", filepath.Base(name), err, text)
		} else if b.t.Failed() {
			b.t.Logf("%s wrote:\n%s", filepath.Base(name), text)
		}
		if err := r.Close(); err != nil {
			b.t.Error(err)
		}
	})
	select {
	case <-up:
	case text := <-ended:
		ended <- text
		b.t.Fatalf("%s ended before it was ready:\n%s", filepath.Base(name), text)
	case <-time.After(time.Minute):
		b.t.Fatalf("%s is not ready after a minute", filepath.Base(name))
	}
}

func (b *tools) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.t.Context()), 5*time.Minute)
	b.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.home, "TMPDIR=" + os.TempDir(), "DOCKER_CONFIG=" + filepath.Join(b.home, ".docker"),
		"AWS_PAGER=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true", "AWS_DEFAULT_REGION=us-east-1"}
	return cmd
}

// ok runs a program that must succeed and returns its standard output.
func (b *tools) ok(cmd *exec.Cmd) []byte {
	b.t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, errs.Bytes())
	}
	return out
}

// aws runs the AWS CLI with those credentials.
func (b *tools) aws(id, secret, session string, args ...string) []byte {
	b.t.Helper()
	cmd := b.command("/usr/bin/aws", append([]string{"--endpoint-url", "http://" + b.host, "--output", "json"}, args...)...)
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+id, "AWS_SECRET_ACCESS_KEY="+secret)
	if session != "" {
		cmd.Env = append(cmd.Env, "AWS_SESSION_TOKEN="+session)
	}
	return b.ok(cmd)
}

// login writes the docker configuration that buildctl lends to the daemon.
func (b *tools) login(token string) {
	b.t.Helper()
	if err := os.MkdirAll(filepath.Join(b.home, ".docker"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	b.write(filepath.Join(b.home, ".docker", "config.json"),
		`{"auths":{"`+b.host+`":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("AWS:"+token))+`"}}}`)
}

func (b *tools) buildctl(args ...string) []byte {
	b.t.Helper()
	return b.ok(b.command(os.Getenv("BUILDCTL"), append([]string{"--addr", b.addr}, args...)...))
}

// build is the arguments that build the source and push it.
func (b *tools) build(image string, more ...string) []string {
	return append([]string{"build", "--progress=plain", "--frontend", "dockerfile.v0", "--local", "context=" + b.source, "--local", "dockerfile=" + b.source,
		"--opt", "build-arg:SOURCE_DATE_EPOCH=1", "--metadata-file", filepath.Join(b.home, "metadata.json"),
		"--output", "type=image,push=true,registry.insecure=true,rewrite-timestamp=true,name=" + b.host + "/" + image}, more...)
}

// builds builds and pushes an image, and returns its digest.
func (b *tools) builds(image string, more ...string) string {
	b.t.Helper()
	b.buildctl(b.build(image, more...)...)
	text, err := os.ReadFile(filepath.Join(b.home, "metadata.json"))
	if err != nil {
		b.t.Fatal(err)
	}
	var got map[string]any
	decode(b.t, text, &got)
	digest, ok := got["containerimage.digest"].(string)
	if !ok {
		b.t.Fatalf("BuildKit's metadata has no digest: %s", text)
	}
	return digest
}

// refused builds an image, whose push must fail and say so.
func (b *tools) refused(image, want string, more ...string) {
	b.t.Helper()
	out, err := b.command(os.Getenv("BUILDCTL"), append([]string{"--addr", b.addr}, b.build(image, more...)...)...).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(want)) {
		b.t.Errorf("pushing %s: %v; want a refusal that says %q:\n%s", image, err, want, out)
	}
}

// change makes the source that of another image.
func (b *tools) change() {
	b.write(filepath.Join(b.source, "hello.txt"), "changed\n")
}

// manifest is the digest that the registry says the tag has.
func (b *tools) manifest(repository, tag, token string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+b.host+"/v2/"+repository+"/manifests/"+tag, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.SetBasicAuth("AWS", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		b.t.Fatalf("GET %s:%s: %d: %s", repository, tag, resp.StatusCode, body)
	}
	return resp.Header.Get("Docker-Content-Digest")
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}
