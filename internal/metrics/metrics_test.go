package metrics_test

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/metrics"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/upstream"
)

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	return string(b)
}

func observed() *metrics.Metrics {
	m := metrics.New()
	m.Connection(1)
	m.Connection(1)
	m.Connection(-1)
	m.Request(server.Observation{
		Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}, Operation: "oci PUT manifest", Status: 429,
		Took: 20 * time.Millisecond, BytesIn: 7, BytesOut: 9, Limit: "principal-rate", Credential: "machine token", Refused: true,
	})
	m.Job("upload expiry", jobs.Removed{Count: 3}, nil)
	m.Job("upload expiry", jobs.Removed{Count: 1}, errors.New("no disk"))
	m.Pending(5, 6)
	m.Pulled("quay.io", upstream.Miss, 11)
	m.Pulled("quay.io", upstream.Stale, 13)
	m.Quota("quay.io", 17)
	m.Delivered("deploy", "dropped", 19)
	m.Queued("deploy", 23, 29*time.Second)
	west := ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}
	m.Replicated(west, replication.Complete, 19)
	m.Replicated(west, replication.Failed, 0)
	m.ReplicationWaiting([]meta.ReplicationQueue{{To: west, Waiting: 23, WaitsForRate: true, Oldest: time.Unix(29, 0)}})
	m.Scan("complete", 20*time.Second)
	m.ScanQueue(3, 2)
	m.SignatureVerified("cosign tag", true)
	m.Signed("complete")
	m.SigningQueue(1)
	m.Timed(nil) // the families of transactions
	return m
}

func TestRequestsAreCounted(t *testing.T) {
	got := scrape(t, observed())
	for _, want := range []string{
		`kontor_requests_total{operation="oci PUT manifest",registry="111111111111/us-east-1",status="429"} 1`,
		`kontor_request_seconds_bucket{operation="oci PUT manifest",le="0.025"} 1`,
		`kontor_request_seconds_bucket{operation="oci PUT manifest",le="0.01"} 0`,
		`kontor_received_bytes_total{operation="oci PUT manifest"} 7`,
		`kontor_sent_bytes_total{operation="oci PUT manifest"} 9`,
		`kontor_refused_total{limit="principal-rate"} 1`,
		`kontor_machine_requests_total{accepted="false",credential="machine token"} 1`,
		"kontor_connections 1",
		`kontor_jobs_total{job="upload expiry"} 2`,
		`kontor_job_failures_total{job="upload expiry"} 1`,
		`kontor_job_removed_total{job="upload expiry"} 4`,
		"kontor_uploads_open 5",
		`kontor_upstream_pulls_total{outcome="stale",upstream="quay.io"} 1`,
		`kontor_upstream_fetched_bytes_total{upstream="quay.io"} 11`,
		`kontor_upstream_saved_bytes_total{upstream="quay.io"} 13`,
		`kontor_upstream_quota_left{upstream="quay.io"} 17`,
		`kontor_event_deliveries_total{receiver="deploy",result="dropped"} 19`,
		`kontor_events_queued{receiver="deploy"} 23`,
		`kontor_events_oldest_seconds{receiver="deploy"} 29`,
		`kontor_scans_total{outcome="complete"} 1`,
		`kontor_scan_seconds_bucket{outcome="complete",le="30"} 1`,
		`kontor_scans_queued{state="waiting"} 3`,
		`kontor_scans_queued{state="running"} 2`,
		`kontor_signatures_verified_total{accepted="true",form="cosign tag"} 1`,
		"kontor_pull_times_pending 6",
		`kontor_replications_total{destination="111111111111/eu-west-1",outcome="complete"} 1`,
		`kontor_replications_total{destination="111111111111/eu-west-1",outcome="failed"} 1`,
		`kontor_replication_sent_bytes_total{destination="111111111111/eu-west-1"} 19`,
		`kontor_replications_waiting{destination="111111111111/eu-west-1"} 23`,
		`kontor_replication_oldest_timestamp_seconds{destination="111111111111/eu-west-1"} 29`,
		`kontor_replication_waits_for_rate{destination="111111111111/eu-west-1"} 1`,
		`kontor_database_seconds_count{kind="update"} 0`,
		"go_goroutines ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the figures lack %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestTableOfTheManual holds the table of docs/operation.md against the code.
func TestTableOfTheManual(t *testing.T) {
	page, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	help := regexp.MustCompile(`(?m)^# HELP (kontor_\w+) (.*)$`)
	labels := regexp.MustCompile(`\w+="`)
	got := scrape(t, observed())
	for _, m := range help.FindAllStringSubmatch(got, -1) {
		line := regexp.MustCompile(`(?m)^` + m[1] + `(?:_bucket)?(\{.*\})? `).FindString(got)
		var names []string
		for _, l := range labels.FindAllString(line, -1) {
			if l = strings.TrimSuffix(l, `="`); l != "le" {
				names = append(names, l)
			}
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", m[1], strings.Join(names, ", "), m[2])
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("docs/operation.md lacks this table:\n%s", want.String())
	}
}
