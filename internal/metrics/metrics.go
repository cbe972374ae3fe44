// Package metrics counts what a registry does, for Prometheus.
//
// Labels come from short lists: operations, statuses, the registries served,
// jobs and the names of limits. There are no names of repositories or principals in
// them, so that neither clients nor time make more of them.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/version"
)

// Metrics are the figures of one process. It is a server.Observer.
type Metrics struct {
	all                            *prometheus.Registry
	requests                       *prometheus.CounterVec
	duration                       *prometheus.HistogramVec
	in, out                        *prometheus.CounterVec
	refused                        *prometheus.CounterVec
	machines                       *prometheus.CounterVec
	connections                    prometheus.Gauge
	database                       *prometheus.HistogramVec
	jobs                           *prometheus.CounterVec
	failures                       *prometheus.CounterVec
	removed                        *prometheus.CounterVec
	uploads                        prometheus.Gauge
	pulls                          prometheus.Gauge
	upstreams                      *prometheus.CounterVec
	fetched                        *prometheus.CounterVec
	saved                          *prometheus.CounterVec
	quota                          *prometheus.GaugeVec
	events                         *prometheus.CounterVec
	queued                         *prometheus.GaugeVec
	oldest                         *prometheus.GaugeVec
	scans                          *prometheus.CounterVec
	signatures                     *prometheus.CounterVec
	signed                         *prometheus.CounterVec
	signingQueue                   prometheus.Gauge
	scanTime                       *prometheus.HistogramVec
	scanQueue                      *prometheus.GaugeVec
	replicated, replicatedBytes    *prometheus.CounterVec
	replicating, replicationOldest *prometheus.GaugeVec
	replicationRate                *prometheus.GaugeVec
}

var (
	_ server.Observer      = (*Metrics)(nil)
	_ upstream.Observer    = (*Metrics)(nil)
	_ delivery.Observer    = (*Metrics)(nil)
	_ scanning.Observer    = (*Metrics)(nil)
	_ signing.Observer     = (*Metrics)(nil)
	_ managed.Observer     = (*Metrics)(nil)
	_ replication.Observer = (*Metrics)(nil)
)

// New returns figures that are all zero.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		all:         prometheus.NewRegistry(),
		requests:    counter("kontor_requests_total", "Requests answered.", "registry", "operation", "status"),
		duration:    histogram("kontor_request_seconds", "Time from a request's header to the end of its response.", "operation"),
		in:          counter("kontor_received_bytes_total", "Bytes of request bodies.", "operation"),
		out:         counter("kontor_sent_bytes_total", "Bytes of response bodies.", "operation"),
		refused:     counter("kontor_refused_total", "Requests refused by a limit, by its name.", "limit"),
		machines:    counter("kontor_machine_requests_total", "Requests with a machine token or a token of an identity provider as docker password.", "credential", "accepted"),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "kontor_connections", Help: "Connections open."}),
		database:    histogram("kontor_database_seconds", "Time of transactions of the database, reads (view) and writes (update).", "kind"),
		jobs:        counter("kontor_jobs_total", "Times that a job ran.", "job"),
		failures:    counter("kontor_job_failures_total", "Times that a job failed; it is retried.", "job"),
		removed:     counter("kontor_job_removed_total", "Uploads, files, images or entries that a job removed.", "job"),
		uploads:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "kontor_uploads_open", Help: "Uploads begun and neither completed, cancelled nor expired."}),
		pulls:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "kontor_pull_times_pending", Help: "Images pulled whose pull time is not stored yet."}),
	}
	m.upstreams = counter("kontor_upstream_pulls_total", "Manifests and blobs of pull-through caches asked for, by how they were answered: hit, compared, miss, stale or failed.", "upstream", "outcome")
	m.fetched = counter("kontor_upstream_fetched_bytes_total", "Bytes that had to come from an upstream for a pull.", "upstream")
	m.saved = counter("kontor_upstream_saved_bytes_total", "Bytes that did not have to come from an upstream.", "upstream")
	m.quota = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_upstream_quota_left", Help: "Pulls that an upstream allows, as it said last."}, []string{"upstream"})
	m.events = counter("kontor_event_deliveries_total", "Attempts to deliver events, by result: delivered, retried, failed (given up) or dropped (the queue was full).", "receiver", "result")
	m.queued = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_events_queued", Help: "Events that wait for a receiver."}, []string{"receiver"})
	m.oldest = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_events_oldest_seconds", Help: "How long the first event in the queue of a receiver has waited."}, []string{"receiver"})
	m.replicated = counter("kontor_replications_total", "Images replicated to a destination, by how that came out: complete, failed or put off.", "destination", "outcome")
	m.replicatedBytes = counter("kontor_replication_sent_bytes_total", "Bytes of layers sent to destinations outside of the server.", "destination")
	m.replicating = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_replications_waiting", Help: "Images that wait to be replicated to a destination."}, []string{"destination"})
	m.replicationOldest = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_replication_oldest_timestamp_seconds", Help: "When the image was queued that waits for longest."}, []string{"destination"})
	m.replicationRate = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_replication_waits_for_rate", Help: "1 while images wait because of the rate of the destination, else 0."}, []string{"destination"})
	m.scans = counter("kontor_scans_total", "Times that the scanner was asked, by what came of it: complete, unsupported, retried or failed.", "outcome")
	m.scanTime = histogram("kontor_scan_seconds", "Time that the scanner took, by what came of it.", "outcome")
	m.scanQueue = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kontor_scans_queued", Help: "Scans of all replicas that wait, or run."}, []string{"state"})
	m.signatures = counter("kontor_signatures_verified_total", "Signatures of images that were verified, by their form and whether a signer made them; remembered ones do not count.", "form", "accepted")
	m.signed = counter("kontor_images_signed_total", "Times that an image was to be signed with a signing profile, by what came of it: complete, retried or failed.", "outcome")
	m.signingQueue = prometheus.NewGauge(prometheus.GaugeOpts{Name: "kontor_signatures_queued", Help: "Signatures of signing profiles that all replicas have to make."})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kontor_build_info", Help: "1, with the version of the running server.", ConstLabels: prometheus.Labels{"version": version.String()},
	})
	build.Set(1)
	m.all.MustRegister(m.requests, m.duration, m.in, m.out, m.refused, m.machines, m.connections, m.database, build,
		m.jobs, m.failures, m.removed, m.uploads, m.pulls, m.upstreams, m.fetched, m.saved, m.quota, m.events, m.queued, m.oldest,
		m.replicated, m.replicatedBytes, m.replicating, m.replicationOldest, m.replicationRate,
		m.signatures, m.signed, m.signingQueue, m.scans, m.scanTime, m.scanQueue,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// buckets of times, in seconds: from a look-up to a large layer.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}

// Request counts a request.
func (m *Metrics) Request(o server.Observation) {
	m.requests.WithLabelValues(o.Registry.String(), o.Operation, strconv.Itoa(o.Status)).Inc()
	m.duration.WithLabelValues(o.Operation).Observe(o.Took.Seconds())
	m.in.WithLabelValues(o.Operation).Add(float64(o.BytesIn))
	m.out.WithLabelValues(o.Operation).Add(float64(o.BytesOut))
	if o.Credential != "" {
		m.machines.WithLabelValues(o.Credential, strconv.FormatBool(!o.Refused)).Inc()
	}
	if o.Limit != "" {
		m.refused.WithLabelValues(o.Limit).Inc()
	}
}

// Connection counts connections.
func (m *Metrics) Connection(delta int) { m.connections.Add(float64(delta)) }

// Job counts a job, and what it removed before it failed, where it did.
func (m *Metrics) Job(name string, removed jobs.Removed, err error) {
	m.jobs.WithLabelValues(name).Inc()
	m.removed.WithLabelValues(name).Add(float64(removed.Count))
	failed := m.failures.WithLabelValues(name) // 0 is a figure as well
	if err != nil {
		failed.Inc()
	}
}

// Pending tells how much waits.
func (m *Metrics) Pending(uploads int64, pulls int) {
	m.uploads.Set(float64(uploads))
	m.pulls.Set(float64(pulls))
}

// Pulled counts a manifest or blob of a pull-through cache.
func (m *Metrics) Pulled(host string, how upstream.Outcome, size int64) {
	m.upstreams.WithLabelValues(host, string(how)).Inc()
	switch how {
	case upstream.Miss:
		m.fetched.WithLabelValues(host).Add(float64(size))
	case upstream.Hit, upstream.Compared, upstream.Stale:
		m.saved.WithLabelValues(host).Add(float64(size))
	}
}

// SignatureVerified counts a signature.
func (m *Metrics) SignatureVerified(form string, accepted bool) {
	m.signatures.WithLabelValues(form, strconv.FormatBool(accepted)).Inc()
}

// Quota sets what an upstream said that it still allows.
func (m *Metrics) Quota(host string, left int64) { m.quota.WithLabelValues(host).Set(float64(left)) }

// Signed counts a time that an image was to be signed.
func (m *Metrics) Signed(outcome string) { m.signed.WithLabelValues(outcome).Inc() }

// SigningQueue tells how many signatures are to be made.
func (m *Metrics) SigningQueue(waiting int) { m.signingQueue.Set(float64(waiting)) }

// Scan counts a time that the scanner was asked.
func (m *Metrics) Scan(outcome string, took time.Duration) {
	m.scans.WithLabelValues(outcome).Inc()
	m.scanTime.WithLabelValues(outcome).Observe(took.Seconds())
}

// ScanQueue tells how many scans are not over.
func (m *Metrics) ScanQueue(waiting, running int) {
	m.scanQueue.WithLabelValues("waiting").Set(float64(waiting))
	m.scanQueue.WithLabelValues("running").Set(float64(running))
}

// Delivered counts attempts to deliver events.
func (m *Metrics) Delivered(receiver, result string, n int) {
	m.events.WithLabelValues(receiver, result).Add(float64(n))
}

// Queued tells how many events wait for a receiver.
func (m *Metrics) Queued(receiver string, n int, oldest time.Duration) {
	m.queued.WithLabelValues(receiver).Set(float64(n))
	m.oldest.WithLabelValues(receiver).Set(oldest.Seconds())
}

// Replicated counts a try to replicate an image.
func (m *Metrics) Replicated(to ecr.RegistryID, how replication.Result, sent int64) {
	m.replicated.WithLabelValues(to.String(), string(how)).Inc()
	m.replicatedBytes.WithLabelValues(to.String()).Add(float64(sent))
}

// ReplicationWaiting sets what waits to be replicated. Replicas of a server say the same.
func (m *Metrics) ReplicationWaiting(queues []meta.ReplicationQueue) {
	m.replicating.Reset()
	m.replicationOldest.Reset()
	m.replicationRate.Reset()
	for _, q := range queues {
		m.replicating.WithLabelValues(q.To.String()).Set(float64(q.Waiting))
		m.replicationOldest.WithLabelValues(q.To.String()).Set(float64(q.Oldest.Unix()))
		waits := 0.0
		if q.WaitsForRate {
			waits = 1
		}
		m.replicationRate.WithLabelValues(q.To.String()).Set(waits)
	}
}

// Handler answers with the figures at /metrics.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.all, promhttp.HandlerOpts{}))
	return mux
}

// Timed is s with its transactions timed.
func (m *Metrics) Timed(s meta.Store) meta.Store {
	return timed{s, m.database.WithLabelValues("view"), m.database.WithLabelValues("update")}
}

type timed struct {
	store        meta.Store
	view, update prometheus.Observer
}

func (t timed) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	began := time.Now()
	defer func() { t.view.Observe(time.Since(began).Seconds()) }()
	return t.store.View(ctx, fn)
}

func (t timed) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	began := time.Now()
	r, end, err := t.store.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	return r, func() {
		end()
		t.view.Observe(time.Since(began).Seconds())
	}, nil
}

func (t timed) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	began := time.Now()
	defer func() { t.update.Observe(time.Since(began).Seconds()) }()
	return t.store.Update(ctx, fn)
}

func (t timed) IdentityStamp(ctx context.Context) (string, error) { return t.store.IdentityStamp(ctx) }

func (t timed) OneProcess() bool { return t.store.OneProcess() }

func (t timed) Close() error { return t.store.Close() }
