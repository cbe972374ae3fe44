package ociapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/content"
)

const octetStream = "application/octet-stream"

func (x *exchange) getBlob() error {
	info, f, err := x.openBlob()
	if err != nil {
		return x.blobError(err)
	}
	if info.URL != "" {
		h := x.w.Header()
		h.Set("Docker-Content-Digest", string(info.Digest))
		h.Set("Location", info.URL)
		h.Set("Cache-Control", "no-store") // the URL is a secret, and ends soon
		x.empty(http.StatusTemporaryRedirect)
		return nil
	}
	defer func() {
		if err := f.Close(); err != nil {
			x.h.cfg.Log.LogAttrs(x.r.Context(), slog.LevelWarn, "closing a blob", slog.String("request_id", x.requestID), slog.Any("error", err))
		}
	}()
	x.serveContent(info.Digest, octetStream, cacheForever, f)
	return nil
}

func (x *exchange) headBlob() error {
	info, err := x.statBlob()
	if err != nil {
		return x.blobError(err)
	}
	x.serveContent(info.Digest, octetStream, cacheForever, &sizeOnly{size: info.SizeBytes})
	return nil
}

// deleteBlob takes the blob from the repository.
func (x *exchange) deleteBlob() error {
	if err := x.caller.DeleteBlob(x.r.Context(), x.repo, x.digest); err != nil {
		return x.blobError(err)
	}
	x.empty(http.StatusAccepted)
	return nil
}

// blobError is the form of a missing blob where one is asked for.
func (x *exchange) blobError(err error) error {
	if ecr.CodeOf(err) == ecr.CodeLayersNotFound {
		return inputError(blobUnknown, err)
	}
	return err
}

// serveContent answers GET and HEAD with content named d: whole, in ranges
// (RFC 9110 section 14), or not at all when the client has it.
func (x *exchange) serveContent(d ecr.Digest, contentType, cache string, c io.ReadSeeker) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Etag", etag(d))
	h.Set("Cache-Control", cache)
	h.Set("X-Content-Type-Options", "nosniff")
	content.Serve(x.w, x.r, c)
}

// sizeOnly stands for content that HEAD does not read.
type sizeOnly struct{ size, offset int64 }

var errNotRead = errors.New("the content of a HEAD answer is not read")

// Read always fails.
func (s *sizeOnly) Read([]byte) (int, error) { return 0, errNotRead }

// Seek is how http.ServeContent learns the size.
func (s *sizeOnly) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.offset
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking to %d", offset)
	}
	s.offset = offset
	return offset, nil
}
