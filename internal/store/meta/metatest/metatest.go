// Package metatest is the suite that every implementation of package meta
// passes. It looks only at what the contract promises.
package metatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Run checks one Store. open returns an empty one, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) meta.Store) {
	run(t, open, []test{
		{"registry settings", registrySettings},
		{"repositories", repositories},
		{"all repositories", allRepositories},
		{"repository settings", repositorySettings},
		{"repository incarnations", incarnations},
		{"repository deletions", deletions},
		{"images", images},
		{"image references", imageReferences},
		{"image deletion", imageDeletion},
		{"index children", indexChildren},
		{"listed children", listedChildren},
		{"sparse indexes", sparseIndexes},
		{"referrers", referrers},
		{"bodies", bodies},
		{"many tags", manyTags},
		{"tags", tags},
		{"pulls", pulls},
		{"pull activity", pullActivity},
		{"pull activity of what is gone", pullActivityGone},
		{"blobs", blobs},
		{"blob contents", blobContents},
		{"blob links", blobLinks},
		{"replaced blobs", replacedBlobs},
		{"repositories of a blob", blobRepositories},
		{"hidden links", hiddenLinks},
		{"given blobs", givenBlobs},
		{"references", references},
		{"bytes of repositories", linkedBytes},
		{"collection", collection},
		{"dropped blobs", dropBlobs},
		{"collection against pushes", collectionRace},
		{"recycle bin", recycleBin},
		{"image status", imageStatus},
		{"lifecycle evaluation time", lifecycleEvaluated},
		{"journal queries", journalQueries},
		{"leases", leases},
		{"lifecycle previews", previews},
		{"job states", jobStates},
		{"job leases", jobLeases},
		{"lifecycle queue", lifecycleQueue},
		{"lifecycle findings", lifecycleFindings},
		{"orphans", orphans},
		{"upstreams", upstreams},
		{"claims on fetches", fetchClaims},
		{"replications", replications},
		{"replication rates", replicationRates},
		{"images of an index", settledReplications},
		{"replication backfills", replicationBackfills},
		{"image scans", imageScans},
		{"database time", databaseTime},
		{"uploads", uploads},
		{"upload claims", uploadClaims},
		{"upload order", uploadOrder},
		{"users", users},
		{"access keys", accessKeys},
		{"machine tokens", machineTokens},
		{"creation templates", creationTemplates},
		{"deliveries", deliveries},
		{"deliveries are bounded", deliveriesAreBounded},
		{"figures of repositories", figures},
		{"signers", signers},
		{"signing profiles", signingProfiles},
		{"image signings", imageSignings},
		{"roles", roles},
		{"changed users", changedUsers},
		{"sessions of the console", consoleSessions},
		{"tags with their images", tagImages},
		{"policies", policies},
		{"issuers", issuers},
		{"token keys", tokenKeys},
		{"stamps of identities", identityStamps},
		{"remembered rows", rememberedRows},
		{"journal", journal},
		{"journal is part of the deletion", journalAtomic},
		{"byte order", byteOrder},
		{"limits", limits},
		{"paging while rows go", paging},
		{"times", times},
		{"failing update leaves nothing", failingUpdate},
		{"error passed over", errorPassedOver},
		{"updates read their own writes", ownWrites},
		{"view is a snapshot", snapshot},
		{"snapshot is a view with an open end", openSnapshot},
		{"one tag, many writers", oneWinner},
		{"many new repositories of one name", oneRepository},
		{"shared commit", sharedCommit},
		{"write skew", writeSkew},
		{"counter", counter},
		{"deletion against reference", deletionRace},
		{"cancelled", cancelled},
		{"cancelled in the queue", cancelledInQueue},
		{"cancelled while running", cancelledRunning},
		{"panic", panics},
		{"update within update", nested},
		{"view within update", viewWithinUpdate},
		{"close waits", closeWaits},
	})
}

// RunReplicas checks two Stores on one database, as two replicas have it.
// open returns them empty; the suite closes them.
func RunReplicas(t *testing.T, open func(t *testing.T) (a, b meta.Store)) {
	for _, test := range []struct {
		name string
		f    func(*testing.T, meta.Store, meta.Store)
	}{
		{"one tag, many writers", replicasOneWinner},
		{"write skew", replicasWriteSkew},
		{"counter", replicasCounter},
		{"deletion against reference", replicasDeletion},
		{"one reads what the other wrote", replicasRead},
		{"repository deleted while it is pushed to", replicasRepositoryRace},
		{"stamps of identities", replicasStamps},
		{"remembered rows", replicasRows},
		{"pulls", replicasPulls},
		{"upload claims", replicasClaims},
		{"job leases", replicasJobLeases},
		{"job taken over", jobFence},
		{"lifecycle queue", replicasLifecycleQueue},
		{"collection against pushes", replicasCollection},
		{"collection against deletions", replicasLoosening},
		{"long update among short ones", replicasLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			defer closeStore(t, a)
			defer closeStore(t, b)
			test.f(t, a, b)
		})
	}
}

// RunReopen checks that what was acknowledged is there when the database is
// opened again. open returns a function that opens the same database again
// each time it is called.
func RunReopen(t *testing.T, open func(t *testing.T) func() meta.Store) {
	reopen := open(t)
	s := reopen()
	repo := newRepository(t, s, "team/app")
	m := newImage(t, s, repo, "v1", "a", "b")
	closeStore(t, s)

	s = reopen()
	got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, m.Image.Digest)
	})
	diff(t, want(m, "a", "b"), got)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	closeStore(t, s)

	// The id was used by a repository that is gone.
	s = reopen()
	defer closeStore(t, s)
	if again := newRepository(t, s, "team/app"); again <= repo {
		t.Errorf("the new repository has id %d, the deleted one had %d", again, repo)
	}
}

type test struct {
	name string
	f    func(*testing.T, meta.Store)
}

func run(t *testing.T, open func(t *testing.T) meta.Store, tests []test) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			defer closeStore(t, s)
			test.f(t, s)
		})
	}
}

// registry is where the suite's repositories are, other another one.
var (
	registry = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	other    = ecr.RegistryID{Account: "000000000000", Region: "eu-west-1"}
)

// noon is a time with microseconds.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

// missing is the id of no repository.
const missing meta.RepositoryID = 1 << 40

func digest(seed any) ecr.Digest { return ecr.DigestOf(fmt.Append(nil, seed)) }

func closeStore(t *testing.T, s meta.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func update(t *testing.T, s meta.Store, fn func(ctx context.Context, tx meta.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// refused checks that fn fails with want, and that nothing stays of it.
func refused(t *testing.T, s meta.Store, want error, fn func(ctx context.Context, tx meta.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); !errors.Is(err, want) {
		t.Errorf("Update: got %v, want %v", err, want)
	}
	// The same again, in a transaction that continues afterwards: an error of
	// the contract is an answer, it does not spoil the transaction.
	var got error
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		got = fn(ctx, tx)
		_, err := tx.CountUploads(ctx, "")
		return err
	})
	if !errors.Is(got, want) {
		t.Errorf("in a transaction that goes on: got %v, want %v", got, want)
	}
}

func read[T any](t *testing.T, s meta.Store, fn func(ctx context.Context, r meta.Reader) (T, error)) T {
	t.Helper()
	v, err := tryRead(t, s, fn)
	if err != nil {
		t.Fatalf("View: %v", err)
	}
	return v
}

func tryRead[T any](t *testing.T, s meta.Store, fn func(ctx context.Context, r meta.Reader) (T, error)) (v T, err error) {
	err = s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		var err error
		v, err = fn(ctx, r)
		return err
	})
	return v, err
}

// notFound checks that a read answers ErrNotFound.
func notFound[T any](t *testing.T, s meta.Store, what string, fn func(ctx context.Context, r meta.Reader) (T, error)) {
	t.Helper()
	if _, err := tryRead(t, s, fn); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("%s: got %v, want ErrNotFound", what, err)
	}
}

func diff(t *testing.T, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func repositoryNamed(name ecr.RepositoryName) meta.Repository {
	return meta.Repository{
		Registry: registry, Name: name, CreatedAt: noon,
		Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"},
	}
}

func newRepository(t *testing.T, s meta.Store, name ecr.RepositoryName) (id meta.RepositoryID) {
	t.Helper()
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		id, err = tx.InsertRepository(ctx, repositoryNamed(name))
		return err
	})
	return id
}

// manifestOf is an image without references.
func manifestOf(repo meta.RepositoryID, seed string) meta.Manifest {
	body := []byte(`{"seed":"` + seed + `"}`)
	return meta.Manifest{
		Repository: repo,
		Image: ecr.Image{
			Digest: ecr.DigestOf(body), MediaType: "application/vnd.oci.image.manifest.v1+json",
			ArtifactMediaType: "application/vnd.oci.image.config.v1+json", SizeBytes: 4711, PushedAt: noon,
			Status: ecr.StatusActive,
		},
		Body: body,
	}
}

// newImage adds an image, with tags.
func newImage(t *testing.T, s meta.Store, repo meta.RepositoryID, seed string, tags ...ecr.Tag) meta.Manifest {
	t.Helper()
	m := manifestOf(repo, seed)
	insertImage(t, s, m, tags...)
	return m
}

func insertImage(t *testing.T, s meta.Store, m meta.Manifest, tags ...ecr.Tag) {
	t.Helper()
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		for _, tag := range tags {
			row := meta.TagRow{Tag: tag, Digest: m.Image.Digest, TaggedAt: noon}
			if err := tx.PutTag(ctx, m.Repository, row, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// want is m as Manifest returns it, listed as lists do.
func want(m meta.Manifest, tags ...ecr.Tag) meta.Manifest {
	m.Image.Tags, m.Blobs, m.Children, m.Sparse = tags, nil, nil, false
	m.BodySizeBytes = int64(len(m.Body))
	return m
}

func listed(m meta.Manifest, tags ...ecr.Tag) meta.Manifest {
	m = want(m, tags...)
	m.Body, m.Annotations = nil, nil
	return m
}

// newBlob records a blob and links it.
func newBlob(t *testing.T, s meta.Store, repo meta.RepositoryID, seed string) ecr.Digest {
	t.Helper()
	d := digest(seed)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 3, CreatedAt: noon}); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, repo, d, noon)
	})
	return d
}
