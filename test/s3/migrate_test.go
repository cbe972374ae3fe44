package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/pgtest"
)

// pusher pushes images until the registry refuses, and knows what was acknowledged.
type pusher struct {
	done  chan struct{}
	first chan struct{} // closed when one was acknowledged
	stop  chan struct{}
	err   error             // why it ended; set before done is closed
	acked map[string]string // manifests by tag; read after done is closed
}

func startPusher(c dockerClient, repo, name string) *pusher {
	p := &pusher{done: make(chan struct{}), first: make(chan struct{}), stop: make(chan struct{}), acked: map[string]string{}}
	go func() {
		defer close(p.done)
		for i := 0; ; i++ {
			select {
			case <-p.stop:
				return
			default:
			}
			tag := fmt.Sprintf("%s-%d", name, i)
			var m string
			if m, p.err = c.push(repo, tag, []byte("layer of "+tag)); p.err != nil {
				return
			}
			p.acked[tag] = m
			if i == 0 {
				close(p.first)
			}
		}
	}()
	return p
}

// A move from SQLite and a folder to PostgreSQL, behind a pooler, and S3, and back,
// while a client pushes. It is killed in each of its parts, and run again: what was
// acknowledged before the end is there, and everything else is, too.
func TestMigrateKilled(t *testing.T) {
	dir, bucket := site(t), newBucket(t)
	database := pgtest.Bouncer(t, pgtest.Start(t), 10)
	places := []string{
		configuration(t, dir, "first.yaml", "data: "+dir+"/first"),
		configuration(t, dir, "second.yaml", "audit: off", inDatabase(database), inBucket(dir, bucket)),
		configuration(t, dir, "third.yaml", "data: "+dir+"/third"),
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	h := newTrap(t, database)
	through := configuration(t, dir, "through.yaml", "audit: off", h.inDatabase(u.Path), h.inBucket(dir, bucket))
	// What is held, in either way: the first blob, and rows after others were copied. The
	// way back also when writes are being stopped, and after that.
	moments := [][]at{
		{{method: http.MethodPut}, {statement: `copy "tags"`}},
		{{method: http.MethodGet}, {statement: "EXECUTE FUNCTION refuse_moved()"}, {statement: "COUNT(*) FROM uploads"}, {statement: "FROM tags ORDER BY"}},
	}
	server := serveProcess(t, places[0])
	if _, err := apiOf(server.URL).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for i, size := range []int{0, 1, 1 << 10, 20 << 20, 100 << 10, 3 << 20} {
		tag := fmt.Sprint("v", i)
		m, err := dockerAt(t, server.URL).push("app", tag, content(uint64(i), size), []byte(tag))
		if err != nil {
			t.Fatal(err)
		}
		all[tag] = m
	}
	for way := range 2 {
		from, to := places[way], places[way+1]
		p := startPusher(dockerAt(t, server.URL), "app", fmt.Sprint("way", way))
		select {
		case <-p.first:
		case <-p.done:
			t.Fatal(p.err)
		}
		if out := kontor(t, dir, "admin", "migrate", "--from", from, "--to", to, "--check"); !strings.Contains(out, "Both configurations can be used.") {
			t.Errorf("%s", out)
		}
		ends := []string{from, to}
		ends[1-way] = through
		for _, moment := range moments[way] {
			h.killed(dir, moment, "admin", "migrate", "--from", ends[0], "--to", ends[1], "--finish")
		}
		var report struct {
			Finished bool
			Damaged  []any
		}
		out := kontor(t, dir, "admin", "migrate", "--from", from, "--to", to, "--finish", "--json")
		if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Finished || len(report.Damaged) > 0 {
			t.Fatalf("%v: %s", err, out)
		}
		<-p.done
		var refused *errAnswer
		if !errors.As(p.err, &refused) || refused.status != http.StatusServiceUnavailable {
			t.Errorf("the pusher ended with %v, want status 503", p.err)
		}
		for tag, m := range p.acked {
			all[tag] = m
		}
		// The old server reads, until it ends.
		pullAll(t, dockerAt(t, server.URL), all)
		old := server
		server = serveProcess(t, to)
		pullAll(t, dockerAt(t, server.URL), all)
		old.kill()
		if out := kontor(t, dir, "admin", "check", "--config", to); !strings.Contains(out, "Everything is whole.") {
			t.Errorf("%s", out)
		}
		p = startPusher(dockerAt(t, server.URL), "app", fmt.Sprint("after", way))
		close(p.stop)
		if <-p.done; p.err != nil {
			t.Error(p.err)
		}
	}
}

func pullAll(t *testing.T, c dockerClient, want map[string]string) {
	t.Helper()
	for tag, m := range want {
		if got, err := c.pull("app", tag); err != nil || got != m {
			t.Errorf("%s: %v\n%s\nwant %s", tag, err, got, m)
		}
	}
}
