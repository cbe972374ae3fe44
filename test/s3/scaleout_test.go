package s3

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/pgtest"
)

// BenchmarkScaleOut pushes and pulls small images through 1, 2 and 4 servers on one
// database, behind a pooler, and one bucket. Rounds take turns, so that what else the
// machine does concerns all. It reports images a second, their ratio to one server, and
// the CPU that all servers took for an image, of this machine's, which clients, database
// and store share: where they need all of it, more servers cannot be faster.
//
// go test -run - -bench ScaleOut -benchtime 5x: 5 rounds.
func BenchmarkScaleOut(b *testing.B) {
	const most, clients = 4, 16
	dir := site(b)
	config := configuration(b, dir, "serve.yaml", `audit: "off"`, inDatabase(pgtest.Bouncer(b, pgtest.Start(b), 40)), inBucket(dir, newBucket(b)))
	var all []*process
	for range most {
		all = append(all, serveProcess(b, config))
	}
	if _, err := apiOf(all[0].URL).CreateRepository(b.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("app")}); err != nil {
		b.Fatal(err)
	}
	var logins []dockerClient
	for _, p := range all {
		logins = append(logins, dockerAt(b, p.URL))
	}
	numbers := []int{1, 2, 4}
	done, took, cpu := map[string]int64{}, map[string]time.Duration{}, map[string]time.Duration{}
	var tags atomic.Int64
	measure := func(what string, servers int, do func(c dockerClient) error) {
		name := fmt.Sprintf("%s-%d", what, servers)
		before, began := used(b, all), time.Now()
		var n atomic.Int64
		var running sync.WaitGroup
		for i := range clients {
			running.Go(func() {
				for k := i; time.Since(began) < 2*time.Second; k++ {
					if err := do(logins[k%servers]); err != nil {
						b.Error(err)
						return
					}
					n.Add(1)
				}
			})
		}
		running.Wait()
		done[name] += n.Load()
		took[name] += time.Since(began)
		cpu[name] += used(b, all) - before
	}
	for range b.N {
		for _, n := range numbers {
			measure("push", n, func(c dockerClient) error {
				tag := tags.Add(1)
				_, err := c.push("app", fmt.Sprint("v", tag), content(2*uint64(tag), 4<<10), content(2*uint64(tag)+1, 4<<10))
				return err
			})
			measure("pull", n, func(c dockerClient) error {
				_, err := c.pull("app", "v1")
				return err
			})
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, what := range []string{"push", "pull"} {
		rate := func(n int) float64 {
			name := fmt.Sprintf("%s-%d", what, n)
			return float64(done[name]) / took[name].Seconds()
		}
		for _, n := range numbers {
			name := fmt.Sprintf("%s-%d", what, n)
			b.ReportMetric(rate(n), name+"/s")
			b.ReportMetric(rate(n)/rate(1), name+"-x")
			b.ReportMetric(cpu[name].Seconds()*1000/float64(done[name]), name+"-cpu-ms")
		}
	}
}

// used is the CPU time that processes have taken.
func used(b *testing.B, all []*process) (sum time.Duration) {
	b.Helper()
	for _, p := range all {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest)
		for _, ticks := range f[11:13] { // user and system, see proc(5)
			n, err := strconv.Atoi(ticks)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}
