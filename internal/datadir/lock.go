package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// owner is the process that has, or last had, a folder, and which of its runs:
// process numbers come back, in a container every server is process 1.
type owner struct {
	pid int // 0: it has not written yet
	run string
}

// acquire takes the lock file until it is closed or the process ends, however
// it ends. ErrInUse names who has it.
func acquire(path string, me owner) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := claim(f, me); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func claim(f *os.File, me owner) error {
	free, err := tryLock(f, exclusive)
	if err != nil {
		return err
	}
	if !free {
		if o, err := readOwner(f); err == nil && o.pid != 0 {
			return fmt.Errorf("%w (process %d)", ErrInUse, o.pid)
		}
		return ErrInUse
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%d %s\n", me.pid, me.run), 0)
	return err
}

// held tells whether someone has the lock file, and who. It takes nothing
// from a server: readers share the lock for an instant, see Open.
func held(path string) (o owner, yes bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return owner{}, false, nil
	}
	if err != nil {
		return owner{}, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	free, err := tryLock(f, shared)
	if free || err != nil {
		return owner{}, false, err
	}
	o, err = readOwner(f)
	return o, true, err
}

// readOwner reads what claim writes. Half of it is an owner that has not
// written yet.
func readOwner(f *os.File) (owner, error) {
	var o owner
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 64))
	if err != nil {
		return o, err
	}
	line, whole := strings.CutSuffix(string(b), "\n")
	if _, err := fmt.Sscanf(line, "%d %s", &o.pid, &o.run); err != nil || !whole {
		return owner{}, nil
	}
	return o, nil
}
