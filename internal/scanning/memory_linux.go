package scanning

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// limitMemory bounds the data of the program, and of each that it starts from then on.
func limitMemory(cmd *exec.Cmd, most int64) error {
	if most <= 0 {
		return nil
	}
	return unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(most), Max: uint64(most)}, nil)
}
