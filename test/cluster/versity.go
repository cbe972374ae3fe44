// Package cluster starts what several replicas of a registry need, for tests: versitygw,
// which is a server of the S3 protocol, and a load balancer.
package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The credentials of the server's administrator.
const (
	AccessKey = "KONTORTESTKEY"
	SecretKey = "kontor-test-secret"
)

// Gateway is a server that runs.
type Gateway struct {
	Addr string // host and port
	Dir  string // has a folder for each bucket
}

// Run runs run while versitygw runs, on a port that it chose. VERSITYGW_BIN names the
// binary.
func Run(run func(Gateway) int) (code int, err error) {
	binary := os.Getenv("VERSITYGW_BIN")
	if binary == "" {
		return 1, errors.New("VERSITYGW_BIN is not set: run `go run ./test/all -only s3` in the root of the project")
	}
	dir, err := os.MkdirTemp("", "kontor-s3-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, name := range []string{"data", "versions", "iam"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return 1, err
		}
	}
	g := Gateway{Dir: filepath.Join(dir, "data")}
	// It takes no port that is free by itself: another process may be quicker.
	for range 5 {
		if g.Addr, err = freePort(); err != nil {
			return 1, err
		}
		cmd := exec.Command(binary, "--quiet", "--access", AccessKey, "--secret", SecretKey, "--port", g.Addr, "--iam-dir", filepath.Join(dir, "iam"),
			"posix", "--versioning-dir", filepath.Join(dir, "versions"), g.Dir)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			return 1, err
		}
		gone := make(chan error, 1)
		go func() { gone <- cmd.Wait() }()
		if err = g.answers(gone); err == nil {
			code = run(g)
			return code, errors.Join(cmd.Process.Kill(), Killed(<-gone))
		}
		if kill := cmd.Process.Kill(); kill == nil {
			err = errors.Join(err, Killed(<-gone))
		}
		err = fmt.Errorf("versitygw at %s: %w\n%s", g.Addr, err, &out)
	}
	return 1, err
}

// Killed forgives that a process was killed.
func Killed(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == -1 {
		return nil
	}
	return err
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until the gateway answers, or has ended.
func (g Gateway) answers(gone <-chan error) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-gone:
			return fmt.Errorf("it has ended: %w", err)
		default:
		}
		res, err := http.Get("http://" + g.Addr + "/")
		if err != nil {
			continue
		}
		// Another process may have the port, and answer. Then the gateway cannot listen,
		// and has ended or is about to: only what it has made itself tells.
		if err := res.Body.Close(); err != nil {
			return err
		}
		if g.isOurs() {
			return nil
		}
	}
	return errors.New("it does not answer")
}

// isOurs reports whether who answers at Addr is a gateway on Dir: it takes our
// credentials, and shows a bucket whose folder was made there.
func (g Gateway) isOurs() bool {
	name := "probe-" + strings.ToLower(rand.Text())
	folder := filepath.Join(g.Dir, name)
	if err := os.Mkdir(folder, 0o700); err != nil {
		return false
	}
	defer func() { _ = os.Remove(folder) }() // empty
	req, err := http.NewRequest(http.MethodGet, "http://"+g.Addr+"/"+name+"?list-type=2", nil)
	if err != nil {
		return false
	}
	nothing := fmt.Sprintf("%x", sha256.Sum256(nil))
	req.Header.Set("X-Amz-Content-Sha256", nothing)
	me := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), me, req, nothing, "s3", "us-east-1", time.Now()); err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusOK
}
