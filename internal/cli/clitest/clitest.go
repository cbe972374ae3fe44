// Package clitest runs kontor within a test, as a shell would.
package clitest

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli/command"

	"github.com/kontor-registry/kontor/internal/cli"
	"github.com/kontor-registry/kontor/kontortest"
)

// Shell runs kontor in an empty folder and its own environment.
type Shell struct {
	T        *testing.T
	Env      map[string]string
	Stdin    string
	Terminal bool // stdin is one
}

// Result is what a run left behind.
type Result struct {
	Code        int
	Out, Errors string
}

// New moves the test to an empty folder, and makes a shell in it.
func New(t *testing.T) *Shell {
	t.Helper()
	t.Chdir(t.TempDir())
	return &Shell{T: t, Env: map[string]string{"HOME": t.TempDir()}}
}

// Run runs kontor with args.
func (s *Shell) Run(args ...string) Result {
	s.T.Helper()
	var out, errs bytes.Buffer
	stdin := strings.NewReader(s.Stdin)
	e := &command.Env{
		Stdin: stdin, Stdout: &out, Stderr: &errs,
		Getenv:     func(k string) string { return s.Env[k] },
		IsTerminal: func(stream any) bool { return s.Terminal && stream == any(stdin) },
	}
	code := cli.Run(s.T.Context(), e, args)
	return Result{code, out.String(), errs.String()}
}

// Want fails unless r has the exit code and all of the words in either stream.
func (s *Shell) Want(r Result, code int, words ...string) Result {
	s.T.Helper()
	if r.Code != code {
		s.T.Fatalf("exit code %d, want %d\n%s%s", r.Code, code, r.Out, r.Errors)
	}
	for _, w := range words {
		if !strings.Contains(r.Out, w) && !strings.Contains(r.Errors, w) {
			s.T.Errorf("no %q in\n%s%s", w, r.Out, r.Errors)
		}
	}
	return r
}

// Write writes a file.
func (s *Shell) Write(name, text string) {
	s.T.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.T.Fatal(err)
	}
}

// LocalFile is a file of two repositories, without registries.
const LocalFile = `stack: platform
ecr_repositories:
  api:
    additional_pull_account_ids: ["333333333333"]
  website: {}
`

// ReducedPolicy is a lifecycle policy that keeps releases and expires the rest.
const ReducedPolicy = `{"rules": [
  {"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPatternList": ["v*", "prod-*"], "countType": "imageCountMoreThan", "countNumber": 99999}, "action": {"type": "expire"}},
  {"rulePriority": 2, "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}, "action": {"type": "expire"}}
]}`

// RemoteFile names reg as a registry that is not the local one.
func RemoteFile(reg *kontortest.Registry) string {
	return "registries:\n- {name: prod, account: \"" + reg.Account + "\", region: " + reg.Region + ", endpoint: \"" + reg.URL + "\"}\n" + LocalFile
}

// AWSEnv lets the AWS SDK, which reads the process's environment, find c.
func AWSEnv(t *testing.T, c kontortest.Credentials) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
}

// output is written by a command that continues.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Up runs `kontor up` until the test ends, and returns what it printed when it
// was ready.
func (s *Shell) Up(args ...string) string {
	s.T.Helper()
	var out, errs output
	ctx, cancel := context.WithCancel(s.T.Context())
	ended := make(chan int, 1)
	env := &command.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return s.Env[k] },
		IsTerminal: func(any) bool { return false }}
	go func() { ended <- cli.Run(ctx, env, append([]string{"up"}, args...)) }()
	s.T.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			s.T.Errorf("up ended with %d: %s", code, errs.String())
		}
	})
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "Press Ctrl-C"); time.Sleep(10 * time.Millisecond) {
		select {
		case code := <-ended:
			ended <- 0
			s.T.Fatalf("up ended with %d: %s", code, errs.String())
		default:
		}
		if time.Now().After(end) {
			s.T.Fatalf("up is not ready: %s%s", out.String(), errs.String())
		}
	}
	return out.String()
}
