package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// The objects of an upload, below uploads/KEY/. None is ever written twice.
const (
	// multipartMarker-RANDOM holds the id of a multipart upload, by which it is
	// found when no row has it: stores do not list multipart uploads reliably.
	multipartMarker = "multipart-"
	// tail-OFFSET-RANDOM holds the content from OFFSET on, where it is too large
	// for the row and no whole part.
	tailObject = "tail-"
)

// sendTimeout is how long storing one object or part may take, with all attempts.
const sendTimeout = 10 * time.Minute

// errEnded answers the use of a writer after Suspend, Commit or Abort.
var errEnded = fmt.Errorf("upload writer: %w", fs.ErrClosed)

// writer is the only one of this process writing its key, see Store.lock. It
// collects a part while it sends the one before. Whatever fails leaves what the
// writers before it suspended.
type writer struct {
	s      *Store
	ctx    context.Context // of what is sent; Write has none
	stop   context.CancelFunc
	key    blob.Key
	st     state
	sum    hash.Hash // sha256 of the first offset bytes
	offset int64
	start  int64 // the offset this writer began at

	buf     []byte    // what comes after the parts, the one that is being sent included
	of      *kind     // whose buf is
	pending chan sent // the part that is being sent; nil for none
	own     bool      // the multipart upload is this writer's, no row has it
	err     error     // why writing failed
	ended   bool
}

// sent is what became of a part.
type sent struct {
	part part
	err  error
}

// Append continues writing the upload key from p. What a later writer than p's
// left is not looked at: nothing that p names was ever written again. Whether key
// was committed since shows when it is committed again.
func (s *Store) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	if err := s.lock(key); err != nil {
		return nil, err
	}
	w := &writer{s: s, key: key, sum: sha256.New(), offset: p.Offset, start: p.Offset}
	// A client that goes away does not take back what it sent.
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := w.begin(ctx, p); err != nil {
		w.end()
		return nil, fmt.Errorf("going on with upload %s at byte %d: %w", key, p.Offset, err)
	}
	return w, nil
}

// begin reads the state and the tail.
func (w *writer) begin(ctx context.Context, p blob.Progress) error {
	inline, err := decode(p, &w.st, w.sum)
	if err != nil {
		return err
	}
	var g errgroup.Group
	if old := w.st.Superseded; old != "" {
		w.st.Superseded = ""
		g.Go(func() error { w.s.tidy(ctx, w.s.upload(w.key)+old); return nil })
	}
	t := w.st.Tail
	if err := w.grow(t.Size); err != nil {
		return errors.Join(err, g.Wait())
	}
	if t.Object == "" {
		w.buf = append(w.buf, inline...)
		return g.Wait()
	}
	g.Go(func() error { return w.readTail(ctx, t) })
	return g.Wait()
}

func (w *writer) readTail(ctx context.Context, t tail) error {
	name := w.s.upload(w.key) + t.Object
	f, err := w.s.openObject(ctx, name)
	if err != nil {
		return err
	}
	if f.size != int64(t.Size) {
		return errors.Join(fmt.Errorf("object %s has %d bytes, want %d", name, f.size, t.Size), f.Close())
	}
	w.buf = w.buf[:t.Size]
	_, err = io.ReadFull(f, w.buf)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if crcOf(w.buf) != t.CRC {
		return fmt.Errorf("object %s is damaged: its content has another checksum", name)
	}
	return nil
}

// grow makes the buffer take n bytes: a small one, or one of a part.
func (w *writer) grow(n int) error {
	if n <= cap(w.buf) && w.buf != nil {
		return nil
	}
	to, size := &w.s.mem.large, partSize(len(w.st.Parts))
	if n <= w.s.cfg.InlineBytes {
		to, size = &w.s.mem.small, w.s.cfg.InlineBytes
	}
	larger, err := w.s.mem.take(w.ctx, to, size, true)
	if err != nil {
		return err
	}
	larger = append(larger, w.buf...)
	w.release()
	w.buf, w.of = larger, to
	return nil
}

// release gives the buffer back.
func (w *writer) release() {
	if w.of != nil {
		w.of.give(w.buf)
	}
	w.buf, w.of = nil, nil
}

// Offset is the number of bytes received, earlier requests included.
func (w *writer) Offset() int64 { return w.offset }

// Write takes p, and sends parts as they become whole. After an error the writer
// is good for nothing but to be ended.
func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errEnded
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.write(p)
	if err != nil {
		w.err = fmt.Errorf("writing upload %s: %w", w.key, err)
	}
	return n, w.err
}

func (w *writer) write(p []byte) (n int, err error) {
	for n < len(p) {
		size := partSize(len(w.st.Parts) + w.sending())
		if len(w.buf) == size {
			if err := w.send(); err != nil {
				return n, err
			}
			continue
		}
		if err := w.grow(min(len(w.buf)+len(p)-n, size)); err != nil {
			return n, err
		}
		next := p[n:min(len(p), n+size-len(w.buf))]
		w.buf = append(w.buf, next...)
		w.sum.Write(next)
		w.st.CRC = addCRC(w.st.CRC, next)
		w.offset += int64(len(next))
		n += len(next)
	}
	return n, nil
}

// sending is the number of parts under way.
func (w *writer) sending() int {
	if w.pending != nil {
		return 1
	}
	return 0
}

// send sends the buffer, a whole part, and empties it. With a second buffer the
// part is under way when send returns.
func (w *writer) send() error {
	if err := w.await(); err != nil {
		return err
	}
	n := len(w.st.Parts)
	if n >= maxParts {
		return w.tooLarge()
	}
	if err := w.beginMultipart(); err != nil {
		return err
	}
	full := w.buf
	next, err := w.s.mem.take(w.ctx, &w.s.mem.large, partSize(n+1), false)
	if err != nil {
		return err
	}
	if next != nil {
		id, pending := w.st.UploadID, make(chan sent, 1)
		w.pending, w.buf = pending, next
		go func() {
			part, err := w.s.sendPart(w.ctx, w.key, id, n, full)
			w.s.mem.large.give(full)
			pending <- sent{part, err}
		}()
		return nil
	}
	part, err := w.s.sendPart(w.ctx, w.key, w.st.UploadID, n, full)
	if err != nil {
		return err
	}
	w.st.Parts = append(w.st.Parts, part)
	w.buf = full[:0]
	if partSize(n+1) != len(full) {
		w.release() // the next is larger; who waits for it has none
	}
	return nil
}

func (w *writer) tooLarge() error {
	return ecr.Errorf(ecr.CodeLimitExceeded, "The layer is larger than %d bytes, the most that the registry's store takes", w.st.partBytes())
}

// await waits for the part that is under way.
func (w *writer) await() error {
	if w.pending == nil {
		return nil
	}
	done := <-w.pending
	w.pending = nil
	if done.err == nil {
		w.st.Parts = append(w.st.Parts, done.part)
	}
	return done.err
}

// beginMultipart begins the multipart upload before its first part. No part is
// sent before there is a marker by which it can be removed.
func (w *writer) beginMultipart() error {
	if w.st.UploadID != "" {
		return nil
	}
	name := w.s.blob(w.key)
	in := &s3.CreateMultipartUploadInput{Bucket: &w.s.cfg.Bucket, Key: &name, ContentType: aws.String(contentType)}
	if w.s.checksums {
		in.ChecksumAlgorithm, in.ChecksumType = types.ChecksumAlgorithmCrc64nvme, types.ChecksumTypeFullObject
	}
	out, err := w.s.client.CreateMultipartUpload(w.ctx, in)
	if err != nil {
		return w.s.failed("s3:PutObject", name, err)
	}
	id, mark := aws.ToString(out.UploadId), multipartMarker+string(blob.NewKey())
	if err := w.s.put(w.ctx, w.s.upload(w.key)+mark, []byte(id), crcOf([]byte(id)), false); err != nil {
		return errors.Join(err, w.s.abort(context.WithoutCancel(w.ctx), w.key, id))
	}
	w.st.UploadID, w.st.Marker, w.own = id, mark, true
	return nil
}

const contentType = "application/octet-stream"

// put stores an object. With once it must not be there yet, as far as the store
// knows that condition: exists(err).
func (s *Store) put(ctx context.Context, name string, b []byte, crc uint64, once bool) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	in := &s3.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: &name, ContentLength: aws.Int64(int64(len(b))), ContentType: aws.String(contentType),
	}
	if s.checksums {
		in.ChecksumCRC64NVME = aws.String(encodeCRC(crc))
	}
	return s.once(once, func(condition *string) error {
		in.IfNoneMatch, in.Body = condition, bytes.NewReader(b)
		_, err := s.client.PutObject(ctx, in)
		return err
	})
}

// once calls write with the condition that there is no object yet, and without it
// when that is not asked for, or where the store does not know conditions: keys are
// new, so that it protects only against what went wrong elsewhere.
func (s *Store) once(ask bool, write func(condition *string) error) error {
	if !ask || s.unconditional.Load() {
		return write(nil)
	}
	err := write(aws.String("*"))
	if status(err) != http.StatusNotImplemented {
		return err
	}
	s.unconditional.Store(true)
	return write(nil)
}

// sendPart stores part n, which counts from 0.
func (s *Store) sendPart(ctx context.Context, key blob.Key, id string, n int, b []byte) (part, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	name, crc := s.blob(key), crcOf(b)
	in := &s3.UploadPartInput{
		Bucket: &s.cfg.Bucket, Key: &name, UploadId: &id, PartNumber: aws.Int32(int32(n + 1)), // at most 10,000
		Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
	}
	if s.checksums {
		in.ChecksumCRC64NVME = aws.String(encodeCRC(crc))
	}
	out, err := s.client.UploadPart(ctx, in)
	if err != nil {
		return part{}, s.failed("s3:PutObject", name, s.reason(ctx, &name, &id, err))
	}
	return part{ETag: aws.ToString(out.ETag), CRC: crc}, nil
}

// reason is why a part was not stored. A store that refuses one may close the
// connection before it has read the body, and then its answer can be lost with the
// rest of the body: an empty part is small enough to be answered. It takes the last
// number, which Complete lists only for the largest upload there can be, and needs
// no right that the other parts do not need.
func (s *Store) reason(ctx context.Context, name, id *string, err error) error {
	if status(err) != 0 || ctx.Err() != nil {
		return err
	}
	_, because := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.cfg.Bucket, Key: name, UploadId: id, PartNumber: aws.Int32(maxParts), ContentLength: aws.Int64(0), Body: bytes.NewReader(nil),
	})
	if code(because) == "NoSuchUpload" {
		return because
	}
	return err
}

// Suspend makes the bytes durable and returns where to continue.
func (w *writer) Suspend(ctx context.Context) (blob.Progress, error) {
	if w.ended {
		return blob.Progress{}, errEnded
	}
	defer w.end()
	if w.err == nil {
		state, err := w.suspend(ctx)
		if err == nil {
			return blob.Progress{Offset: w.offset, State: state}, nil
		}
		w.err = fmt.Errorf("suspending upload %s: %w", w.key, err)
	}
	w.takeBack(ctx)
	return blob.Progress{}, w.err
}

func (w *writer) suspend(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(w.buf) == partSize(len(w.st.Parts)+w.sending()) {
		if err := w.send(); err != nil {
			return nil, err
		}
	}
	if err := w.await(); err != nil {
		return nil, err
	}
	old := w.st.Tail
	if w.offset == w.start {
		return w.encode(old)
	}
	t := tail{Size: len(w.buf)}
	if t.Size > w.s.cfg.InlineBytes {
		t.Object, t.CRC = fmt.Sprintf("%s%d-%s", tailObject, w.st.partBytes(), blob.NewKey()), crcOf(w.buf)
		if err := w.s.put(ctx, w.s.upload(w.key)+t.Object, w.buf, t.CRC, false); err != nil {
			return nil, w.s.failed("s3:PutObject", w.s.upload(w.key)+t.Object, err)
		}
	}
	w.st.Superseded = old.Object
	return w.encode(t)
}

func (w *writer) encode(t tail) ([]byte, error) {
	w.st.Tail = t
	inline := w.buf
	if t.Object != "" {
		inline = nil
	}
	return w.st.encode(w.sum, inline)
}

// takeBack removes the multipart upload that no row has. That it may fail does no
// harm: it has a marker.
func (w *writer) takeBack(ctx context.Context) {
	w.stop()
	_ = w.await()
	if !w.own {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err := w.s.abort(ctx, w.key, w.st.UploadID); err != nil {
		w.s.cfg.Log.WarnContext(ctx, "multipart upload left to the sweep", "upload", w.key, "error", err)
		return
	}
	w.s.tidy(ctx, w.s.upload(w.key)+w.st.Marker)
}

// Commit checks the content and makes it durable under its key. It may be
// cancelled until the last request.
func (w *writer) Commit(ctx context.Context, digests ...ecr.Digest) (ecr.Digest, error) {
	if w.ended {
		return "", errEnded
	}
	defer w.end()
	var d ecr.Digest
	if w.err == nil {
		d, w.err = w.commit(ctx, digests)
	}
	switch {
	case w.err == nil:
		w.tidy(context.WithoutCancel(ctx))
		return d, nil
	case errors.Is(w.err, blob.ErrDigestMismatch):
		w.err = errors.Join(w.err, w.s.discard(context.WithoutCancel(ctx), w.key))
	case !errors.Is(w.err, errUnknown):
		w.takeBack(ctx)
	}
	return "", fmt.Errorf("committing upload %s: %w", w.key, w.err)
}

// errUnknown: it is not known whether the content was committed. Committing again
// finds out.
var errUnknown = errors.New("the store did not say whether it was done")

func (w *writer) commit(ctx context.Context, digests []ecr.Digest) (ecr.Digest, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := w.await(); err != nil {
		return "", err
	}
	is := sum("sha256", w.sum)
	others := slices.ContainsFunc(digests, func(d ecr.Digest) bool { return d.Algorithm() != "sha256" })
	if !others && !slices.Contains(digests, is) {
		return "", mismatch(digests, is)
	}
	small := w.st.UploadID == ""
	if small && others {
		// Nothing has been stored yet: nothing needs to be removed.
		return w.commitSmall(ctx, digests, is)
	}
	created, err := w.store(ctx)
	if err != nil {
		return "", err
	}
	if !others {
		return is, nil
	}
	return w.matchStored(ctx, created, digests, is)
}

// matchTimeout is how long reading a stored object for its digest may take.
const matchTimeout = 30 * time.Minute

// matchStored compares the stored content with digests. Of wrong content it removes
// the object that this writer has created. One that was there before may be what
// another replica acknowledged, and whatever else fails does not show that the
// content is wrong: then the object stays, committing again finds it, and the sweep
// of orphans removes it where nobody does.
func (w *writer) matchStored(ctx context.Context, created bool, digests []ecr.Digest, is ecr.Digest) (ecr.Digest, error) {
	ctx = context.WithoutCancel(ctx)
	reading, cancel := context.WithTimeout(ctx, matchTimeout)
	defer cancel()
	d, err := w.s.match(reading, w.key, digests, is)
	switch {
	case err == nil:
		return d, nil
	case !errors.Is(err, blob.ErrDigestMismatch):
		return "", errors.Join(errUnknown, fmt.Errorf("%w: comparing digests: %w", blob.ErrUnavailable, err))
	case created:
		return "", errors.Join(err, w.s.remove(ctx, w.s.blob(w.key)))
	}
	return "", err
}

// commitSmall is commit of content that is all in the buffer.
func (w *writer) commitSmall(ctx context.Context, digests []ecr.Digest, is ecr.Digest) (ecr.Digest, error) {
	for _, d := range digests {
		if d == is || d.Algorithm() != "sha256" && d.Verifies(w.buf) {
			_, err := w.store(ctx)
			return d, err
		}
	}
	return "", mismatch(digests, is)
}

func mismatch(digests []ecr.Digest, is ecr.Digest) error {
	return fmt.Errorf("%w: want one of %q, it is %s", blob.ErrDigestMismatch, digests, is)
}

func sum(algorithm string, h hash.Hash) ecr.Digest {
	return ecr.Digest(algorithm + ":" + hex.EncodeToString(h.Sum(nil)))
}

// match returns the first of digests that is the stored content's digest, or
// ErrDigestMismatch. It reads the content once for each other algorithm.
func (s *Store) match(ctx context.Context, key blob.Key, digests []ecr.Digest, is ecr.Digest) (ecr.Digest, error) {
	sums := map[string]ecr.Digest{"sha256": is}
	for _, d := range digests {
		a := d.Algorithm()
		if _, ok := sums[a]; !ok {
			h := d.Hash()
			if err := s.readInto(ctx, h, key); err != nil {
				return "", err
			}
			sums[a] = sum(a, h)
		}
		if sums[a] == d {
			return d, nil
		}
	}
	return "", mismatch(digests, is)
}

// readInto writes the content of key to h.
func (s *Store) readInto(ctx context.Context, h io.Writer, key blob.Key) error {
	f, err := s.openObject(ctx, s.blob(key))
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 256<<10))
	return errors.Join(err, f.Close())
}

// store makes the content an object, and reports whether this writer created it.
// It cannot be cancelled: the last request is seen through, so that its outcome is
// known.
func (w *writer) store(ctx context.Context) (created bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*completeTimeout)
	defer cancel()
	name := w.s.blob(w.key)
	if w.st.UploadID == "" {
		err = w.s.put(ctx, name, w.buf, w.st.CRC, true)
	} else {
		err = w.complete(ctx)
	}
	if err == nil {
		return true, nil
	}
	if !exists(err) && code(err) != "NoSuchUpload" && !unknown(err) {
		return false, w.s.failed("s3:PutObject", name, err)
	}
	// An attempt before this one may have done it, whose answer was lost.
	is := w.compare(ctx, err)
	switch {
	case is == nil:
		return false, nil
	case errors.Is(is, errOther), errors.Is(is, blob.ErrNotFound) && !conflict(err) && !unknown(err):
		return false, is
	case unknown(err):
		return false, errors.Join(errUnknown, w.s.failed("s3:PutObject", name, err))
	}
	return false, errors.Join(errUnknown, fmt.Errorf("%w: %w", blob.ErrUnavailable, is))
}

// errOther: other content was committed under the key.
var errOther = fmt.Errorf("%w: other content was committed", blob.ErrNotFound)

// complete sends what comes after the whole parts, and completes the multipart
// upload. It lists what this upload's row and this writer have stored: a part that
// another writer has put in its place has another ETag, and is refused.
func (w *writer) complete(ctx context.Context) error {
	parts := w.st.Parts
	if len(w.buf) > 0 {
		if len(parts) >= maxParts {
			return w.tooLarge()
		}
		last, err := w.s.sendPart(ctx, w.key, w.st.UploadID, len(parts), w.buf)
		if err != nil {
			return err
		}
		parts = append(slices.Clone(parts), last)
	}
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = types.CompletedPart{ETag: aws.String(p.ETag), PartNumber: aws.Int32(int32(i + 1))} // at most 10,000
		if w.s.checksums {
			list[i].ChecksumCRC64NVME = aws.String(encodeCRC(p.CRC))
		}
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &w.s.cfg.Bucket, Key: aws.String(w.s.blob(w.key)), UploadId: &w.st.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
	}
	if w.s.checksums {
		in.ChecksumCRC64NVME, in.ChecksumType, in.MpuObjectSize = aws.String(encodeCRC(w.st.CRC)), types.ChecksumTypeFullObject, &w.offset
	}
	return w.s.once(true, func(condition *string) error {
		in.IfNoneMatch = condition
		_, err := w.s.client.CompleteMultipartUpload(ctx, in, w.s.slow)
		return err
	})
}

// compare returns nil when the object under the key is what this writer has
// received. cause is why that is not known.
func (w *writer) compare(ctx context.Context, cause error) error {
	name := w.s.blob(w.key)
	out, err := w.s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &w.s.cfg.Bucket, Key: &name}, withChecksum)
	switch err = w.s.failed("s3:GetObject", name, err); {
	case errors.Is(err, blob.ErrNotFound):
		return fmt.Errorf("%w: %w", err, cause)
	case err != nil:
		return err
	}
	crc := fullChecksum(out.ChecksumCRC64NVME, out.ChecksumType)
	same := aws.ToInt64(out.ContentLength) == w.offset
	switch {
	case !same:
	case crc != "":
		same = crc == encodeCRC(w.st.CRC)
	default:
		h := sha256.New()
		if err := w.s.readInto(ctx, h, w.key); err != nil {
			return err
		}
		same = bytes.Equal(h.Sum(nil), w.sum.Sum(nil))
	}
	if !same {
		return errOther
	}
	return nil
}

// tidy removes the objects of an upload that became a blob.
func (w *writer) tidy(ctx context.Context) {
	var g errgroup.Group
	for _, name := range []string{w.st.Marker, w.st.Tail.Object, w.st.Superseded} {
		if name != "" {
			g.Go(func() error { w.s.tidy(ctx, w.s.upload(w.key)+name); return nil })
		}
	}
	_ = g.Wait()
}

// tidy removes an object that is not needed. What stays is found by the sweep of
// orphans.
func (s *Store) tidy(ctx context.Context, name string) {
	if err := s.remove(ctx, name); err != nil {
		s.cfg.Log.WarnContext(ctx, "object left to the sweep", "object", name, "error", err)
	}
}

// Abort removes everything received under the key.
func (w *writer) Abort() error {
	if w.ended {
		return errEnded
	}
	defer w.end()
	w.stop()
	_ = w.await()
	if err := w.s.discard(context.WithoutCancel(w.ctx), w.key); err != nil {
		return fmt.Errorf("aborting upload %s: %w", w.key, err)
	}
	return nil
}

// end lets other writers have the key.
func (w *writer) end() {
	w.ended = true
	w.stop()
	w.release()
	w.s.unlock(w.key)
}
