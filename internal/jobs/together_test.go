package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// together is how long TestEverythingTogether runs on each database; the
// release run gives it minutes.
var together = flag.Duration("together", 3*time.Second, "how long TestEverythingTogether runs on each database")

// Pushes, pulls, deletions, mounts, restores, purges, lifecycle runs and
// collections at once, in two processes' worth of registries. Nothing that was
// acknowledged and is there is ever broken; images that no one deletes can be
// pulled at every moment, though they share their layers with others; and in
// the end every image is whole and the disk holds exactly what is referred to.
func TestEverythingTogether(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) { newCrowd(t, database(t), nil).together(t) })
	}
	// The second process knows the first by the database and the files only.
	t.Run("replicas", func(t *testing.T) {
		url := pgtest.Start(t)
		var stores [2]meta.Store
		for i := range stores {
			s, err := postgres.Open(context.Background(), postgres.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			stores[i] = s
		}
		t.Cleanup(func() { // when nothing uses it any longer
			if err := stores[1].Close(); err != nil {
				t.Error(err)
			}
		})
		newCrowd(t, stores[0], stores[1]).together(t)
	})
}

func (w *crowd) together(t *testing.T) {
	// The collector gives a push 20 ms between two of its steps. On a slow
	// machine none may succeed later.
	for w.nothingKept() {
		if err := w.push(t.Context(), w.processes[0]); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), *together)
	defer cancel()
	var g sync.WaitGroup
	for _, job := range crowdJobs {
		for i := range job.workers {
			g.Go(func() {
				for first := true; first || ctx.Err() == nil && !t.Failed(); first = false {
					// What is begun is done whole: what it acknowledges is to be
					// verified.
					if err := job.do(w, t.Context(), w.processes[i%len(w.processes)]); err != nil {
						t.Errorf("%s: %v", job.name, err)
					}
					w.done.count(job.name)
					time.Sleep(job.rest)
				}
			})
		}
	}
	g.Wait()
	t.Logf("done: %v", w.done.n)
	for _, job := range crowdJobs {
		t.Run(job.name, func(t *testing.T) {
			if w.done.n[job.name] == 0 {
				t.Errorf("%s was never done", job.name)
			}
		})
	}
	w.verify(ctx)
}

// crowdJob is something that workers do again and again.
type crowdJob struct {
	name    string
	workers int
	rest    time.Duration // between two times, so that there is something to do
	do      func(*crowd, context.Context, *testkit.World) error
}

var crowdJobs = []crowdJob{
	{"push", 6, 0, (*crowd).push},
	{"pull", 2, 5 * time.Millisecond, (*crowd).pull},
	{"delete", 1, 20 * time.Millisecond, (*crowd).delete},
	{"restore", 1, 20 * time.Millisecond, (*crowd).restore},
	{"purge", 1, 50 * time.Millisecond, (*crowd).purge},
	{"recreate", 1, 100 * time.Millisecond, (*crowd).recreate},
	{"lifecycle", 1, 100 * time.Millisecond, (*crowd).runLifecycle},
	{"collect", 2, 5 * time.Millisecond, (*crowd).collect},
}

// tally counts what was done.
type tally struct {
	mu sync.Mutex
	n  map[string]int // guarded by mu
}

func (c *tally) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what]++
}

// crowd is many clients of one store.
type crowd struct {
	*testkit.World // for a look at the store
	processes      []*testkit.World
	ahead          atomic.Int64 // of the image clock
	done           tally
	kept           sync.Map // digests of images that no one deletes, in the repository kept
}

const (
	crowdKept    = "kept"
	crowdScratch = "scratch"
)

var crowdRepos = []string{"one", "two", crowdScratch, crowdKept}

// newCrowd has two processes on the same stores or, with another connection to the
// database, two replicas.
func newCrowd(t *testing.T, m, other meta.Store) *crowd {
	t.Helper()
	w := &crowd{done: tally{n: map[string]int{}}}
	w.World = testkit.OpenOn(t, testkit.Settings{
		Compat: registry.CompatOCI, Clock: func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) },
		// So short that collection and pushes meet all the time.
		RecycleTime: 300 * time.Millisecond, BlobGrace: 20 * time.Millisecond,
	}, m)
	w.processes = []*testkit.World{w.World, w.With(func(*testkit.Settings) {})}
	if other != nil {
		w.processes[1] = w.Replica(func(s *testkit.Settings) { s.Between, s.Replica = other, "other" }, nil)
	}
	for _, name := range crowdRepos {
		w.Repo(name, ecr.Mutable)
	}
	for _, name := range crowdRepos[:3] {
		if _, err := w.SetLifecyclePolicy(t.Context(), testkit.At(name), crowdPolicy); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

const crowdPolicy = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":6},"action":{"type":"expire"}}]}`

// expected is nil for errors that a client may get while others delete what it
// works on.
func expected(err error) error {
	switch ecr.CodeOf(err) {
	case ecr.CodeImageNotFound, ecr.CodeLayersNotFound, ecr.CodeRepositoryNotFound, ecr.CodeReferencedByManifestList,
		ecr.CodeReferencedImagesNotFound, ecr.CodeUploadNotFound, ecr.CodeRepositoryAlreadyExists:
		return nil
	}
	return err
}

// push pushes an image as docker does: it asks for each blob, mounts or
// uploads those that are missing, and puts the manifest; now and then an index
// or a referrer of it. Half of the images go where they are kept.
func (w *crowd) push(ctx context.Context, p *testkit.World) error {
	c := p
	to, tag := testkit.At(crowdRepos[rand.N(3)]), ecr.Tag(fmt.Sprint("v", rand.N(8)))
	keep := rand.N(2) == 0
	if keep {
		to, tag = testkit.At(crowdKept), ecr.Tag(fmt.Sprint("v", rand.Int64()))
	}
	config := []byte(fmt.Sprintf(`{"of":%d}`, rand.N(40)))
	m := map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType}
	var layers []testkit.Desc
	blobs := map[ecr.Digest][]byte{ecr.DigestOf(config): config}
	for _, i := range rand.Perm(10)[:2] {
		layer := []byte(strings.Repeat(fmt.Sprint("layer ", i), 100))
		blobs[ecr.DigestOf(layer)] = layer
		layers = append(layers, testkit.Desc{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: ecr.DigestOf(layer), Size: len(layer)})
	}
	m["config"], m["layers"] = testkit.Desc{MediaType: "application/vnd.oci.image.config.v1+json", Digest: ecr.DigestOf(config), Size: len(config)}, layers
	for d, content := range blobs {
		if err := pushBlob(ctx, c, to, d, content); err != nil {
			return expected(err)
		}
	}
	body := testkit.JSON(m)
	bodies := [][]byte{body}
	switch rand.N(4) {
	case 0:
		bodies = append(bodies, testkit.Index(body))
	case 1:
		bodies = append(bodies, testkit.EmptyReferrer(body, "crowd"))
	}
	for i, body := range bodies {
		n := registry.NewImage{Body: body}
		if i == len(bodies)-1 {
			n.Tags = []ecr.Tag{tag}
		}
		if _, err := c.PutImage(ctx, to, n); err != nil {
			return expected(err)
		}
		if keep {
			w.kept.Store(ecr.DigestOf(body), body)
		}
	}
	return nil
}

func (w *crowd) nothingKept() bool {
	nothing := true
	w.kept.Range(func(any, any) bool {
		nothing = false
		return false
	})
	return nothing
}

func pushBlob(ctx context.Context, c *testkit.World, to ecr.Repo, d ecr.Digest, content []byte) error {
	_, err := c.StatBlob(ctx, to, d)
	if ecr.CodeOf(err) != ecr.CodeLayersNotFound {
		return err
	}
	if _, mounted, err := c.MountBlob(ctx, to, testkit.At(crowdRepos[rand.N(len(crowdRepos))]), d); err != nil || mounted {
		return err
	}
	id, err := c.StartUpload(ctx, to)
	if err != nil {
		return err
	}
	_, err = c.CompleteUpload(ctx, to, id, 0, strings.NewReader(string(content)), d)
	return err
}

// pull pulls an image with everything it refers to. Of what is kept nothing may
// be missing.
func (w *crowd) pull(ctx context.Context, p *testkit.World) error {
	f := p
	var kept [][]byte
	w.kept.Range(func(_, body any) bool {
		kept = append(kept, body.([]byte))
		return len(kept) < 20
	})
	for _, body := range kept {
		if err := f.Whole(ctx, testkit.At(crowdKept), body); err != nil {
			return fmt.Errorf("an image that is never deleted: %w", err)
		}
	}
	from := testkit.At(crowdRepos[rand.N(3)])
	ids, _, err := f.ListImages(ctx, from, "", ecr.ImageID{}, 100)
	if err != nil || len(ids) == 0 {
		return expected(err)
	}
	m, err := f.Manifest(ctx, from, ids[rand.N(len(ids))])
	if err != nil {
		return expected(err)
	}
	for _, d := range testkit.PartsOf(m.Body).Blobs() {
		if err := f.PullBlob(ctx, from, d); expected(err) != nil {
			return err
		}
	}
	return nil
}

func (w *crowd) delete(ctx context.Context, p *testkit.World) error {
	c, from := p, testkit.At(crowdRepos[rand.N(3)])
	ids, _, err := c.ListImages(ctx, from, "", ecr.ImageID{}, 100)
	if err != nil || len(ids) == 0 {
		return expected(err)
	}
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for i := range ids {
		if ids[i].Tag != "" && rand.N(2) == 0 {
			ids[i].Digest = ""
		}
	}
	_, _, err = c.BatchDeleteImage(ctx, from, ids[:min(len(ids), 3)])
	return expected(err)
}

func (w *crowd) restore(ctx context.Context, p *testkit.World) error {
	c := p
	list, _, err := c.ListBin(ctx, testkit.Home, "", 0, 1000)
	if err != nil || len(list) == 0 {
		return expected(err)
	}
	e := list[rand.N(len(list))]
	_, err = c.RestoreImage(ctx, e.Repo, e.Image.Digest)
	return expected(err)
}

func (w *crowd) purge(ctx context.Context, p *testkit.World) error {
	c := p
	from := testkit.At(crowdRepos[rand.N(3)])
	ids, _, err := c.ListImages(ctx, from, "", ecr.ImageID{}, 100)
	if err != nil || len(ids) == 0 {
		return expected(err)
	}
	_, err = c.PurgeImage(ctx, from, ids[rand.N(len(ids))].Digest, "test")
	return expected(err)
}

func (w *crowd) recreate(ctx context.Context, p *testkit.World) error {
	c, name := p, testkit.At(crowdScratch)
	if _, err := c.DeleteRepository(ctx, name, true); expected(err) != nil {
		return err
	}
	if _, err := c.CreateRepository(ctx, registry.NewRepository{Repo: name}); expected(err) != nil {
		return err
	}
	return nil
}

func (w *crowd) runLifecycle(ctx context.Context, p *testkit.World) error {
	_, err := p.RunLifecycle(ctx, testkit.At(crowdRepos[rand.N(3)]), retention.RunOptions{Force: true})
	if ecr.CodeOf(err) == ecr.CodeLifecyclePolicyNotFound {
		return nil // made again
	}
	return expected(err)
}

func (w *crowd) collect(ctx context.Context, p *testkit.World) error {
	if _, err := p.Jobs.CollectInBatches(ctx, 1+rand.N(20)); err != nil {
		return err
	}
	_, err := p.Jobs.SweepOrphans(ctx, time.Now().Add(time.Hour))
	return err
}

// verify reads everything, empties the bin, and compares the disk with what is
// referred to.
func (w *crowd) verify(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	report, err := check.Run(ctx, check.Config{Meta: w.Meta, Blobs: w.Blobs})
	if err != nil || len(report.Damaged) > 0 {
		w.T.Errorf("damaged: %+v %v", report.Damaged, err)
	}
	w.ahead.Add(int64(time.Hour))
	if _, err := w.Jobs.CollectInBatches(ctx, 3); err != nil {
		w.T.Error(err)
	}
	if _, err := w.Jobs.ExpireUploads(ctx, time.Now().Add(2*time.Hour)); err != nil {
		w.T.Error(err)
	}
	if _, err := w.Jobs.SweepOrphans(ctx, time.Now().Add(time.Hour)); err != nil {
		w.T.Error(err)
	}
	var all [][]byte
	there := map[ecr.Digest]bool{}
	for _, name := range crowdRepos {
		bodies, err := w.images(ctx, testkit.At(name))
		if err != nil {
			w.T.Fatal(err)
		}
		for _, body := range bodies {
			if err := w.Whole(ctx, testkit.At(name), body); err != nil {
				w.T.Error(err)
			}
			if name == crowdKept {
				there[ecr.DigestOf(body)] = true
			}
		}
		all = append(all, bodies...)
	}
	w.kept.Range(func(d, _ any) bool {
		if !there[d.(ecr.Digest)] {
			w.T.Errorf("the image %s, which is never deleted, is gone", d)
		}
		return true
	})
	if err := w.Exactly(ctx, all); err != nil {
		w.T.Error(err)
	}
}

// images returns the manifests of all images of a repository.
func (w *crowd) images(ctx context.Context, in ecr.Repo) ([][]byte, error) {
	var bodies [][]byte
	for after := ecr.Digest(""); ; {
		list, next, err := w.ListImageDetails(ctx, in, "", after, 500)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			m, err := w.Manifest(ctx, in, ecr.ImageID{Digest: i.Digest})
			if err != nil {
				return nil, err
			}
			bodies = append(bodies, m.Body)
		}
		if after = next; next == "" {
			return bodies, nil
		}
	}
}
