package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Installation implements blob.Installed. The name is in the file DIR/installation,
// which the first call makes.
func (s *Store) Installation(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.dir, "installation")
	f, err := s.fs.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		id := string(blob.NewKey())
		if err := s.writeInstallation(name, id); err != nil {
			return "", fmt.Errorf("naming the blob store in %s: %w", s.dir, noSpace(err))
		}
		return id, nil
	}
	if err != nil {
		return "", fmt.Errorf("opening the name of the blob store: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	id := strings.TrimSpace(string(b))
	if !isKey(id) {
		return "", fmt.Errorf("%s does not hold 32 hex digits, the name of the blob store: restore the file from a backup", name)
	}
	return id, nil
}

// writeInstallation makes the file whole or not at all.
func (s *Store) writeInstallation(name, id string) error {
	f, err := s.fs.OpenFile(name+".new", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(id+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(name+".new", name); err != nil {
		return err
	}
	return s.fs.SyncDir(s.dir)
}
