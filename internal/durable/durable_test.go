package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSyncDir(t *testing.T) {
	if err := SyncDir(t.TempDir()); err != nil {
		t.Errorf("a folder: %v", err)
	}
	if err := SyncDir(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// No filesystem of the test machines refuses to sync a folder, so the answer
// is given here in the form that os.File gives it.
func TestFilesystemsThatCannotSyncFolders(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		fine bool
	}{
		{"done", nil, true},
		{"EINVAL", &fs.PathError{Op: "sync", Path: "/data", Err: syscall.EINVAL}, true},
		{"not supported", &fs.PathError{Op: "sync", Path: "/data", Err: syscall.ENOTSUP}, true},
		{"I/O error", &fs.PathError{Op: "sync", Path: "/data", Err: syscall.EIO}, false},
		{"closed", os.ErrClosed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tolerated(tt.err); (err == nil) != tt.fine {
				t.Errorf("%v becomes %v", tt.err, err)
			}
		})
	}
}
