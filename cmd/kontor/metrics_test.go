//go:build unix && !race

package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMetricsOfAServer scrapes a server that has served a request.
func TestMetricsOfAServer(t *testing.T) {
	env := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	data := filepath.Join(t.TempDir(), "data")
	var (
		s    *server
		host string
	)
	for try := 0; s == nil; try++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host = l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		s, err = startServer(t.TempDir(), env, "up", "--data", data, "--listen", "localhost:0", "--metrics-listen", host)
		if err != nil && (try == 10 || !strings.Contains(err.Error(), "in use")) { // another process took the port
			t.Fatal(err)
		}
	}
	defer func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}()
	vars, err := envOf(env, data)
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) string {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	get(vars["AWS_ENDPOINT_URL"] + "/v2/")
	// A request is counted after its answer.
	const counted = `kontor_requests_total{operation="oci GET base",registry="000000000000/us-east-1",status="401"} 1`
	figures := ""
	for range 1000 {
		if figures = get("http://" + host + "/metrics"); strings.Contains(figures, counted) {
			break
		}
	}
	for _, want := range []string{counted, "kontor_build_info{", "kontor_connections ", "kontor_database_seconds_count{", "process_open_fds ", "go_goroutines "} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(figures, "\n"+want) {
				t.Errorf("no %s in\n%s", want, figures)
			}
		})
	}
	if strings.Contains(get(vars["AWS_ENDPOINT_URL"]+"/metrics"), "kontor_requests_total") {
		t.Error("figures are served where images are")
	}
}
