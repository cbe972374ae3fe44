package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// ErrOther: the folder has the blobs of another installation.
var ErrOther = errors.New("the folder has the blobs of another installation")

// Adopt makes s a copy of from, as far as ids go: the installation's and the
// database's. ErrOther.
func (s *Store) Adopt(ctx context.Context, from *Store) error {
	for _, file := range []string{"installation", "database"} {
		id, err := from.readID(filepath.Join(from.dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the %s id of the blob store in %s: %w", file, from.dir, err)
		}
		own, err := s.id(ctx, file, id)
		if err != nil {
			return err
		}
		if own != id {
			return fmt.Errorf("%w: %s", ErrOther, own)
		}
	}
	return nil
}

// Link makes committed content of from content of s, without copying it: both are one
// file then. Both folders are on one filesystem of the operating system. ErrNotFound.
func (s *Store) Link(from *Store, key blob.Key) error {
	if !isKey(string(key)) {
		return fmt.Errorf("%w: key %q is not 32 lower-case hex digits", blob.ErrNotFound, key)
	}
	err := os.Link(from.blob(key), s.blob(key))
	switch {
	case errors.Is(err, fs.ErrExist):
		err = nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	if err == nil {
		err = s.fs.SyncDir(s.fan(key))
	}
	if err != nil {
		return fmt.Errorf("linking blob %s: %w", key, noSpace(err))
	}
	return nil
}
