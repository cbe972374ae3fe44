package ociapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// wire is an error as this protocol says it.
type wire struct {
	status int
	code   string
}

// wires is ECR's mapping, as observed where it was observed, else the nearest
// sense. Every code of ecr.Codes is here.
var wires = map[ecr.Code]wire{
	ecr.CodeServer:                   {http.StatusInternalServerError, "UNKNOWN"},
	ecr.CodeInvalidParameter:         {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	ecr.CodeValidation:               {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	ecr.CodeRepositoryNotFound:       {http.StatusNotFound, "NAME_UNKNOWN"},
	ecr.CodeImageNotFound:            {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	ecr.CodeImageAlreadyExists:       {http.StatusBadRequest, "MANIFEST_INVALID"},
	ecr.CodeImageTagAlreadyExists:    {http.StatusBadRequest, "TAG_INVALID"},
	ecr.CodeImageDigestDoesNotMatch:  {http.StatusBadRequest, "MANIFEST_INVALID"},
	ecr.CodeReferencedImagesNotFound: {http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"},
	ecr.CodeReferencedByManifestList: {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	ecr.CodeLayersNotFound:           {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	ecr.CodeLayerInaccessible:        {http.StatusNotFound, "BLOB_UNKNOWN"},
	ecr.CodeLayerAlreadyExists:       {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	ecr.CodeLayerPartTooSmall:        {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	ecr.CodeInvalidLayer:             {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	ecr.CodeInvalidLayerPart:         {http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID"},
	ecr.CodeEmptyUpload:              {http.StatusBadRequest, "BLOB_UPLOAD_INVALID"},
	ecr.CodeUploadNotFound:           {http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN"},
	ecr.CodeLimitExceeded:            {http.StatusForbidden, "DENIED"},
	ecr.CodeAccessDenied:             {http.StatusForbidden, "DENIED"},
	ecr.CodeExpiredToken:             {http.StatusForbidden, "DENIED"},
	ecr.CodeThrottling:               {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	ecr.CodeUnknownOperation:         {http.StatusNotFound, "UNSUPPORTED"},
	ecr.CodeUnavailable:              {http.StatusServiceUnavailable, "UNAVAILABLE"},

	// The upstream of a pull-through cache refuses, or sends what is not right (ECR
	// user guide, "Troubleshooting pull through cache issues": 403).
	ecr.CodeUpstreamImage:     {http.StatusForbidden, "DENIED"},
	ecr.CodeUpstreamLayer:     {http.StatusForbidden, "DENIED"},
	ecr.CodeUpstreamReferrers: {http.StatusForbidden, "DENIED"},

	// Answered by WriteUnauthorized.
	ecr.CodeUnrecognizedClient:  {http.StatusUnauthorized, "UNAUTHORIZED"},
	ecr.CodeInvalidSignature:    {http.StatusUnauthorized, "UNAUTHORIZED"},
	ecr.CodeIncompleteSignature: {http.StatusUnauthorized, "UNAUTHORIZED"},

	// No operation of this endpoint raises these.
	ecr.CodeRepositoryAlreadyExists:          {http.StatusBadRequest, "NAME_INVALID"},
	ecr.CodeRepositoryNotEmpty:               {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeRepositoryPolicyNotFound:         {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeLifecyclePolicyNotFound:          {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodePreviewNotFound:                  {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodePreviewInProgress:                {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeStorageClassNotSupported:         {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeScanNotFound:                     {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeExclusionAlreadyExists:           {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeExclusionNotFound:                {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodePullThroughCacheRuleNotFound:     {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodePullThroughCacheRuleExists:       {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeUnsupportedUpstream:              {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeSecretNotFound:                   {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeUnableToAccessSecret:             {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeUnableToDecryptSecret:            {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeTemplateNotFound:                 {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeTemplateAlreadyExists:            {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeSigningConfigurationNotFound:     {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeUnsupportedImageType:             {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeImageArchived:                    {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeReplicationBackfillInProgress:    {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeReplicationBackfillInvalidStatus: {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeReplicationBackfillNotFound:      {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeRegistryPolicyNotFound:           {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeTooManyTags:                      {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeInvalidTagParameter:              {http.StatusBadRequest, "UNSUPPORTED"},
	ecr.CodeSerialization:                    {http.StatusBadRequest, "UNSUPPORTED"},
}

// texts are ECR's messages on this path where they differ from those of its
// API.
var texts = map[ecr.Code]string{
	ecr.CodeImageNotFound: "Requested image not found",
	ecr.CodeExpiredToken:  "Your authorization token has expired. Reauthenticate and try again.",
}

// Refusals that this package raises itself.
var (
	nameInvalid     = wire{http.StatusBadRequest, "NAME_INVALID"}
	digestInvalid   = wire{http.StatusBadRequest, "DIGEST_INVALID"}
	tagInvalid      = wire{http.StatusBadRequest, "TAG_INVALID"}
	manifestInvalid = wire{http.StatusBadRequest, "MANIFEST_INVALID"}
	manifestTooBig  = wire{http.StatusRequestEntityTooLarge, "MANIFEST_INVALID"}
	uploadInvalid   = wire{http.StatusBadRequest, "BLOB_UPLOAD_INVALID"}
	uploadTooBig    = wire{http.StatusRequestEntityTooLarge, "SIZE_INVALID"}
	blobUnknown     = wire{http.StatusNotFound, "BLOB_UNKNOWN"}
	childUnknown    = wire{http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN"}
	unsupported     = wire{http.StatusBadRequest, "UNSUPPORTED"}
)

// wireError is an error whose wire form does not depend on its code.
type wireError struct {
	form wire
	err  *ecr.Error
}

// Error is for logs.
func (e *wireError) Error() string { return e.err.Error() }

// Unwrap keeps the code findable.
func (e *wireError) Unwrap() error { return e.err }

// inputError gives err the form f, if it is an *ecr.Error.
func inputError(f wire, err error) error {
	var e *ecr.Error
	if !errors.As(err, &e) {
		return err
	}
	return &wireError{form: f, err: e}
}

// WriteUnauthorized answers a request without valid credentials, as ECR does:
// a Basic challenge and plain text, not a JSON error. host is the registry's
// name as the client called it.
func WriteUnauthorized(w http.ResponseWriter, host string) {
	const body = "Not Authorized\n"
	setAPIVersion(w)
	h := w.Header()
	h.Set("Www-Authenticate", fmt.Sprintf("Basic realm=%s,service=\"ecr.amazonaws.com\"", strconv.QuoteToASCII("https://"+host+"/")))
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, body)
}

// WriteMisdirected answers a request to a host that is not the name of a registry.
func WriteMisdirected(w http.ResponseWriter, r *http.Request) {
	writeWire(w, r, wire{http.StatusMisdirectedRequest, "NAME_UNKNOWN"},
		fmt.Sprintf("No registry of this server has the host name %q. Use the host name of the registry, as in its repositoryUri.", r.Host))
}

// WriteError answers r with err, which the server found before it could call
// Serve, and logs it. Errors other than *ecr.Error become a 500 that names
// requestID only.
func (h *Handler) WriteError(w http.ResponseWriter, r *http.Request, err error, requestID string) {
	(&exchange{h: h, w: w, r: r, requestID: requestID}).fail(err)
}

// wireOf is err's form and message.
func wireOf(err error, requestID string) (wire, string) {
	var e *ecr.Error
	if !errors.As(err, &e) {
		return wires[ecr.CodeServer], fmt.Sprintf("An internal error occurred. Request id: %s", requestID)
	}
	f, ok := wires[e.Code]
	if !ok {
		f = wires[ecr.CodeServer]
	}
	message := e.Message
	if text, ok := texts[e.Code]; ok {
		message = text
	}
	var own *wireError
	if errors.As(err, &own) {
		f, message = own.form, own.err.Message
	}
	if message == "" {
		message = fmt.Sprintf("The request failed. Request id: %s", requestID)
	}
	return f, message
}

// writeWire writes an error. HEAD has no body, so it has no headers about one.
func writeWire(w http.ResponseWriter, r *http.Request, f wire, message string) {
	if f.status == http.StatusUnauthorized {
		WriteUnauthorized(w, r.Host)
		return
	}
	setAPIVersion(w)
	if r.Method == http.MethodHead {
		w.WriteHeader(f.status)
		return
	}
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, f.status, "application/json", struct {
		Errors []item `json:"errors"`
	}{[]item{{f.code, message}}})
}

// writeJSON writes v, which always can be encoded. That the client did not
// take it is no error of ours.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	body := encodeJSON(v)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// encodeJSON is v, which always can be encoded, without the escapes that HTML
// would need: they make six bytes of one.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// setAPIVersion marks the answer as this protocol's; docker looks for it.
func setAPIVersion(w http.ResponseWriter) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
}

// fail answers with err and logs its cause.
func (x *exchange) fail(err error) {
	ctx := x.r.Context()
	var f wire
	var message string
	broken := x.bodyError()
	ours := ctx.Err() == nil
	if broken != nil {
		// The client's doing, unless something else failed after it.
		f, message = x.bodyForm(broken)
		ours = ours && ecr.CodeOf(err) == ecr.CodeServer && !errors.Is(err, broken)
	} else {
		err = x.specForm(err)
		f, message = wireOf(err, x.requestID)
		ours = ours && f.status >= http.StatusInternalServerError
		x.drain()
	}
	level := slog.LevelDebug
	if ours {
		level = slog.LevelError
	}
	x.h.cfg.Log.LogAttrs(ctx, level, "request failed", slog.String("request_id", x.requestID), slog.String("method", x.r.Method),
		slog.String("path", x.r.URL.Path), slog.Int("status", f.status), slog.Any("error", err), slog.Any("body_error", broken))
	writeWire(x.w, x.r, f, message)
}

// bodyError is what reading the request's body failed with, if it did.
func (x *exchange) bodyError() error {
	if x.body == nil {
		return nil
	}
	return x.body.err
}

// bodyForm is the answer when the request's body could not be read to its end.
func (x *exchange) bodyForm(broken error) (wire, string) {
	var tooBig *http.MaxBytesError
	var own *wireError
	switch {
	case errors.As(broken, &tooBig):
		return uploadTooBig, fmt.Sprintf("The request body is larger than %d bytes.", tooBig.Limit)
	case errors.As(broken, &own):
		return own.form, own.err.Message
	case x.putsManifest():
		return manifestInvalid, "The request body could not be read to its end."
	}
	return uploadInvalid, "The request body could not be read to its end."
}

// specForm gives err the form of the OCI specification where ECR's differs,
// unless ECR's counts: 400 rather than 405 for bad input, and its codes for
// what a manifest refers to and for content that is not what its digest says.
func (x *exchange) specForm(err error) error {
	var own *wireError
	if x.ecrCompat() || errors.As(err, &own) {
		return err
	}
	switch code := ecr.CodeOf(err); {
	case code == ecr.CodeInvalidParameter && x.putsManifest():
		return inputError(manifestInvalid, err)
	case code == ecr.CodeInvalidParameter:
		return inputError(unsupported, err)
	case code == ecr.CodeLayersNotFound && x.putsManifest():
		return inputError(childUnknown, err)
	case code == ecr.CodeInvalidLayer || code == ecr.CodeImageDigestDoesNotMatch:
		return inputError(digestInvalid, err)
	}
	return err
}

// putsManifest tells the two kinds of PUT apart.
func (x *exchange) putsManifest() bool { return x.r.Method == http.MethodPut && x.upload == "" }
