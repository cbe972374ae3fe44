package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// volume is a filesystem that can be filled up: tmpfs, mounted for the test. It takes
// root.
type volume struct{ dir string }

// newVolume mounts one on the folder dir, with space for so many bytes: a file of ext4,
// so that a long run needs no memory for what was pushed.
func newVolume(t *testing.T, dir string, size int64) *volume {
	t.Helper()
	image := filepath.Join(t.TempDir(), "volume")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	t.Cleanup(func() {
		var err error
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if err = syscall.Unmount(dir, 0); !errors.Is(err, syscall.EBUSY) {
				break
			}
		}
		if err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &volume{dir}
}

// full takes all of its space for some time.
func (v *volume) full(d time.Duration) error {
	name := filepath.Join(v.dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for end := time.Now().Add(d); time.Now().Before(end) && err == nil; time.Sleep(20 * time.Millisecond) {
		err = v.fill(f)
	}
	return errors.Join(err, f.Close(), os.Remove(name))
}

func (v *volume) fill(f *os.File) error {
	var at int64
	if info, err := f.Stat(); err == nil {
		at = info.Size()
	}
	for step := int64(1 << 30); step >= 4096; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, at, step); {
		case err == nil:
			at += step
		case errors.Is(err, syscall.ENOSPC):
			step /= 2
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("filling %s: %w", v.dir, err)
		}
	}
	return nil
}
