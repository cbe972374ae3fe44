package host_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Numbers of what the pages are about.
const (
	consoleRepositories = 10_000
	consoleTags         = 100_000
)

// fillConsole puts repositories of three images each, and one of many tags, into a
// database, and pulls of thirty days.
func fillConsole(b *testing.B, store meta.Store, in ecr.RegistryID) (digest ecr.Digest) {
	b.Helper()
	now := time.Now().UTC()
	image := func(repo meta.RepositoryID, n int) meta.Manifest {
		body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[],"annotations":{"n":"%d"}}`, ecr.DigestOf([]byte("{}")), n)
		return meta.Manifest{Repository: repo, Body: body, Image: ecr.Image{
			Digest: ecr.DigestOf(body), MediaType: "application/vnd.oci.image.manifest.v1+json", SizeBytes: int64(1000 + n), PushedAt: now.Add(-time.Duration(n) * time.Minute), Status: ecr.StatusActive,
		}}
	}
	put := func(ctx context.Context, tx meta.Tx, repo meta.RepositoryID, n int) error {
		m := image(repo, n)
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		return tx.PutTag(ctx, repo, meta.TagRow{Tag: ecr.Tag(fmt.Sprint("v", n)), Digest: m.Image.Digest, TaggedAt: m.Image.PushedAt}, false)
	}
	inBatches := func(n int, fn func(ctx context.Context, tx meta.Tx, i int) error) {
		for from := 0; from < n; from += 1000 {
			err := store.Update(b.Context(), func(ctx context.Context, tx meta.Tx) error {
				for i := from; i < min(n, from+1000); i++ {
					if err := fn(ctx, tx, i); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	insert := func(ctx context.Context, tx meta.Tx, name string) (meta.RepositoryID, error) {
		return tx.InsertRepository(ctx, meta.Repository{Registry: in, Name: ecr.RepositoryName(name), CreatedAt: now, Mutability: ecr.Mutability{Mode: ecr.Mutable}})
	}
	day := meta.DayOf(now)
	inBatches(consoleRepositories, func(ctx context.Context, tx meta.Tx, i int) error {
		repo, err := insert(ctx, tx, fmt.Sprintf("team-%02d/app-%05d", i%40, i))
		var counts []meta.PullCount
		for n := 0; n < 3 && err == nil; n++ {
			err = put(ctx, tx, repo, n)
		}
		if err != nil || i%20 != 0 {
			return err
		}
		for n := range 30 {
			counts = append(counts, meta.PullCount{Day: day - meta.Day(n), Repository: repo, Digest: image(repo, n%3).Image.Digest, By: meta.Puller{UniqueID: "AIDACI", ARN: "arn:aws:iam::000000000000:user/ci"}, Pulls: int64(n), LastAt: now})
		}
		return tx.Retention().CountPulls(ctx, counts)
	})
	var large meta.RepositoryID
	inBatches(consoleTags, func(ctx context.Context, tx meta.Tx, i int) (err error) {
		if i == 0 {
			if large, err = insert(ctx, tx, "large"); err != nil {
				return err
			}
		}
		return put(ctx, tx, large, i)
	})
	return image(large, 7).Image.Digest
}

// benchKey is a public key that nothing is signed with.
const benchKey = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnZiA7uqyJgd3xln7v902z21QqzYX
VCioHo35GFs5GZQ+mfmNcrZQddHZ6ej7eX6r8yyGqY1gh5Rfuoxg882EaA==
-----END PUBLIC KEY-----
`

// fillSending puts a receiver with many deliveries, replications that failed and wait,
// signers, figures of all repositories, and a scan with many findings into a database.
func fillSending(b *testing.B, store meta.Store, in ecr.RegistryID) (scanned ecr.Digest) {
	b.Helper()
	now := time.Now().UTC()
	update := func(fn func(ctx context.Context, tx meta.Tx) error) {
		b.Helper()
		if err := store.Update(b.Context(), fn); err != nil {
			b.Fatal(err)
		}
	}
	var findings []scanning.Finding
	for i := range 5000 {
		findings = append(findings, scanning.Finding{Name: fmt.Sprint("CVE-2026-", i), Description: strings.Repeat("text ", 20), Severity: ecr.SeverityHigh, Package: "openssl", Version: "1.0"})
	}
	text, err := json.Marshal(findings)
	if err != nil {
		b.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil || z.Close() != nil {
		b.Fatal("packing the findings")
	}
	update(func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, in, "team-00/app-00000")
		if err != nil {
			return err
		}
		images, err := tx.ListManifests(ctx, repo.ID, "", 1)
		if err != nil {
			return err
		}
		scanned = images[0].Image.Digest
		settings, err := tx.Registries().RegistrySettings(ctx, in)
		err = errors.Join(err, events.SetReceivers(&settings, []events.Receiver{{ID: "id", Name: "bench", Host: "hooks.example.com", CreatedAt: now, UpdatedAt: now}}),
			tx.Registries().PutRegistrySettings(ctx, in, settings), tx.Retention().ScanWriter().PutScan(ctx, meta.Scan{Repository: repo.ID, Digest: scanned, Scan: ecr.Scan{Status: ecr.ScanInProgress}, AskedAt: now, DueAt: now}))
		if err != nil {
			return err
		}
		scan, _, err := tx.Retention().ScanWriter().TakeScan(ctx, "slot", now)
		if err != nil {
			return err
		}
		scan.Scan, scan.Slot = ecr.Scan{Status: ecr.ScanComplete, CompletedAt: now, Severity: ecr.SeverityHigh, Result: []byte(`{"counts":{"HIGH":5000},"scanner":"Bench"}`)}, ""
		if err := tx.Retention().ScanWriter().EndScan(ctx, "slot", scan, packed.Bytes()); err != nil {
			return err
		}
		for i := range 20 {
			if err := tx.Registries().PutSigner(ctx, meta.Signer{Registry: in, Name: fmt.Sprintf("signer%02d", i), CreatedAt: now, UpdatedAt: now, Settings: fmt.Appendf(nil, `{"name":"signer%02d","key":%q}`, i, benchKey)}); err != nil {
				return err
			}
		}
		for i := range 10_000 {
			d := ecr.DigestOf(fmt.Append(nil, i))
			err := errors.Join(tx.Registries().QueueDelivery(ctx, meta.Delivery{Receiver: "id", Event: meta.DeliveryEvent{ID: fmt.Sprint("event-", i), At: now, Type: "image.pushed", Repository: repo.Name, Digest: d, Key: "app", Body: []byte("{}")},
				State: meta.DeliveryQueued, QueuedAt: now, DueAt: now.Add(1000 * time.Hour)}),
				tx.Registries().QueueReplication(ctx, meta.Replication{Kind: meta.ReplicateImage, Source: in, Repository: repo.ID, Name: repo.Name, Image: ecr.ImageID{Digest: d}, To: ecr.RegistryID{Account: in.Account, Region: "eu-west-1"}}, 1000*time.Hour, true))
			if err != nil {
				return err
			}
		}
		return nil
	})
	for after := meta.RepositoryID(0); ; {
		n := 0
		update(func(ctx context.Context, tx meta.Tx) error {
			all, err := tx.AllRepositories(ctx, after, 500)
			if n = len(all); err != nil {
				return err
			}
			for _, r := range all {
				f, err := tx.Retention().Figures().CountFigures(ctx, r.ID)
				if f.CountedAt = now; err != nil {
					return err
				}
				if err := tx.Retention().FigureWriter().PutFigures(ctx, []meta.Figures{f}); err != nil {
					return err
				}
				after = r.ID
			}
			return nil
		})
		if n < 500 {
			return scanned
		}
	}
}

// BenchmarkConsole measures the pages of the console over 10,000 repositories and 100,000
// tags: the median time to the first byte and to the last, and how many times that of a
// plain answer of 20 KiB that is. With KONTOR_CONSOLE_PAGES it also prints a table.
func BenchmarkConsole(b *testing.B) {
	ctx, dir := b.Context(), b.TempDir()
	in := ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	d, err := datadir.Open(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	digest := fillConsole(b, d.Meta, in)
	scanned := fillSending(b, d.Meta, in)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	s, err := host.Start(ctx, host.Config{
		Folder: dir, Host: "127.0.0.1", Audit: "changes", Registries: []datadir.Registry{{Account: in.Account, Region: in.Region}},
		Server: server.Config{Compat: registry.CompatOCI, LifecycleEvery: -1, Log: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	root := s.Registries[0].Endpoint
	who, err := s.Identity().Credentials(ctx, in.Account, identity.Administrator)
	if err != nil {
		b.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	answer, err := client.PostForm(root+"/console/login", url.Values{"key": {who.AccessKeyID}, "secret": {who.SecretAccessKey}})
	if err != nil || answer.StatusCode != http.StatusOK || answer.Body.Close() != nil {
		b.Fatal(answer, err)
	}
	text := []byte(strings.Repeat("x", 20<<10))
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	defer plain.Close()
	get := func(b *testing.B, at string) (first, last time.Duration) {
		b.Helper()
		began := time.Now()
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { first = time.Since(began) }}), http.MethodGet, at, nil)
		if err != nil {
			b.Fatal(err)
		}
		answer, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK || answer.Body.Close() != nil {
			b.Fatal(answer.Status, err)
		}
		return first, time.Since(began)
	}
	median := func(all []time.Duration) time.Duration {
		slices.Sort(all)
		return all[len(all)/2]
	}
	const of = "/console/repositories/large/-/"
	for _, page := range []struct{ name, path string }{
		{"overview", "/console/"}, {"repositories", "/console/repositories"}, {"repositories-filtered", "/console/repositories?q=app-099"}, {"repositories-by-size", "/console/repositories?sort=bytes"}, {"repositories-by-push", "/console/repositories?sort=pushed"}, {"tags", of + "tags"}, {"tags-by-name", of + "tags?sort=tag&order=asc"},
		{"image", of + "images/" + string(digest)}, {"activity", "/console/activity"}, {"activity-of-one", "/console/repositories/team-00/app-00000/-/activity"}, {"journal", "/console/journal"}, {"leases", "/console/leases"}, {"people", "/console/people"}, {"audit", "/console/audit"},
		{"events", "/console/events"}, {"deliveries", "/console/events/deliveries?receiver=bench"}, {"replication", "/console/replication"}, {"signers", "/console/signers"}, {"sessions", "/console/sessions?all=yes"}, {"scanned", "/console/repositories/team-00/app-00000/-/images/" + string(scanned)},
	} {
		b.Run(page.name, func(b *testing.B) {
			var first, last, base []time.Duration
			for b.Loop() {
				x, y := get(b, root+page.path)
				_, z := get(b, plain.URL)
				first, last, base = append(first, x), append(last, y), append(base, z)
			}
			x, y, z := median(first), median(last), median(base)
			b.ReportMetric(float64(x)/1e6, "first-ms")
			b.ReportMetric(float64(y)/1e6, "page-ms")
			b.ReportMetric(float64(y)/float64(z), "times-plain")
			if os.Getenv("KONTOR_CONSOLE_PAGES") != "" {
				fmt.Printf("| %s | %.1f ms | %.1f ms | %.0f |\n", page.name, float64(x)/1e6, float64(y)/1e6, float64(y)/float64(z))
			}
		})
	}
}
