package ecosystem

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector of OpenTelemetry that reads what it gets by OpenTelemetry's own
// definition.
type receiver struct {
	t *testing.T

	mu      sync.Mutex
	raw     bytes.Buffer               // guarded by mu
	spans   map[string]*tracepb.Span   // by id; guarded by mu
	service string                     // guarded by mu
	named   map[string][]*tracepb.Span // guarded by mu
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.UnmarshalOptions{DiscardUnknown: false}.Unmarshal(b, &in)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || len(in.ProtoReflect().GetUnknown()) > 0 {
		c.t.Errorf("%s %s: %v", r.URL, r.Header.Get("Content-Type"), err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.raw.Write(b)
	for _, rs := range in.GetResourceSpans() {
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				c.spans[string(s.GetSpanId())] = s
				c.named[s.GetName()] = append(c.named[s.GetName()], s)
			}
		}
	}
}

// within reports whether a span of that name lies in one of the request operation.
func (c *receiver) within(operation, span string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.named[span], func(s *tracepb.Span) bool {
		for s != nil && s.GetName() != operation {
			s = c.spans[string(s.GetParentSpanId())]
		}
		return s != nil && s.GetKind() == tracepb.Span_SPAN_KIND_SERVER && s.GetEndTimeUnixNano() > s.GetStartTimeUnixNano()
	})
}

// A push is followed from the request to the database and the blobs, and no secret is in
// what is sent.
func TestTraces(t *testing.T) {
	c := &receiver{t: t, spans: map[string]*tracepb.Span{}, named: map[string][]*tracepb.Span{}}
	at := httptest.NewServer(c)
	defer at.Close()
	dir := t.TempDir()
	const key, secret = "AKIATRACES000000TEST", "not-a-secret-but-long-enough"
	for name, text := range map[string]string{
		"administrator": "aws_access_key_id = " + key + "\naws_secret_access_key = " + secret + "\n",
		"serve.yaml": fmt.Sprintf("listen: 127.0.0.1:0\nregistries: [{account: \"111111111111\", region: us-east-2}]\ndata: %[1]s/data\nmaster_key_file: %[1]s/key\nadministrator_file: %[1]s/administrator\ntraces: {endpoint: %q}\n",
			dir, at.URL),
		"kontor.yaml": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	environ := append(os.Environ(), "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_SERVICE_NAME=registry-of-tests", "AWS_ACCESS_KEY_ID="+key, "AWS_SECRET_ACCESS_KEY="+secret)
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), kontorBin, args...)
		cmd.Env, cmd.Dir = environ, dir
		var messages bytes.Buffer
		cmd.Stderr = &messages
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("kontor %s: %v\n%s%s", strings.Join(args, " "), err, out, &messages)
		}
		return string(out)
	}
	run("admin", "master-key", "new", "key")
	cmd := exec.Command(kontorBin, "serve", "--config", filepath.Join(dir, "serve.yaml"))
	cmd.Env = environ
	var log bytes.Buffer // read when it has ended
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	url := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if what, value, _ := strings.Cut(lines.Text(), " "); what == "listen" {
			url = strings.TrimSpace(value)
		}
		if strings.HasPrefix(lines.Text(), "kontor is ready") {
			break
		}
	}
	host := strings.TrimPrefix(url, "http://")
	if err := os.WriteFile(filepath.Join(dir, "kontor.yaml"), fmt.Appendf(nil, "registries: [{name: team, account: \"111111111111\", region: us-east-2, endpoint: %q}]\necr_repositories: {app: {}}\n", url), 0o600); err != nil {
		t.Fatal(err)
	}
	run("apply", "--yes", "-f", "kontor.yaml")
	login := exec.CommandContext(t.Context(), "aws", "ecr", "get-login-password", "--endpoint-url", url, "--region", "us-east-2")
	login.Env = environ
	token, err := login.Output()
	if err != nil {
		t.Fatalf("aws ecr get-login-password: %v", err)
	}
	password := strings.TrimSpace(string(token))
	ref, err := name.ParseReference(host+"/app:v1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(100_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})); err != nil {
		t.Fatal(err)
	}
	want := [][2]string{
		{"oci PUT manifest", "gate PutImage"}, {"oci PUT manifest", "database update"}, {"oci GET base", "oci GET base"},
		{"ecr CreateRepository", "gate CreateRepository"}, {"ecr CreateRepository", "database update"},
	}
	until := time.Now().Add(time.Minute)
	for _, w := range want {
		for !c.within(w[0], w[1]) {
			if time.Now().After(until) {
				c.mu.Lock()
				t.Errorf("no span %q within %q; there are:", w[1], w[0])
				for n, all := range c.named {
					t.Logf("%4d %s", len(all), n)
				}
				c.mu.Unlock()
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &log)
	}
	// What was left came when the server ended.
	blobs := false
	for n := range c.named {
		blobs = blobs || strings.HasPrefix(n, "blobs commit")
	}
	if c.service != "registry-of-tests" || !blobs {
		t.Errorf("service %q, spans of the blob store: %v", c.service, blobs)
	}
	for _, s := range []string{secret, password, key, "arn:aws", "Basic "} {
		if bytes.Contains(c.raw.Bytes(), []byte(s)) {
			t.Errorf("%.30q was sent to the collector", s)
		}
	}
}
