package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// roomNeeded is what a run writes besides what it finds cached: tools that it
// builds, images, databases, disks that it fills up. In bytes, and twice what was
// measured.
const roomNeeded = 6 << 30

// room is the space of a file system.
type room struct {
	path string
	free int64 // bytes that this user may write
}

// rooms finds the space where temporary files go, and where the go command keeps
// what it builds.
func rooms(tmp string) ([]room, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	var found []room
	for _, path := range []string{tmp, strings.TrimSpace(string(out))} {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(path, &fs); err != nil {
			return nil, fmt.Errorf("free space of %s: %w", path, err)
		}
		found = append(found, room{path: path, free: int64(fs.Bavail) * fs.Bsize})
	}
	return found, nil
}

// lacking says where there is less room than want bytes; "" for nowhere. A full
// disk fails tests in ways that do not name it.
func lacking(rooms []room, want int64) string {
	for _, r := range rooms {
		if r.free < want {
			return fmt.Sprintf("%s has %.1f GiB free, and a run needs %.0f: free some, or set TMPDIR and GOCACHE to a larger disk",
				r.path, float64(r.free)/(1<<30), float64(roomNeeded)/(1<<30))
		}
	}
	return ""
}
