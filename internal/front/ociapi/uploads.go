package ociapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// cleanupTimeout bounds the removal of an upload that cannot be continued, after
// its request ended.
const cleanupTimeout = 10 * time.Second

// startUpload answers POST: a mount, a whole blob in one request, or the
// beginning of an upload.
func (x *exchange) startUpload() error {
	q := x.r.URL.Query()
	if q.Has("mount") {
		done, err := x.mount(q.Get("mount"), q.Get("from"))
		if done || err != nil {
			return err
		}
	}
	if q.Has("digest") && !q.Has("mount") {
		return x.uploadWhole(q.Get("digest"))
	}
	id, err := x.caller.StartUpload(x.r.Context(), x.repo)
	if err != nil {
		return err
	}
	if x.ecrCompat() {
		// "If the registry has a minimum chunk size, the POST response SHOULD
		// include" it (specification, "Pushing a blob in chunks").
		x.w.Header().Set("Oci-Chunk-Min-Length", strconv.Itoa(registry.MinPart))
	}
	x.accepted(http.StatusAccepted, id, 0)
	return nil
}

// mount tries to make a blob of another repository visible in this one. It
// reports false when the client must upload instead. When it names no
// repository, any in which the caller may read the blob will do (automatic
// content discovery).
func (x *exchange) mount(digest, from string) (bool, error) {
	d, err := ecr.ParseDigest(digest)
	if err != nil {
		return false, inputError(digestInvalid, err)
	}
	source := ecr.Repo{In: x.at}
	if from != "" {
		if source.Name, err = ecr.ParseRepositoryName(from); err != nil {
			return false, nil // no repository has this name
		}
	} else {
		var found bool
		if source, found, err = x.caller.FindBlob(x.r.Context(), x.repo, d); err != nil || !found {
			return false, err
		}
	}
	info, ok, err := x.caller.MountBlob(x.r.Context(), x.repo, source, d)
	if !ok || err != nil {
		return false, err
	}
	x.created(x.blobPath(info.Digest), info.Digest)
	return true, nil
}

// uploadWhole takes a blob in one POST. The client never learns the upload's id, so
// nothing may be left of one that failed.
func (x *exchange) uploadWhole(digest string) error {
	d, err := ecr.ParseDigest(digest)
	if err != nil {
		return inputError(digestInvalid, err)
	}
	ctx := x.r.Context()
	id, err := x.caller.StartUpload(ctx, x.repo)
	if err != nil {
		return err
	}
	info, err := x.caller.CompleteUpload(ctx, x.repo, id, 0, x.optionalBody(), d)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
		defer cancel()
		if err := x.caller.CancelUpload(ctx, x.repo, id); err != nil && ecr.CodeOf(err) != ecr.CodeUploadNotFound {
			x.h.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "removing a failed upload", slog.String("request_id", x.requestID), slog.Any("error", err))
		}
		return err
	}
	x.created(x.blobPath(info.Digest), info.Digest)
	return nil
}

// patchUpload appends the body: a chunk that says where it belongs, or a
// stream.
func (x *exchange) patchUpload() error {
	from, body, err := x.part()
	if err != nil {
		return err
	}
	if body == nil {
		body = http.NoBody
	}
	offset, err := x.caller.AppendUpload(x.r.Context(), x.repo, x.uploadID(), from, body)
	if err != nil {
		return x.partError(err)
	}
	x.accepted(http.StatusAccepted, x.uploadID(), offset)
	return nil
}

// putUpload appends the body, if there is one, and closes the upload.
func (x *exchange) putUpload() error {
	d, err := ecr.ParseDigest(x.r.URL.Query().Get("digest"))
	if err != nil {
		return inputError(digestInvalid, err)
	}
	from, body, err := x.part()
	if err != nil {
		return err
	}
	info, err := x.caller.CompleteUpload(x.r.Context(), x.repo, x.uploadID(), from, body, d)
	if err != nil {
		return x.partError(err)
	}
	x.created(x.blobPath(info.Digest), info.Digest)
	return nil
}

func (x *exchange) uploadStatus() error {
	offset, err := x.caller.UploadOffset(x.r.Context(), x.repo, x.uploadID())
	if err != nil {
		return err
	}
	x.accepted(http.StatusNoContent, x.uploadID(), offset)
	return nil
}

func (x *exchange) cancelUpload() error {
	if err := x.caller.CancelUpload(x.r.Context(), x.repo, x.uploadID()); err != nil {
		return err
	}
	x.empty(http.StatusNoContent)
	return nil
}

func (x *exchange) uploadID() meta.UploadID { return meta.UploadID(x.upload) }

func (x *exchange) blobPath(d ecr.Digest) string {
	return fmt.Sprintf("/v2/%s/blobs/%s", x.repo.Name, d)
}

// accepted answers with where an upload goes on.
func (x *exchange) accepted(status int, id meta.UploadID, offset int64) {
	x.setUploadHeaders(id, offset)
	x.empty(status)
}

// setUploadHeaders says where the upload goes on. Range cannot express that
// there are no bytes; distribution answers 0-0 then, and clients know.
func (x *exchange) setUploadHeaders(id meta.UploadID, offset int64) {
	h := x.w.Header()
	h.Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%s", x.repo.Name, id))
	h.Set("Docker-Upload-Uuid", string(id))
	h.Set("Range", fmt.Sprintf("0-%d", max(offset-1, 0)))
}

// optionalBody is the request's body, nil when there is none.
func (x *exchange) optionalBody() io.Reader {
	if x.r.ContentLength == 0 {
		return nil
	}
	return x.openBody()
}

// part is the request's body, nil when there is none, and the offset that it
// belongs to.
func (x *exchange) part() (from int64, body io.Reader, err error) {
	header := x.r.Header.Get("Content-Range")
	if header == "" {
		return registry.AnyOffset, x.optionalBody(), nil
	}
	first, last, ok := parseContentRange(header)
	if !ok {
		return 0, nil, &wireError{uploadInvalid, ecr.Errorf(ecr.CodeInvalidLayerPart, "Content-Range must have the form <first byte>-<last byte>.")}
	}
	b, err := x.openBodyOf(last - first + 1)
	if err != nil {
		return 0, nil, err
	}
	return first, b, nil
}

// parseContentRange reads OCI's form, "0-1023", and HTTP's,
// "bytes 0-1023/4096" or "bytes 0-1023/*".
func parseContentRange(s string) (first, last int64, ok bool) {
	if rest, http := strings.CutPrefix(s, "bytes"); http {
		s, _, _ = strings.Cut(strings.TrimLeft(rest, " ="), "/")
	}
	a, b, found := strings.Cut(s, "-")
	if !found || !digits(a) || !digits(b) {
		return 0, 0, false
	}
	first, err1 := strconv.ParseInt(a, 10, 64)
	last, err2 := strconv.ParseInt(b, 10, 64)
	return first, last, err1 == nil && err2 == nil && first <= last && last-first+1 > 0
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// partError completes the answer to a part at the wrong offset, 416, with
// where the upload goes on.
func (x *exchange) partError(err error) error {
	if ecr.CodeOf(err) == ecr.CodeInvalidLayerPart && x.bodyError() == nil {
		if offset, statErr := x.caller.UploadOffset(x.r.Context(), x.repo, x.uploadID()); statErr == nil {
			x.setUploadHeaders(x.uploadID(), offset)
		}
	}
	return err
}
