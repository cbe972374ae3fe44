package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// spaceNeeded is what a run writes besides what it finds cached: tools that it
// builds, images, databases, disks that it fills up. In bytes. 2.4 GiB were measured
// with everything cached; compiling it all adds as much again.
const spaceNeeded = 6 << 30

// space is that of a file system.
type space struct {
	path string
	free int64 // bytes that this user may write
}

// freeSpace finds the space where temporary files go, and where the go command keeps
// what it builds.
func freeSpace(tmp string) ([]space, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var found []space
	for _, path := range []string{tmp, strings.TrimSpace(string(out))} {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(path, &fs); err != nil {
			return nil, fmt.Errorf("free space of %s: %w", path, err)
		}
		found = append(found, space{path: path, free: int64(fs.Bavail) * fs.Bsize})
	}
	return found, nil
}

// lacking says where less than want bytes are free; "" for nowhere. A full
// disk fails tests in ways that do not name it.
func lacking(all []space, want int64) string {
	for _, r := range all {
		if r.free < want {
			return fmt.Sprintf("%s has %.1f GiB free, and a run needs %.0f: free some, or set TMPDIR and GOCACHE to a larger disk",
				r.path, float64(r.free)/(1<<30), float64(spaceNeeded)/(1<<30))
		}
	}
	return ""
}
