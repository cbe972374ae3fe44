package traces

import (
	"context"
	"io"
	"io/fs"
	"iter"

	"go.opentelemetry.io/otel/attribute"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Blobs is b with a span for each call of a request.
func (t *Traces) Blobs(b blob.Store) blob.Store { return blobs{b, t} }

type blobs struct {
	inner blob.Store
	t     *Traces
}

var (
	_ blob.Verifier   = blobs{}
	_ blob.Redirector = blobs{}
	_ blob.Installed  = blobs{}
	_ blob.Bound      = blobs{}
	_ blob.Committed  = (*writer)(nil)
	_ blob.Holder     = (*writer)(nil)
)

func (b blobs) Append(ctx context.Context, key blob.Key, p blob.Progress) (_ blob.Writer, err error) {
	ctx, span := b.t.within(ctx, "blobs append")
	defer func() { end(span, err) }()
	w, err := b.inner.Append(ctx, key, p)
	if err != nil {
		return nil, err
	}
	return &writer{w, b.t}, nil
}

func (b blobs) Discard(ctx context.Context, key blob.Key) (err error) {
	ctx, span := b.t.within(ctx, "blobs discard")
	defer func() { end(span, err) }()
	return b.inner.Discard(ctx, key)
}

// Open returns the inner store's own File: sending it takes no span.
func (b blobs) Open(ctx context.Context, key blob.Key) (_ blob.File, err error) {
	ctx, span := b.t.within(ctx, "blobs open")
	defer func() { end(span, err) }()
	return b.inner.Open(ctx, key)
}

func (b blobs) Delete(ctx context.Context, key blob.Key) (err error) {
	ctx, span := b.t.within(ctx, "blobs delete")
	defer func() { end(span, err) }()
	return b.inner.Delete(ctx, key)
}

func (b blobs) List(ctx context.Context) iter.Seq2[blob.Info, error] { return b.inner.List(ctx) }

func (b blobs) Bind(ctx context.Context, database string) (string, error) {
	return blob.Bind(ctx, b.inner, database)
}

func (b blobs) Installation(ctx context.Context) (string, error) {
	return blob.InstallationOf(ctx, b.inner)
}

func (b blobs) Verified() bool {
	inner, ok := b.inner.(blob.Verifier)
	return ok && inner.Verified()
}

func (b blobs) Redirect(ctx context.Context, key blob.Key) (_ string, err error) {
	inner, ok := b.inner.(blob.Redirector)
	if !ok {
		return "", nil
	}
	ctx, span := b.t.within(ctx, "blobs redirect")
	defer func() { end(span, err) }()
	return inner.Redirect(ctx, key)
}

// writer is an inner writer whose ends have spans.
type writer struct {
	inner blob.Writer
	t     *Traces
}

func (w *writer) Write(p []byte) (int, error) { return w.inner.Write(p) }

// ReadFrom is io.Copy from r. It lets an inner writer do so that can.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	if inner, ok := w.inner.(io.ReaderFrom); ok {
		return inner.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.inner}, r)
}

func (w *writer) Offset() int64 { return w.inner.Offset() }

func (w *writer) Suspend(ctx context.Context) (_ blob.Progress, err error) {
	ctx, span := w.t.within(ctx, "blobs suspend")
	span.SetAttributes(attribute.Int64("kontor.blob.offset", w.inner.Offset()))
	defer func() { end(span, err) }()
	return w.inner.Suspend(ctx)
}

func (w *writer) Commit(ctx context.Context, any ...ecr.Digest) (_ ecr.Digest, err error) {
	ctx, span := w.t.within(ctx, "blobs commit")
	span.SetAttributes(attribute.Int64("kontor.blob.offset", w.inner.Offset()))
	defer func() { end(span, err) }()
	return w.inner.Commit(ctx, any...)
}

func (w *writer) Abort() error { return w.inner.Abort() }

func (w *writer) Committed() fs.FileInfo {
	if inner, ok := w.inner.(blob.Committed); ok {
		return inner.Committed()
	}
	return nil
}

func (w *writer) Held() ([]byte, bool) {
	if inner, ok := w.inner.(blob.Holder); ok {
		return inner.Held()
	}
	return nil, false
}
