package main

import (
	"strings"
	"testing"
)

func TestLacking(t *testing.T) {
	here, err := freeSpace(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range here {
		if r.free <= 0 {
			t.Errorf("%s has %d bytes free", r.path, r.free)
		}
	}
	full := []space{{"/tmp", 40 << 30}, {"/cache", 1 << 30}}
	if got := lacking(full, spaceNeeded); !strings.HasPrefix(got, "/cache has 1.0 GiB free, and a run needs 6:") {
		t.Errorf("a full disk: %q", got)
	}
	if got := lacking(full, 1<<30); got != "" {
		t.Errorf("with space on all disks: %q", got)
	}
}
