package s3

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/pgtest"
)

// pusher pushes images until the registry refuses, and knows what was acknowledged.
type pusher struct {
	done  chan struct{}
	stop  chan struct{}
	err   error             // why it ended; set before done is closed
	acked map[string]string // manifests by tag; read after done is closed
}

func startPusher(c dockerClient, repo, name string) *pusher {
	p := &pusher{done: make(chan struct{}), stop: make(chan struct{}), acked: map[string]string{}}
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
		}
	}()
	return p
}

// A move from SQLite and a folder to PostgreSQL, behind a pooler, and S3, and back,
// while a client pushes. It is killed in each of its parts, and run again: what was
// acknowledged before the end is there, and everything else is, too.
func TestMigrateKilled(t *testing.T) {
	dir := site(t)
	places := []string{
		configuration(t, dir, "first.yaml", "data: "+dir+"/first"),
		configuration(t, dir, "second.yaml", "audit: off", inDatabase(pgtest.Bouncer(t, pgtest.Start(t), 10)), inBucket(dir, newBucket(t))),
		configuration(t, dir, "third.yaml", "data: "+dir+"/third"),
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
		if out := kontor(t, dir, "admin", "migrate", "--from", from, "--to", to, "--check"); !strings.Contains(out, "Both configurations can be used.") {
			t.Errorf("%s", out)
		}
		for _, part := range []string{"blobs: ", "last blobs: ", "rows: "} {
			if !migrateUntil(t, dir, from, to, part) {
				t.Logf("way %d: the run came to its end before it was killed at %q", way, part)
			}
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
		if len(p.acked) == 0 {
			t.Error("nothing was pushed meanwhile")
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

// migrateUntil runs a migration to the end, but kills it when it says that it has come
// to a part. It returns whether it was in time.
func migrateUntil(t *testing.T, dir, from, to, part string) (killed bool) {
	t.Helper()
	cmd := exec.Command(os.Getenv("KONTOR_BIN"), "admin", "migrate", "--from", from, "--to", to, "--finish")
	cmd.Dir = dir
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	var text strings.Builder
	for lines := bufio.NewScanner(io.TeeReader(said, &text)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), part) {
			kill.Do(func() {
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Error(err)
				}
			})
		}
	}
	err = cmd.Wait()
	if err != nil && ended(err) != nil {
		t.Errorf("migrating until %q: %v\n%s", part, err, &text)
	}
	return err != nil
}
