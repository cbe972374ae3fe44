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

var (
	_ blob.Installed = (*Store)(nil)
	_ blob.Bound     = (*Store)(nil)
)

// Installation implements blob.Installed: the id is in the file DIR/installation.
func (s *Store) Installation(ctx context.Context) (string, error) {
	return s.id(ctx, "installation", string(blob.NewKey()))
}

// Bind implements blob.Bound: the id is in the file DIR/database.
func (s *Store) Bind(ctx context.Context, database string) (string, error) {
	return s.id(ctx, "database", database)
}

// id is what the file has, which is made with an id where it is not there.
func (s *Store) id(ctx context.Context, file, first string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	name := filepath.Join(s.dir, file)
	id, err := s.readID(name)
	if errors.Is(err, fs.ErrNotExist) {
		id, err = first, s.writeID(name, first)
	}
	if err != nil {
		return "", fmt.Errorf("reading the %s id of the blob store in %s: %w", file, s.dir, noSpace(err))
	}
	return id, nil
}

func (s *Store) readID(name string) (string, error) {
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

// writeID makes the file, whole and durable before it has its name.
func (s *Store) writeID(name, id string) error {
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
