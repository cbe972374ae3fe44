package promote

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/remote"
)

// moveBlobs brings the blobs that are not there.
func (x *transfer) moveBlobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	var total int64
	for _, b := range x.image.Blobs {
		if !b.There {
			total += b.Size
		}
	}
	for _, b := range x.image.Blobs {
		arrival := x.claims[x.n].blobs[b.Digest]
		if b.There {
			arrival.end(true)
			x.count(func(r *ImageResult) { r.Blobs.There++; r.Bytes.There += b.Size })
			continue
		}
		g.Go(func() error {
			err := x.moveBlob(ctx, b, total)
			arrival.end(err == nil)
			return err
		})
	}
	return g.Wait()
}

func (x *transfer) count(change func(*ImageResult)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change(x.result)
}

// sent counts bytes on their way.
func (x *transfer) sent(n, total int64) {
	x.mu.Lock()
	x.bytes += n
	now := x.bytes
	x.mu.Unlock()
	x.progress(Progress{Image: x.n, Bytes: now, Total: total})
}

// moveBlob brings one blob: another image has brought it, it is mounted, or it is
// sent.
func (x *transfer) moveBlob(ctx context.Context, b Blob, total int64) error {
	there := func(mounted bool) {
		x.sent(b.Size, total)
		x.count(func(r *ImageResult) {
			if mounted {
				r.Blobs.Mounted++
				r.Bytes.Mount += b.Size
			} else {
				r.Blobs.There++
				r.Bytes.There += b.Size
			}
		})
	}
	at := blobPlace{place{x.image.To.Registry, x.image.To.Repository}, b.Digest}
	if first := x.inRepo[at]; first < x.n && x.claims[first].blobs[b.Digest].wait(ctx) {
		there(false)
		return nil
	}
	host := x.to.registry.Remote.Host()
	from := b.Mount
	if first := x.inHost[blobHost{x.image.To.Registry, b.Digest}]; from == "" && first < x.n && x.mounts(host) && x.claims[first].written.wait(ctx) {
		from = x.claims[first].repository
	}
	release, err := x.slot(ctx, host)
	if err != nil {
		return err
	}
	defer release()
	var session *remote.Upload
	if from != "" && from != x.to.name {
		var mounted bool
		if session, mounted, err = x.to.remote.Mount(ctx, b.Digest, from); err != nil {
			return err
		}
		if x.tried(host, mounted); mounted {
			there(true)
			return nil
		}
	}
	return x.send(ctx, b, session, func(n int64) { x.sent(n, total) })
}

// send sends a blob from one registry to the other.
func (x *transfer) send(ctx context.Context, b Blob, session *remote.Upload, sent func(int64)) error {
	content := remote.Blob{Digest: b.Digest, Size: b.Size}
	err := x.to.remote.PutBlob(ctx, content, session, func(ctx context.Context) (io.ReadCloser, error) {
		return x.from.remote.OpenBlob(ctx, content, 0)
	}, sent)
	if err != nil {
		return err
	}
	x.count(func(r *ImageResult) { r.Blobs.Moved++; r.Bytes.Move += b.Size })
	return nil
}
