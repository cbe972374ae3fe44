// Package awsjson speaks the AWS JSON 1.1 protocol as a server: it finds out
// which operation a request wants, decodes members by their exact names and
// writes responses. It knows no operation and no error code of a service.
//
// Source: Smithy specification, "AWS JSON 1.1 protocol"; requests and
// responses as the AWS SDKs send and expect them.
package awsjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ContentType of requests and responses.
const ContentType = "application/x-amz-json-1.1"

// Headers of the protocol.
const (
	TargetHeader    = "X-Amz-Target"
	RequestIDHeader = "x-amzn-RequestId"
)

// ReadBody reads the whole body of r, at most limit bytes. A longer body is a
// SerializationException; errors of the connection are returned as they are.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLong(limit)
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := b.ReadFrom(io.LimitReader(r.Body, limit+1))
	var capped *http.MaxBytesError
	switch {
	case errors.As(err, &capped):
		return nil, tooLong(capped.Limit)
	case err != nil:
		return nil, err
	case n > limit:
		return nil, tooLong(limit)
	}
	return b.Bytes(), nil
}

func tooLong(limit int64) error {
	return ecr.Errorf(ecr.CodeSerialization, "The request body is longer than the limit of %d bytes", limit)
}

// Operation returns what stands behind prefix and a dot in r's X-Amz-Target,
// for example "PutImage" for "AmazonEC2ContainerRegistry_V20150921.PutImage".
// UnknownOperation for any other target, none, or several.
func Operation(r *http.Request, prefix string) (string, error) {
	targets := r.Header.Values(TargetHeader)
	if len(targets) == 1 {
		if op, ok := strings.CutPrefix(targets[0], prefix+"."); ok && op != "" {
			return op, nil
		}
	}
	return "", ecr.Errorf(ecr.CodeUnknownOperation, "The target '%s' names no operation of %s", strings.Join(targets, ","), prefix)
}

// WriteJSON answers with v as JSON. Errors of the connection are ignored: the
// client is gone. A v that cannot be encoded is a server error.
func WriteJSON(w http.ResponseWriter, status int, requestID string, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		status = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"__type":"ServerException","message":"The response could not be encoded."}`)
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set(RequestIDHeader, requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// WriteError answers with an error that has no members but its message: kind
// is its "__type", for example "RepositoryNotFoundException".
func WriteError(w http.ResponseWriter, status int, requestID, kind, message string) {
	WriteJSON(w, status, requestID, struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{kind, message})
}
