package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// usage is what a process has used, as Linux tells in /proc; zero elsewhere.
type usage struct {
	cpu     time.Duration
	written int64 // bytes that it had the file system write
	memory  int64 // bytes resident now
}

// tick is the unit of times in /proc, which Linux fixes for programs.
const tick = 10 * time.Millisecond

func usageOf(pid int) usage {
	var u usage
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// The second field is the name in parentheses, which may hold spaces.
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 12 {
			var user, system int64
			_, _ = fmt.Sscan(f[11], &user) // zero where it is no number
			_, _ = fmt.Sscan(f[12], &system)
			u.cpu = time.Duration(user+system) * tick
		}
	}
	u.written = field(fmt.Sprintf("/proc/%d/io", pid), "write_bytes:")
	u.memory = field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:") << 10
	return u
}

func field(file, name string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut("\n"+string(b), "\n"+name)
	var n int64
	_, _ = fmt.Sscan(rest, &n) // zero without such a line
	return n
}
