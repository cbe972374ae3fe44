package main

import (
	"strings"
	"testing"
)

// TestPortable: what compiles here but not elsewhere is found, in bodies of
// functions too.
func TestPortable(t *testing.T) {
	if n, err := portable(t.Context(), "testdata/portable", ".", "darwin/arm64"); err != nil || n != 2 {
		t.Errorf("%d packages, %v", n, err)
	}
	if _, err := portable(t.Context(), "testdata/portable", ".", "windows/amd64"); err == nil || !strings.Contains(err.Error(), "part_windows.go:5:25: undefined: syscall.Kill") {
		t.Errorf("got %v", err)
	}
}
