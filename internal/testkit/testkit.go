// Package testkit is the harness of the tests: registries on a real database
// and real files, and images to put into them. Nothing in it represents
// something else; what it makes ends with the test.
package testkit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/lifecycle"
)

func init() { sqlite.RememberNew() } // most tests open one

// Home is the registry that tests work in.
var Home = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

// Admin may do everything in Home's account, Alien in another.
var (
	Admin = access.Principal{Account: Home.Account, ARN: "arn:aws:iam::000000000000:user/administrator", UniqueID: "AIDAADMIN", Policies: []string{access.PolicyAdministrator}}
	Alien = access.Principal{Account: "999999999999", ARN: "arn:aws:iam::999999999999:user/administrator", UniqueID: "AIDAALIEN", Policies: []string{access.PolicyAdministrator}}
)

// Times that tests are about.
const (
	Hour = time.Hour
	Day  = 24 * Hour
)

// Settings are what a test may want otherwise. The zero value is a registry
// that behaves as ECR, and keeps nothing that was deleted.
type Settings struct {
	Compat         registry.Compat
	Audit          gate.Audit
	Tokens         registry.TokenIssuer
	ActivityDays   int // 0 for none
	RecycleTime    time.Duration
	JournalTime    time.Duration
	BlobGrace      time.Duration
	ActivationTime time.Duration
	UploadAge      time.Duration
	ClaimTime      time.Duration
	OrphanWait     time.Duration
	Replica        string
	MaxExpire      retention.MaxExpire
	TestClock      *retention.TestClock
	Passed         func() time.Duration
	OneProcess     bool // as servers on SQLite are
	// Clock is the image clock; by default the one that World.Advance moves.
	Clock func() time.Time
	// Blobs is the store for blobs; nil is a folder of the test's own.
	Blobs blob.Store
	// Small: small blobs lie in the database, as those of servers do.
	Small bool
	// Between, where it is set, stands between the gate and the database.
	Between meta.Store
	Log     *slog.Logger // by default nothing is logged
	// UpstreamHosts are what rules may name in addition to what AWS lists; UpstreamObserver
	// is told of pulls through them. Installation is that of a server; by default all
	// are one.
	// Scanner scans images, in ScanSlots slots that tests run by hand (World.Scans).
	// ScanFinished is told of scans that are over.
	Scanner       scanning.Scanner
	ScanSlots     int
	ScanTimeout   time.Duration
	ScanFinished  func(ctx context.Context, tx *gate.Tx, f scanning.Finished) error
	UpstreamHosts []upstream.Host
	// Events are the hosts of receivers of events, and bounds.
	Events           delivery.Config
	UpstreamObserver upstream.Observer
	MaxBlob          int64
	Comparing        time.Duration
	Installation     string
	// Shared: pull-through caches share what they fetch with other processes on the database.
	Shared bool
	// Elsewhere are the registries of rules of replication that are not this server's;
	// NotServed those that nobody reaches. ReplicationObserver is told of replications.
	Elsewhere           map[ecr.RegistryID]replication.Elsewhere
	NotServed           []ecr.RegistryID
	ReplicationObserver replication.Observer
}

// The two callers have the same name in their packages.
type (
	content = registry.Caller
	kept    = retention.Caller
)

// World is registries on a real database and real files. Its own operations are
// the administrator's.
type World struct {
	*content
	*kept
	T         testing.TB
	Settings  Settings
	Meta      meta.Store
	Blobs     blob.Store
	Gate      *gate.Gate
	Events    *delivery.Service
	Registry  *registry.Registry
	Retention *retention.Service
	Jobs      *jobs.Jobs
	Upstreams *upstream.Service
	Signing   *signing.Service
	// Managed signs what is pushed when a test runs it.
	Managed *managed.Service
	Scans   *scanning.Service
	// Replication does nothing unless a test says so; every registry counts as one of the
	// server but those of Settings.Elsewhere.
	Replication *replication.Service
	now         *time.Time // the image clock, of all processes
	dir         string     // of Blobs
}

// Keeping are the settings of a registry that restores what it deleted for so
// long, keeps its journal, and blobs without images.
func Keeping(recycle, journal, grace time.Duration) Settings {
	return Settings{Compat: registry.CompatOCI, RecycleTime: recycle, JournalTime: journal, BlobGrace: grace}
}

// Open returns a World on a new SQLite database.
func Open(t testing.TB, s Settings) *World {
	t.Helper()
	return OpenOn(t, s, SQLite(t))
}

// OpenOn returns a World on a database, which it closes.
func OpenOn(t testing.TB, s Settings, m meta.Store) *World {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blobs")
	b := s.Blobs
	if b == nil {
		d, err := disk.Open(disk.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		b = d
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if s.Small {
		b = small.New(small.Config{Blobs: b, Meta: m})
	}
	w := &World{T: t, Settings: s, Meta: m, Blobs: b, now: &noon, dir: dir}
	w.build()
	if err := w.Jobs.CheckInstallation(t.Context()); err != nil { // as a server does when it starts
		t.Fatal(err)
	}
	return w
}

// Now is the time of the image clock.
func (w *World) Now() time.Time { return *w.now }

// Advance moves the image clock.
func (w *World) Advance(d time.Duration) { *w.now = w.now.Add(d) }

// Restart is w as another start of the process has it: nothing is left but what
// is stored.
func (w *World) Restart() *World {
	w.build()
	return w
}

// Set is Restart with other settings.
func (w *World) Set(change func(*Settings)) *World {
	change(&w.Settings)
	return w.Restart()
}

// With is another process on w's stores.
func (w *World) With(change func(*Settings)) *World {
	other := *w
	return other.Set(change)
}

// Replica is With, with a separate blob store on w's files: only the database
// knows what the other process does. wrap, where it is set, stands before the store.
func (w *World) Replica(change func(*Settings), wrap func(blob.Store) blob.Store) *World {
	w.T.Helper()
	b, err := disk.Open(disk.Config{Dir: w.dir})
	if err != nil {
		w.T.Fatal(err)
	}
	other := *w
	other.Blobs = b
	if w.Settings.Small {
		other.Blobs = small.New(small.Config{Blobs: b, Meta: w.Meta})
	}
	if wrap != nil {
		other.Blobs = wrap(other.Blobs)
	}
	return other.Set(change)
}

// As is w whose own operations are p's.
func (w *World) As(p access.Principal) *World {
	other := *w
	other.content, other.kept = w.Registry.As(p), w.Retention.As(p)
	return &other
}

func (w *World) build() {
	s := w.Settings
	store := w.Meta
	if s.Between != nil {
		store = s.Between
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Clock == nil {
		s.Clock = w.Now
	}
	key, err := identity.NewMasterKey(make([]byte, identity.MasterKeySize))
	if err != nil {
		w.T.Fatal(err)
	}
	signatures := signing.NewVerifier(signing.Config{Blobs: w.Blobs, Now: s.Clock})
	out := events.NewOutbox(s.Clock)
	w.Gate = gate.New(gate.Config{Meta: store, Audit: s.Audit, Events: out, ImageKeys: map[string]gate.ImageKey{authz.KeySignedBy: signatures.Key(), authz.KeyMaxSeverity: scanning.Key(signatures.Inert)}})
	w.Signing = signing.New(w.Gate, signatures, s.Clock)
	queue := replication.NewQueue()
	var (
		scans  *scanning.Service
		signer *managed.Service
	)
	w.Retention = retention.New(retention.Config{
		Gate: w.Gate, Blobs: w.Blobs, Now: s.Clock, Dialect: lifecycle.Dialect{PulledExpire: s.Compat == registry.CompatOCI},
		ActivityDays: s.ActivityDays, RecycleTime: s.RecycleTime, MaxExpire: s.MaxExpire, TestClock: s.TestClock, Passed: s.Passed, Log: s.Log,
		Deleted: queue.Deleted,
		Restored: func(ctx context.Context, tx *gate.Tx, at gate.Scene, m meta.Manifest, tags []ecr.Tag) error {
			return errors.Join(queue.Restored(ctx, tx, at, m, tags), scans.Restored(ctx, tx, at, m, tags))
		},
	})
	w.Registry = registry.New(registry.Config{
		Gate: w.Gate, Blobs: w.Blobs, Retention: w.Retention, Tokens: s.Tokens, Now: s.Clock, Compat: s.Compat, BlobGrace: s.BlobGrace,
		ActivationTime: s.ActivationTime, ClaimTime: s.ClaimTime, OneProcess: s.OneProcess, Passed: s.Passed, Log: s.Log,
		Pushed: func(ctx context.Context, tx *gate.Tx, at gate.Scene, p registry.Pushed) error {
			return errors.Join(queue.Pushed(ctx, tx, at, p), scans.Pushed(ctx, tx, at, p), signer.Pushed(ctx, tx, at, p))
		},
		Arrived: func(ctx context.Context, tx *gate.Tx, at gate.Scene, p registry.Pushed) error {
			return scans.Pushed(ctx, tx, at, p)
		},
		Stored: func() { queue.Stored(); scans.Stored(); signer.Stored() },
	})
	scans = scanning.New(scanning.Config{
		Gate: w.Gate, Registry: w.Registry, Scanner: s.Scanner, Name: "test", Slots: s.ScanSlots, Timeout: s.ScanTimeout, Now: s.Clock, Finished: s.ScanFinished, Log: s.Log,
	})
	signer = managed.New(managed.Config{Gate: w.Gate, Registry: w.Registry, Key: key, Now: s.Clock, Log: s.Log})
	w.Scans, w.Managed = scans, signer
	told := s.Events
	told.Gate, told.Outbox, told.Key, told.ImageNow, told.Log, told.Registries = w.Gate, out, key, s.Clock, s.Log, []ecr.RegistryID{Home}
	w.Events = delivery.New(told)
	w.Jobs = jobs.New(jobs.Config{
		Scans: scans,
		Gate:  w.Gate, Events: w.Events, Blobs: w.Blobs, Registry: w.Registry, Retention: w.Retention, ImageNow: s.Clock, Now: time.Now,
		UploadAge: s.UploadAge, OrphanWait: s.OrphanWait, JournalTime: s.JournalTime, Log: s.Log,
		Replica: s.Replica,
	})
	passed := s.Passed
	if passed == nil {
		passed = func() time.Duration { return 0 }
	}
	w.Upstreams = upstream.New(upstream.Config{
		Gate: w.Gate, Registry: w.Registry, Key: key, Now: s.Clock, Passed: passed, Hosts: s.UpstreamHosts,
		ID: cmp.Or(s.Installation, "testkit"), Shared: s.Shared, Folder: w.T.TempDir(), Observer: s.UpstreamObserver, MaxBlob: s.MaxBlob, Comparing: s.Comparing, Log: s.Log,
	})
	w.Replication = replication.New(replication.Config{
		Gate: w.Gate, Registry: w.Registry, Retention: w.Retention, Queue: queue, Now: s.Clock, Passed: passed,
		Serves: func(in ecr.RegistryID) bool { return !slices.Contains(s.NotServed, in) && s.Elsewhere[in].Host == "" }, Elsewhere: s.Elsewhere,
		Observer: s.ReplicationObserver, Log: s.Log,
	})
	w.T.Cleanup(w.Upstreams.Close) // before the stores
	w.content, w.kept = w.Registry.As(Admin), w.Retention.As(Admin)
}

// SQLite opens a new database.
func SQLite(t testing.TB) meta.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db"), Alone: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Databases are the kinds of database that a registry runs on. Tests that use
// them have a TestMain that calls pgtest.Main.
var Databases = map[string]func(t testing.TB) meta.Store{
	"sqlite": SQLite,
	"postgres": func(t testing.TB) meta.Store {
		s, err := postgres.Open(context.Background(), postgres.Config{URL: pgtest.StartLike(t, migrate)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// migrate makes the schema in an empty PostgreSQL database.
func migrate(url string) error {
	s, err := postgres.Open(context.Background(), postgres.Config{URL: url})
	if err != nil {
		return err
	}
	return s.Close()
}

// At is the repository of that name in Home.
func At(name string) ecr.Repo { return Home.Repo(ecr.RepositoryName(name)) }

// Repo makes a repository in Home.
func (w *World) Repo(name string, mode ecr.TagMutability, filters ...string) ecr.Repo {
	w.T.Helper()
	_, err := w.CreateRepository(w.T.Context(), registry.NewRepository{Repo: At(name), Mutability: ecr.Mutability{Mode: mode, Filters: filters}})
	if err != nil {
		w.T.Fatal(err)
	}
	return At(name)
}

// Upload begins an upload of parts, and leaves it open.
func (w *World) Upload(to ecr.Repo, parts ...[]byte) meta.UploadID {
	w.T.Helper()
	id, err := w.StartUpload(w.T.Context(), to)
	if err != nil {
		w.T.Fatal(err)
	}
	var at int64
	for _, p := range parts {
		n, err := w.AppendUpload(w.T.Context(), to, id, at, bytes.NewReader(p))
		if err != nil {
			w.T.Fatal(err)
		}
		if at += int64(len(p)); n != at {
			w.T.Fatalf("the upload has %d bytes, not %d", n, at)
		}
	}
	return id
}

// Blob uploads a blob.
func (w *World) Blob(to ecr.Repo, content []byte) ecr.Digest {
	w.T.Helper()
	d := ecr.DigestOf(content)
	if _, err := w.CompleteUpload(w.T.Context(), to, w.Upload(to), 0, bytes.NewReader(content), d); err != nil {
		w.T.Fatal(err)
	}
	return d
}

// Put puts an image.
func (w *World) Put(to ecr.Repo, body []byte, tags ...ecr.Tag) error {
	_, err := w.PutImage(w.T.Context(), to, registry.NewImage{Body: body, Tags: tags})
	return err
}

// MustPut puts an image, or ends the test.
func (w *World) MustPut(to ecr.Repo, body []byte, tags ...ecr.Tag) ecr.Digest {
	w.T.Helper()
	if err := w.Put(to, body, tags...); err != nil {
		w.T.Fatal(err)
	}
	return ecr.DigestOf(body)
}

// Delete deletes tags and images in one request.
func (w *World) Delete(from ecr.Repo, ids ...ecr.ImageID) {
	w.T.Helper()
	if _, failures, err := w.BatchDeleteImage(w.T.Context(), from, ids); err != nil || len(failures) > 0 {
		w.T.Fatal(err, failures)
	}
}

// DeleteImages deletes images one after another.
func (w *World) DeleteImages(from ecr.Repo, ds ...ecr.Digest) {
	w.T.Helper()
	for _, d := range ds {
		w.Delete(from, ecr.ImageID{Digest: d})
	}
}

// Collect takes away what is no longer needed.
func (w *World) Collect() jobs.Collected {
	w.T.Helper()
	got, err := w.Jobs.Collect(w.T.Context())
	if err != nil {
		w.T.Fatal(err)
	}
	return got
}

// Binned are the images in the recycle bin that the repository name had, or all
// for "", in the order of their deletion.
func (w *World) Binned(name ecr.RepositoryName) []ecr.Digest {
	w.T.Helper()
	list, next, err := w.ListBin(w.T.Context(), Home, name, 0, 1000)
	if err != nil || next != 0 {
		w.T.Fatal(next, err)
	}
	var ds []ecr.Digest
	for _, e := range list {
		ds = append(ds, e.Image.Digest)
	}
	return ds
}

// Digests are the images of a repository.
func (w *World) Digests(in ecr.Repo) []ecr.Digest {
	w.T.Helper()
	var all []ecr.Digest
	for after := ecr.Digest(""); ; {
		page, next, err := w.ListImageDetails(w.T.Context(), in, "", after, 1000)
		if err != nil {
			w.T.Fatal(err)
		}
		for _, i := range page {
			all = append(all, i.Digest)
		}
		if after = next; next == "" {
			return all
		}
	}
}

// WantCode fails unless err is an *ecr.Error with the code, whose message holds
// each of the texts.
func WantCode(t testing.TB, err error, code ecr.Code, texts ...string) {
	t.Helper()
	var e *ecr.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("error is %v, not %s", err, code)
		return
	}
	for _, text := range texts {
		if !strings.Contains(e.Message, text) {
			t.Errorf("%s says %q, without %q", code, e.Message, text)
		}
	}
}
