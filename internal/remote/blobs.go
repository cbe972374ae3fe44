package remote

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Blob is content and its size in bytes.
type Blob struct {
	Digest ecr.Digest
	Size   int64
}

func (r *Repository) blobCall(a Action, method string, d ecr.Digest) call {
	c := r.call(a, method, string(d))
	c.path = fmt.Sprintf("%s/blobs/%s", r.name, d)
	return c
}

// Exists reports whether the repository has the blob. In a repository that does
// not exist there is none. Errors: AccessDenied.
func (r *Repository) Exists(ctx context.Context, d ecr.Digest) (bool, error) {
	c := r.blobCall(FindBlob, http.MethodHead, d)
	// A redirect leads to where it is stored.
	c.expect = append(c.expect, http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect)
	err := r.registry.send(ctx, c, func(*http.Response) error { return nil })
	switch ecr.CodeOf(err) {
	case "":
		return true, nil
	case ecr.CodeLayersNotFound, ecr.CodeRepositoryNotFound:
		return false, nil
	}
	return false, err
}

// StatBlob returns a blob with its size. Where HEAD does not tell the size, it is
// that of the answer to a GET whose body is not read. Errors: LayersNotFound,
// RepositoryNotFound, AccessDenied; InvalidParameter where no answer tells it.
func (r *Repository) StatBlob(ctx context.Context, d ecr.Digest) (Blob, error) {
	b := Blob{Digest: d, Size: -1}
	size := func(resp *http.Response) error {
		if resp.StatusCode == http.StatusOK {
			b.Size = resp.ContentLength
		}
		return nil
	}
	c := r.blobCall(FindBlob, http.MethodHead, d)
	c.expect = append(c.expect, http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect)
	if err := r.registry.send(ctx, c, size); err != nil || b.Size >= 0 {
		return b, err
	}
	c = r.blobCall(ReadBlob, http.MethodGet, d)
	if err := r.registry.send(ctx, c, func(resp *http.Response) error {
		err := size(resp)
		if b.Size > maxErrorBody {
			// Nothing of it is wanted: the connection is not worth its bytes.
			err = resp.Body.Close()
			resp.Body = http.NoBody
		}
		return err
	}); err != nil {
		return b, err
	}
	if b.Size < 0 {
		return b, r.registry.newError(c, ecr.CodeInvalidParameter, errors.New("the registry does not tell the size"))
	}
	return b, nil
}

// OpenBlob reads a blob from offset on. Where the connection is cut, the rest is
// asked for. A blob that is read from its beginning to its end is what its
// digest says, or the last Read fails with ImageDigestDoesNotMatch. Errors:
// LayersNotFound, RepositoryNotFound, AccessDenied.
func (r *Repository) OpenBlob(ctx context.Context, b Blob, offset int64) (io.ReadCloser, error) {
	reader := &blobReader{ctx: ctx, repository: r, blob: b, offset: offset}
	if offset == 0 {
		reader.hash = b.Digest.Hash()
	} else if offset >= b.Size {
		reader.err = io.EOF // there is nothing to ask for
		return reader, nil
	}
	if err := reader.open(); err != nil {
		return nil, err
	}
	return reader, nil
}

// blobReader reads a blob over as many connections as it takes.
type blobReader struct {
	ctx        context.Context // of the copy that it belongs to
	repository *Repository
	blob       Blob
	offset     int64
	hash       hash.Hash // nil when the beginning was not read
	whole      bool      // the registry takes no Range
	body       io.ReadCloser
	failed     int // connections without a byte, one after the other
	err        error
}

// call is the request for the rest.
func (b *blobReader) call() call {
	c := b.repository.blobCall(ReadBlob, http.MethodGet, b.blob.Digest)
	if b.offset > 0 && !b.whole {
		c.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-", b.offset)}}
		c.expect = append(c.expect, http.StatusPartialContent, http.StatusRequestedRangeNotSatisfiable)
	}
	return c
}

// open asks for the rest, or for all of it where that is refused:
// go-containerregistry's registry wants to know where a range ends.
func (b *blobReader) open() error {
	c := b.call()
	r := b.repository.registry
	err := r.send(b.ctx, c, func(resp *http.Response) error {
		body := resp.Body
		switch {
		case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
			b.whole = true
			return nil
		case resp.StatusCode == http.StatusPartialContent:
			// "bytes 100-199/200": what is asked for, and nothing else.
			if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.offset)) {
				return r.newError(c, ecr.CodeInvalidParameter, fmt.Errorf("asked for the bytes from %d on, and got %q", b.offset, clip(resp.Header.Get("Content-Range"))))
			}
		case b.offset > 0: // ranges are not for everyone
			if _, err := io.CopyN(io.Discard, body, b.offset); err != nil {
				return err
			}
		}
		b.body, resp.Body = body, http.NoBody
		return nil
	})
	if err == nil && b.body == nil {
		return b.open()
	}
	return err
}

// Read reads what comes, and begins again where it was cut.
func (b *blobReader) Read(p []byte) (int, error) {
	for b.err == nil {
		if b.body == nil {
			if b.err = b.open(); b.err != nil {
				break
			}
		}
		n, err := b.body.Read(p)
		if n > 0 {
			b.failed = 0
			b.offset += int64(n)
			if b.hash != nil {
				b.hash.Write(p[:n])
			}
		}
		switch {
		case b.offset > b.blob.Size:
			b.err = b.wrong(fmt.Sprintf("there are more than %d bytes", b.blob.Size))
		case err != nil && b.offset == b.blob.Size: // how it ends, the digest says
			b.err = b.verify()
		case err != nil:
			b.err = b.cut(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.err
}

// cut closes a connection that ended too soon, and waits before the next one.
func (b *blobReader) cut(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	_ = b.body.Close() // it has failed already
	b.body = nil
	r := b.repository.registry
	e := r.transportError(b.call(), err)
	b.failed++
	pause, ok := r.again(e, b.failed)
	if !ok {
		return e
	}
	r.waiting(e, pause)
	return sleep(b.ctx, pause)
}

// verify compares the whole with its digest.
func (b *blobReader) verify() error {
	if b.hash != nil {
		if got := fmt.Sprintf("%s:%x", b.blob.Digest.Algorithm(), b.hash.Sum(nil)); got != string(b.blob.Digest) {
			return b.wrong("the content is " + got)
		}
	}
	return io.EOF
}

func (b *blobReader) wrong(message string) error {
	e := b.repository.registry.newError(b.call(), ecr.CodeImageDigestDoesNotMatch, nil)
	e.Message = message
	return e
}

// Close ends the reading.
func (b *blobReader) Close() error {
	if b.err == nil {
		b.err = errors.New("the blob is closed")
	}
	if b.body == nil {
		return nil
	}
	return b.body.Close()
}

// Upload is a session that the registry began, to be ended by PutBlob.
type Upload struct {
	location      *url.URL
	authorization string
}

// Mount makes a blob of another repository of the registry visible in this one.
// mounted is false where the registry wants it uploaded: session then is the
// upload that it began. Which of the two a registry does depends on its
// settings, on whether the caller may read from, and on ECR on whether an image
// there has the blob. Errors: RepositoryNotFound, AccessDenied.
func (r *Repository) Mount(ctx context.Context, d ecr.Digest, from ecr.RepositoryName) (session *Upload, mounted bool, err error) {
	c := r.call(MountBlob, http.MethodPost, string(d))
	c.from = from
	c.query = url.Values{"mount": {string(d)}, "from": {string(from)}}
	session, err = r.startUpload(ctx, c, http.StatusCreated)
	return session, err == nil && session == nil, err
}

// startUpload begins a session; it is nil for an answer of the status done.
func (r *Repository) startUpload(ctx context.Context, c call, done ...int) (*Upload, error) {
	c.path = string(r.name) + "/blobs/uploads/"
	c.expect = append(done, http.StatusAccepted)
	var session *Upload
	err := r.registry.send(ctx, c, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusAccepted {
			return nil
		}
		at, err := follow(resp, resp.Header.Get("Location"))
		if err != nil {
			return r.registry.newError(c, ecr.CodeInvalidParameter, err)
		}
		session = &Upload{location: at, authorization: resp.Request.Header.Get("Authorization")}
		return nil
	})
	return session, err
}

// Opener opens a blob's content at its beginning.
type Opener func(context.Context) (io.ReadCloser, error)

// PutBlob uploads a blob, in the session that Mount began, or in a new one
// when that is nil. When sending fails, a new session begins, with the content
// from its beginning; what open or the content fails with is returned as it is.
// sent, if it is not nil, is told how many bytes are on their way; a new session
// takes them back. Errors: RepositoryNotFound, AccessDenied, InvalidParameter.
func (r *Repository) PutBlob(ctx context.Context, b Blob, session *Upload, open Opener, sent func(n int64)) error {
	c := r.call(UploadBlob, http.MethodPut, string(b.Digest))
	for attempt := 1; ; attempt++ {
		if session == nil {
			var err error
			if session, err = r.startUpload(ctx, r.call(StartUpload, http.MethodPost, string(b.Digest))); err != nil {
				return err
			}
		}
		content, err := openCounted(ctx, open, sent)
		if err != nil {
			return err
		}
		err = r.upload(ctx, c, b, session, content)
		session = nil
		if failed := content.close(); err != nil && failed != nil {
			return failed
		}
		var e *Error
		if err == nil || !errors.As(err, &e) {
			return err
		}
		content.takeBack()
		pause, ok := again(e, attempt)
		if lost := e.Code == ecr.CodeUploadNotFound || e.Code == ecr.CodeUnrecognizedClient || e.Code == ecr.CodeExpiredToken; lost && attempt < triesDropped {
			pause, ok = firstPause, true // the session, or the login that it began with
		}
		if !ok {
			return err
		}
		r.registry.waiting(err, pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// upload sends the content in a session.
func (r *Repository) upload(ctx context.Context, c call, b Blob, session *Upload, content *counted) error {
	q := session.location.Query()
	q.Set("digest", string(b.Digest))
	at := *session.location
	at.RawQuery = q.Encode()
	c.url, c.stream, c.size, c.expect = &at, content, b.Size, []int{http.StatusCreated}
	c.header = http.Header{"Content-Type": {"application/octet-stream"}}
	if session.authorization != "" {
		c.header.Set("Authorization", session.authorization)
	}
	return r.registry.once(ctx, c, func(*http.Response) error { return nil })
}

// counted is content on its way. It remembers how reading it failed, so that a
// failure of its source is told from one of the registry that it goes to.
type counted struct {
	cancel context.CancelFunc // ends a Read
	sent   func(int64)

	mu  sync.Mutex // a transport may read on after it has returned
	r   io.ReadCloser
	n   int64 // guarded by mu: bytes read
	end bool  // guarded by mu: closed

	err atomic.Pointer[error] // of reading
}

func openCounted(ctx context.Context, open Opener, sent func(int64)) (*counted, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, err := open(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	return &counted{cancel: cancel, sent: sent, r: r}, nil
}

var errClosed = errors.New("the content is closed")

// Read reads and counts.
func (c *counted) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end {
		return 0, errClosed
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.sent != nil && n > 0 {
		c.sent(int64(n))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err.Store(&err)
	}
	return n, err
}

// Close is the transport's: it leaves closing to close.
func (c *counted) Close() error { return nil }

// close ends the reading, and returns how it had failed before that.
func (c *counted) close() error {
	failed := c.err.Load()
	c.cancel() // a Read that waits for its source holds the lock
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = true
	_ = c.r.Close() // it is no longer read
	if failed != nil {
		return *failed
	}
	return nil
}

// takeBack takes the bytes out of the count that have to be sent again.
func (c *counted) takeBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent != nil && c.n > 0 {
		c.sent(-c.n)
	}
}
