// Package datadir is the folder in which a server on one machine keeps
// everything: the database, the blobs, the master key, and a note of how its
// running server can be reached.
//
//	DIR/lock          held by the server that runs on the folder
//	DIR/master.key    seals the secrets in the database
//	DIR/kontor.db     metadata (SQLite)
//	DIR/blobs/        content
//	DIR/server.json   where the server listens, or last did
//
// It guarantees that one server at a time opens the folder, and that every
// reason it cannot be opened is one line that says what to do.
package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// ErrInUse: another process serves the folder.
var ErrInUse = errors.New("another kontor server runs on this folder")

// ErrEmpty: no server ever ran on the folder.
var ErrEmpty = errors.New("no registry here yet")

// Dir is an open folder.
type Dir struct {
	Path  string
	Meta  meta.Store
	Blobs blob.Store
	Key   identity.MasterKey
	lock  *os.File // nil for a reader
}

// Open opens the folder for the one server on it, and makes what is missing.
func Open(ctx context.Context, path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, explain(path, err)
	}
	lock, err := acquire(filepath.Join(path, "lock"))
	for try := 0; errors.Is(err, ErrInUse) && try < 10; try++ {
		// It may only be somebody looking who runs here: see holder.
		time.Sleep(10 * time.Millisecond)
		lock, err = acquire(filepath.Join(path, "lock"))
	}
	if err != nil {
		return nil, explain(path, err)
	}
	d := &Dir{Path: path, lock: lock}
	if err := d.open(ctx, true); err != nil {
		return nil, errors.Join(explain(path, err), d.Close())
	}
	return d, nil
}

// OpenReader opens the folder beside the server that may run on it, to read
// what it knows. It makes nothing. ErrEmpty.
func OpenReader(ctx context.Context, path string) (*Dir, error) {
	for _, name := range []string{"master.key", "kontor.db"} {
		if _, err := os.Stat(filepath.Join(path, name)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("data folder %s: %w: run `kontor up --data %s` first", path, ErrEmpty, path)
		}
	}
	d := &Dir{Path: path}
	if err := d.open(ctx, false); err != nil {
		return nil, errors.Join(explain(path, err), d.Close())
	}
	return d, nil
}

func (d *Dir) open(ctx context.Context, create bool) (err error) {
	keyFile := filepath.Join(d.Path, "master.key")
	if create {
		if _, serr := os.Stat(filepath.Join(d.Path, "kontor.db")); serr == nil {
			// A new key cannot open the secrets of an old database.
			if _, kerr := os.Stat(keyFile); errors.Is(kerr, fs.ErrNotExist) {
				return fmt.Errorf("master.key is missing, and without it the secrets in kontor.db cannot be opened: put it back, or start on an empty folder")
			}
		}
		d.Key, err = identity.LoadOrCreateMasterKey(keyFile)
	} else {
		d.Key, err = identity.LoadMasterKey(keyFile)
	}
	if err != nil {
		return err
	}
	if d.Meta, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(d.Path, "kontor.db")}); err != nil {
		return err
	}
	if create {
		d.Blobs, err = disk.Open(disk.Config{Dir: filepath.Join(d.Path, "blobs")})
	}
	return err
}

// Close closes the stores and lets another server have the folder.
func (d *Dir) Close() error {
	var errs []error
	if d.Meta != nil {
		errs = append(errs, d.Meta.Close())
	}
	if c, ok := d.Blobs.(interface{ Close() error }); ok {
		errs = append(errs, c.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close()) // which unlocks
	}
	return errors.Join(errs...)
}

// Registry is one registry of a running server and where it is reached.
type Registry struct {
	Name    string        `json:"name"` // in the file's registries; "local" without
	Account ecr.AccountID `json:"account"`
	Region  ecr.Region    `json:"region"`
	// Host is what image references begin with, for example "localhost:5050";
	// Endpoint the URL of the AWS API, for example "http://localhost:5050".
	Host     string `json:"host"`
	Endpoint string `json:"endpoint"`
}

// ID names the registry.
func (r Registry) ID() ecr.RegistryID { return ecr.RegistryID{Account: r.Account, Region: r.Region} }

// Server is the note that a server leaves of itself.
type Server struct {
	PID        int        `json:"pid"`
	Registries []Registry `json:"registries"` // never empty
}

// Announce writes the note.
func (d *Dir) Announce(s Server) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(d.Path, "server.json.tmp")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return explain(d.Path, err)
	}
	return explain(d.Path, os.Rename(tmp, filepath.Join(d.Path, "server.json")))
}

// Running tells whether a server runs on the folder, waiting up to wait for
// one that is just starting to announce itself. The note is the last server's;
// ErrEmpty when there never was one.
func Running(ctx context.Context, path string, wait time.Duration) (s Server, running bool, err error) {
	lockFile := filepath.Join(path, "lock")
	for deadline := wait; ; deadline -= 20 * time.Millisecond {
		pid := holder(lockFile)
		s, err = readNote(path)
		if pid == 0 {
			return s, false, err
		}
		if err == nil && s.PID == pid {
			return s, true, nil
		}
		if deadline <= 0 {
			return s, true, fmt.Errorf("data folder %s: process %d holds it but has not started to serve", path, pid)
		}
		select {
		case <-ctx.Done():
			return s, true, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func readNote(path string) (Server, error) {
	var s Server
	b, err := os.ReadFile(filepath.Join(path, "server.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("data folder %s: %w: run `kontor up --data %s` first", path, ErrEmpty, path)
	}
	if err != nil {
		return s, explain(path, err)
	}
	if err := json.Unmarshal(b, &s); err != nil || len(s.Registries) == 0 {
		return s, fmt.Errorf("data folder %s: server.json is damaged: run `kontor up --data %s` once to write it anew", path, path)
	}
	return s, nil
}

// explain turns what the operating system says into what to do.
func explain(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInUse):
		return fmt.Errorf("data folder %s: %w: stop it, or use another folder with --data", path, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data folder %s cannot be written: give yourself the right to, or use another folder with --data (%w)", path, err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("data folder %s is not a folder: use another with --data (%w)", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, meta.ErrUnavailable), errors.Is(err, blob.ErrNoSpace):
		return fmt.Errorf("data folder %s: the disk is full or fails: make room, or use another folder with --data (%w)", path, err)
	}
	return fmt.Errorf("data folder %s: %w", path, err)
}
