package ecrapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// An outcome is the wire form of an error code: HTTP status and "__type".
type outcome struct {
	status int
	kind   string
}

// exceptions are the codes that are not answered with 400 under their own
// name, which is ECR's rule: also for "not found" and "already exists", and,
// against the reference but as seen, for AccessDeniedException.
var exceptions = map[ecr.Code]outcome{
	ecr.CodeServer:           {http.StatusInternalServerError, "ServerException"},
	ecr.CodeUnknownOperation: {http.StatusNotFound, "UnknownOperationException"},
	ecr.CodeUnavailable:      {http.StatusServiceUnavailable, "ServiceUnavailableException"},
	// A failure of one image in a batch; the API has no exception for it.
	ecr.CodeReferencedByManifestList: {http.StatusBadRequest, "InvalidParameterException"},
}

// outcomes is the table from codes to their wire form, for every code there is.
var outcomes = func() map[ecr.Code]outcome {
	table := map[ecr.Code]outcome{}
	for _, code := range ecr.Codes() {
		o, ok := exceptions[code]
		if !ok {
			o = outcome{http.StatusBadRequest, string(code)}
		}
		table[code] = o
	}
	return table
}()

// errorBody is an error on the wire. The last four are members of
// InvalidLayerPartException only.
type errorBody struct {
	Type    string  `json:"__type"`
	Message *string `json:"message,omitzero"`

	LastValidByteReceived *int64  `json:"lastValidByteReceived,omitzero"`
	RegistryId            *string `json:"registryId,omitzero"`
	RepositoryName        *string `json:"repositoryName,omitzero"`
	UploadId              *string `json:"uploadId,omitzero"`
}

// invalidLayerPart is an InvalidLayerPartException with its members, for
// clients that resume from them.
type invalidLayerPart struct {
	error
	details errorBody
}

func (e *invalidLayerPart) Unwrap() error { return e.error }

// encodeError is err as the client sees it. Only an *ecr.Error speaks to
// clients; of any other error they learn the request id.
func encodeError(err error, requestID string) (int, errorBody) {
	var part *invalidLayerPart
	body := errorBody{}
	if errors.As(err, &part) {
		body = part.details
	}
	message := "The server could not process this request. Its operator finds the reason in the log under request id " + requestID + "."
	o := outcomes[ecr.CodeServer]
	var known *ecr.Error
	if errors.As(err, &known) {
		var ok bool
		if o, ok = outcomes[known.Code]; ok {
			message = known.Message
		} else {
			o = outcomes[ecr.CodeServer]
		}
	}
	body.Type, body.Message = o.kind, &message
	return o.status, body
}

// logCause records what the client, who is answered with status, is not told.
func logCause(ctx context.Context, log *slog.Logger, operation, requestID string, status int, err error) {
	if toldWhole(err) {
		return
	}
	level := slog.LevelError
	switch {
	case ctx.Err() != nil: // the client has gone
		level = slog.LevelDebug
	case status < http.StatusInternalServerError:
		level = slog.LevelInfo
	}
	log.Log(ctx, level, "ecr api error", "request_id", requestID, "operation", operation, "error", err)
}

// toldWhole reports whether err is nothing but what the client is sent.
func toldWhole(err error) bool {
	if part, ok := err.(*invalidLayerPart); ok {
		err = part.error
	}
	known, ok := err.(*ecr.Error)
	if !ok || known.Err != nil {
		return false
	}
	o, ok := outcomes[known.Code]
	return ok && o.status < http.StatusInternalServerError
}
