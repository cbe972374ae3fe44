package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// AnyOffset, as the offset of an upload's next byte, accepts whatever the
// upload has.
const AnyOffset int64 = -1

// MinPart is the least size in bytes of every part of an upload but the last,
// in CompatECR.
const MinPart = 5 << 20

var opStartUpload = gate.Op("StartUpload", "ecr:InitiateLayerUpload").Hot()

// StartUpload begins an upload. Errors: RepositoryNotFound.
func (c *Caller) StartUpload(ctx context.Context, at ecr.Repo) (meta.UploadID, error) {
	now := c.r.cfg.Now()
	u := meta.Upload{ID: newUploadID(), Key: blob.NewKey(), CreatedAt: now, UpdatedAt: now}
	if c.r.cfg.OneProcess {
		err := c.gate.AskForNow(ctx, opStartUpload, func(ctx context.Context, v *gate.View) error {
			s, drafted, err := v.EnterOrDraft(ctx, at, c.r.pushDraft(v.Registries(), at), pushActions...)
			if err == nil && drafted {
				err = errDrafted
			}
			u.Repository, u.Owner = s.Row.ID, v.Principal().Owner()
			return err
		})
		if err == nil {
			c.r.begun.add(u)
		}
		if !errors.Is(err, errDrafted) {
			return u.ID, err
		}
	}
	err := c.r.pushTo(ctx, c.gate, opStartUpload, at, func(ctx context.Context, tx *gate.Tx, s gate.Scene) error {
		u.Repository, u.Owner = s.Row.ID, tx.Principal().Owner()
		return tx.InsertUpload(ctx, u)
	})
	return u.ID, err
}

// errDrafted: the upload is to create its repository, which takes a transaction.
var errDrafted = errors.New("the repository is not there yet")

// newUploadID makes a random UUID (RFC 9562, version 4).
func newUploadID() meta.UploadID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return meta.UploadID(fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

func uploadNotFound(at ecr.Repo, id meta.UploadID) error {
	return ecr.Errorf(ecr.CodeUploadNotFound,
		"The upload with id '%s' does not exist in the repository with name '%s' in the registry with id '%s'", id, at.Name, at.In.Account)
}

func (r *Registry) findUpload(ctx context.Context, v meta.UploadReader, at ecr.Repo, repo meta.Repository, id meta.UploadID) (meta.Upload, error) {
	if u, ok := r.begun.find(repo.ID, id); ok {
		return u, nil
	}
	u, err := v.Upload(ctx, repo.ID, id)
	if errors.Is(err, meta.ErrNotFound) {
		return u, uploadNotFound(at, id)
	}
	return u, err
}

var opUploadOffset = gate.Op("UploadOffset", "ecr:UploadLayerPart")

// UploadOffset returns how many bytes an upload has. Errors: UploadNotFound.
func (c *Caller) UploadOffset(ctx context.Context, at ecr.Repo, id meta.UploadID) (int64, error) {
	u, err := c.upload(ctx, opUploadOffset, at, id)
	if c.r.cfg.OneProcess && ecr.CodeOf(err) == ecr.CodeUploadNotFound {
		// It may have got its row since the snapshot was taken, and was no longer among
		// those that have none. Another snapshot has the row.
		u, err = c.upload(ctx, opUploadOffset, at, id)
	}
	return u.Progress.Offset, err
}

func (c *Caller) upload(ctx context.Context, op gate.Operation, at ecr.Repo, id meta.UploadID) (meta.Upload, error) {
	var u meta.Upload
	err := c.gate.ReadRepository(ctx, op, at, func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		u, err = c.r.findUpload(ctx, r, at, repo, id)
		return err
	})
	return u, err
}

var opAppendUpload = gate.Op("AppendUpload", "ecr:UploadLayerPart").Hot()

// AppendUpload appends body to an upload that must have exactly from bytes
// (or AnyOffset), and returns how many it has now. When reading body fails,
// what came before is kept, so that the client can ask how far it got and go
// on; when the store cannot take it, the upload is gone. Another request that
// is still reading its body for the same upload is stopped first, and what came
// of it is dropped. A body with a method Interrupt is stopped at once when it is
// this one's turn: Interrupt makes Read return.
// Errors: UploadNotFound, InvalidLayerPart, Unavailable.
func (c *Caller) AppendUpload(ctx context.Context, at ecr.Repo, id meta.UploadID, from int64, body io.Reader) (int64, error) {
	mine, w, err := c.openUpload(ctx, opAppendUpload, at, id, from, body)
	if err != nil {
		return 0, err
	}
	defer mine.end(ctx)
	received := receive(w, mine.reader(body))
	if received.store != nil {
		return 0, mine.notStored(ctx, opAppendUpload, w, received.store)
	}
	if err := c.suspend(ctx, opAppendUpload, at, mine, w, received.client); err != nil {
		return 0, err
	}
	return w.Offset(), received.client
}

// openUpload claims an upload and opens it for writing. The claim's holder calls
// its end: the row cannot fall behind the content until then.
func (c *Caller) openUpload(ctx context.Context, op gate.Operation, at ecr.Repo, id meta.UploadID, from int64, body io.Reader) (*claim, blob.Writer, error) {
	mine, err := c.claimUpload(ctx, op, at, id, body)
	if err != nil {
		return nil, nil, err
	}
	w, err := c.r.openClaimed(ctx, mine.upload, from)
	if err != nil {
		mine.end(ctx)
		return nil, nil, err
	}
	return mine, w, nil
}

func (r *Registry) openClaimed(ctx context.Context, u meta.Upload, from int64) (blob.Writer, error) {
	if from != AnyOffset && from != u.Progress.Offset {
		return nil, ecr.Errorf(ecr.CodeInvalidLayerPart, "First byte of the layer part is %d instead of %d", from, u.Progress.Offset)
	}
	w, err := r.cfg.Blobs.Append(ctx, u.Key, u.Progress)
	if err != nil {
		return nil, storeError(u, err)
	}
	return w, nil
}

// lost reports whether the store has lost content of an upload, so that it cannot go
// on.
func lost(err error) bool {
	return errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrUnavailable)
}

// storeError says that u was lost, and what spaceError says.
func storeError(u meta.Upload, err error) error {
	if lost(err) {
		return &ecr.Error{Code: ecr.CodeUploadNotFound, Message: "The upload with id '" + string(u.ID) + "' was lost; start another", Err: err}
	}
	return spaceError(err)
}

// outcome tells whose fault it was that a body was not received whole.
type outcome struct {
	client error // the body could not be read
	store  error // the store could not take it
}

func receive(w io.Writer, body io.Reader) outcome {
	if body == nil {
		return outcome{}
	}
	src := &errorKeeper{r: body}
	if _, err := io.Copy(w, src); err != nil && src.err == nil {
		return outcome{store: err}
	}
	return outcome{client: src.err}
}

// errorKeeper remembers what reading failed with.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// suspend makes durable what was received, and where to go on. The client may
// be gone by now: that is when it matters. broken says why the body is not
// whole, nil when it is. What a request received that was taken over does not
// count: the other one sends it.
func (c *Caller) suspend(ctx context.Context, op gate.Operation, at ecr.Repo, mine *claim, w blob.Writer, broken error) error {
	ctx = context.WithoutCancel(ctx)
	u := mine.upload
	from := u.Progress.Offset
	n := w.Offset() - from
	held := isHeld(w)
	p, err := w.Suspend(ctx)
	if err != nil {
		return mine.notEnded(ctx, op, err)
	}
	if n == 0 || errors.Is(broken, errTakenOver) {
		return nil
	}
	u.Progress = p
	addPart(&u, n, broken != nil)
	u.UpdatedAt = c.r.cfg.Now()
	begun := c.r.begun.has(u.ID)
	if begun && held && c.r.begun.mayHold(u.ID, n) {
		return mine.hold(ctx, op, u)
	}
	err = c.gate.ChangeRepository(ctx, op, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		if begun && u.Repository != repo.ID {
			return uploadNotFound(at, u.ID)
		}
		if begun {
			err := tx.InsertUpload(ctx, u)
			if errors.Is(err, meta.ErrExists) { // a commit whose outcome was not known has done it
				c.r.begun.remove(u.ID)
				return errBusy
			}
			return err
		}
		return changedUpload(at, u, tx.AdvanceUpload(ctx, u, from))
	})
	if mine.ended = err == nil; mine.ended {
		c.r.begun.remove(u.ID)
	}
	return err
}

// isHeld reports whether what w received is in memory, so that the state of its upload
// has all of it.
func isHeld(w blob.Writer) bool {
	holder, ok := w.(blob.Holder)
	if !ok {
		return false
	}
	_, held := holder.Held()
	return held
}

// hold keeps an upload in memory that was only begun so far, with what it has received:
// a small push would pay for its row with a commit.
func (m *claim) hold(ctx context.Context, op gate.Operation, u meta.Upload) error {
	err := m.c.gate.AskForNow(ctx, op, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, m.at)
		if err == nil && s.Row.ID != u.Repository {
			err = uploadNotFound(m.at, u.ID)
		}
		return err
	})
	if err == nil && !m.c.r.begun.hold(u) {
		err = errBusy // the server is stopping
	}
	return err
}

// changedUpload is the error for a client whose change of u failed with err.
func changedUpload(at ecr.Repo, u meta.Upload, err error) error {
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return uploadNotFound(at, u.ID)
	case errors.Is(err, meta.ErrConflict):
		return errBusy
	}
	return err
}

var opCompleteUpload = gate.Op("CompleteUpload", "ecr:CompleteLayerUpload").Hot()

// CompleteUpload appends body (which may be nil) as AppendUpload does, and
// turns the upload into a blob of the repository if its content has one of the
// digests. Otherwise the upload is gone, with everything received. A blob that
// the repository had before is Known: what to make of that is the front end's.
// Errors: UploadNotFound, InvalidLayerPart, InvalidLayer, EmptyUpload,
// LayerPartTooSmall.
func (c *Caller) CompleteUpload(ctx context.Context, at ecr.Repo, id meta.UploadID, from int64, body io.Reader, digests ...ecr.Digest) (BlobInfo, error) {
	mine, w, err := c.openUpload(ctx, opCompleteUpload, at, id, from, body)
	if err != nil {
		return BlobInfo{}, err
	}
	defer mine.end(ctx)
	received := receive(w, mine.reader(body))
	if received.store != nil {
		return BlobInfo{}, mine.notStored(ctx, opCompleteUpload, w, received.store)
	}
	if received.client != nil {
		return BlobInfo{}, errors.Join(received.client, c.suspend(ctx, opCompleteUpload, at, mine, w, received.client))
	}
	if err := c.checkParts(at, mine.upload, w); err != nil {
		return BlobInfo{}, errors.Join(err, mine.abandon(ctx, opCompleteUpload, w))
	}
	if err := mine.holds(ctx); err != nil {
		return BlobInfo{}, errors.Join(err, leave(ctx, w))
	}
	if c.r.Compat(at.In) == CompatECR {
		// ECR knows layers by their sha256 only. Without one nothing matches.
		digests = slices.DeleteFunc(slices.Clone(digests), func(d ecr.Digest) bool { return d.Algorithm() != "sha256" })
	}
	b := meta.Blob{Key: mine.upload.Key, SizeBytes: w.Offset(), CreatedAt: c.r.cfg.Now()}
	b.Digest, b.Content, err = commit(ctx, w, digests)
	if errors.Is(err, blob.ErrDigestMismatch) {
		wrong := &ecr.Error{Code: ecr.CodeInvalidLayer, Message: "None of the provided layer digests match the calculated layer digest", Err: err}
		return BlobInfo{}, errors.Join(wrong, mine.drop(ctx, opCompleteUpload))
	}
	if err != nil {
		return BlobInfo{}, mine.notEnded(ctx, opCompleteUpload, err)
	}
	if b.Content != nil {
		b.Key = blob.NewDatabaseKey(b.CreatedAt)
	}
	return c.link(ctx, at, mine, w, b)
}

// commit ends w, and returns which of digests is that of its content. Small content is
// compared and returned, for the database: docs/design/0033. Other content is durable
// in the store.
func commit(ctx context.Context, w blob.Writer, digests []ecr.Digest) (ecr.Digest, []byte, error) {
	var content []byte
	if holder, ok := w.(blob.Holder); ok {
		content, _ = holder.Held()
	}
	if content == nil {
		d, err := w.Commit(ctx, digests...)
		return d, nil, err
	}
	if err := w.Abort(); err != nil {
		return "", nil, err
	}
	if i := slices.IndexFunc(digests, func(d ecr.Digest) bool { return d.Verifies(content) }); i >= 0 {
		return digests[i], content, nil
	}
	return "", nil, fmt.Errorf("%w: want one of %q, it is %s", blob.ErrDigestMismatch, digests, ecr.DigestOf(content))
}

// addPart counts n more bytes as a part. When they are torn, the client meant to
// send more: they are the beginning of a part, and not one of their own.
func addPart(u *meta.Upload, n int64, torn bool) {
	n, u.TornBytes = n+u.TornBytes, 0
	if n == 0 {
		return
	}
	if torn {
		u.TornBytes = n
		return
	}
	if u.Parts == 1 || u.Parts > 1 && u.LastPart < u.SmallestPart {
		u.SmallestPart = u.LastPart
	}
	u.Parts++
	u.LastPart = n
}

// checkParts refuses what ECR refuses: uploads of nothing, and small parts
// before the last.
func (c *Caller) checkParts(at ecr.Repo, u meta.Upload, w blob.Writer) error {
	if c.r.Compat(at.In) != CompatECR {
		return nil
	}
	if w.Offset() == 0 {
		return ecr.Errorf(ecr.CodeEmptyUpload,
			"The upload with id '%s' in the repository with name '%s' in registry with id '%s' cannot be completed because it does not have any parts.",
			u.ID, at.Name, at.In.Account)
	}
	addPart(&u, w.Offset()-u.Progress.Offset, false)
	if u.Parts > 1 && u.SmallestPart < MinPart {
		return ecr.Errorf(ecr.CodeLayerPartTooSmall, "All layer parts except the last part should be at least 5MB")
	}
	return nil
}

// link makes committed content, or mine.Content, a blob of the repository, and ends the
// upload.
// What the repository has already is linked again, so that it stays for the
// image that is being pushed. Content of this digest that is not whole is replaced by mine.
func (c *Caller) link(ctx context.Context, at ecr.Repo, claimed *claim, w blob.Writer, mine meta.Blob) (BlobInfo, error) {
	var (
		kept, old meta.Blob
		known     bool
		looked    = map[blob.Key]bool{} // whether content that the registry has is whole
	)
	change := func(ctx context.Context, tx *gate.Tx, repo meta.Repository) (err error) {
		old, known = meta.Blob{}, false
		if kept, err = tx.AddBlob(ctx, mine); err != nil {
			return err
		}
		if kept.Key != mine.Key { // otherwise no repository has it
			whole, told := looked[kept.Key]
			switch {
			case !told:
				return errNotLooked
			case whole:
				_, err = tx.Blob(ctx, repo.ID, mine.Digest)
				if known = err == nil; !known && !errors.Is(err, meta.ErrNotFound) {
					return err
				}
			default:
				if err := tx.Retention().ReplaceBlob(ctx, kept.Key, mine); err != nil {
					return err
				}
				old, kept = kept, mine
			}
		}
		if err := tx.LinkBlob(ctx, repo.ID, mine.Digest, mine.CreatedAt); err != nil {
			return err
		}
		return claimed.deleteRow(ctx, tx, repo)
	}
	var err error
	if mine.Content != nil { // its key is another than the upload's
		c.r.begun.end(claimed.upload.ID, true)
		defer func() { c.r.begun.end(claimed.upload.ID, false) }() // after the row
	}
	for {
		// Another replica may have replaced what was looked at: then it has another key.
		if err = c.gate.ChangeRepository(ctx, opCompleteUpload, at, change); !errors.Is(err, errNotLooked) {
			break
		}
		looked[kept.Key] = c.r.isWhole(ctx, kept)
	}
	claimed.rowDeleted(err)
	var refused *ecr.Error
	switch {
	case err == nil && kept.Key == mine.Key:
		if mine.Content == nil {
			c.r.noteWritten(ctx, kept, w)
		}
		if old.Key != "" {
			c.r.replaced(ctx, old, mine)
		}
		return info(kept), nil
	case mine.Content != nil: // it came with the row, or not at all
	case err == nil || errors.As(err, &refused) && refused.Code != ecr.CodeUnavailable:
		// The content is known already, or not wanted. When the commit's
		// outcome is unknown the file stays: better surplus than missing.
		if derr := c.r.dropSurplus(context.WithoutCancel(ctx), mine.Key); derr != nil {
			c.r.cfg.Log.WarnContext(ctx, "surplus blob not deleted", "key", mine.Key, "error", derr)
		}
	}
	done := info(kept)
	done.Known = known
	return done, err
}

// dropSurplus deletes committed content that no row knows. Another request may
// have completed the same upload, so that the content is an acknowledged blob.
// A key that neither an upload nor a blob has comes into no row later while this runs:
// only the transaction that ends its upload makes it a blob's. An upload that was only
// begun has no row, but belongs to this process, whose claim on it the caller still
// holds: no other request can be ending it.
func (r *Registry) dropSurplus(ctx context.Context, key blob.Key) error {
	known := false
	err := r.cfg.Gate.System("surplus blobs").Read(ctx, gate.Op("DropSurplus"), func(ctx context.Context, v *gate.View) error {
		uploads, err := v.UploadKeys(ctx, []blob.Key{key})
		if err != nil {
			return err
		}
		blobs, err := v.BlobsByKey(ctx, []blob.Key{key})
		known = len(uploads)+len(blobs) > 0
		return err
	})
	if err != nil || known {
		return err
	}
	return r.cfg.Blobs.Delete(ctx, key)
}

var opCancelUpload = gate.Op("CancelUpload", "ecr:UploadLayerPart").Hot()

// CancelUpload drops an upload. Errors: UploadNotFound.
func (c *Caller) CancelUpload(ctx context.Context, at ecr.Repo, id meta.UploadID) error {
	mine, err := c.claimUpload(ctx, opCancelUpload, at, id, nil)
	if err != nil {
		return err
	}
	defer mine.end(ctx)
	if err := mine.drop(ctx, opCancelUpload); err != nil {
		return err
	}
	return c.r.cfg.Blobs.Discard(ctx, mine.upload.Key)
}

// spaceError says that the disk is full, or the store busy, where it is.
func spaceError(err error) error {
	if errors.Is(err, blob.ErrUnavailable) {
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The registry's store is busy or does not answer. Try again later.", Err: err}
	}
	if errors.Is(err, blob.ErrNoSpace) {
		return &ecr.Error{Code: ecr.CodeUnavailable, Message: "The registry's disk is full. Nothing was stored; try again when there is space.", Err: err}
	}
	if errors.Is(err, blob.ErrBusy) {
		return errBusy
	}
	return err
}
