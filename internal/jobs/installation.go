package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opInstallation = gate.Op("CheckInstallation")

// installationJob is the name of the state that says which blob store the database
// belongs to.
const installationJob = "installation"

type installation struct {
	Blobs string `json:"blobs"`
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
	var known installation
	read := func(ctx context.Context, r meta.JobReader) error {
		known = installation{}
		state, err := r.JobState(ctx, installationJob)
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(state, &known)
		}
		return err
	}
	system := j.cfg.Gate.System("installation")
	err = system.Read(ctx, opInstallation, func(ctx context.Context, rd *gate.View) error { return read(ctx, rd.Retention()) })
	if err == nil && known.Blobs == "" {
		if err := j.mayBind(ctx, id); err != nil {
			return err
		}
		err = system.Change(ctx, opInstallation, func(ctx context.Context, tx *gate.Tx) error {
			if err := read(ctx, tx.Retention()); err != nil || known.Blobs != "" {
				return err
			}
			known.Blobs = id
			state, err := json.Marshal(known)
			if err != nil {
				return err
			}
			return tx.Retention().PutJobState(ctx, installationJob, state)
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
// is in the store cannot be of the database.
func (j *Jobs) mayBind(ctx context.Context, id string) error {
	var blobs []meta.Blob
	uploads, empty := 0, true
	err := j.cfg.Gate.System("installation").Read(ctx, opInstallation, func(ctx context.Context, rd *gate.View) (err error) {
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
		return err
	}
	for _, b := range blobs {
		f, err := j.cfg.Blobs.Open(ctx, b.Key)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err == nil {
			err = f.Close()
		}
		return err
	}
	if len(blobs) > 0 {
		return fmt.Errorf("the database has blobs, and the blob store with installation id %s has none of the first %d: "+
			"start with the database and the blob store that were used together", id, len(blobs))
	}
	if uploads > 0 || !empty { // what the store has may be left over
		return nil
	}
	for f, err := range j.cfg.Blobs.List(ctx) {
		if err != nil {
			return err
		}
		if !f.Upload {
			return fmt.Errorf("the database is empty, and the blob store with installation id %s has content: "+
				"start with the database that it was used with, or with an empty blob store", id)
		}
		break
	}
	return nil
}
