package kube_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/kube"
)

// cluster is an API server that knows a token and a list of pods, three to a
// part.
type cluster struct {
	*httptest.Server
	pods []string
	// gone is how many continue tokens are too old.
	gone  atomic.Int32
	parts atomic.Int32
}

const token = "the-token"

func startCluster(t *testing.T, pods int) *cluster {
	t.Helper()
	c := &cluster{}
	for i := range pods {
		c.pods = append(c.pods, fmt.Sprintf("localhost:5050/web:v%d", i))
	}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.Close)
	return c
}

func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "message": message})
	}
	if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+token {
		fail(http.StatusUnauthorized, "Unauthorized")
		return
	}
	kind, ok := map[string]string{
		"/api/v1/pods": "PodList", "/apis/apps/v1/deployments": "DeploymentList", "/apis/apps/v1/statefulsets": "StatefulSetList",
		"/apis/apps/v1/daemonsets": "DaemonSetList", "/apis/apps/v1/replicasets": "ReplicaSetList", "/apis/batch/v1/cronjobs": "CronJobList",
	}[r.URL.Path]
	if !ok {
		fail(http.StatusForbidden, r.URL.Path+" is forbidden")
		return
	}
	from := 0
	if next := r.URL.Query().Get("continue"); next != "" {
		if c.gone.Add(-1) >= 0 {
			fail(http.StatusGone, "The provided continue parameter is too old")
			return
		}
		_, _ = fmt.Sscan(next, &from)
	}
	list := map[string]any{"kind": kind, "metadata": map[string]any{}, "items": []any{}}
	if kind == "PodList" {
		c.parts.Add(1)
		to := min(from+3, len(c.pods))
		var items []any
		for i, image := range c.pods[from:to] {
			items = append(items, map[string]any{
				"metadata": map[string]any{"name": fmt.Sprint("p", from+i), "namespace": "shop"},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "app", "image": image}}},
			})
		}
		list["items"] = items
		if to < len(c.pods) {
			list["metadata"] = map[string]any{"continue": fmt.Sprint(to)}
		}
	}
	_ = json.NewEncoder(w).Encode(list)
}

func (c *cluster) ca() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
}

func images(t *testing.T, cfg kube.Config) ([]string, error) {
	t.Helper()
	client, err := kube.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	o, err := client.Images(t.Context())
	var list []string
	for _, u := range o.Uses {
		list = append(list, u.Image)
	}
	return list, err
}

func static(s string) func() (string, error) { return func() (string, error) { return s, nil } }

func TestImages(t *testing.T) {
	c := startCluster(t, 8)
	for _, gone := range []int32{0, 1, 3} {
		t.Run(fmt.Sprint(gone, " tokens too old"), func(t *testing.T) {
			c.gone.Store(gone)
			got, err := images(t, kube.Config{Server: c.URL, CA: c.ca(), Token: static(token)})
			if diff := cmp.Diff(c.pods, got); err != nil || diff != "" {
				t.Errorf("%d tokens too old: %v (-want +got):\n%s", gone, err, diff)
			}
		})
	}
	c.gone.Store(100)
	if _, err := images(t, kube.Config{Server: c.URL, CA: c.ca(), Token: static(token)}); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("tokens that are always too old: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	c := startCluster(t, 1)
	if _, err := images(t, kube.Config{Server: c.URL, CA: c.ca(), Token: static("x")}); err == nil || !strings.Contains(err.Error(), "Unauthorized: the cluster does not know these credentials") {
		t.Errorf("a wrong token: %v", err)
	}
	if _, err := images(t, kube.Config{Server: c.URL, Token: static(token)}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
	if _, err := images(t, kube.Config{Server: c.URL + "/other", CA: c.ca(), Token: static(token)}); err == nil || !strings.Contains(err.Error(), "may list pods") {
		t.Errorf("a path that is forbidden: %v", err)
	}
	if _, err := kube.New(kube.Config{Server: "localhost"}); err == nil {
		t.Error("a server that is no URL")
	}
	if _, err := kube.New(kube.Config{Server: c.URL, CA: []byte("x")}); err == nil {
		t.Error("an authority that is no certificate")
	}
}

// A list whose end says that it continues where it began would never end.
func TestListThatDoesNotEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"kind":"PodList","metadata":{"continue":"x"},"items":[]}`))
	}))
	defer s.Close()
	if _, err := images(t, kube.Config{Server: s.URL}); err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("%v", err)
	}
}

func source(t *testing.T, text string) kube.Source {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kube.Source{
		Files: []string{name}, Environ: func() []string { return []string{"A=b"} },
		Run: func(string, []string, []string) ([]byte, error) { return nil, errors.New("no plugin is expected") },
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u}}
- {name: two, context: {cluster: c, user: none}}
- {name: three, context: {cluster: none, user: u}}
clusters:
- name: c
  cluster: {server: URL, certificate-authority-data: CA}
users:
- name: u
  user: USER
`

func (c *cluster) kubeconfig(user string) string {
	return strings.NewReplacer("URL", c.URL, "CA", base64.StdEncoding.EncodeToString(c.ca()), "USER", user).Replace(kubeconfig)
}

func TestLoad(t *testing.T) {
	c := startCluster(t, 2)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"{token: " + token + "}", `{tokenFile: "` + filepath.Join(dir, "token") + `"}`} {
		t.Run(user[1:strings.IndexByte(user, ':')], func(t *testing.T) {
			cfg, err := kube.Load(source(t, c.kubeconfig(user)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := images(t, cfg); err != nil || !slices.Equal(got, c.pods) {
				t.Errorf("%s: %v, %v", user, got, err)
			}
		})
	}
}

func TestLoadErrors(t *testing.T) {
	c := startCluster(t, 0)
	tests := []struct{ name, text, context, want string }{
		{"no YAML", "a: [", "", "is not a kubeconfig"},
		{"no context", "{}", "", "no current context"},
		{"unknown context", c.kubeconfig("{}"), "x", "no context x"},
		{"unknown user", c.kubeconfig("{}"), "two", "user none, who is not there"},
		{"unknown cluster", c.kubeconfig("{}"), "three", "cluster none, which is not there"},
		{"auth-provider", c.kubeconfig("{auth-provider: {name: gcp}}"), "", "use an exec plugin"},
		{"impersonation", c.kubeconfig("{as: root}"), "", "impersonates"},
		{"no base64", c.kubeconfig(`{client-certificate-data: "?"}`), "", "not base64"},
		{"no file", c.kubeconfig(`{client-key: none.pem}`), "", "none.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := source(t, tt.text)
			s.Context = tt.context
			if _, err := kube.Load(s); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if _, err := kube.Load(kube.Source{Files: []string{filepath.Join(t.TempDir(), "none")}}); err == nil || !strings.Contains(err.Error(), "there is no kubeconfig") {
		t.Errorf("no file: %v", err)
	}
}

// KUBECONFIG may be several files; of what two define, the first counts.
func TestLoadSeveral(t *testing.T) {
	c := startCluster(t, 1)
	s := source(t, "current-context: one\nusers: [{name: u, user: {token: "+token+"}}]\n")
	s.Files = append(s.Files, filepath.Join(t.TempDir(), "none"), source(t, c.kubeconfig("{token: x}")).Files[0])
	cfg, err := kube.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := images(t, cfg); err != nil || !slices.Equal(got, c.pods) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCredentialPlugin(t *testing.T) {
	c := startCluster(t, 1)
	const user = `{exec: {apiVersion: client.authentication.k8s.io/v1, command: helper, args: [get, it], env: [{name: X, value: "y"}], provideClusterInfo: true, installHint: get it}}`
	s := source(t, c.kubeconfig(user))
	s.Run = func(command string, args, env []string) ([]byte, error) {
		if got := command + " " + strings.Join(args, " "); got != "helper get it" || env[0] != "A=b" || !slices.Contains(env, "X=y") {
			t.Errorf("ran %s with %q", got, env)
		}
		i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, "KUBERNETES_EXEC_INFO=") })
		var info struct {
			APIVersion string
			Spec       struct{ Cluster struct{ Server string } }
		}
		if err := json.Unmarshal([]byte(strings.TrimPrefix(env[i], "KUBERNETES_EXEC_INFO=")), &info); err != nil || info.Spec.Cluster.Server != c.URL || info.APIVersion != "client.authentication.k8s.io/v1" {
			t.Errorf("%v: %s", err, env[i])
		}
		return []byte(`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"` + token + `"}}`), nil
	}
	cfg, err := kube.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := images(t, cfg); err != nil || !slices.Equal(got, c.pods) {
		t.Errorf("%v, %v", got, err)
	}
	for out, want := range map[string]string{
		"": "failed: exit\nget it", "x": "printed no ExecCredential",
		`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}`:                 "neither a token nor a certificate",
		`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"x"}}`: "was asked in",
	} {
		t.Run(want, func(t *testing.T) {
			s.Run = func(string, []string, []string) ([]byte, error) {
				if out == "" {
					return nil, errors.New("exit")
				}
				return []byte(out), nil
			}
			if _, err := kube.Load(s); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", out, err, want)
			}
		})
	}
}

func TestInCluster(t *testing.T) {
	c := startCluster(t, 1)
	dir := t.TempDir()
	for name, b := range map[string][]byte{"ca.crt": c.ca(), "token": []byte(token)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, in, err := kube.InCluster(func(string) string { return "" }, dir); in || err != nil {
		t.Errorf("outside: %v, %v", in, err)
	}
	at, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"KUBERNETES_SERVICE_HOST": at.Hostname(), "KUBERNETES_SERVICE_PORT": at.Port()}
	cfg, in, err := kube.InCluster(func(k string) string { return env[k] }, dir)
	if err != nil || !in {
		t.Fatal(in, err)
	}
	if got, err := images(t, cfg); err != nil || !slices.Equal(got, c.pods) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(kubeconfig)
	f.Add("current-context: one\nusers: [{name: u, user: {exec: {command: x}}}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := kube.Load(source(t, text))
		if err != nil {
			return
		}
		if c, err := kube.New(cfg); err == nil && (c == nil || cfg.Server == "") {
			t.Errorf("a client of %q", cfg.Server)
		}
	})
}
