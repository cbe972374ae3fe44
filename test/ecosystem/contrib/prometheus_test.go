package contrib

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/yaml"
)

const (
	rules     = root + "/prometheus/kontor.rules.yaml"
	ruleTests = root + "/prometheus/kontor.rules.test.yaml"
	dashboard = root + "/grafana/kontor.json"
)

func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: install prometheus, or run `go run ./test/all -only tools`", err)
	}
	return path
}

// alert is one of the rules.
type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Annotations map[string]string `json:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(read(t, rules), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

// TestAlerts runs the tests of the alerts. Each has one in which it fires, one in
// which it does not, and a place in the manual.
func TestAlerts(t *testing.T) {
	ok(t, filepath.Dir(rules), nil, promtool(t), "check", "rules", filepath.Base(rules))
	ok(t, filepath.Dir(rules), nil, promtool(t), "test", "rules", filepath.Base(ruleTests))
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(read(t, ruleTests), &tests); err != nil {
		t.Fatal(err)
	}
	fires, rests := map[string]bool{}, map[string]bool{}
	for _, group := range tests.Tests {
		for _, a := range group.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
			rests[a.Name] = rests[a.Name] || len(a.Want) == 0
		}
	}
	page := string(read(t, root+"/../docs/guides/alerts.md"))
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !rests[a.Alert] {
			t.Errorf("%s: tested that it fires: %v, and that it does not: %v", a.Alert, fires[a.Alert], rests[a.Alert])
		}
		if want := "docs/guides/alerts.md#" + strings.ToLower(a.Alert); a.Annotations["runbook"] != want {
			t.Errorf("%s: the runbook is %q, want %q", a.Alert, a.Annotations["runbook"], want)
		}
		if !strings.Contains(page, "\n### "+a.Alert+"\n") {
			t.Errorf("docs/guides/alerts.md does not explain %s", a.Alert)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (Kontor\w+)$`).FindAllStringSubmatch(page, -1) {
		if !slices.ContainsFunc(alerts(t), func(a alert) bool { return a.Alert == m[1] }) {
			t.Errorf("docs/guides/alerts.md explains %s, which is no alert", m[1])
		}
	}
}

// otherMetrics are those of pull-through caches and machine credentials, which
// the server of the test has nothing to do with.
var otherMetrics = regexp.MustCompile(`^kontor_(upstream|machine)_`)

// TestQueries lets a Prometheus read a server that has done work, and asks it all
// that the dashboard asks. Each query of an alert knows only metrics that exist.
func TestQueries(t *testing.T) {
	w := served(t)
	prometheus := w.prometheus(t)
	table := string(read(t, root+"/../docs/operation.md"))
	metric := regexp.MustCompile(`\b(kontor|go|process)_\w+`)
	known := func(where, expr string) (other bool) {
		t.Helper()
		for _, m := range metric.FindAllString(expr, -1) {
			if otherMetrics.MatchString(m) {
				other = true
				if !strings.Contains(table, "| `"+m+"` |") { // a test of internal/metrics holds the table
					t.Errorf("%s: there is no metric %s", where, m)
				}
				continue
			}
			w.eventuallySome(t, prometheus, where, m)
		}
		return other
	}
	for _, a := range alerts(t) {
		known(a.Alert, a.Expr)
	}
	var d struct {
		Panels []struct {
			Title, Type, Description string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, dashboard), &d); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("the panel %s has no description or no query", p.Title)
		}
		for _, q := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$job", ".+").Replace(q.Expr)
			asked++
			if known(p.Title, expr) {
				if _, err := ask(t, prometheus, expr); err != nil {
					t.Errorf("%s: %v", p.Title, err)
				}
				continue
			}
			w.eventuallySome(t, prometheus, p.Title, expr)
		}
	}
	if asked < 20 {
		t.Errorf("the dashboard has %d queries", asked)
	}
}

// world is a server, with a registry at host.
type world struct {
	host, metrics string
	password      string
	out           *output
}

// printed waits for a program to say where it listens.
func printed(t *testing.T, out *output, pattern string) (address string) {
	t.Helper()
	find := regexp.MustCompile(pattern)
	eventually(t, pattern, out, func() bool {
		if m := find.FindStringSubmatch(out.String()); m != nil {
			address = m[1]
		}
		return address != ""
	})
	return address
}

// served starts a server, pushes and pulls an image, and gives it something to
// refuse.
func served(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{}
	ok(t, dir, nil, kontorBin, "admin", "master-key", "new", dir+"/master.key")
	write(t, dir+"/administrator", secret(t, "administrator"))
	write(t, dir+"/data/file", "")
	write(t, dir+"/serve.yaml", "listen: 127.0.0.1:0\nmetrics_listen: localhost:0\ndata: data\nmaster_key_file: master.key\nadministrator_file: administrator\nlimits: {source-rate: \"1\", source-burst: \"20\"}\n"+
		"registries:\n  - {account: \"111111111111\", region: us-east-2}\n")
	w.out = start(t, dir, kontorBin, "serve", "--config", "serve.yaml")
	eventually(t, "kontor serve", w.out, func() bool { return strings.Contains(w.out.String(), "Press Ctrl-C") })
	w.host = printed(t, w.out, `(?m)^listen +http://(\S+)$`)
	w.metrics = printed(t, w.out, `(?m)^metrics +http://(\S+)$`)
	env := []string{"AWS_SHARED_CREDENTIALS_FILE=" + dir + "/administrator", "AWS_REGION=us-east-2", "AWS_DEFAULT_REGION=us-east-2", "AWS_EC2_METADATA_DISABLED=true"}
	write(t, dir+"/kontor.yaml", fmt.Sprintf("registries:\n  - {name: team, account: \"111111111111\", region: us-east-2, endpoint: \"http://%s\"}\necr_repositories:\n  website: {}\n", w.host))
	ok(t, dir, env, kontorBin, "apply", "--yes")
	w.password = strings.TrimSpace(ok(t, dir, env, "aws", "ecr", "get-login-password", "--endpoint-url", "http://"+w.host))
	ref, err := name.ParseReference(w.host+"/website:1.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "AWS", Password: w.password})
	if err := remote.Write(ref, image, auth); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(ref, auth)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := got.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
	}
	w.refused(t)
	return w
}

// pull asks for a manifest: rates are of what happens while Prometheus looks.
func (w *world) pull(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.host+"/v2/website/manifests/1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", w.password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
}

// refused sends requests without credentials until the limit of them refuses one.
func (w *world) refused(t *testing.T) {
	t.Helper()
	eventually(t, "a refused request", w.out, func() bool {
		var limited atomic.Bool
		var g errgroup.Group
		for range 50 {
			g.Go(func() error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.host+"/v2/", nil)
				if err != nil {
					return err
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					return err
				}
				if res.StatusCode == http.StatusTooManyRequests {
					limited.Store(true)
				}
				return res.Body.Close()
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		return limited.Load()
	})
}

// prometheus starts a Prometheus with the alerts that reads the server every second,
// and returns its URL.
func (w *world) prometheus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/kontor.rules.yaml", string(read(t, rules)))
	write(t, dir+"/prometheus.yml", fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [kontor.rules.yaml]\nscrape_configs:\n  - job_name: kontor\n    static_configs: [{targets: [%q]}]\n", w.metrics))
	out := start(t, dir, filepath.Join(filepath.Dir(promtool(t)), "prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0")
	at := printed(t, out, `msg="Listening on" address=(\S+)`)
	eventually(t, "prometheus", out, func() bool {
		res, err := http.Get("http://" + at + "/-/ready")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	return "http://" + at
}

// eventuallySome waits until a query has a result, for a minute at most.
func (w *world) eventuallySome(t *testing.T, prometheus, where, expr string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	w.pull(t)
	n, err := ask(t, prometheus, expr)
	for ; n == 0 && err == nil && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		w.pull(t)
		n, err = ask(t, prometheus, expr)
	}
	if n == 0 || err != nil {
		t.Errorf("%s: nothing within a minute (%v) for %s", where, err, expr)
	}
}

// ask returns how many series a query results in that are numbers.
func ask(t *testing.T, prometheus, expr string) (int, error) {
	t.Helper()
	res, err := http.Get(prometheus + "/api/v1/query?" + url.Values{"query": {expr}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Value [2]any
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s: %s", answer.Error, expr)
	}
	n := 0
	for _, r := range answer.Data.Result {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n, nil
}
