package datadir_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// nobody is a user without any rights of its own.
const nobody = 65534

// unprivileged runs f with the rights of an ordinary user on files: for root
// no permission bits count. Only this thread changes (setfsuid(2)).
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// give makes the user of unprivileged the owner.
func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	if err := os.Chown(path, nobody, -1); err != nil {
		t.Fatal(err)
	}
}
