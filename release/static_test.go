package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// build checks what it built; go run ./test/all -only release builds every platform so.
func TestCheckStatic(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module m\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source := "package main\n\n// #include <stdlib.h>\nimport \"C\"\n\nfunc main() { C.abs(1) }\n"
	if err := os.Mkdir(filepath.Join(dir, "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "c", "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	program := func(pkg string, env ...string) []byte {
		t.Helper()
		out := filepath.Join(dir, "program")
		cmd := exec.Command("go", "build", "-o", out, pkg)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "GOFLAGS="), env...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, text)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	amd64, arm64 := platform{"linux", "amd64"}, platform{"linux", "arm64"}
	static := program(".", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	dynamic := program("./c", "CGO_ENABLED=1")
	host, err := parsePlatform(runtime.GOOS + "/" + runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		platform platform
		program  []byte
		want     string // part of the error; "" for none
	}{
		{"static", arm64, static, ""},
		{"for another machine", amd64, static, "EM_AARCH64, not EM_X86_64"},
		{"dynamic", host, dynamic, "not static"},
		{"no program", amd64, []byte("#!/bin/sh\n"), "is not an ELF file"},
		{"macOS links to its system", platform{"darwin", "arm64"}, []byte("mach-o"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkStatic(c.platform, c.program)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
