package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
)

const (
	// blobsAtOnce is how many blobs of an image are fetched at a time.
	blobsAtOnce = 4
	// step is how much of a blob is read at once.
	step = 256 << 10
)

// Blob is content to be served; the caller closes Content. Where Info.URL is set,
// Content is nil.
type Blob struct {
	Info    registry.BlobInfo
	Content io.ReadSeekCloser
}

// OpenBlob opens a blob, which may still be on its way: what is read of it comes as
// it comes from the upstream, and ends with an error where it is not what its digest
// says. Errors: those of registry.Caller.OpenBlob, UnableToGetUpstreamLayer,
// Throttling, Unavailable.
func (p *Puller) OpenBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) (Blob, Answer, error) {
	rule, cached, err := p.rule(ctx, at)
	if err != nil {
		return Blob{}, Answer{}, err
	}
	info, file, err := p.local.OpenBlob(ctx, at, d)
	if err == nil {
		b := Blob{Info: info}
		if file != nil {
			b.Content = file
		}
		if !cached {
			return b, Answer{}, nil
		}
		p.s.count(at.In, rule.Host, Hit, info.SizeBytes)
		return b, Answer{How: Hit, Upstream: rule.Host}, nil
	}
	if !cached || !p.mayCome(err) {
		return Blob{}, Answer{}, err
	}
	f, err := p.fetchBlob(ctx, at, rule, d)
	a := Answer{How: Miss, Upstream: rule.Host}
	if err != nil {
		p.s.count(at.In, rule.Host, Failed, 0)
		return Blob{}, a, p.s.layerError(at, rule, d, err)
	}
	p.s.count(at.In, rule.Host, Miss, f.size)
	return Blob{registry.BlobInfo{Digest: d, SizeBytes: f.size}, f.reader(ctx)}, a, nil
}

// StatBlob describes a blob. Errors: as OpenBlob.
func (p *Puller) StatBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) (registry.BlobInfo, error) {
	rule, cached, err := p.rule(ctx, at)
	if err != nil {
		return registry.BlobInfo{}, err
	}
	info, err := p.local.StatBlob(ctx, at, d)
	if err == nil || !cached || !p.mayCome(err) {
		return info, err
	}
	if err := p.mayImport(ctx, at); err != nil {
		return info, err
	}
	size, err := p.s.size(ctx, at, rule, d)
	if err != nil {
		return info, p.s.layerError(at, rule, d, err)
	}
	return registry.BlobInfo{Digest: d, SizeBytes: size}, nil
}

func (p *Puller) fetchBlob(ctx context.Context, at ecr.Repo, rule Rule, d ecr.Digest) (*flight, error) {
	if err := p.mayImport(ctx, at); err != nil {
		return nil, err
	}
	size, err := p.s.size(ctx, at, rule, d)
	if err != nil {
		return nil, err
	}
	if _, err := p.s.ensure(ctx, p.gate, at); err != nil {
		return nil, err
	}
	return p.s.flight(ctx, at, rule, d, size)
}

// size is that of a blob which was not here: as an image on its way says, or the
// upstream.
func (s *Service) size(ctx context.Context, at ecr.Repo, rule Rule, d ecr.Digest) (int64, error) {
	if size, ok := s.promised(at, d); ok {
		return size, nil
	}
	// It may have come since the caller looked.
	if b, err := s.cfg.Registry.System(actor).StatBlob(ctx, at, d); err == nil {
		return b.SizeBytes, nil
	}
	repo, err := s.reach(ctx, at, rule)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	b, err := repo.StatBlob(ctx, d)
	s.note(at.In, rule, err)
	return b.Size, err
}

// promised is the size of a blob of an image on its way.
func (s *Service) promised(at ecr.Repo, d ecr.Digest) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.blobs[imageKey{at, d}]; f != nil {
		return f.size, true
	}
	for key, c := range s.pending {
		if key.at != at || c.parsed.Config == nil {
			continue
		}
		for _, b := range append([]manifest.Descriptor{*c.parsed.Config}, c.parsed.Layers...) {
			if b.Digest == d {
				return b.Size, true
			}
		}
	}
	return 0, false
}

func (s *Service) layerError(at ecr.Repo, rule Rule, d ecr.Digest, err error) error {
	switch code := ecr.CodeOf(err); {
	case code == ecr.CodeImageNotFound && !fromUpstream(err), fromUpstream(err) && (code == ecr.CodeLayersNotFound || code == ecr.CodeRepositoryNotFound || code == ecr.CodeImageNotFound):
		return &ecr.Error{Code: ecr.CodeLayersNotFound, Err: err, Message: fmt.Sprintf(
			"The layer with digest '%s' does not exist within the repository with name '%s' in the registry with id '%s'", d, at.Name, at.In.Account)}
	case !fromUpstream(err):
		return err
	}
	return s.upstreamError(ecr.CodeUpstreamLayer, rule, err)
}

// flight is a blob on its way: it is written to a file as it comes, from which all
// who want it read, and it is stored. Its last byte is shown when all of it was
// compared with its digest.
type flight struct {
	s      *Service
	at     ecr.Repo
	rule   Rule
	digest ecr.Digest
	size   int64
	file   *os.File
	stored chan struct{} // closed when it is stored, or not

	mu       sync.Mutex
	users    int           // guarded by mu; the file is closed after the last
	written  int64         // guarded by mu
	verified bool          // guarded by mu
	err      error         // guarded by mu: why no more comes
	unstored error         // guarded by mu: why it was not stored
	grown    chan struct{} // guarded by mu; closed when one of these changes
}

// flight returns a blob on its way, which the caller leaves. It begins if need be.
func (s *Service) flight(ctx context.Context, at ecr.Repo, rule Rule, d ecr.Digest, size int64) (*flight, error) {
	key := imageKey{at, d}
	repo, err := s.reach(ctx, at, rule)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.blobs[key]; f != nil {
		f.mu.Lock()
		f.users++
		f.mu.Unlock()
		return f, nil
	}
	if most := s.cfg.MaxBlob; most > 0 && size > most {
		return nil, ecr.Errorf(ecr.CodeUpstreamLayer, "The layer '%s' of the upstream %s has %d bytes, and this registry takes %d at most", d, rule.Host, size, most)
	}
	file, err := os.CreateTemp(s.cfg.Folder, "kontor-upstream-*")
	if err != nil {
		return nil, fmt.Errorf("keeping a blob of %s while it comes: %w", rule.Host, err)
	}
	// Where a name can be taken from an open file, a crash leaves nothing behind.
	_ = os.Remove(file.Name())
	f := &flight{s: s, at: at, rule: rule, digest: d, size: size, file: file, users: 3, stored: make(chan struct{}), grown: make(chan struct{})}
	s.blobs[key] = f
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(s.ctx, cancel)
	s.work.Go(func() {
		defer cancel()
		defer stop()
		mine, _ := s.claim(inner, at, string(d), blobTime)
		defer mine.done(inner)
		here := f.here(inner)
		if here != nil {
			f.fetch(inner, func(context.Context) (io.ReadCloser, error) { return here, nil })
			f.kept(nil)
			f.leave() // in place of keep
			return
		}
		var more sync.WaitGroup
		more.Go(func() { f.keep(inner) })
		f.fetch(inner, func(ctx context.Context) (io.ReadCloser, error) {
			return repo.OpenBlob(ctx, remote.Blob{Digest: d, Size: size}, 0)
		})
		more.Wait()
	})
	return f, nil
}

// fetch reads the blob from the upstream, or from where it is.
func (f *flight) fetch(ctx context.Context, source func(context.Context) (io.ReadCloser, error)) {
	defer f.leave()
	err := f.read(ctx, source)
	f.s.note(f.at.In, f.rule, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verified, f.err = err == nil, err
	f.tell()
}

// here is the blob as this registry has it, where it came between the look of who wants
// it and the begin of the flight, perhaps by another replica; nil where it did not.
func (f *flight) here(ctx context.Context) io.ReadCloser {
	if _, file, err := f.s.cfg.Registry.System(actor).OpenBlob(ctx, f.at, f.digest); err == nil && file != nil {
		return file
	}
	return nil
}

func (f *flight) read(ctx context.Context, source func(context.Context) (io.ReadCloser, error)) (err error) {
	r, err := source(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was read, or has failed
	for buffer := make([]byte, step); ; {
		n, err := r.Read(buffer)
		if n > 0 {
			at := f.have()
			if at+int64(n) > f.size {
				return ecr.Errorf(ecr.CodeImageDigestDoesNotMatch, "the upstream sends more than the %d bytes of %s", f.size, f.digest)
			}
			if _, werr := f.file.WriteAt(buffer[:n], at); werr != nil {
				return fmt.Errorf("keeping a blob of %s while it comes: %w", f.rule.Host, werr)
			}
			f.mu.Lock()
			f.written += int64(n)
			f.tell()
			f.mu.Unlock()
		}
		switch {
		case errors.Is(err, io.EOF) && f.have() != f.size:
			return ecr.Errorf(ecr.CodeImageDigestDoesNotMatch, "%s has not the %d bytes that its image says", f.digest, f.size)
		case errors.Is(err, io.EOF):
			return nil // whoever it came from has compared it with its digest
		case err != nil:
			return err
		}
	}
}

// have is how much has come.
func (f *flight) have() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// tell wakes those who wait. f.mu is held.
func (f *flight) tell() {
	close(f.grown)
	f.grown = make(chan struct{})
}

// keep stores the blob as it comes.
func (f *flight) keep(ctx context.Context) {
	r := f.reader(ctx)
	f.kept(f.upload(ctx, r))
	_ = r.Close() // never fails
}

// kept says that the blob is stored, or why not.
func (f *flight) kept(err error) {
	f.mu.Lock()
	f.unstored = err
	f.mu.Unlock()
	f.s.mu.Lock()
	delete(f.s.blobs, imageKey{f.at, f.digest})
	f.s.mu.Unlock()
	close(f.stored)
}

func (f *flight) upload(ctx context.Context, r io.Reader) error {
	c := f.s.cfg.Registry.System(actor)
	id, err := c.StartUpload(ctx, f.at)
	if err != nil {
		return err
	}
	_, err = c.CompleteUpload(ctx, f.at, id, 0, r, f.digest)
	if err != nil {
		// What came so far is of no use: the next one begins at the beginning.
		if gone := c.CancelUpload(context.WithoutCancel(ctx), f.at, id); gone != nil && ecr.CodeOf(gone) != ecr.CodeUploadNotFound {
			f.s.cfg.Log.Warn("an upload of a pull through cache was not removed; it ends in a day", "upload", id, "error", gone)
		}
	}
	return err
}

// wait waits until the blob is stored.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.stored:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	return f.unstored
}

// leave is called by each user once.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 {
		name := f.file.Name()
		_ = f.file.Close() // what matters is stored elsewhere
		_ = os.Remove(name)
	}
}

// reader reads the blob from its beginning, for as long as ctx allows. It takes the
// place of a user.
func (f *flight) reader(ctx context.Context) *follower { return &follower{f: f, ctx: ctx} }

// follower reads a blob that is on its way.
type follower struct {
	f      *flight
	ctx    context.Context // of the request that it is for
	at     int64
	closed bool
}

// Read waits for what has not come yet.
func (r *follower) Read(p []byte) (int, error) {
	for {
		f := r.f
		f.mu.Lock()
		shown, err, grown := f.written, f.err, f.grown
		if !f.verified {
			shown = min(shown, f.size-1)
		}
		f.mu.Unlock()
		switch {
		case len(p) == 0:
			return 0, nil
		case r.at < shown:
			n, err := f.file.ReadAt(p[:min(int64(len(p)), shown-r.at)], r.at)
			r.at += int64(n)
			if n > 0 {
				err = nil
			}
			return n, err
		case err != nil:
			return 0, err
		case r.at >= f.size:
			return 0, io.EOF
		}
		select {
		case <-grown:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// Seek knows the size, whatever has come.
func (r *follower) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.f.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking to %d", offset)
	}
	r.at = offset
	return offset, nil
}

// Close ends the reading.
func (r *follower) Close() error {
	if !r.closed {
		r.closed = true
		r.f.leave()
	}
	return nil
}
