package ecosystem

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Programs under test.
var (
	kontorBin = os.Getenv("KONTOR_BIN")
	cosignBin = filepath.Join(os.Getenv("ECOSYSTEM_BIN"), "cosign")
	helmBin   = filepath.Join(os.Getenv("ECOSYSTEM_BIN"), "helm")
	koBin     = filepath.Join(os.Getenv("ECOSYSTEM_BIN"), "ko")
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == verifyCommand {
		if err := notationVerify(context.Background(), os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if kontorBin == "" || os.Getenv("ECOSYSTEM_BIN") == "" {
		fmt.Fprintln(os.Stderr, "KONTOR_BIN and ECOSYSTEM_BIN are not set: run `go run ./test/all -only ecosystem` in the root of the project")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const accounts = `registries:
  - {name: staging, account: "111111111111", region: us-east-1}
  - {name: prod, account: "222222222222", region: us-east-1}
ecr_repositories: {}
`

const file = `stack: platform
registries:
  - {name: staging, account: "111111111111", region: us-east-1, profile: staging, endpoint: "http://%s"}
  - {name: prod, account: "222222222222", region: us-east-1, profile: prod, endpoint: "http://%s"}
ecr_repositories:
  website: {}
promotions:
  - name: release
    from: staging
    to: [prod]
    require: {signature: true, verify: [%s, "{image}"]}
`

// world is two accounts of one server, and a folder with keys.
type world struct {
	t             *testing.T
	home          string
	staging, prod string   // hosts
	env           []string // of programs, next to what they always get
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir()}
	w.write("accounts.yaml", accounts)
	cmd := exec.Command(kontorBin, "up", "--data", "data", "--listen", "localhost:0", "-f", "accounts.yaml")
	cmd.Dir, cmd.Env = w.home, w.environ()
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("kontor up ended with %v\n%s", err, out.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "Press Ctrl-C"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("kontor up is not ready\n%s", out.String())
		}
	}
	var config strings.Builder
	for target, host := range map[string]*string{"staging": &w.staging, "prod": &w.prod} {
		var env map[string]string
		if err := json.Unmarshal([]byte(w.ok(kontorBin, "env", "--data", "data", "--target", target, "--format", "json")), &env); err != nil {
			t.Fatal(err)
		}
		*host = env["KONTOR_REGISTRY"]
		fmt.Fprintf(&config, "[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", target, env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
		w.ok(kontorBin, "login", "--data", "data", "--target", target)
	}
	w.write("aws.config", config.String())
	return w
}

// routes writes the file, whose route verifies with the command.
func (w *world) routes(command ...string) {
	w.t.Helper()
	words := make([]string, len(command))
	for i, c := range command {
		words[i] = strconv.Quote(c)
	}
	w.write("kontor.yaml", fmt.Sprintf(file, w.staging, w.prod, strings.Join(words, ", ")))
	w.ok(kontorBin, "apply", "--yes")
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.home, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.home, name) }

func (w *world) mkdir(name string) {
	w.t.Helper()
	if err := os.Mkdir(w.path(name), 0o700); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// deploy makes the repositories of the account staging as the text says.
func (w *world) deploy(repositories string) {
	w.t.Helper()
	w.write("kontor.yaml", fmt.Sprintf("stack: platform\nregistries:\n  - {name: staging, account: \"111111111111\", region: us-east-1, profile: staging, endpoint: \"http://%s\"}\n%s", w.staging, repositories))
	w.ok(kontorBin, "apply", "--yes")
}

// password is what docker logs in to staging with.
func (w *world) password() string {
	w.t.Helper()
	return strings.TrimSpace(w.ok(kontorBin, "login", "--data", "data", "--target", "staging", "--print-password"))
}

func (w *world) login() authn.Authenticator {
	w.t.Helper()
	return &authn.Basic{Username: "AWS", Password: w.password()}
}

func (w *world) environ() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + os.TempDir(), "COSIGN_PASSWORD=",
		"AWS_CONFIG_FILE=" + filepath.Join(w.home, "aws.config"), "AWS_EC2_METADATA_DISABLED=true",
	}, w.env...)
}

func (w *world) run(program string, args ...string) (string, error) {
	return w.feed("", program, args...)
}

// feed runs a program that reads the text.
func (w *world) feed(text, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = w.home, w.environ(), strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) ok(program string, args ...string) string {
	w.t.Helper()
	return w.pipe("", program, args...)
}

// pipe runs a program that reads the text, and must succeed.
func (w *world) pipe(text, program string, args ...string) string {
	w.t.Helper()
	out, err := w.feed(text, program, args...)
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return out
}

func (w *world) fails(text, program string, args ...string) {
	w.t.Helper()
	out, err := w.run(program, args...)
	if err == nil || !strings.Contains(out, text) {
		w.t.Errorf("%s %s: %v, want %q in\n%s", filepath.Base(program), strings.Join(args, " "), err, text, out)
	}
}

// push pushes an image of two platforms to staging, and returns its digest.
func (w *world) push(tag string) string {
	w.t.Helper()
	index := mutate.IndexMediaType(empty.Index, "application/vnd.oci.image.index.v1+json")
	for range 2 {
		image, err := random.Image(1000, 2)
		if err != nil {
			w.t.Fatal(err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image})
	}
	ref, err := name.ParseReference(w.staging + "/website:" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithAuth(w.login())); err != nil {
		w.t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	return digest.String()
}

// safeBuffer is written by a process while it is read.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
