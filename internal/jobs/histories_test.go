package jobs_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// history is a model of a registry next to the real one.
type history struct {
	*testkit.World
	rt    *rapid.T
	repos []ecr.Repo
	// live are the images of each repository, bin the digests of its deleted
	// ones, oldest first; bodies every manifest ever made.
	live   map[ecr.Repo]map[ecr.Digest][]byte
	bin    map[ecr.Repo][]ecr.Digest
	bodies map[ecr.Digest][]byte
}

// Whatever is pushed, mounted, deleted, restored, purged and collected: each
// image that is there is whole, the bin has what was deleted, and in the end
// the disk holds exactly what is referred to.
func TestHistories(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI}, database(t))
			rapid.Check(t, func(rt *rapid.T) {
				h := &history{World: f, rt: rt, live: map[ecr.Repo]map[ecr.Digest][]byte{}, bin: map[ecr.Repo][]ecr.Digest{},
					bodies: map[ecr.Digest][]byte{}}
				h.clear()
				h.keeping(7*testkit.Day, testkit.Day)
				for _, name := range []string{"one", "two"} {
					h.repos = append(h.repos, f.Repo(name, ecr.Mutable))
					h.live[testkit.At(name)] = map[ecr.Digest][]byte{}
				}
				rt.Repeat(map[string]func(*rapid.T){
					"push":              h.push,
					"push an index":     h.pushIndex,
					"push a referrer":   h.pushReferrer,
					"delete":            h.deleteOne,
					"restore":           h.restoreOne,
					"purge":             h.purgeOne,
					"delete repository": h.recreate,
					"collect":           h.collectLater,
					"":                  h.check,
				})
				h.end()
			})
		})
	}
}

// keeping is another start with other times.
func (h *history) keeping(recycle, grace time.Duration) {
	h.Set(func(s *testkit.Settings) { s.RecycleTime, s.BlobGrace = recycle, grace })
}

// collect collects in batches of three.
func (h *history) collect() {
	if _, err := h.Jobs.CollectInBatches(h.T.Context(), 3); err != nil {
		h.rt.Fatal(err)
	}
}

// clear empties the registry, whatever the last history left.
func (h *history) clear() {
	h.keeping(0, 0)
	repos, _, err := h.ListRepositories(h.T.Context(), testkit.Home, "", 100)
	if err != nil {
		h.T.Fatal(err)
	}
	for _, r := range repos {
		if _, err := h.DeleteRepository(h.T.Context(), r.Repo, true); err != nil {
			h.T.Fatal(err)
		}
	}
	h.Advance(30 * testkit.Day)
	h.collect()
	if err := h.Exactly(h.T.Context(), nil); err != nil {
		h.rt.Fatal(err)
	}
}

func (h *history) anyRepo(rt *rapid.T) ecr.Repo {
	return rapid.SampledFrom(h.repos).Draw(rt, "repository")
}

// anyImage draws a live image; there must be one.
func (h *history) anyImage(rt *rapid.T, in ecr.Repo) ecr.Digest {
	if len(h.live[in]) == 0 {
		rt.Skip("no image")
	}
	var ds []ecr.Digest
	for d := range h.live[in] {
		ds = append(ds, d)
	}
	slices.Sort(ds)
	return rapid.SampledFrom(ds).Draw(rt, "image")
}

func (h *history) put(to ecr.Repo, body []byte, tag int) {
	d := h.MustPut(to, body, ecr.Tag(fmt.Sprint("v", tag)))
	h.live[to][d], h.bodies[d] = body, body
}

func (h *history) push(rt *rapid.T) {
	to := h.anyRepo(rt)
	config := []byte(fmt.Sprintf(`{"of":%d}`, rapid.IntRange(0, 3).Draw(rt, "config")))
	layers := rapid.SliceOfNDistinct(rapid.IntRange(0, 3), 1, 2, rapid.ID).Draw(rt, "layers")
	m := map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType,
		"config": testkit.Desc{MediaType: testkit.ConfigType, Digest: h.Blob(to, config), Size: len(config)}}
	var list []testkit.Desc
	for _, i := range layers {
		layer := []byte(fmt.Sprint("layer ", i))
		d := ecr.DigestOf(layer)
		mounted := false
		if rapid.Bool().Draw(rt, "mount") {
			var err error
			if _, mounted, err = h.MountBlob(h.T.Context(), to, h.anyRepo(rt), d); err != nil {
				rt.Fatal(err)
			}
		}
		if !mounted {
			h.Blob(to, layer)
		}
		list = append(list, testkit.Desc{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: len(layer)})
	}
	m["layers"] = list
	h.put(to, testkit.JSON(m), rapid.IntRange(0, 3).Draw(rt, "tag"))
}

func (h *history) pushIndex(rt *rapid.T) {
	to := h.anyRepo(rt)
	d := h.anyImage(rt, to)
	h.put(to, testkit.Index(h.live[to][d]), rapid.IntRange(0, 3).Draw(rt, "tag"))
}

func (h *history) pushReferrer(rt *rapid.T) {
	to := h.anyRepo(rt)
	d := h.anyImage(rt, to)
	h.put(to, testkit.EmptyReferrer(h.live[to][d], ""), rapid.IntRange(0, 3).Draw(rt, "tag"))
}

// listed reports whether an index of the repository lists d.
func (h *history) listed(in ecr.Repo, d ecr.Digest) bool {
	for _, body := range h.live[in] {
		if slices.ContainsFunc(testkit.PartsOf(body).Manifests, func(c testkit.Desc) bool { return c.Digest == d }) {
			return true
		}
	}
	return false
}

func (h *history) deleteOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	d := h.anyImage(rt, to)
	err := h.DeleteManifest(h.T.Context(), to, d)
	if h.listed(to, d) {
		if ecr.CodeOf(err) != ecr.CodeReferencedByManifestList {
			rt.Fatalf("deleting a listed image: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	delete(h.live[to], d)
	h.bin[to] = append(h.bin[to], d)
}

// unbin removes the newest entry of d.
func (h *history) unbin(from ecr.Repo, d ecr.Digest) bool {
	for i, b := range slices.Backward(h.bin[from]) {
		if b == d {
			h.bin[from] = slices.Delete(h.bin[from], i, i+1)
			return true
		}
	}
	return false
}

func (h *history) restoreOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	if len(h.bin[to]) == 0 {
		rt.Skip("the bin is empty")
	}
	d := rapid.SampledFrom(h.bin[to]).Draw(rt, "binned")
	got, err := h.RestoreImage(h.T.Context(), to, d)
	if err != nil {
		rt.Fatal(err)
	}
	if got.Images[0].Digest != d {
		rt.Fatalf("restored %+v, not %s", got, d)
	}
	for _, i := range got.Images {
		if !h.unbin(to, i.Digest) {
			rt.Fatalf("%s was restored, and was not in the bin", i.Digest)
		}
		h.live[to][i.Digest] = h.bodies[i.Digest]
	}
	for _, i := range got.Images {
		for _, c := range testkit.PartsOf(h.bodies[i.Digest]).Manifests {
			if h.live[to][c.Digest] == nil && !slices.Contains(got.Missing, c.Digest) {
				rt.Fatalf("the child %s is missing, and not named", c.Digest)
			}
		}
	}
}

func (h *history) purgeOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	ds := slices.Clone(h.bin[to])
	for d := range h.live[to] {
		ds = append(ds, d)
	}
	if len(ds) == 0 {
		rt.Skip("nothing to purge")
	}
	slices.Sort(ds)
	d := rapid.SampledFrom(ds).Draw(rt, "image")
	got, err := h.PurgeImage(h.T.Context(), to, d, "test")
	if h.live[to][d] != nil && h.listed(to, d) {
		if ecr.CodeOf(err) != ecr.CodeReferencedByManifestList {
			rt.Fatalf("purging a listed image: %v", err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	n := 0
	for h.unbin(to, d) {
		n++
	}
	if got.Live != (h.live[to][d] != nil) || got.Binned != n {
		rt.Fatalf("purged %+v, want live %v and %d in the bin", got, h.live[to][d] != nil, n)
	}
	delete(h.live[to], d)
}

func (h *history) recreate(rt *rapid.T) {
	to := h.anyRepo(rt)
	if _, err := h.DeleteRepository(h.T.Context(), to, true); err != nil {
		rt.Fatal(err)
	}
	var ds []ecr.Digest
	for d := range h.live[to] {
		ds = append(ds, d)
	}
	slices.Sort(ds) // as they go
	h.bin[to] = append(h.bin[to], ds...)
	h.live[to] = map[ecr.Digest][]byte{}
	h.Repo(string(to.Name), ecr.Mutable)
}

// collectLater collects when some hours have passed: never a week in all, so
// that nothing in the bin expires.
func (h *history) collectLater(rt *rapid.T) {
	h.Advance(time.Duration(rapid.IntRange(0, 30).Draw(rt, "hours")) * testkit.Hour / 10)
	h.keeping(7*testkit.Day, time.Duration(rapid.IntRange(0, 1).Draw(rt, "grace"))*testkit.Hour)
	h.collect()
}

func (h *history) check(rt *rapid.T) {
	for _, to := range h.repos {
		list, _, err := h.ListImageDetails(h.T.Context(), to, "", "", 1000)
		if err != nil || len(list) != len(h.live[to]) {
			rt.Fatalf("%s has %d images, want %d (%v)", to.Name, len(list), len(h.live[to]), err)
		}
		for _, body := range h.live[to] {
			if err := h.Whole(h.T.Context(), to, body); err != nil {
				rt.Fatal(err)
			}
		}
		want := slices.Sorted(slices.Values(h.bin[to]))
		if got := slices.Sorted(slices.Values(h.Binned(to.Name))); !slices.Equal(got, want) {
			rt.Fatalf("in the bin of %s: %v, want %v", to.Name, got, want)
		}
	}
}

// end empties the bin, and compares what is left with what is referred to.
func (h *history) end() {
	h.Advance(8 * testkit.Day)
	h.collect()
	var all [][]byte
	for _, images := range h.live {
		for _, body := range images {
			all = append(all, body)
		}
	}
	clear(h.bin)
	h.check(h.rt)
	if err := h.Exactly(h.T.Context(), all); err != nil {
		h.rt.Fatal(err)
	}
}
