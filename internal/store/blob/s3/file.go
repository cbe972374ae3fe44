package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/crc64nvme"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

func crcOf(b []byte) uint64 { return crc64nvme.Checksum(b) }

// addCRC is the checksum of what sum is of, and b after it.
func addCRC(sum uint64, b []byte) uint64 { return crc64nvme.Update(sum, b) }

// encodeCRC is a CRC64NVME as S3 writes it.
func encodeCRC(sum uint64) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, sum))
}

// file reads an object. It opens with the request for all of it, whose answer tells
// the size: there is no other request for a blob that is read from its beginning. A
// body that breaks off is continued where it did, of the same object. It is for one
// goroutine, but for ReadAt.
type file struct {
	s    *Store
	ctx  context.Context // of Open; Read and Seek have none
	name string
	size int64
	etag string
	sum  string // CRC64NVME of the whole object; "" when the store does not tell

	offset int64  // of the next Read
	body   *body  // nil when none is open
	read   int64  // how far it was read from the beginning without a gap
	crc    uint64 // of what was read so
	closed bool

	mu    sync.Mutex
	ahead *body // guarded by mu; what ReadAt goes on with, nil for none
	next  int64 // guarded by mu; where the last ReadAt ended
}

// body is the body of an answer, read up to at.
type body struct {
	io.ReadCloser
	at   int64
	stop context.CancelFunc // ends the request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.at += int64(n)
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.stop()
	return err
}

// Open opens committed content: it requests all of it. ErrNotFound,
// ErrUnavailable.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	f, err := s.openObject(ctx, s.blob(key))
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", key, err)
	}
	return f, nil
}

func (s *Store) openObject(ctx context.Context, name string) (*file, error) {
	f := &file{s: s, ctx: ctx, name: name}
	b, out, err := f.get(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	if out.ContentLength == nil {
		return nil, errors.Join(fmt.Errorf("object %q in bucket %q: the store does not say how large it is", name, s.cfg.Bucket), b.Close())
	}
	f.body, f.size, f.etag = b, *out.ContentLength, aws.ToString(out.ETag)
	f.sum = fullChecksum(out.ChecksumCRC64NVME, out.ChecksumType)
	return f, nil
}

// fullChecksum is the checksum of a whole object; "" for none, or of its parts.
func fullChecksum(sum *string, of types.ChecksumType) string {
	if of != "" && of != types.ChecksumTypeFullObject {
		return ""
	}
	return aws.ToString(sum)
}

// get requests n bytes from off; all of the object when n is negative.
func (f *file) get(ctx context.Context, off, n int64) (*body, *s3.GetObjectOutput, error) {
	in := &s3.GetObjectInput{Bucket: &f.s.cfg.Bucket, Key: &f.name}
	options := []func(*s3.Options){withChecksum}
	if n >= 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1))
		options = nil
		if f.etag != "" {
			in.IfMatch = &f.etag
		}
	}
	ctx, stop := context.WithCancel(ctx)
	out, err := f.s.client.GetObject(ctx, in, options...)
	if err != nil {
		stop()
		if status(err) == http.StatusPreconditionFailed {
			return nil, nil, fmt.Errorf("object %q in bucket %q was changed while it was read", f.name, f.s.cfg.Bucket)
		}
		return nil, nil, f.s.failed("s3:GetObject", f.name, err)
	}
	b := &body{ReadCloser: out.Body, at: off, stop: stop}
	if n >= 0 && aws.ToInt64(out.ContentLength) != n {
		return nil, nil, errors.Join(fmt.Errorf("object %q in bucket %q: asked for %d bytes from byte %d, the store answers with %d", f.name, f.s.cfg.Bucket, n, off, aws.ToInt64(out.ContentLength)), b.Close())
	}
	return b, out, nil
}

// Read reads on, with further requests where the body breaks off. The end of
// content that was read from its beginning is withheld when its checksum is wrong.
func (f *file) Read(p []byte) (int, error) {
	switch {
	case f.closed:
		return 0, fs.ErrClosed
	case f.offset >= f.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	var err error
	for range f.s.cfg.Attempts {
		if err = f.ctx.Err(); err != nil {
			return 0, err
		}
		if err = f.seekBody(); err != nil {
			return 0, err
		}
		var n int
		n, err = f.body.Read(p[:min(int64(len(p)), f.size-f.offset)])
		if n > 0 {
			if wrong := f.count(p[:n]); wrong != nil {
				return 0, wrong
			}
			return n, nil // what else there was comes again
		}
		if err == nil {
			continue
		}
		f.drop()
	}
	return 0, fmt.Errorf("%w: reading %q in bucket %q at byte %d: %w", blob.ErrUnavailable, f.name, f.s.cfg.Bucket, f.offset, noEOF(err))
}

// noEOF makes an end that comes too early an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// count advances over p, and compares the checksum at the end.
func (f *file) count(p []byte) error {
	if f.read == f.offset {
		f.crc = addCRC(f.crc, p)
		f.read += int64(len(p))
		if f.read == f.size && f.sum != "" && encodeCRC(f.crc) != f.sum {
			return fmt.Errorf("object %q in bucket %q is damaged: its CRC64NVME is %s, the store has noted %s", f.name, f.s.cfg.Bucket, encodeCRC(f.crc), f.sum)
		}
	}
	f.offset += int64(len(p))
	return nil
}

// seekBody makes sure that the body is at the offset.
func (f *file) seekBody() error {
	if f.body != nil && f.body.at == f.offset {
		return nil
	}
	f.drop()
	b, _, err := f.get(f.ctx, f.offset, f.size-f.offset)
	f.body = b
	return err
}

// drop closes the body. What closing it says is of no use: it was not read to its
// end, or failed already.
func (f *file) drop() {
	if f.body != nil {
		_ = f.body.Close()
		f.body = nil
	}
}

// Seek implements io.Seeker. It sends nothing.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, fs.ErrInvalid
	}
	f.offset = offset
	return offset, nil
}

// ReadAt implements io.ReaderAt, with a request for each call. Calls that follow each
// other share one from the second on.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= f.size {
		return 0, io.EOF
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	want := p[:min(int64(len(p)), f.size-off)]
	done, failures := 0, 0
	for done < len(want) {
		n, err := f.readAt(want[done:], off+int64(done))
		done += n
		if failures++; n > 0 {
			failures = 0
		}
		var broken *brokenError
		if err != nil && (!errors.As(err, &broken) || failures >= f.s.cfg.Attempts) {
			return done, err
		}
	}
	f.next = off + int64(done)
	if len(want) < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// brokenError is a body that broke off.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// readAt fills p, or returns how far it came. The caller holds f.mu.
func (f *file) readAt(p []byte, off int64) (int, error) {
	if f.ahead != nil && f.ahead.at != off {
		_ = f.ahead.Close()
		f.ahead = nil
	}
	from := f.ahead
	if from == nil {
		length := int64(len(p))
		if off > 0 && off == f.next {
			length = f.size - off
		}
		var err error
		if from, _, err = f.get(f.ctx, off, length); err != nil {
			return 0, err
		}
		f.ahead = from
	}
	n, err := io.ReadFull(from, p)
	if err != nil || from.at == f.size {
		_ = from.Close()
		f.ahead = nil
	}
	if err != nil {
		err = &brokenError{fmt.Errorf("%w: reading %q in bucket %q at byte %d: %w", blob.ErrUnavailable, f.name, f.s.cfg.Bucket, off+int64(n), noEOF(err))}
	}
	return n, err
}

// Close ends the request.
func (f *file) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	f.drop()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ahead != nil {
		_ = f.ahead.Close()
		f.ahead = nil
	}
	return nil
}
