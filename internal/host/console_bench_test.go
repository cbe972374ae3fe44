package host_test

import (
	"context"
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
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
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
		body := fmt.Appendf(nil, `{"schemaVersion":2,"n":%d}`, n)
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
		{"overview", "/console/"}, {"repositories", "/console/repositories"}, {"repositories-filtered", "/console/repositories?q=app-099"}, {"tags", of + "tags"}, {"tags-by-name", of + "tags?sort=tag&order=asc"},
		{"image", of + "images/" + string(digest)}, {"activity", "/console/activity"}, {"activity-of-one", "/console/repositories/team-00/app-00000/-/activity"}, {"journal", "/console/journal"}, {"leases", "/console/leases"}, {"people", "/console/people"}, {"audit", "/console/audit"},
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
