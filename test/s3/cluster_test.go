package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/test/cluster"
)

// replicas are processes of kontor serve on one database, behind a pooler, and one
// bucket, with a load balancer before them.
type replicas struct {
	*cluster.Balancer
	dir, config string
	all         []*process
}

func startCluster(t *testing.T, lines ...string) *replicas {
	t.Helper()
	dir := site(t)
	r := &replicas{dir: dir}
	r.config = configuration(t, dir, "serve.yaml", append(lines, `audit: "off"`, "trusted_proxies: [127.0.0.0/8]",
		inDatabase(pgtest.Bouncer(t, pgtest.Start(t), 10)), inBucket(dir, newBucket(t)))...)
	r.all = []*process{serveProcess(t, r.config), serveProcess(t, r.config)}
	var err error
	if r.Balancer, err = cluster.Balance(r.all[0].URL, r.all[1].URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// adminOf is admin for a goroutine, which may not end the test.
func (r *replicas) adminOf(url string, args ...string) (string, error) {
	return tryKontor(r.dir, append(args, "--endpoint", url, "--region", "us-east-2")...)
}

// admin runs an administrator's command at an address.
func (r *replicas) admin(t *testing.T, url string, args ...string) string {
	t.Helper()
	return kontor(t, r.dir, append(args, "--endpoint", url, "--region", "us-east-2")...)
}

// One replica is killed while clients push and pull through both. What was acknowledged
// is there, and no client saw anything but errors of the moment.
func TestReplicaKilled(t *testing.T) {
	r := startCluster(t)
	if _, err := apiOf(r.URL).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	c := dockerAt(t, r.URL)
	const clients, each = 4, 12
	var all sync.WaitGroup
	var mu sync.Mutex
	acked, failed := map[string]string{}, 0 // guarded by mu
	half := make(chan struct{})             // closed when about half is pushed
	for i := range clients {
		all.Go(func() {
			for k := range each {
				tag := fmt.Sprintf("c%d-%d", i, k)
				var m string
				var err error
				for deadline := time.Now().Add(time.Minute); ; {
					m, err = c.push("app", tag, content(uint64(i*each+k), 200<<10))
					var answer *errAnswer
					if err == nil || time.Now().After(deadline) || errors.As(err, &answer) && answer.status < 500 && answer.status != http.StatusNotFound {
						break
					}
					mu.Lock()
					failed++
					mu.Unlock()
				}
				if err != nil {
					t.Errorf("%s: %v", tag, err)
					return
				}
				mu.Lock()
				acked[tag] = m
				if len(acked) == clients*each/2 {
					close(half)
				}
				mu.Unlock()
				if got, err := c.pull("app", tag); err == nil && got != m {
					t.Errorf("%s is %s, want %s", tag, got, m)
				}
			}
		})
	}
	select {
	case <-half:
		r.all[0].kill()
		if err := r.Set(r.all[1].URL); err != nil {
			t.Error(err)
		}
	case <-time.After(2 * time.Minute):
		t.Error("the pushes do not come")
	}
	all.Wait()
	r.all[0] = serveProcess(t, r.config)
	if err := r.Set(r.all[0].URL, r.all[1].URL); err != nil {
		t.Fatal(err)
	}
	pullAll(t, c, acked)
	if len(acked) != clients*each {
		t.Errorf("%d pushes of %d, %d tried again", len(acked), clients*each, failed)
	}
	if out := kontor(t, r.dir, "admin", "check", "--config", r.config); !strings.Contains(out, "Everything is whole.") {
		t.Errorf("%s", out)
	}
}

// What is revoked at one replica is refused by the next request at the other: a policy,
// an access key, and with it the docker passwords.
func TestRevokedAtTheOther(t *testing.T) {
	r := startCluster(t)
	here, there := r.all[0].URL, r.all[1].URL
	if _, err := apiOf(here).CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	if _, err := dockerAt(t, here).push("app", "v1", []byte("layer")); err != nil {
		t.Fatal(err)
	}
	var key struct {
		AccessKeyID     string `json:"id"`
		SecretAccessKey string `json:"secret_access_key"`
	}
	out := r.admin(t, here, "admin", "user", "create", "ci", "--policy", "AmazonEC2ContainerRegistryPowerUser", "--json")
	if err := json.Unmarshal([]byte(out), &key); err != nil || key.SecretAccessKey == "" {
		t.Fatalf("%v: %s", err, out)
	}
	c := dockerOf(t, there, key.AccessKeyID, key.SecretAccessKey)
	for i := range 3 { // what the replica remembers is remembered by now
		if _, err := c.pull("app", "v1"); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := apiOf(here).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"),
		PolicyText: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage"}]}`)}); err != nil {
		t.Fatal(err)
	}
	refused(t, c, http.StatusForbidden)
	if _, err := apiOf(here).DeleteRepositoryPolicy(t.Context(), &ecr.DeleteRepositoryPolicyInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.pull("app", "v1"); err != nil {
		t.Fatal(err)
	}
	r.admin(t, here, "admin", "user", "keys", "deactivate", "ci", key.AccessKeyID)
	refused(t, c, http.StatusUnauthorized)
}

func refused(t *testing.T, c dockerClient, status int) {
	t.Helper()
	_, err := c.pull("app", "v1")
	var answer *errAnswer
	if !errors.As(err, &answer) || answer.status != status {
		t.Errorf("%v, want status %d", err, status)
	}
}

// Lifecycle runs and collection are done once, by one of the replicas, and the other
// sees what they did.
func TestJobsOfReplicasRunOnce(t *testing.T) {
	r := startCluster(t, "recycle_days: \"0\"")
	api := apiOf(r.URL)
	if _, err := api.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"),
		LifecyclePolicyText: aws.String(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}]}`)}); err != nil {
		t.Fatal(err)
	}
	c := dockerAt(t, r.URL)
	for i := range 8 {
		if _, err := c.push("app", fmt.Sprint("v", i), []byte(fmt.Sprint("layer ", i))); err != nil {
			t.Fatal(err)
		}
	}
	// Both are asked at the same time.
	var both sync.WaitGroup
	outs := make([]string, 2)
	for i, p := range r.all {
		both.Go(func() {
			var err error
			if outs[i], err = r.adminOf(p.URL, "admin", "lifecycle", "run", "app", "--json"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	var journal struct{ Entries []any }
	out := r.admin(t, r.all[1].URL, "admin", "journal", "--repository", "app", "--json")
	if err := json.Unmarshal([]byte(out), &journal); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(journal.Entries) != 5 {
		t.Errorf("%d entries in the journal, want 5 images that expired once:\n%s\n%s", len(journal.Entries), out, outs)
	}
	for _, p := range r.all {
		images, err := apiOf(p.URL).ListImages(t.Context(), &ecr.ListImagesInput{RepositoryName: aws.String("app"), Filter: &types.ListImagesFilter{TagStatus: types.TagStatusTagged}})
		if err != nil || len(images.ImageIds) != 3 {
			t.Errorf("%v, %d images, want 3", err, len(images.ImageIds))
		}
	}
}
