package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func getImage(t *testing.T, s meta.Store, repo meta.RepositoryID, d ecr.Digest) meta.Manifest {
	t.Helper()
	return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) { return r.Manifest(ctx, repo, d) })
}

func images(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	full := manifestOf(repo, "full")
	full.Image.Subject = digest("subject")
	full.Image.SizeBytes = 5 << 40
	full.Image.LastPulledAt = noon.Add(time.Hour)
	full.Annotations = map[string]string{"org.opencontainers.image.title": "ä\"\n\x00", "empty": ""}
	full.Image.Tags = []ecr.Tag{"ignored"}
	insertImage(t, s, full)
	diff(t, want(full), getImage(t, s, repo, full.Image.Digest))

	refused(t, s, meta.ErrExists, func(ctx context.Context, tx meta.Tx) error {
		m := full
		m.Body, m.Image.MediaType = []byte("other"), "other"
		return tx.InsertManifest(ctx, m)
	})
	diff(t, want(full), getImage(t, s, repo, full.Image.Digest))

	// Another repository may have the same image; it is another row.
	notFound(t, s, "image of another repository", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, neighbour, full.Image.Digest)
	})
	same := full
	same.Repository = neighbour
	insertImage(t, s, same, "there")
	diff(t, want(full), getImage(t, s, repo, full.Image.Digest))

	a, b := newImage(t, s, repo, "a", "v2", "v1"), newImage(t, s, repo, "b")
	for _, m := range []meta.Manifest{listed(full), listed(a, "v1", "v2")} {
		diff(t, m, read(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
			return r.StatManifest(ctx, repo, m.Image.Digest)
		}))
	}
	for _, of := range []struct {
		id   ecr.ImageID
		want meta.Manifest
	}{
		{ecr.ImageID{Digest: full.Image.Digest}, listed(full)}, {ecr.ImageID{Digest: a.Image.Digest}, listed(a)}, {ecr.ImageID{Tag: "v1"}, listed(a)},
		{ecr.ImageID{Digest: b.Image.Digest, Tag: "v2"}, listed(a)},
	} {
		diff(t, of.want, read(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) { return r.FindImage(ctx, repo, of.id) }))
		body := read(t, s, func(ctx context.Context, r meta.Reader) ([]byte, error) {
			return r.ManifestBody(ctx, repo, of.want.Image.Digest)
		})
		diff(t, string(getImage(t, s, repo, of.want.Image.Digest).Body), string(body))
	}
	for _, id := range []ecr.ImageID{{Digest: b.Image.Digest}, {Tag: "v1"}, {}} {
		notFound(t, s, "image of another repository by "+id.String(), func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
			return r.FindImage(ctx, neighbour, id)
		})
	}
	notFound(t, s, "manifest of another repository's image", func(ctx context.Context, r meta.Reader) ([]byte, error) {
		return r.ManifestBody(ctx, neighbour, b.Image.Digest)
	})
	notFound(t, s, "facts of another repository's image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.StatManifest(ctx, neighbour, b.Image.Digest)
	})
	for want, of := range map[int64][]ecr.Digest{
		full.Image.SizeBytes: {a.Image.Digest, full.Image.Digest, digest("gone"), full.Image.Digest},
		b.Image.SizeBytes:    {b.Image.Digest}, 0: {digest("gone")}, -1: nil,
	} {
		got := read(t, s, func(ctx context.Context, r meta.Reader) (int64, error) { return r.LargestImage(ctx, repo, of) })
		if got != max(want, 0) {
			t.Errorf("the largest of %v has %d bytes, want %d", of, got, want)
		}
	}
	all := []meta.Manifest{listed(full), listed(a, "v1", "v2"), listed(b)}
	slices.SortFunc(all, func(x, y meta.Manifest) int { return cmpString(x.Image.Digest, y.Image.Digest) })
	page := func(after ecr.Digest, limit int) []meta.Manifest {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
			return r.ListManifests(ctx, repo, after, limit)
		})
	}
	diff(t, all, page("", 10))
	diff(t, all[:2], page("", 2))
	diff(t, all[2:], page(all[1].Image.Digest, 2))

	gone := digest("gone")
	diff(t, []ecr.Digest{gone, "sha256:x"}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.MissingManifests(ctx, repo, []ecr.Digest{gone, a.Image.Digest, "sha256:x", gone, a.Image.Digest})
	}))
	diff(t, []ecr.Digest(nil), read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.MissingManifests(ctx, repo, nil)
	}))
	has := func(repo meta.RepositoryID) bool {
		return read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.HasImages(ctx, repo) })
	}
	if !has(repo) || has(newRepository(t, s, "empty")) || has(missing) {
		t.Error("HasImages is wrong")
	}

	// (digest, tag) pairs: byte order of the pair, an empty tag for untagged.
	var pairs []ecr.ImageID
	for _, m := range all {
		if len(m.Image.Tags) == 0 {
			pairs = append(pairs, ecr.ImageID{Digest: m.Image.Digest})
		}
		for _, tag := range m.Image.Tags {
			pairs = append(pairs, ecr.ImageID{Digest: m.Image.Digest, Tag: tag})
		}
	}
	for limit := 1; limit <= 5; limit++ {
		var got []ecr.ImageID
		for after := (ecr.ImageID{}); ; after = got[len(got)-1] {
			page := read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.ImageID, error) {
				return r.ListImageIDs(ctx, repo, after, limit)
			})
			if len(page) > limit {
				t.Fatalf("%d pairs, limit %d", len(page), limit)
			}
			got = append(got, page...)
			if len(page) < limit {
				break
			}
		}
		diff(t, pairs, got)
	}
}

func cmpString[T ~string](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func imageReferences(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	here, there := newBlob(t, s, repo, "here"), newBlob(t, s, neighbour, "there")
	child, foreign := newImage(t, s, repo, "child"), newImage(t, s, neighbour, "foreign")
	insert := func(blobs, children []ecr.Digest) func(context.Context, meta.Tx) error {
		m := manifestOf(repo, "m")
		m.Blobs, m.Children = blobs, children
		return func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, m) }
	}
	d := manifestOf(repo, "m").Image.Digest
	for name, try := range map[string]func(context.Context, meta.Tx) error{
		"unknown blob":                     insert([]ecr.Digest{here, digest("unknown")}, nil),
		"blob of another repository":       insert([]ecr.Digest{there, here}, nil),
		"unknown child":                    insert([]ecr.Digest{here}, []ecr.Digest{digest("unknown")}),
		"child of another repository":      insert(nil, []ecr.Digest{child.Image.Digest, foreign.Image.Digest}),
		"a layer is not a child":           insert(nil, []ecr.Digest{here}),
		"unknown blob listed twice":        insert([]ecr.Digest{digest("unknown"), digest("unknown")}, nil),
		"one known twice, one not there":   insert([]ecr.Digest{here, here, there}, nil),
		"child known twice, one not there": insert(nil, []ecr.Digest{child.Image.Digest, child.Image.Digest, digest("x")}),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, s, meta.ErrReferenced, try)
			notFound(t, s, "the image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
				return r.Manifest(ctx, repo, d)
			})
			if used := read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.BlobIsUsed(ctx, repo, here) }); used {
				t.Error("the blob is in use, though no image is there")
			}
		})
	}
	update(t, s, insert([]ecr.Digest{here, here}, []ecr.Digest{child.Image.Digest, child.Image.Digest}))
	if used := read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.BlobIsUsed(ctx, repo, here) }); !used {
		t.Error("the blob is not in use")
	}
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, here) })
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, d, noon) })
	// The link is hidden now, until it is collected.
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, here) })
}

func imageDeletion(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	a, b := newImage(t, s, repo, "a", "a1", "a2"), newImage(t, s, repo, "b", "b1")
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, a.Image.Digest, noon) }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "the image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, a.Image.Digest)
	})
	notFound(t, s, "its tag", func(ctx context.Context, r meta.Reader) (meta.TagRow, error) { return r.Tag(ctx, repo, "a2") })
	diff(t, []ecr.ImageID{{Digest: b.Image.Digest, Tag: "b1"}}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.ImageID, error) {
		return r.ListImageIDs(ctx, repo, ecr.ImageID{}, 10)
	}))
	insertImage(t, s, a) // as a new image
	diff(t, want(a), getImage(t, s, repo, a.Image.Digest))
}

func indexChildren(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	child := newImage(t, s, repo, "child", "child")
	var parents []ecr.Digest
	for i := range 3 {
		m := manifestOf(repo, fmt.Sprint("index", i))
		m.Children = []ecr.Digest{child.Image.Digest}
		insertImage(t, s, m)
		parents = append(parents, m.Image.Digest)
	}
	slices.Sort(parents)
	list := func(d ecr.Digest) []ecr.Digest {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) { return r.Parents(ctx, repo, d) })
	}
	diff(t, parents, list(child.Image.Digest))
	diff(t, []ecr.Digest(nil), list(parents[0]))
	remove := func(d ecr.Digest) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, d, noon) }
	}
	for len(parents) > 0 {
		refused(t, s, meta.ErrReferenced, remove(child.Image.Digest))
		diff(t, want(child, "child"), getImage(t, s, repo, child.Image.Digest))
		update(t, s, remove(parents[0]))
		parents = parents[1:]
	}
	update(t, s, remove(child.Image.Digest))
}

// listedChildren: the entries of all indexes of a repository, page by page.
func listedChildren(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	var all []meta.Child
	for i := range 4 {
		m := manifestOf(repo, fmt.Sprint("index", i))
		m.Sparse = true
		for n := range i {
			m.Children = append(m.Children, digest(n), digest(n))
			all = append(all, meta.Child{Index: m.Image.Digest, Image: digest(n)})
		}
		insertImage(t, s, m)
	}
	elsewhere := manifestOf(neighbour, "index")
	elsewhere.Children, elsewhere.Sparse = []ecr.Digest{digest(1)}, true
	insertImage(t, s, elsewhere)
	slices.SortFunc(all, func(a, b meta.Child) int {
		if c := cmpString(a.Index, b.Index); c != 0 {
			return c
		}
		return cmpString(a.Image, b.Image)
	})
	of := map[ecr.Digest][]ecr.Digest{}
	for _, c := range all {
		of[c.Index] = append(of[c.Index], c.Image)
	}
	for size := 1; size <= len(all)+1; size++ {
		diff(t, of, read(t, s, func(ctx context.Context, r meta.Reader) (map[ecr.Digest][]ecr.Digest, error) {
			return meta.Children(ctx, r, repo, size)
		}))
	}
	diff(t, all[1:4], read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Child, error) {
		return r.ListChildren(ctx, repo, all[0], 3)
	}))
}

// sparseIndexes: a child that is not there is no obstacle, and is guarded from
// when it comes.
func sparseIndexes(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	here, later := newImage(t, s, repo, "here"), manifestOf(repo, "later")
	newImage(t, s, neighbour, "later") // another repository's is none of ours
	index := manifestOf(repo, "index")
	index.Children = []ecr.Digest{later.Image.Digest, here.Image.Digest, later.Image.Digest}
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, index) })
	index.Sparse = true
	insertImage(t, s, index)
	diff(t, want(index), getImage(t, s, repo, index.Image.Digest))

	remove := func(d ecr.Digest) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, d, noon) }
	}
	refused(t, s, meta.ErrNotFound, remove(later.Image.Digest))
	refused(t, s, meta.ErrReferenced, remove(here.Image.Digest))
	insertImage(t, s, later)
	refused(t, s, meta.ErrReferenced, remove(later.Image.Digest))
	diff(t, []ecr.Digest{index.Image.Digest}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.Parents(ctx, repo, later.Image.Digest)
	}))
	update(t, s, remove(index.Image.Digest))
	update(t, s, remove(later.Image.Digest))
	update(t, s, remove(here.Image.Digest))

	// Blobs must be there all the same.
	index.Blobs = []ecr.Digest{digest("unknown")}
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, index) })
	index.Blobs = nil
	insertImage(t, s, index)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
}

func referrers(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	subject := digest("subject") // need not be there
	var all []meta.Manifest
	for i := range 5 {
		m := manifestOf(repo, fmt.Sprint("sbom", i))
		m.Image.Subject, m.Annotations = subject, map[string]string{"i": fmt.Sprint(i)}
		insertImage(t, s, m, ecr.Tag(fmt.Sprint("t", i)))
		m = want(m, ecr.Tag(fmt.Sprint("t", i)))
		m.Body = nil
		all = append(all, m)
	}
	newImage(t, s, repo, "plain")
	elsewhere := manifestOf(neighbour, "elsewhere")
	elsewhere.Image.Subject = subject
	insertImage(t, s, elsewhere)

	slices.SortFunc(all, func(x, y meta.Manifest) int { return cmpString(x.Image.Digest, y.Image.Digest) })
	list := func(subject, after ecr.Digest, limit int) []meta.Manifest {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
			return r.ListReferrers(ctx, repo, subject, after, limit)
		})
	}
	diff(t, all, list(subject, "", 10))
	diff(t, all[:2], list(subject, "", 2))
	diff(t, all[2:], list(subject, all[1].Image.Digest, 10))
	diff(t, []meta.Manifest(nil), list(digest("other"), "", 10))
	diff(t, []meta.Manifest(nil), list("", "", 10))
}

// bodies come back byte for byte: no bytes, any bytes, 4 MiB of them.
func bodies(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(i * i >> 3)
	}
	for name, body := range map[string][]byte{
		"big": big, "zeros": make([]byte, 100), "not UTF-8": {0xff, 0xfe, 0, 0xc3, 0x28}, "one": {0},
	} {
		m := manifestOf(repo, name)
		m.Body = body
		insertImage(t, s, m)
		if got := getImage(t, s, repo, m.Image.Digest).Body; !slices.Equal(got, body) {
			t.Errorf("%s: %d bytes came back as %d others", name, len(body), len(got))
		}
	}
	m := manifestOf(repo, "empty")
	m.Body = nil
	insertImage(t, s, m)
	if got := getImage(t, s, repo, m.Image.Digest).Body; len(got) != 0 {
		t.Errorf("no body came back as %q", got)
	}
}

func manyTags(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	var tags []ecr.Tag
	for i := range 1000 {
		tags = append(tags, ecr.Tag(fmt.Sprintf("tag-%04d", i)))
	}
	m := newImage(t, s, repo, "m", tags...)
	diff(t, want(m, tags...), getImage(t, s, repo, m.Image.Digest))
	diff(t, []meta.Manifest{listed(m, tags...)}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
		return r.ListManifests(ctx, repo, "", 1)
	}))
	ids := read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.ImageID, error) {
		return r.ListImageIDs(ctx, repo, ecr.ImageID{Digest: m.Image.Digest, Tag: "tag-0499"}, 1000)
	})
	if len(ids) != 500 || ids[0].Tag != "tag-0500" || ids[499].Tag != "tag-0999" {
		t.Errorf("%d ids from %v on", len(ids), ids[:1])
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, m.Image.Digest, noon) })
	if left := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.TagRow, error) { return r.ListTags(ctx, repo, "", 1) }); len(left) > 0 {
		t.Errorf("tags are left: %v", left)
	}
}

func tags(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	a, b := newImage(t, s, repo, "a").Image.Digest, newImage(t, s, repo, "b").Image.Digest
	put := func(d ecr.Digest, at time.Time, replace bool) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, repo, meta.TagRow{Tag: "v1", Digest: d, TaggedAt: at}, replace)
		}
	}
	is := func(d ecr.Digest, at time.Time) {
		t.Helper()
		diff(t, meta.TagRow{Tag: "v1", Digest: d, TaggedAt: at}, read(t, s, func(ctx context.Context, r meta.Reader) (meta.TagRow, error) {
			return r.Tag(ctx, repo, "v1")
		}))
	}
	one, two, three := noon.Add(time.Second), noon.Add(2*time.Second), noon.Add(3*time.Second)

	refused(t, s, meta.ErrReferenced, put(digest("unknown"), one, false))
	refused(t, s, meta.ErrReferenced, put(digest("unknown"), one, true))
	notFound(t, s, "tag", func(ctx context.Context, r meta.Reader) (meta.TagRow, error) { return r.Tag(ctx, repo, "v1") })

	update(t, s, put(a, one, false))
	is(a, one)
	refused(t, s, meta.ErrExists, put(b, two, false))
	refused(t, s, meta.ErrExists, put(a, two, false))
	refused(t, s, meta.ErrExists, put(digest("unknown"), two, false))
	is(a, one)
	update(t, s, put(a, two, true)) // the same digest: nothing changes
	is(a, one)
	update(t, s, put(b, two, true))
	is(b, two)
	refused(t, s, meta.ErrReferenced, put(digest("unknown"), three, true))
	is(b, two)
	update(t, s, put(a, three, true))
	is(a, three)

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.DeleteTag(ctx, repo, "v1") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	getImage(t, s, repo, a) // stays
	update(t, s, put(b, one, true))
	is(b, one)
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteTag(ctx, missing, "v1") })
}

func pulls(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	a, b := newImage(t, s, repo, "a").Image.Digest, newImage(t, s, repo, "b").Image.Digest
	pulled := func(d ecr.Digest, want time.Time) {
		t.Helper()
		if got := getImage(t, s, repo, d).Image.LastPulledAt; !got.Equal(want) {
			t.Errorf("%s: last pulled %v, want %v", d, got, want)
		}
	}
	record := func(pulls ...meta.Pull) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.RecordPulls(ctx, pulls) })
	}
	record()
	pulled(a, time.Time{})
	record(meta.Pull{Repository: repo, Digest: a, At: noon.Add(time.Hour)},
		meta.Pull{Repository: repo, Digest: digest("gone"), At: noon},
		meta.Pull{Repository: missing, Digest: a, At: noon},
		meta.Pull{Repository: repo, Digest: b, At: noon},
		meta.Pull{Repository: repo, Digest: a, At: noon})
	pulled(a, noon.Add(time.Hour))
	pulled(b, noon)
	record(meta.Pull{Repository: repo, Digest: a, At: noon.Add(-time.Hour)}, meta.Pull{Repository: repo, Digest: b, At: noon.Add(time.Microsecond)})
	pulled(a, noon.Add(time.Hour))
	pulled(b, noon.Add(time.Microsecond))

	var many []meta.Pull
	for i := range 500 {
		many = append(many, meta.Pull{Repository: repo, Digest: digest(i), At: noon})
	}
	record(many...)
}

// paging goes through every list while rows go: each row that stays comes
// exactly once.
func paging(t *testing.T, s meta.Store) {
	const n = 30
	repo := newRepository(t, s, "app")
	subject := digest("subject")
	index := make(map[ecr.Digest]int)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		var errs []error
		for i := range n {
			m := manifestOf(repo, fmt.Sprint(i))
			m.Image.Subject = subject
			index[m.Image.Digest] = i
			errs = append(errs, tx.InsertManifest(ctx, m),
				tx.PutTag(ctx, repo, meta.TagRow{Tag: ecr.Tag(fmt.Sprintf("t%02d", i)), Digest: m.Image.Digest, TaggedAt: noon}, false))
			_, err := tx.InsertRepository(ctx, repositoryNamed(ecr.RepositoryName(fmt.Sprintf("r%02d", i))))
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	// Every third image and repository goes, while the lists are read.
	done := make(chan error, 1)
	go func() {
		for i := 0; i < n; i += 3 {
			err := s.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
				r, err := tx.Repository(ctx, registry, ecr.RepositoryName(fmt.Sprintf("r%02d", i)))
				if err != nil {
					return err
				}
				return errors.Join(tx.DeleteManifest(ctx, repo, manifestOf(repo, fmt.Sprint(i)).Image.Digest, noon), tx.DeleteRepository(ctx, r.ID))
			})
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	stays := func(what string, i int, seen map[string]int) { seen[fmt.Sprint(what, i)]++ }
	seen := make(map[string]int)
	var tag ecr.Tag
	var img, ref ecr.Digest
	var id ecr.ImageID
	name := ecr.RepositoryName("r")
	for more := true; more; {
		more = false
		err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
			tags, err1 := r.ListTags(ctx, repo, tag, 2)
			images, err2 := r.ListManifests(ctx, repo, img, 2)
			refs, err3 := r.ListReferrers(ctx, repo, subject, ref, 2)
			ids, err4 := r.ListImageIDs(ctx, repo, id, 2)
			repos, err5 := r.ListRepositories(ctx, registry, name, 2)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				return err
			}
			for _, row := range tags {
				tag, more = row.Tag, true
				stays("tag", index[row.Digest], seen)
			}
			for _, m := range images {
				img, more = m.Image.Digest, true
				stays("image", index[img], seen)
			}
			for _, m := range refs {
				ref, more = m.Image.Digest, true
				stays("referrer", index[ref], seen)
			}
			for _, pair := range ids {
				id, more = pair, true
				stays("id", index[pair.Digest], seen)
			}
			for _, row := range repos {
				var i int
				if _, err := fmt.Sscanf(string(row.Name), "r%d", &i); err != nil {
					return err
				}
				name, more = row.Name, true
				stays("repository", i, seen)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatalf("deleting: %v", err)
	}
	for _, what := range []string{"tag", "image", "referrer", "id", "repository"} {
		for i := range n {
			got := seen[fmt.Sprint(what, i)]
			if got > 1 || got == 0 && i%3 != 0 {
				t.Errorf("%s %d came %d times", what, i, got)
			}
		}
	}
}
