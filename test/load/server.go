package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// repositories are what the clients share.
var repositories = []string{"load/a", "load/b", "load/c", "load/d"}

// startTime bounds how long a server may take to answer.
const startTime = time.Minute

// server runs one process after another on one folder.
type server struct {
	o     options
	file  string
	log   bytes.Buffer // what the last process printed
	cmd   *exec.Cmd    // nil when none runs
	ended chan error   // receives how cmd ended
	kills int
	// slowest is the longest time from starting a process to its first answer.
	slowest time.Duration
	// memory is the most that a process had resident, in bytes; 0 where the
	// system does not tell.
	memory int64

	mu  sync.Mutex
	now *life // guarded by mu
}

// life is one process, from start to kill.
type life struct {
	url        string
	http       *http.Client
	api        *ecr.Client
	basic      string // the password of docker's login
	leastChunk int
	killed     chan struct{} // closed right before the process is killed
	next       chan struct{} // closed when the following life has begun
}

func newServer(o options, file string) (*server, error) {
	repos := map[string]any{}
	for _, r := range repositories {
		// Nothing may expire that a client believes is there.
		repos[r] = map[string]any{"is_immutable": false, "lifecycle_policy_json": keepAll}
	}
	b, err := json.Marshal(map[string]any{"stack": "load", "ecr_repositories": repos})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	first := &life{next: make(chan struct{})}
	return &server{o: o, file: file, now: first}, nil
}

// keepAll is a lifecycle policy that never expires anything here.
const keepAll = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":999999},"action":{"type":"expire"}}]}`

// current is the life that runs, or that ran last.
func (s *server) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// start runs `kontor up` and waits until it serves.
func (s *server) start(ctx context.Context) error {
	began := time.Now()
	s.log.Reset()
	s.cmd = exec.Command(s.o.binary, "up", "--data", s.o.data, "--listen", "localhost:0", "--compat", s.o.compat, "-f", s.file)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		l, err := s.reach(ctx)
		if err == nil {
			s.slowest = max(s.slowest, time.Since(began))
			s.mu.Lock()
			last := s.now
			s.now = l
			s.mu.Unlock()
			close(last.next)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not start: %w\n%s", errors.Join(err, context.Cause(ctx), s.kill()), &s.log)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// reach asks where the server is, and the server for a password. The note it
// left may still be that of the process killed before.
func (s *server) reach(ctx context.Context) (*life, error) {
	b, err := exec.CommandContext(ctx, s.o.binary, "env", "--data", s.o.data, "--format", "json").Output()
	if err != nil {
		return nil, err
	}
	var env map[string]string
	if err := json.Unmarshal(b, &env); err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = s.o.clients
	l := &life{
		url: env["AWS_ENDPOINT_URL"], http: &http.Client{Transport: transport, Timeout: 2 * time.Minute},
		killed: make(chan struct{}), next: make(chan struct{}),
	}
	if s.o.compat == "ecr" {
		l.leastChunk = 5 << 20
	}
	l.api = newAPI(l.http, l.url, env["AWS_REGION"], credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""))
	token, err := l.api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, err
	}
	pair, err := base64.StdEncoding.DecodeString(*token.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		return nil, err
	}
	_, l.basic, _ = strings.Cut(string(pair), ":")
	// The file is deployed after the port is open.
	for _, name := range repositories {
		if _, err := l.api.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: &name}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// bySignal is the exit code of a process that a signal ended.
const bySignal = -1

// kill ends the process, if one runs, with SIGKILL. That it had ended before,
// on its own, is an error.
func (s *server) kill() error {
	if s.cmd == nil {
		return nil
	}
	if l := s.current(); l.killed != nil {
		select {
		case <-l.killed: // killed before it was reached
		default:
			close(l.killed)
			s.kills++
		}
	}
	s.memory = max(s.memory, peakMemory(s.cmd.Process.Pid))
	err := s.cmd.Process.Kill()
	how := <-s.ended
	s.cmd = nil
	var exit *exec.ExitError
	if err != nil || !errors.As(how, &exit) || exit.ExitCode() != bySignal {
		return fmt.Errorf("the server had ended before it was killed: %w\n%s", errors.Join(err, how), &s.log)
	}
	return nil
}

// peakMemory is the most that a process had resident so far, in bytes, as
// Linux tells; 0 elsewhere.
func peakMemory(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(b), "VmHWM:")
	var kib int64
	_, _ = fmt.Sscan(line, &kib) // 0 without such a line
	return kib << 10
}

// check runs `kontor admin check` on the folder, which must find everything
// whole and exactly what the clients know.
func (s *server) check(ctx context.Context, e expected) error {
	size, files, err := sizeOf(s.o.data)
	if err != nil {
		return err
	}
	fmt.Printf("the folder: %d bytes in %d files\n", size, files)
	began := time.Now()
	out, err := exec.CommandContext(ctx, s.o.binary, "admin", "check", "--data", s.o.data, "--json").CombinedOutput()
	if err != nil {
		return fmt.Errorf("admin check: %w\n%s", err, out)
	}
	var report struct {
		Blobs, BlobBytes int64
		Images, Tags     int
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("admin check: %w", err)
	}
	fmt.Printf("admin check: whole after %s: %d blobs of %d bytes, %d images, %d tags\n",
		time.Since(began).Round(time.Millisecond), report.Blobs, report.BlobBytes, report.Images, report.Tags)
	if report.Images != len(e.images) || report.Tags != len(e.tags) {
		return fmt.Errorf("admin check read %d images and %d tags, want %d and %d", report.Images, report.Tags, len(e.images), len(e.tags))
	}
	return nil
}

// sizeOf is how many bytes and files are below a folder.
func sizeOf(folder string) (bytes int64, files int, err error) {
	err = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
		files++
		return nil
	})
	return bytes, files, err
}
