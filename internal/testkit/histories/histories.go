// Package histories holds a model of a registry next to a real one: a state machine
// that draws what clients and administrators do, and compares after each step. It runs on
// every kind of store. Tests of the project use it; nothing of it is in the binary.
package histories

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// history is the model.
type history struct {
	*testkit.World
	collectOnce func(context.Context, *testkit.World) error
	rt          *rapid.T
	repos       []ecr.Repo
	fixed       ecr.Repo // that of repos whose tags are immutable
	// live are the images of each repository, tags where its tags point, bin its
	// deleted images, oldest first; bodies every manifest ever made.
	live   map[ecr.Repo]map[ecr.Digest][]byte
	tags   map[ecr.Repo]map[ecr.Tag]ecr.Digest
	bin    map[ecr.Repo][]binned
	bodies map[ecr.Digest][]byte
}

// binned is a deleted image, with the tags that it had.
type binned struct {
	digest ecr.Digest
	tags   []ecr.Tag
}

// Check draws histories on w, a registry in OCI mode. Whatever is pushed, mounted, tagged,
// deleted, restored, purged and collected: each image that is there is whole, each tag
// points where it should, the bin has what was deleted, and in the end the store holds
// exactly what is referred to. Flags of rapid say how many histories (-rapid.checks) and
// how long (-rapid.steps). collect collects once, as w.Jobs.Collect does.
func Check(tb rapid.TB, w *testkit.World, collect func(context.Context, *testkit.World) error) {
	rapid.Check(tb, func(rt *rapid.T) {
		h := &history{World: w, rt: rt, collectOnce: collect, live: map[ecr.Repo]map[ecr.Digest][]byte{}, tags: map[ecr.Repo]map[ecr.Tag]ecr.Digest{},
			bin: map[ecr.Repo][]binned{}, bodies: map[ecr.Digest][]byte{}}
		h.clear()
		h.keeping(7*testkit.Day, testkit.Day)
		h.fixed = testkit.At("fixed")
		for _, at := range []ecr.Repo{testkit.At("one"), testkit.At("two"), h.fixed} {
			h.repos = append(h.repos, at)
			h.make(at)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"push":              h.push,
			"push an index":     h.pushIndex,
			"push a referrer":   h.pushReferrer,
			"tag":               h.tagOne,
			"untag":             h.untagOne,
			"delete":            h.deleteOne,
			"restore":           h.restoreOne,
			"purge":             h.purgeOne,
			"delete repository": h.recreate,
			"collect":           h.collectLater,
			"":                  h.check,
		})
		h.end()
	})
}

// make makes a repository of repos, and its model.
func (h *history) make(at ecr.Repo) {
	mode := ecr.Mutable
	if at == h.fixed {
		mode = ecr.Immutable
	}
	h.Repo(string(at.Name), mode)
	h.live[at], h.tags[at] = map[ecr.Digest][]byte{}, map[ecr.Tag]ecr.Digest{}
}

// keeping is another start with other times.
func (h *history) keeping(recycle, grace time.Duration) {
	h.Set(func(s *testkit.Settings) { s.RecycleTime, s.BlobGrace = recycle, grace })
}

func (h *history) collect() {
	if err := h.collectOnce(h.T.Context(), h.World); err != nil {
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

// put puts an image with a tag. Where tags are immutable and it points to another, that is
// refused, and nothing has changed.
func (h *history) put(rt *rapid.T, to ecr.Repo, body []byte) {
	tag := ecr.Tag(fmt.Sprint("v", rapid.IntRange(0, 3).Draw(rt, "tag")))
	d := ecr.DigestOf(body)
	err := h.Put(to, body, tag)
	if was := h.tags[to][tag]; to == h.fixed && was != "" && was != d {
		if ecr.CodeOf(err) != ecr.CodeImageTagAlreadyExists {
			rt.Fatalf("pushing %s with the immutable tag %s of %s: %v", d, tag, was, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	h.live[to][d], h.bodies[d], h.tags[to][tag] = body, body, d
}

// tagOne gives an image that is there another tag.
func (h *history) tagOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	h.put(rt, to, h.live[to][h.anyImage(rt, to)])
}

// untagOne removes a tag. The image stays.
func (h *history) untagOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	if len(h.tags[to]) == 0 {
		rt.Skip("no tag")
	}
	tag := rapid.SampledFrom(slices.Sorted(maps.Keys(h.tags[to]))).Draw(rt, "tag")
	if err := h.DeleteTag(h.T.Context(), to, tag); err != nil {
		rt.Fatal(err)
	}
	delete(h.tags[to], tag)
}

// tagsOf are the tags of an image.
func (h *history) tagsOf(in ecr.Repo, d ecr.Digest) (list []ecr.Tag) {
	for _, tag := range slices.Sorted(maps.Keys(h.tags[in])) {
		if h.tags[in][tag] == d {
			list = append(list, tag)
		}
	}
	return list
}

// gone moves an image to the bin.
func (h *history) gone(from ecr.Repo, d ecr.Digest) {
	tags := h.tagsOf(from, d)
	for _, tag := range tags {
		delete(h.tags[from], tag)
	}
	delete(h.live[from], d)
	h.bin[from] = append(h.bin[from], binned{d, tags})
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
	h.put(rt, to, testkit.JSON(m))
}

func (h *history) pushIndex(rt *rapid.T) {
	to := h.anyRepo(rt)
	d := h.anyImage(rt, to)
	h.put(rt, to, testkit.Index(h.live[to][d]))
}

func (h *history) pushReferrer(rt *rapid.T) {
	to := h.anyRepo(rt)
	d := h.anyImage(rt, to)
	h.put(rt, to, testkit.EmptyReferrer(h.live[to][d], ""))
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
	h.gone(to, d)
}

// unbin removes the newest entry of d.
func (h *history) unbin(from ecr.Repo, d ecr.Digest) (binned, bool) {
	for i, b := range slices.Backward(h.bin[from]) {
		if b.digest == d {
			h.bin[from] = slices.Delete(h.bin[from], i, i+1)
			return b, true
		}
	}
	return binned{}, false
}

// digests are those of the bin of a repository.
func (h *history) digests(of ecr.Repo) (list []ecr.Digest) {
	for _, b := range h.bin[of] {
		list = append(list, b.digest)
	}
	return list
}

func (h *history) restoreOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	if len(h.bin[to]) == 0 {
		rt.Skip("the bin is empty")
	}
	d := rapid.SampledFrom(h.digests(to)).Draw(rt, "binned")
	got, err := h.RestoreImage(h.T.Context(), to, d)
	if err != nil {
		rt.Fatal(err)
	}
	if got.Images[0].Digest != d {
		rt.Fatalf("restored %+v, not %s", got, d)
	}
	for _, i := range got.Images {
		was, ok := h.unbin(to, i.Digest)
		if !ok {
			rt.Fatalf("%s was restored, and was not in the bin", i.Digest)
		}
		h.live[to][i.Digest] = h.bodies[i.Digest]
		h.retag(rt, to, i, was.tags)
	}
	for _, i := range got.Images {
		for _, c := range testkit.PartsOf(h.bodies[i.Digest]).Manifests {
			if h.live[to][c.Digest] == nil && !slices.Contains(got.Missing, c.Digest) {
				rt.Fatalf("the child %s is missing, and not named", c.Digest)
			}
		}
	}
}

// retag compares the tags that came back with an image with those that it had: each is
// back, or points to another image.
func (h *history) retag(rt *rapid.T, to ecr.Repo, i retention.RestoredImage, had []ecr.Tag) {
	said := slices.Clone(i.Tags)
	for _, tag := range i.Tags {
		if other := h.tags[to][tag]; other != "" && other != i.Digest {
			rt.Fatalf("the tag %s came back with %s, and was at %s", tag, i.Digest, other)
		}
		h.tags[to][tag] = i.Digest
	}
	for _, taken := range i.Taken {
		if h.tags[to][taken.Tag] != taken.Digest {
			rt.Fatalf("the tag %s is said to be at %s, and is at %s", taken.Tag, taken.Digest, h.tags[to][taken.Tag])
		}
		said = append(said, taken.Tag)
	}
	slices.Sort(said)
	if !slices.Equal(said, had) {
		rt.Fatalf("%s had the tags %v, and %v are told of", i.Digest, had, said)
	}
}

func (h *history) purgeOne(rt *rapid.T) {
	to := h.anyRepo(rt)
	ds := h.digests(to)
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
	for _, ok := h.unbin(to, d); ok; _, ok = h.unbin(to, d) {
		n++
	}
	if got.Live != (h.live[to][d] != nil) || got.Binned != n {
		rt.Fatalf("purged %+v, want live %v and %d in the bin", got, h.live[to][d] != nil, n)
	}
	for _, tag := range h.tagsOf(to, d) {
		delete(h.tags[to], tag)
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
	for _, d := range ds {
		h.gone(to, d)
	}
	h.make(to)
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
		for tag, d := range h.tags[to] {
			if m, err := h.Manifest(h.T.Context(), to, ecr.ImageID{Tag: tag}); err != nil || m.Digest != d {
				rt.Fatalf("the tag %s of %s is at %s, want %s (%v)", tag, to.Name, m.Digest, d, err)
			}
		}
		for _, i := range list {
			if got, want := slices.Sorted(slices.Values(i.Tags)), h.tagsOf(to, i.Digest); !slices.Equal(got, want) {
				rt.Fatalf("%s of %s has the tags %v, want %v", i.Digest, to.Name, got, want)
			}
		}
		want := slices.Sorted(slices.Values(h.digests(to)))
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
