//go:build unix && !race

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// localhost is two addresses. Where someone else has the other half of the
// port, clients would reach him.
func TestHalfOfLocalhostIsTaken(t *testing.T) {
	env := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	for _, half := range []string{"127.0.0.1", "::1"} {
		t.Run(half, func(t *testing.T) {
			l, err := net.Listen("tcp", net.JoinHostPort(half, "0"))
			if err != nil {
				t.Logf("this machine has no %s, so its port cannot be taken: %v", half, err)
				return
			}
			host := fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
			cmd, err := command(env, "up", "--data", filepath.Join(t.TempDir(), "data"), "--listen", host)
			if err != nil {
				t.Fatal(err)
			}
			want := "kontor: " + host + " is in use: stop what listens there, or choose another port with --listen\n"
			if out, err := cmd.CombinedOutput(); err == nil || string(out) != want {
				t.Errorf("%s is taken: %v\n%s", half, err, out)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
