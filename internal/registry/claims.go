package registry

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	defaultClaimTime = 20 * time.Second
	// renewalsPerClaim is how often a claim is renewed in its time, minRenewal the
	// least time between two renewals.
	renewalsPerClaim = 10
	minRenewal       = 100 * time.Millisecond
	// claimPoll is how often a request that waits for a claim asks for it.
	claimPoll = 100 * time.Millisecond
)

// A claim lets one request write to an upload. Among the requests of this process
// writings decide, among processes a claim in the database, which is renewed while
// the request lasts. The claim of a process that was stopped for too long may have
// passed to another one; the store then refuses its changes.
type claim struct {
	*writing
	c      *Caller
	at     ecr.Repo
	upload meta.Upload // as it was when it was claimed

	release func()       // lets other requests of this process write
	ended   bool         // the upload's row is gone, or was advanced: nothing to give back
	renewed atomic.Int64 // Registry.passed when the claim was renewed last
	stop    func()       // ends the renewals and waits for them; nil for a claim of writings only
}

// claimUpload makes the caller the only one that writes to an upload, and stops
// another request that is reading its body for it. body may be nil. The caller
// calls end. Errors: UploadNotFound, Unavailable.
func (c *Caller) claimUpload(ctx context.Context, op gate.Operation, at ecr.Repo, id meta.UploadID, body io.Reader) (*claim, error) {
	w, release, err := c.r.uploads.begin(ctx, id, body)
	if err != nil {
		return nil, err
	}
	mine := &claim{writing: w, c: c, at: at, release: release}
	if c.r.cfg.OneProcess {
		mine.upload, err = c.upload(ctx, op, at, id)
	} else {
		err = mine.take(ctx, op, id)
	}
	if err != nil {
		release()
		return nil, err
	}
	return mine, nil
}

// change changes a claim that the caller has. The operation that needs it asks for its
// permission when it changes the upload.
func (m *claim) change(ctx context.Context, fn func(ctx context.Context, tx *gate.Tx) error) error {
	err := m.c.r.cfg.Gate.System("upload claims").Change(ctx, gate.Op("ClaimUpload").Hot(), fn)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return uploadNotFound(m.at, m.upload.ID)
	case errors.Is(err, meta.ErrConflict):
		return errBusy
	}
	return err
}

// take claims the upload in the database. A request of another process that has
// the claim learns that it is wanted, and stops as soon as it waits for its body.
func (m *claim) take(ctx context.Context, op gate.Operation, id meta.UploadID) error {
	wait := time.NewTimer(takeOver)
	defer wait.Stop()
	for {
		ok, at := false, m.c.r.passed()
		err := m.c.gate.Prepare(ctx, op, m.at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) (err error) {
			m.upload, ok, err = tx.ClaimUpload(ctx, repo.ID, id, m.c.r.cfg.ClaimTime)
			if errors.Is(err, meta.ErrNotFound) {
				err = uploadNotFound(m.at, id)
			}
			return err
		})
		if code := ecr.CodeOf(err); err != nil && code != ecr.CodeUnavailable {
			// The operation asks, and puts on record what is refused.
			if _, asked := m.c.upload(ctx, op, m.at, id); asked != nil {
				err = asked
			}
		}
		if err != nil {
			return err
		}
		if ok {
			m.renewed.Store(int64(at))
			m.keep(context.WithoutCancel(ctx))
			return nil
		}
		again := time.NewTimer(claimPoll)
		select {
		case <-again.C:
		case <-wait.C:
			return errBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keep renews the claim until stop is called.
func (m *claim) keep(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := make(chan struct{})
	m.stop = func() { cancel(); <-stopped }
	go func() {
		defer close(stopped)
		tick := time.NewTicker(max(m.c.r.cfg.ClaimTime/renewalsPerClaim, minRenewal))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			wanted, err := m.renew(ctx)
			switch code := ecr.CodeOf(err); {
			case ctx.Err() != nil:
				return
			case errors.Is(err, errBusy), code == ecr.CodeUploadNotFound: // it is another's, or gone
				m.takeOver()
				return
			case wanted:
				m.takeOver()
			case err != nil:
				m.c.r.cfg.Log.WarnContext(ctx, "claim on an upload not renewed", "upload", m.upload.ID, "error", err)
			}
		}
	}()
}

func (m *claim) renew(ctx context.Context) (wanted bool, err error) {
	at := m.c.r.passed()
	err = m.change(ctx, func(ctx context.Context, tx *gate.Tx) (err error) {
		wanted, err = tx.RenewUpload(ctx, m.upload.ID, m.upload.Claim, m.c.r.cfg.ClaimTime)
		return err
	})
	if err == nil {
		m.renewed.Store(int64(at))
	}
	return wanted, err
}

// holds makes sure that the claim is still the caller's, before it does to the
// upload's content what cannot be taken back. It asks the database where the last
// renewal is too long ago to tell. Errors: UploadNotFound, Unavailable.
func (m *claim) holds(ctx context.Context) error {
	if m.stop == nil {
		return nil
	}
	if r := m.c.r; r.cfg.Passed != nil && r.passed()-time.Duration(m.renewed.Load()) < r.cfg.ClaimTime/2 {
		return nil
	}
	_, err := m.renew(ctx)
	return err
}

// end gives the upload back.
func (m *claim) end(ctx context.Context) {
	if m.stop != nil {
		m.stop()
		if !m.ended {
			err := m.change(context.WithoutCancel(ctx), func(ctx context.Context, tx *gate.Tx) error {
				return tx.ReleaseUpload(ctx, m.upload.ID, m.upload.Claim)
			})
			if err != nil { // it ends by itself
				m.c.r.cfg.Log.WarnContext(ctx, "claim on an upload not released", "upload", m.upload.ID, "error", err)
			}
		}
	}
	m.release()
}

// drop deletes the upload's row, unless another request has claimed it.
func (m *claim) drop(ctx context.Context, op gate.Operation) error {
	err := m.c.gate.ChangeRepository(context.WithoutCancel(ctx), op, m.at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		if err := m.deleteRow(ctx, tx, repo); ecr.CodeOf(err) != ecr.CodeUploadNotFound {
			return err
		}
		return nil
	})
	m.rowDeleted(err)
	return err
}

// deleteRow removes the upload's row in a transaction on its repository. One that was
// only begun has none, unless the server is stopping.
func (m *claim) deleteRow(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
	switch {
	case !m.c.r.begun.has(m.upload.ID):
		return changedUpload(m.at, m.upload, tx.DeleteUpload(ctx, m.upload.ID, m.upload.Claim))
	case m.upload.Repository != repo.ID: // another repository has the name now
		return uploadNotFound(m.at, m.upload.ID)
	case m.c.r.begun.storing.Load():
		if err := tx.DeleteUpload(ctx, m.upload.ID, m.upload.Claim); !errors.Is(err, meta.ErrNotFound) {
			return err
		}
	}
	return nil
}

// rowDeleted notes how the transaction of deleteRow ended.
func (m *claim) rowDeleted(err error) {
	if m.ended = err == nil; m.ended {
		m.c.r.begun.remove(m.upload.ID)
	}
}

// notStored ends a request whose content the store did not take. A store that is
// busy may take it later: then the upload stays as it was before the request.
func (m *claim) notStored(ctx context.Context, op gate.Operation, w blob.Writer, err error) error {
	if errors.Is(err, blob.ErrUnavailable) {
		return errors.Join(spaceError(err), leave(ctx, w))
	}
	return errors.Join(storeError(m.upload, err), m.abandon(ctx, op, w))
}

// notEnded ends a request whose writer could not be ended. An upload that the store
// has lost goes; what it still has of it is left to the sweep of orphans.
func (m *claim) notEnded(ctx context.Context, op gate.Operation, err error) error {
	if lost(err) {
		return errors.Join(storeError(m.upload, err), m.drop(ctx, op))
	}
	return spaceError(err)
}

// abandon ends an upload that cannot go on, with what was received. Where the
// claim has passed to another request, that request goes on with it.
func (m *claim) abandon(ctx context.Context, op gate.Operation, w blob.Writer) error {
	if err := m.holds(ctx); err != nil {
		return errors.Join(err, leave(ctx, w))
	}
	return errors.Join(w.Abort(), m.drop(ctx, op))
}

// leave ends a writer and keeps what others have of its upload.
func leave(ctx context.Context, w blob.Writer) error {
	_, err := w.Suspend(context.WithoutCancel(ctx))
	return err
}
