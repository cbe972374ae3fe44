package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/durable"
)

// Files are named for when they were begun, and a number where two were begun
// in one millisecond: 20261123T004439.123Z-0.jsonl. The order of names is that
// of time.
const (
	nameTime = "20060102T150405.000Z"
	suffix   = ".jsonl"
)

// create makes a new file, which is durable as such.
func create(dir string, now time.Time) (*os.File, error) {
	for i := range 10 {
		name := filepath.Join(dir, fmt.Sprintf("%s-%d%s", now.UTC().Format(nameTime), i, suffix))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := durable.SyncDir(dir); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	return nil, fmt.Errorf("too many files of the same time in %s", dir)
}

// files are the names of a folder's files, oldest first.
func files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, ok := begun(e.Name()); ok && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// begun is when the file of that name was begun.
func begun(name string) (time.Time, bool) {
	stamp, rest, ok := strings.Cut(name, "-")
	if !ok || len(rest) != len("0"+suffix) || !strings.HasSuffix(rest, suffix) {
		return time.Time{}, false
	}
	t, err := time.Parse(nameTime, stamp)
	return t, err == nil
}

// clean removes files that are too old, or too much, but none that is in use
// or empty for want of time, and those that were never written to.
func (l *Log) clean(now time.Time, inUse string) error {
	names, err := files(l.cfg.Dir)
	if err != nil {
		return err
	}
	var total int64
	for _, name := range slices.Backward(names) {
		if name == inUse {
			continue
		}
		path := filepath.Join(l.cfg.Dir, name)
		info, ierr := os.Stat(path)
		if ierr != nil {
			err = errors.Join(err, ierr)
			continue
		}
		total += info.Size()
		old := l.cfg.Keep >= 0 && now.Sub(info.ModTime()) > l.cfg.Keep
		much := l.cfg.KeepBytes >= 0 && total > l.cfg.KeepBytes
		if !old && !much && info.Size() > 0 {
			continue
		}
		if much && !old {
			l.cfg.Log.Warn("an audit file is removed before its time: there is too much of them", "file", path)
		}
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
