// Package durable makes changes of a folder survive a power loss.
package durable

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// SyncDir makes the entries of the folder at path durable: what was made in
// it, moved into or out of it, and removed from it. What it can do nothing
// about is not an error: Windows has no such operation (NTFS journals entries
// in order), and some filesystems cannot sync folders.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(tolerated(d.Sync()), d.Close())
}

// tolerated drops what network and FUSE filesystems say of folders that they
// cannot sync: EINVAL, "a special file which does not support synchronization"
// (fsync(2)), or that there is no such operation.
func tolerated(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
