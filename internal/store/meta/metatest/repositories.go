package metatest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func getRepository(t *testing.T, s meta.Store, in ecr.RegistryID, name ecr.RepositoryName) meta.Repository {
	t.Helper()
	return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
		return r.Repository(ctx, in, name)
	})
}

func registrySettings(t *testing.T, s meta.Store) {
	get := func(in ecr.RegistryID) meta.RegistrySettings {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.RegistrySettings, error) {
			return r.Registries().RegistrySettings(ctx, in)
		})
	}
	diff(t, meta.RegistrySettings{}, get(registry))
	for _, want := range []meta.RegistrySettings{
		{PolicyText: "{\n}", Settings: map[string]string{"BLOB_MOUNTING": "ENABLED", "": ""}},
		{PolicyText: "p"},
		{Settings: map[string]string{"a": "b"}},
		{},
	} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Registries().PutRegistrySettings(ctx, registry, want)
		})
		diff(t, want, get(registry))
		diff(t, meta.RegistrySettings{}, get(other))
	}
}

// Every registry's repositories come, those made first first.
func allRepositories(t *testing.T, s meta.Store) {
	var want []meta.Repository
	for i, name := range []ecr.RepositoryName{"z", "a", "m", "z"} {
		in := registry
		if i == 3 {
			in = other
		}
		r := meta.Repository{Registry: in, Name: name, CreatedAt: noon, Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"}}
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			r.ID, err = tx.InsertRepository(ctx, r)
			return err
		})
		want = append(want, r)
	}
	list := func(after meta.RepositoryID, limit int) []meta.Repository {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.AllRepositories(ctx, after, limit)
		})
	}
	diff(t, want, list(0, 10))
	diff(t, want[:2], list(0, 2))
	diff(t, want[2:], list(want[1].ID, 2))
	if got := append(list(want[3].ID, 10), list(0, 0)...); len(got) != 0 {
		t.Errorf("after the last, and at most none: %v", got)
	}
}

func repositories(t *testing.T, s meta.Store) {
	full := meta.Repository{
		Registry: registry, Name: "team/app", CreatedAt: noon,
		Mutability: ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"dev-*", "*"}},
		ScanOnPush: true,
		Encryption: ecr.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/x"},
		Tags:       map[string]string{"kontor:stack": "platform", "ключ": "", "": "\"\x00<>"},
		PolicyText: `{"Version":"2012-10-17"}`, LifecycleText: "{\"rules\":[]}\n",
	}
	insert := func(r meta.Repository) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) (err error) {
			r.ID, err = tx.InsertRepository(ctx, r)
			return err
		}
	}
	notFound(t, s, "before it is there", func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
		return r.Repository(ctx, registry, "team/app")
	})
	given := full
	given.ID = 99 // ignored
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		full.ID, err = tx.InsertRepository(ctx, given)
		return err
	})
	if full.ID <= 0 {
		t.Errorf("id %d, want a positive one", full.ID)
	}
	diff(t, full, getRepository(t, s, registry, "team/app"))

	refused(t, s, meta.ErrExists, insert(given))

	// Another region, another account: other registries.
	for _, in := range []ecr.RegistryID{other, {Account: "111111111111", Region: registry.Region}} {
		r := repositoryNamed("team/app")
		r.Registry = in
		update(t, s, insert(r))
		if got := getRepository(t, s, in, "team/app"); got.Registry != in || got.ID == full.ID {
			t.Errorf("in %v: got repository %d of %v", in, got.ID, got.Registry)
		}
	}
	plain := repositoryNamed("b")
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		plain.ID, err = tx.InsertRepository(ctx, plain)
		return err
	})
	all := func(after ecr.RepositoryName, limit int) []meta.Repository {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListRepositories(ctx, registry, after, limit)
		})
	}
	diff(t, []meta.Repository{plain, full}, all("", 10))
	diff(t, []meta.Repository{plain}, all("", 1))
	diff(t, []meta.Repository{full}, all("b", 10))
	diff(t, []meta.Repository(nil), all("team/app", 10))
}

func repositorySettings(t *testing.T, s meta.Store) {
	id := newRepository(t, s, "app")
	r := getRepository(t, s, registry, "app")
	set := func() {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.UpdateRepository(ctx, r) })
		diff(t, r, getRepository(t, s, registry, "app"))
	}
	r.Mutability = ecr.Mutability{Mode: ecr.MutableWithExclusion, Filters: []string{"v*"}}
	r.ScanOnPush, r.Tags, r.PolicyText, r.LifecycleText = true, map[string]string{"a": "b"}, "{}", "{ }"
	set()
	r.Mutability = ecr.Mutability{Mode: ecr.Immutable}
	r.ScanOnPush, r.Tags, r.PolicyText, r.LifecycleText = false, nil, "", ""
	set()

	// What cannot change does not.
	changed := r
	changed.Name, changed.Registry, changed.CreatedAt = "x", other, noon.Add(time.Hour)
	changed.Encryption = ecr.Encryption{Type: "KMS"}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.UpdateRepository(ctx, changed) })
	diff(t, r, getRepository(t, s, registry, "app"))

	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error {
		return tx.UpdateRepository(ctx, meta.Repository{ID: missing})
	})
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, id) })
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.UpdateRepository(ctx, r) })
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, id) })
}

// incarnations: a repository goes with all that is in it, and the next of its
// name is another.
func incarnations(t *testing.T, s meta.Store) {
	neighbour, old := newRepository(t, s, "neighbour"), newRepository(t, s, "app") // old has the highest id
	layer := newBlob(t, s, old, "layer")
	newBlob(t, s, neighbour, "layer")
	child := newImage(t, s, old, "child")
	m := manifestOf(old, "index")
	m.Blobs, m.Children = []ecr.Digest{layer}, []ecr.Digest{child.Image.Digest}
	insertImage(t, s, m, "v1")
	upload := uploadOf(old, 1)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, upload) })

	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, old) })
	id := newRepository(t, s, "app")
	if id <= old {
		t.Errorf("the new repository has id %d, the old one had %d", id, old)
	}
	for _, repo := range []meta.RepositoryID{old, id} {
		notFound(t, s, "image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
			return r.Manifest(ctx, repo, m.Image.Digest)
		})
		notFound(t, s, "tag", func(ctx context.Context, r meta.Reader) (meta.TagRow, error) { return r.Tag(ctx, repo, "v1") })
		notFound(t, s, "blob", func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, repo, layer) })
		notFound(t, s, "upload", func(ctx context.Context, r meta.Reader) (meta.Upload, error) {
			return r.Upload(ctx, repo, upload.ID)
		})
		if used := read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.BlobIsUsed(ctx, repo, layer) }); used {
			t.Errorf("repository %d: the blob is in use", repo)
		}
	}
	// The blob stays until it is swept, and others still see it.
	if n := len(read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.ListBlobs(ctx, "", 10) })); n != 1 {
		t.Errorf("%d blobs, want 1", n)
	}
	read(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, neighbour, layer) })

	// What still comes in for the old one is refused, each in its own way.
	for name, late := range map[string]func(context.Context, meta.Tx) error{
		"image":  func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, manifestOf(old, "late")) },
		"link":   func(ctx context.Context, tx meta.Tx) error { return tx.LinkBlob(ctx, old, layer, noon) },
		"upload": func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, uploadOf(old, 2)) },
		"tag": func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, old, meta.TagRow{Tag: "v1", Digest: m.Image.Digest, TaggedAt: noon}, true)
		},
	} {
		t.Run("late "+name, func(t *testing.T) { refused(t, s, meta.ErrReferenced, late) })
	}
}

// byteOrder: lists are in the order of bytes, whatever the database's own.
func byteOrder(t *testing.T, s meta.Store) {
	names := []ecr.RepositoryName{"a", "a-b", "a.b", "a/b", "a0", "a_b", "aa", "ab", "b", "z"} // '-' '.' '/' '0' '_' 'a'
	for _, i := range []int{5, 0, 9, 3, 7, 1, 8, 2, 6, 4} {
		newRepository(t, s, names[i])
	}
	var got []ecr.RepositoryName
	for after := ecr.RepositoryName(""); ; {
		page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListRepositories(ctx, registry, after, 3)
		})
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			got = append(got, r.Name)
		}
		after = got[len(got)-1]
	}
	diff(t, names, got)

	repo := getRepository(t, s, registry, "a").ID
	tagNames := []ecr.Tag{"-", ".", "0", "1.10", "1.9", "A", "B", "Z", "_", "a", "a-1", "a.1", "a1", "a_1", "b", "z"}
	shuffled := append(slices.Clone(tagNames[7:]), tagNames[:7]...)
	m := newImage(t, s, repo, "tagged", shuffled...)
	var gotTags []ecr.Tag
	for after := ecr.Tag(""); ; {
		page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.TagRow, error) {
			return r.ListTags(ctx, repo, after, 5)
		})
		if len(page) == 0 {
			break
		}
		for _, row := range page {
			gotTags = append(gotTags, row.Tag)
		}
		after = gotTags[len(gotTags)-1]
	}
	diff(t, tagNames, gotTags)
	diff(t, want(m, tagNames...), read(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, m.Image.Digest)
	}))
}

// limits: a list of nothing is empty, whatever there is.
func limits(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	newBlob(t, s, repo, "layer")
	m := newImage(t, s, repo, "v1", "v1")
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.InsertUpload(ctx, uploadOf(repo, 1)), tx.Retention().AppendJournal(ctx, entryOf(repo, "v1")))
	})
	for _, limit := range []int{0, -1} {
		err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
			lengths := make(map[string]int)
			add := func(name string, n int, err error) error { lengths[name] = n; return err }
			repos, err1 := r.ListRepositories(ctx, registry, "", limit)
			tags, err2 := r.ListTags(ctx, repo, "", limit)
			images, err3 := r.ListManifests(ctx, repo, "", limit)
			ids, err4 := r.ListImageIDs(ctx, repo, ecr.ImageID{}, limit)
			refs, err5 := r.ListReferrers(ctx, repo, m.Image.Digest, "", limit)
			blobs, err6 := r.ListBlobs(ctx, "", limit)
			uploads, err7 := r.ListUploads(ctx, noon.Add(time.Hour), limit)
			journal, err8 := r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: registry, Name: "app"}, 0, limit)
			children, err9 := r.ListChildren(ctx, repo, meta.Child{}, limit)
			err := errors.Join(add("children", len(children), err9),
				add("repositories", len(repos), err1), add("tags", len(tags), err2), add("images", len(images), err3),
				add("ids", len(ids), err4), add("referrers", len(refs), err5), add("blobs", len(blobs), err6),
				add("uploads", len(uploads), err7), add("journal", len(journal), err8))
			for name, n := range lengths {
				if n > 0 {
					t.Errorf("limit %d: %d %s", limit, n, name)
				}
			}
			return err
		})
		if err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}
