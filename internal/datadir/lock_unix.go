//go:build unix

package datadir

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Ways to lock.
const (
	exclusive = unix.LOCK_EX
	shared    = unix.LOCK_SH
)

// tryLock locks f unless another open file has it. Closing f unlocks.
func tryLock(f *os.File, how int) (bool, error) {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
