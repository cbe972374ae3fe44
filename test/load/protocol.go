package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// errKilled: the server was killed while it worked on the request, whose
// outcome is unknown.
var errKilled = errors.New("killed")

// outcome sorts the error of a request: errKilled when the process was being
// killed and the error is not an answer. Every other one is a finding.
func (l *life) outcome(err error) error {
	if err == nil {
		return nil
	}
	var answer smithy.APIError
	select {
	case <-l.killed:
		if !errors.As(err, &answer) {
			return errKilled
		}
	default:
	}
	return err
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends one request to the docker endpoint and reads the whole answer.
// Statuses that are not wanted are errors.
func (l *life) do(ctx context.Context, method, path string, body io.Reader, header http.Header, want ...int) (answer, error) {
	if !strings.HasPrefix(path, "http") {
		path = l.url + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return answer{}, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.SetBasicAuth("AWS", l.basic)
	resp, err := l.http.Do(req)
	if err != nil {
		return answer{}, l.outcome(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, l.outcome(err)
	}
	if !slices.Contains(want, resp.StatusCode) {
		return answer{}, fmt.Errorf("%s %s answered %d, want %v: %.500s", method, path, resp.StatusCode, want, b)
	}
	return answer{resp.StatusCode, resp.Header, b}, nil
}

// content is a blob that can be made again at any time.
type content struct {
	seed   uint64
	size   int
	digest string
}

func newContent(rnd *rand.Rand, size int) content {
	c := content{seed: rnd.Uint64(), size: size}
	c.digest = string(ecr.DigestOf(c.bytes()))
	return c
}

func (c content) bytes() []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], c.seed)
	b := make([]byte, c.size)
	_, _ = rand.NewChaCha8(seed).Read(b) // cannot fail
	return b
}

// octets hides the length of b: the body is sent in chunks.
type octets struct{ r *bytes.Reader }

func (o octets) Read(p []byte) (int, error) { return o.r.Read(p) }

var binaryType = http.Header{"Content-Type": {"application/octet-stream"}}

// The ways to upload a blob through the docker endpoint.
var uploads = []func(l *life, ctx context.Context, repo string, c content) error{
	uploadPost, uploadPut, uploadStream, uploadChunks,
}

func uploadPost(l *life, ctx context.Context, repo string, c content) error {
	_, err := l.do(ctx, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+c.digest, bytes.NewReader(c.bytes()), binaryType, http.StatusCreated)
	return err
}

// begin starts an upload and returns where it continues.
func (l *life) begin(ctx context.Context, repo string) (string, error) {
	a, err := l.do(ctx, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, nil, http.StatusAccepted)
	return a.header.Get("Location"), err
}

// finish closes the upload at location.
func (l *life) finish(ctx context.Context, location string, body io.Reader, header http.Header, digest string) error {
	_, err := l.do(ctx, http.MethodPut, withQuery(location, "digest", digest), body, header, http.StatusCreated)
	return err
}

func withQuery(location, key, value string) string {
	sep := "?"
	if strings.Contains(location, "?") {
		sep = "&"
	}
	return location + sep + key + "=" + url.QueryEscape(value)
}

func uploadPut(l *life, ctx context.Context, repo string, c content) error {
	at, err := l.begin(ctx, repo)
	if err != nil {
		return err
	}
	return l.finish(ctx, at, bytes.NewReader(c.bytes()), binaryType, c.digest)
}

func uploadStream(l *life, ctx context.Context, repo string, c content) error {
	at, err := l.begin(ctx, repo)
	if err != nil {
		return err
	}
	a, err := l.do(ctx, http.MethodPatch, at, octets{bytes.NewReader(c.bytes())}, binaryType, http.StatusAccepted)
	if err != nil {
		return err
	}
	return l.finish(ctx, a.header.Get("Location"), nil, nil, c.digest)
}

// uploadChunks sends three chunks, the last with the closing request. Under
// --compat ecr they are of 5 MiB, the least that ECR takes.
func uploadChunks(l *life, ctx context.Context, repo string, c content) error {
	at, err := l.begin(ctx, repo)
	if err != nil {
		return err
	}
	b := c.bytes()
	step := max(len(b)/3+1, l.leastChunk)
	for from := 0; from < len(b); from += step {
		part := b[from:min(from+step, len(b))]
		h := http.Header{"Content-Type": {"application/octet-stream"}, "Content-Range": {fmt.Sprintf("%d-%d", from, from+len(part)-1)}}
		if from+step >= len(b) {
			return l.finish(ctx, at, bytes.NewReader(part), h, c.digest)
		}
		a, err := l.do(ctx, http.MethodPatch, at, bytes.NewReader(part), h, http.StatusAccepted)
		if err != nil {
			return err
		}
		at = a.header.Get("Location")
	}
	return nil
}

// cancel begins an upload and gives it up.
func (l *life) cancel(ctx context.Context, repo string, c content) error {
	at, err := l.begin(ctx, repo)
	if err != nil {
		return err
	}
	a, err := l.do(ctx, http.MethodPatch, at, bytes.NewReader(c.bytes()), binaryType, http.StatusAccepted)
	if err != nil {
		return err
	}
	_, err = l.do(ctx, http.MethodDelete, a.header.Get("Location"), nil, nil, http.StatusNoContent)
	return err
}
