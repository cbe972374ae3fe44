package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
	"github.com/kontor-registry/kontor/internal/store/move"
	"github.com/kontor-registry/kontor/internal/testkit/push"
)

const movedTo = "master_key_file: DIR/master.key\nadministrator_file: DIR/administrator\nregistries: [{account: \"111111111111\", region: us-east-2, compat: ecr}]\n"

// openMove opens both ends of a move.
func openMove(t *testing.T, dir, from, to string) *Move {
	t.Helper()
	a, err := load(dir, from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := load(dir, to)
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenMove(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	m.Now = time.Now
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// drawing draws other numbers each time, and says which.
func drawing(t *testing.T, stream uint64) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d", stream, seed)
	return rand.New(rand.NewPCG(stream, seed))
}

// fill pushes, moves tags and deletes, at random.
func fill(t *testing.T, c *ecr.Client, draw *rand.Rand, repos ...string) {
	t.Helper()
	for _, name := range repos {
		_, err := c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("ü")}}})
		if err != nil {
			t.Fatal(err)
		}
		var digests []string
		for i := range 4 + draw.IntN(4) {
			size := draw.IntN(50_000)
			if i == 0 {
				size += 32 << 10 // is in the blob store, whatever was drawn
			}
			layer := fmt.Sprintf("%s %d %s", name, i, strings.Repeat("x", size))
			digests = append(digests, push.To(t, c, name).Image(layer, "", fmt.Sprint("v", draw.IntN(5)), fmt.Sprint("t", i)))
		}
		push.To(t, c, name).Index("all", digests[0], digests[1])
		out, err := c.BatchDeleteImage(t.Context(), &ecr.BatchDeleteImageInput{RepositoryName: &name, ImageIds: []types.ImageIdentifier{{ImageDigest: &digests[len(digests)-1]}}})
		if err != nil || len(out.Failures) > 0 {
			t.Fatal(err, out)
		}
	}
}

// everything is what clients can read: settings, images, tags, manifests and layers.
func everything(t *testing.T, c *ecr.Client) (lines []string) {
	t.Helper()
	repos, err := c.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range repos.Repositories {
		r.RepositoryUri = nil // has the port
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
		images, err := c.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: r.RepositoryName})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range images.ImageDetails {
			d.LastRecordedPullTime = nil // reading changes it
			slices.Sort(d.ImageTags)
			line, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: r.RepositoryName, ImageIds: []types.ImageIdentifier{{ImageDigest: d.ImageDigest}}})
			if err != nil || len(got.Images) != 1 {
				t.Fatal(err, got)
			}
			body := aws.ToString(got.Images[0].ImageManifest)
			lines = append(lines, string(line), body)
			var m struct {
				Layers []struct{ Digest string }
			}
			if err := json.Unmarshal([]byte(body), &m); err != nil {
				t.Fatal(err)
			}
			for _, l := range m.Layers {
				lines = append(lines, layer(t, c, r.RepositoryName, l.Digest))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func layer(t *testing.T, c *ecr.Client, repo *string, digest string) string {
	t.Helper()
	out, err := c.GetDownloadUrlForLayer(t.Context(), &ecr.GetDownloadUrlForLayerInput{RepositoryName: repo, LayerDigest: &digest})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(aws.ToString(out.DownloadUrl))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp.Status)
	}
	return string(b)
}

// From SQLite and a folder to PostgreSQL and another folder, and back to a third one,
// while servers run: they read all the time, and write until the end. All rows and
// blobs are the same afterwards, and the old databases take no more.
func TestMoveThereAndBack(t *testing.T) {
	dir := folder(t)
	database := pgtest.Start(t)
	places := []string{
		"data: DIR/first\n", "data: DIR/second\ndatabase: {url: \"" + database + "\"}\n", "data: DIR/third\n",
	}
	draw := drawing(t, 1)
	old := serving(t, dir, places[0]+movedTo)
	fill(t, client(old, "111111111111"), draw, "aa", "team/b")
	for i := range 2 {
		c := client(old, "111111111111")
		m := openMove(t, dir, places[i]+movedTo, places[i+1]+movedTo)
		if _, err := move.Check(t.Context(), m.Config); err != nil {
			t.Fatal(err)
		}
		r, err := move.Copy(t.Context(), m.Config)
		if err != nil || r.Copied == 0 || r.Finished || len(r.Damaged) > 0 {
			t.Fatalf("%v, %+v", err, r)
		}
		fill(t, c, draw, fmt.Sprint("late/", i)) // the server takes writes as ever
		// And until the very moment in which they end.
		var want []string
		var before map[string]transfer.Sum
		m.Progress = func(p move.Progress) {
			if p.Phase == move.PhaseFence {
				fill(t, c, draw, fmt.Sprint("last/", i))
				want = everything(t, c)
			}
			if p.Phase == move.PhaseStop && before == nil { // pulls of everything may have been written down until now
				before = sums(t, m.From.Rows)
			}
		}
		r, err = move.Finish(t.Context(), m.Config)
		if err != nil || !r.Finished || r.Copied == 0 || r.Copied == r.Blobs {
			t.Fatalf("%v, %+v", err, r)
		}
		if r.Blobs < 8 || r.BlobBytes == 0 || len(r.Tables) < 20 {
			t.Errorf("%+v", r)
		}
		// It still reads, and takes no writes, whoever asks.
		if got := everything(t, c); !reflect.DeepEqual(got, want) {
			t.Errorf("the old server has\n%q\nwant\n%q", got, want)
		}
		_, err = c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("lost")}, func(o *ecr.Options) { o.RetryMaxAttempts = 1 })
		if err == nil || !strings.Contains(err.Error(), "StatusCode: 503") {
			t.Errorf("writing to the old server: %v", err)
		}
		after := sums(t, m.To.Rows)
		for _, name := range []string{"job_states", "job_leases", "uploads", "orphans"} { // of the store; of jobs that run
			delete(before, name)
			delete(after, name)
		}
		if !reflect.DeepEqual(before, after) {
			t.Errorf("rows differ:\n%v\nwant\n%v", after, before)
		}
		if _, err := move.Finish(t.Context(), m.Config); !errors.Is(err, move.ErrFinished) {
			t.Errorf("again: %v", err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		endMoved(t, old)
		refused(t, dir, places[i]+movedTo, transfer.Refusal)
		old = serving(t, dir, places[i+1]+movedTo)
		if got := everything(t, client(old, "111111111111")); !reflect.DeepEqual(got, want) {
			t.Errorf("the new server has\n%q\nwant\n%q", got, want)
		}
		fill(t, client(old, "111111111111"), draw, fmt.Sprint("new/", i)) // ids go on where they were
	}
	end(t, old)
}

// endMoved ends a server that cannot write down its last doings.
func endMoved(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil && !strings.Contains(err.Error(), transfer.Refusal) {
		t.Error(err)
	}
}

func sums(t *testing.T, d *transfer.Database) map[string]transfer.Sum {
	t.Helper()
	all, err := d.Sums(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byTable := map[string]transfer.Sum{}
	for _, s := range all {
		byTable[s.Table] = s
	}
	return byTable
}

// Each half moves alone: the database to PostgreSQL with the folder where it is, then
// the blobs to another folder with the database where it is.
func TestMoveHalves(t *testing.T) {
	dir := folder(t)
	database := "database: {url: \"" + pgtest.Start(t) + "\"}\n"
	places := []string{"data: DIR/first\n", "data: DIR/first\n" + database, "data: DIR/second\n" + database}
	draw := drawing(t, 2)
	old := serving(t, dir, places[0]+movedTo)
	c := client(old, "111111111111")
	fill(t, c, draw, "aa")
	want := everything(t, c)

	m := openMove(t, dir, places[0]+movedTo, places[1]+movedTo)
	r, err := move.Finish(t.Context(), m.Config)
	if err != nil || !r.Finished || r.Blobs != 0 || len(r.Tables) == 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	endMoved(t, old)
	old = serving(t, dir, places[1]+movedTo)
	if got := everything(t, client(old, "111111111111")); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}

	m = openMove(t, dir, places[1]+movedTo, places[2]+movedTo)
	if _, err := m.Stop(t.Context()); err == nil {
		t.Error("the blobs move while a server writes to the old folder")
	}
	end(t, old)
	if sure, err := m.Stop(t.Context()); err != nil || !sure {
		t.Fatal(sure, err)
	}
	r, err = move.Finish(t.Context(), m.Config)
	if err != nil || !r.Finished || r.Blobs == 0 || len(r.Tables) != 0 {
		t.Fatalf("%v, %+v", err, r)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, dir, places[1]+movedTo, "the database belongs to the blob store with installation id")
	old = serving(t, dir, places[2]+movedTo)
	if got := everything(t, client(old, "111111111111")); !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	end(t, old)
}

// What cannot be moved is refused before anything is changed.
func TestMoveRefused(t *testing.T) {
	dir := folder(t)
	first, second := "data: DIR/first\n"+movedTo, "data: DIR/second\n"+movedTo
	s := serving(t, dir, first)
	fill(t, client(s, "111111111111"), rand.New(rand.NewPCG(3, 4)), "aa")
	defer end(t, s)
	other := serving(t, dir, second)
	fill(t, client(other, "111111111111"), rand.New(rand.NewPCG(5, 6)), "bb")
	end(t, other)
	// damaged is a blob of the first folder.
	var damaged string
	files, err := filepath.Glob(filepath.Join(dir, "first/blobs/blobs/*/*"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	damaged = files[0]

	for name, tt := range map[string]struct{ to, want string }{
		"another registry": {second, "the database has data already"},
		"the same":         {first, "the database and the blob store are the same as before"},
	} {
		t.Run(name, func(t *testing.T) {
			m := openMove(t, dir, first, tt.to)
			if _, err := move.Finish(t.Context(), m.Config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			writable(t, s)
		})
	}
	t.Run("another key", func(t *testing.T) {
		a, err := load(dir, first)
		if err != nil {
			t.Fatal(err)
		}
		b, err := load(folder(t), "data: DIR/x\n"+movedTo)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := OpenMove(t.Context(), a, b); err == nil || !strings.Contains(err.Error(), "different master keys") {
			t.Error(m, err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		content, err := os.ReadFile(damaged)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(damaged, content[1:], 0o600); err != nil {
			t.Fatal(err)
		}
		m := openMove(t, dir, first, "data: DIR/third\n"+movedTo)
		r, err := move.Finish(t.Context(), m.Config)
		if !errors.Is(err, move.ErrDamaged) || len(r.Damaged) != 1 || string(r.Damaged[0].Key) != filepath.Base(damaged) {
			t.Errorf("%v, %+v", err, r)
		}
		writable(t, s)
		m.LeaveDamaged = true
		if r, err = move.Finish(t.Context(), m.Config); err != nil || len(r.Damaged) != 1 || !r.Finished {
			t.Errorf("%v, %+v", err, r)
		}
		if err := move.Cancel(t.Context(), m.From.Rows); err != nil {
			t.Error(err)
		}
		writable(t, s)
	})
}

// A move that is cancelled while it finishes has moved nothing, and can be run again. So
// has one in whose place another one has stopped writes.
func TestMoveCancelledMeanwhile(t *testing.T) {
	database := "database: {url: \"" + pgtest.Start(t) + "\"}\n"
	for name, tt := range map[string]struct {
		from, to string
		when     func(move.Progress) bool
		again    bool // another run stops writes, too
	}{
		"SQLite":                {"data: DIR/first\n", "data: DIR/second\n", func(p move.Progress) bool { return p.Phase == move.PhaseRows && p.Table != "" }, false},
		"SQLite, another begun": {"data: DIR/first\n", "data: DIR/second\n", func(p move.Progress) bool { return p.Phase == move.PhaseStop }, true},
		"PostgreSQL":            {"data: DIR/first\n" + database, "data: DIR/second\n", func(p move.Progress) bool { return p.Phase == move.PhaseStop }, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			s := serving(t, dir, tt.from+movedTo)
			defer endMoved(t, s)
			fill(t, client(s, "111111111111"), rand.New(rand.NewPCG(9, 10)), "aa")
			m := openMove(t, dir, tt.from+movedTo, tt.to+movedTo)
			cancelled := false
			m.Progress = func(p move.Progress) {
				if cancelled || !tt.when(p) {
					return
				}
				cancelled = true
				if err := move.Cancel(t.Context(), m.From.Rows); err != nil {
					t.Error(err)
				}
				writable(t, s)
				if tt.again {
					if _, err := m.From.Rows.Fence(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
			if r, err := move.Finish(t.Context(), m.Config); !errors.Is(err, transfer.ErrLifted) || r.Finished || !cancelled {
				t.Errorf("%v, %+v", err, r)
			}
			if empty, err := m.To.Rows.Empty(t.Context()); err != nil || !empty {
				t.Errorf("%v, empty %v", err, empty)
			}
			if r, err := move.Finish(t.Context(), m.Config); err != nil || !r.Finished {
				t.Errorf("%v, %+v", err, r)
			}
		})
	}
	t.Run("blobs", func(t *testing.T) {
		dir := folder(t)
		database := "database: {url: \"" + pgtest.Start(t) + "\"}\n"
		from, to := "data: DIR/first\n"+database+movedTo, "data: DIR/third\n"+database+movedTo
		s := serving(t, dir, from)
		fill(t, client(s, "111111111111"), rand.New(rand.NewPCG(9, 10)), "aa")
		end(t, s)
		m := openMove(t, dir, from, to)
		m.Progress = func(p move.Progress) {
			if p.Phase != move.PhaseChange {
				return
			}
			if err := move.Cancel(t.Context(), m.From.Rows); err != nil {
				t.Error(err)
			}
		}
		if r, err := move.Finish(t.Context(), m.Config); !errors.Is(err, transfer.ErrLifted) || r.Finished {
			t.Errorf("%v, %+v", err, r)
		}
		m.Progress = nil
		if r, err := move.Finish(t.Context(), m.Config); err != nil || !r.Finished {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

var writes int

func writable(t *testing.T, s *Server) {
	t.Helper()
	writes++
	create(t, client(s, "111111111111"), fmt.Sprint("writable/", writes))
}

// A copy that finds something else at its destination than it wrote fails, and leaves
// nothing.
func TestCopyIsCompared(t *testing.T) {
	dir := folder(t)
	s := serving(t, dir, "data: DIR/first\n"+movedTo)
	fill(t, client(s, "111111111111"), rand.New(rand.NewPCG(7, 8)), "aa")
	defer end(t, s)
	m := openMove(t, dir, "data: DIR/first\n"+movedTo, "data: DIR/second\n"+movedTo)
	_, err := m.To.Rows.DB.ExecContext(context.Background(), "CREATE TRIGGER wrong AFTER INSERT ON tags BEGIN UPDATE tags SET tagged_at = tagged_at + 1 WHERE tag = NEW.tag; END")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := move.Finish(t.Context(), m.Config); err == nil || !strings.Contains(err.Error(), "copying table tags: the copy has") {
		t.Errorf("%v", err)
	}
	if empty, err := m.To.Rows.Empty(t.Context()); err != nil || !empty {
		t.Errorf("%v, empty %v", err, empty)
	}
	if _, err := m.To.Rows.DB.ExecContext(context.Background(), "DROP TRIGGER wrong"); err != nil {
		t.Fatal(err)
	}
	if r, err := move.Finish(t.Context(), m.Config); err != nil || r.Copied != 0 || r.Blobs == 0 {
		t.Errorf("%v, %+v", err, r)
	}
}
