package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opInstallation = gate.Op("CheckInstallation")

// InstallationState is the name of the state that says which blob store the database
// belongs to: an Installation in JSON.
const InstallationState = "installation"

// Installation says which database and which blob store belong together.
type Installation struct {
	Database string `json:"database,omitempty"` // an id of the database
	Blobs    string `json:"blobs,omitempty"`    // that of the blob store
}

// bindSample is how many blobs are looked for before a database is bound that knows
// of no blob store yet.
const bindSample = 100

// CheckInstallation makes sure that the blob store is the one that the database
// belongs to: with another one, each of the two looks full of what nothing needs.
// The first check binds them, if the one does not contradict the other. Stores that
// have no id are not checked.
func (j *Jobs) CheckInstallation(ctx context.Context) error {
	id, err := blob.InstallationOf(ctx, j.cfg.Blobs)
	if err != nil || id == "" {
		return err
	}
	var known Installation
	read := func(ctx context.Context, r meta.JobReader) error {
		known = Installation{}
		state, err := r.JobState(ctx, InstallationState)
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(state, &known)
		}
		return err
	}
	system := j.cfg.Gate.System("installation")
	change := func(set func()) error {
		return system.Change(ctx, opInstallation, func(ctx context.Context, tx *gate.Tx) error {
			if err := read(ctx, tx.Retention()); err != nil {
				return err
			}
			set()
			state, err := json.Marshal(known)
			if err != nil {
				return err
			}
			return tx.Retention().PutJobState(ctx, InstallationState, state)
		})
	}
	err = system.Read(ctx, opInstallation, func(ctx context.Context, rd *gate.View) error { return read(ctx, rd.Retention()) })
	proven := false
	if err == nil && known.Blobs == "" {
		if proven, err = j.mayBind(ctx, id); err != nil {
			return err
		}
	}
	if err == nil && known.Database == "" {
		err = change(func() { known.Database = cmp.Or(known.Database, string(blob.NewKey())) })
	}
	owner := ""
	if err == nil && (known.Blobs == "" || known.Blobs == id) {
		owner, err = blob.Bind(ctx, j.cfg.Blobs, known.Database)
		if err == nil && owner != known.Database && !proven {
			return fmt.Errorf("the blob store with installation id %s belongs to the database with id %s, and the database given has %s: "+
				"start with the database and the blob store that were used together", id, owner, known.Database)
		}
	}
	if err == nil && known.Blobs == "" {
		err = change(func() {
			if known.Blobs == "" {
				known.Blobs, known.Database = id, owner
			}
		})
	}
	switch {
	case err != nil:
		return fmt.Errorf("checking that the database and the blob store belong together: %w", err)
	case known.Blobs != id:
		return fmt.Errorf("the database belongs to the blob store with installation id %s, and the blob store given has %s: "+
			"start with the database and the blob store that were used together", known.Blobs, id)
	}
	return nil
}

// mayBind is an error when what the database knows cannot be in the store, or what
// is in the store cannot be of the database. It is proven that they belong together
// when the store has a blob of the database.
func (j *Jobs) mayBind(ctx context.Context, id string) (proven bool, err error) {
	var blobs []meta.Blob
	uploads, empty := 0, true
	err = j.cfg.Gate.System("installation").Read(ctx, opInstallation, func(ctx context.Context, rd *gate.View) (err error) {
		if blobs, err = rd.ListBlobs(ctx, "", bindSample); err == nil {
			uploads, err = rd.CountUploads(ctx, "")
		}
		if err == nil {
			var repos []meta.Repository
			repos, err = rd.AllRepositories(ctx, 0, 1)
			empty = len(repos) == 0
		}
		return err
	})
	if err != nil {
		return false, err
	}
	// What the database has says nothing about the store.
	blobs = slices.DeleteFunc(blobs, func(b meta.Blob) bool { return b.Key.InDatabase() })
	for _, b := range blobs {
		f, err := j.cfg.Blobs.Open(ctx, b.Key)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err == nil {
			err = f.Close()
		}
		return err == nil, err
	}
	if len(blobs) > 0 {
		return false, fmt.Errorf("the database has blobs, and the blob store with installation id %s has none of the first %d: "+
			"start with the database and the blob store that were used together", id, len(blobs))
	}
	if uploads > 0 || !empty { // what the store has may be left over
		return false, nil
	}
	for f, err := range j.cfg.Blobs.List(ctx) {
		if err != nil {
			return false, err
		}
		if !f.Upload {
			return false, fmt.Errorf("the database is empty, and the blob store with installation id %s has content: "+
				"start with the database that it was used with, or with an empty blob store", id)
		}
		break
	}
	return false, nil
}
