package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// takeOver is how long a request that writes to an upload waits for another one
// to stop.
const takeOver = 5 * time.Second

// errBusy: another request, perhaps of another process, writes to the upload
// and did not stop in time. It passes.
var errBusy = &ecr.Error{Code: ecr.CodeUnavailable, Message: "Another request is writing to this upload. Try again."}

// errTakenOver is what the older of two requests learns.
var errTakenOver = &ecr.Error{Code: ecr.CodeInvalidLayerPart, Message: "Another request has taken over this upload"}

// writings let one request of this process at a time write to an upload. The
// newest wins: a connection that fell silent must not keep its client from
// trying again on another one.
type writings struct {
	mu  sync.Mutex
	now map[meta.UploadID]*writing // guarded by mu
}

// writing is a request that writes to an upload.
type writing struct {
	body interface{ Interrupt() } // nil when it cannot be interrupted
	over chan struct{}            // closed when it has stopped

	mu    sync.Mutex
	taken bool // guarded by mu; by a newer request
}

// begin makes the caller the only one that writes to id, and stops another that
// is reading its body. body may be nil. The caller calls end. Errors: errBusy.
func (k *writings) begin(ctx context.Context, id meta.UploadID, body io.Reader) (w *writing, end func(), err error) {
	w = &writing{over: make(chan struct{})}
	w.body, _ = body.(interface{ Interrupt() })
	wait := time.NewTimer(takeOver)
	defer wait.Stop()
	for {
		other := k.put(id, w)
		if other == nil {
			return w, func() { k.end(id, w) }, nil
		}
		other.takeOver()
		select {
		case <-other.over:
		case <-wait.C:
			return nil, nil, errBusy
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// put makes w the one that writes to id, or returns the one that does.
func (k *writings) put(id meta.UploadID, w *writing) (other *writing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if other := k.now[id]; other != nil {
		return other
	}
	if k.now == nil {
		k.now = make(map[meta.UploadID]*writing)
	}
	k.now[id] = w
	return nil
}

func (k *writings) end(id meta.UploadID, w *writing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.now, id)
	close(w.over)
}

// takeOver stops w as soon as it waits for its body. What has its whole body is
// carried out.
func (w *writing) takeOver() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken {
		return
	}
	w.taken = true
	if w.body != nil {
		w.body.Interrupt()
	}
}

func (w *writing) takenOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

// reader is body as w reads it: until it is taken over.
func (w *writing) reader(body io.Reader) io.Reader {
	if body == nil {
		return nil
	}
	return readerFunc(func(p []byte) (int, error) {
		if w.takenOver() {
			return 0, errTakenOver
		}
		n, err := body.Read(p)
		if err != nil && !errors.Is(err, io.EOF) && w.takenOver() {
			err = errTakenOver
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// HoldUpload keeps requests of this process from writing to an upload, until
// release is called; ok is false where one does.
func (r *Registry) HoldUpload(id meta.UploadID) (release func(), ok bool) {
	w := &writing{over: make(chan struct{})}
	if r.uploads.put(id, w) != nil {
		return nil, false
	}
	return func() { r.uploads.end(id, w) }, true
}
