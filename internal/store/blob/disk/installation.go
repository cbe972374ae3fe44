package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

var _ blob.Installed = (*Store)(nil)

// Installation implements blob.Installed: the id is in the file DIR/installation.
func (s *Store) Installation(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.dir, "installation")
	id, err := s.readInstallation(name)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = s.writeInstallation(name)
	}
	if err != nil {
		return "", fmt.Errorf("reading the installation id of the blob store in %s: %w", s.dir, noSpace(err))
	}
	return id, nil
}

func (s *Store) readInstallation(name string) (string, error) {
	f, err := s.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if len(b) != 33 || !isKey(string(b[:32])) || b[32] != '\n' {
		return "", fmt.Errorf("%s is damaged: want 32 hexadecimal digits and a line end: restore it from a backup", name)
	}
	return string(b[:32]), nil
}

// writeInstallation makes an id, whole and durable before it has its name.
func (s *Store) writeInstallation(name string) (string, error) {
	id := string(blob.NewKey())
	f, err := s.fs.OpenFile(name+".new", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteAt([]byte(id+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	if err := s.fs.Rename(name+".new", name); err != nil {
		return "", err
	}
	return id, s.fs.SyncDir(s.dir)
}
