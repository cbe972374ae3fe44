//go:build linux && !race

package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSystemdUnit starts the server as contrib/kontor.service says, except for the
// folders, and stops it as systemd does. Where systemd is, it reads the unit.
func TestSystemdUnit(t *testing.T) {
	const name = "../../contrib/kontor.service"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			values[key] = append(values[key], value)
		}
	}
	if len(values["ExecStart"]) != 1 || len(values["Environment"]) != 1 || values["TimeoutStopSec"][0] != "30" {
		t.Fatalf("the unit says %v", values)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "kontor.yaml")
	if err := os.WriteFile(file, []byte("ecr_repositories: {website: {}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := strings.Fields(strings.NewReplacer("%S", dir, "/etc/kontor/kontor.yaml", file).Replace(values["ExecStart"][0]))
	if filepath.Base(start[0]) != "kontor" {
		t.Fatalf("it starts %s", start[0])
	}
	listen, host, _ := strings.Cut(values["Environment"][0], "=")
	if host != "localhost:5050" {
		t.Errorf("it listens on %s", host)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), listen + "=localhost:0"} // no HOME, as there
	if dir := os.Getenv("GOCOVERDIR"); dir != "" {
		env = append(env, "GOCOVERDIR="+dir)
	}
	s, err := startServer("/", env, start[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := envOf(env, filepath.Join(dir, "kontor"))
	if err != nil {
		t.Error(errors.Join(err, s.kill()))
		return
	}
	if resp, err := http.Get(vars["AWS_ENDPOINT_URL"] + "/readyz"); err != nil {
		t.Error(err, vars)
	} else {
		b, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil || string(b) != "ready\n" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	// What it says goes to the journal, requests as lines of JSON.
	logged := false
	for line := range strings.Lines(s.out.String()) {
		var record struct{ Msg, Path string }
		logged = logged || json.Unmarshal([]byte(line), &record) == nil && record.Msg == "request" && record.Path == "/readyz"
	}
	if !logged {
		t.Errorf("no request in what it says:\n%s", s.out)
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("systemd is not here to read the unit: %v", err)
		return
	}
	// verify wants to find the binary.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(dir, "kontor.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/kontor", exe)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || strings.Contains(string(out), "kontor.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
