package datadir

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Ways to lock.
const (
	exclusive = windows.LOCKFILE_EXCLUSIVE_LOCK
	shared    = 0
)

// The lock covers one byte far behind what is written, so that others can
// read that while it is held.
const lockOffset = 1 << 20

// tryLock locks f unless another open file has it. Closing f unlocks.
func tryLock(f *os.File, how uint32) (bool, error) {
	ol := &windows.Overlapped{Offset: lockOffset}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, ol)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
