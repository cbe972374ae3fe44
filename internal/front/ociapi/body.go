package ociapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// maxDrain is how many bytes of an unwanted body are read, so that a client
// that writes its whole body first gets to read why it was refused. It is more
// than the largest chunk that ECR takes.
const maxDrain = 16 << 20

// clientBody is a request's body. It remembers how reading it failed, so that
// a client's broken connection is told from a failure of ours.
type clientBody struct {
	r    io.Reader
	from io.Reader // the request's own body
	err  error     // what Read failed with, other than io.EOF
}

// Interrupt makes Read fail, where the server can.
func (b *clientBody) Interrupt() {
	if i, ok := b.from.(interface{ Interrupt() }); ok {
		i.Interrupt()
	}
}

// Read reads, and remembers a failure.
func (b *clientBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// openBody returns the request's body for reading once.
func (x *exchange) openBody() *clientBody {
	x.body = &clientBody{r: x.r.Body, from: x.r.Body}
	return x.body
}

// openBodyOf is openBody for a body that must have exactly size bytes.
func (x *exchange) openBodyOf(size int64) (*clientBody, error) {
	if x.r.ContentLength >= 0 && x.r.ContentLength != size {
		return nil, sizeMismatch(size)
	}
	x.body = &clientBody{r: &exactReader{r: x.r.Body, left: size, size: size}, from: x.r.Body}
	return x.body, nil
}

func sizeMismatch(size int64) error {
	return &wireError{wire{http.StatusBadRequest, "SIZE_INVALID"},
		ecr.Errorf(ecr.CodeInvalidLayerPart, "The body does not have the %d bytes that Content-Range announces.", size)}
}

// exactReader fails when r does not have exactly size bytes.
type exactReader struct {
	r          io.Reader
	left, size int64
}

// Read reads at most what is left, and at the end makes sure that nothing
// follows.
func (e *exactReader) Read(p []byte) (int, error) {
	if e.left == 0 {
		var one [1]byte
		n, err := io.ReadFull(e.r, one[:])
		if n > 0 {
			return 0, sizeMismatch(e.size)
		}
		return 0, err
	}
	if int64(len(p)) > e.left {
		p = p[:e.left]
	}
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		return n, sizeMismatch(e.size)
	}
	return n, err
}

// readAll reads a body of at most limit bytes.
func (x *exchange) readAll(limit int64) ([]byte, error) {
	tooBig := func() error {
		return &wireError{manifestTooBig, ecr.InvalidParameter("ImageManifest", "must have length less than or equal to %d", limit)}
	}
	if x.r.ContentLength > limit {
		return nil, tooBig()
	}
	b, err := io.ReadAll(io.LimitReader(x.openBody(), limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the request's body: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, tooBig()
	}
	return b, nil
}

// drain reads what the client still sends, within bounds. A client that waits
// for permission to send gets none.
func (x *exchange) drain() {
	if x.r.ContentLength == 0 || x.r.ContentLength > maxDrain || x.r.Header.Get("Expect") != "" {
		return
	}
	_, _ = io.CopyN(io.Discard, x.r.Body, maxDrain) // the answer is an error anyway
}
