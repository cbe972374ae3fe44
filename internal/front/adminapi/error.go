package adminapi

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// statuses are those of codes that are not answered with 400, which is ECR's
// rule also for "not found" and "denied".
var statuses = map[ecr.Code]int{
	ecr.CodeServer:           http.StatusInternalServerError,
	ecr.CodeUnknownOperation: http.StatusNotFound,
	ecr.CodeUnavailable:      http.StatusServiceUnavailable,
}

// encodeError is err as the client sees it. Only an *ecr.Error of a code that
// there is speaks to clients; of any other error they learn the request id.
func encodeError(err error, requestID string) (status int, kind ecr.Code, message string) {
	var known *ecr.Error
	if errors.As(err, &known) && codes[known.Code] {
		if s, ok := statuses[known.Code]; ok {
			return s, known.Code, known.Message
		}
		return http.StatusBadRequest, known.Code, known.Message
	}
	return http.StatusInternalServerError, ecr.CodeServer,
		"The server could not process this request. Its operator finds the reason in the log under request id " + requestID + "."
}

var codes = func() map[ecr.Code]bool {
	all := map[ecr.Code]bool{}
	for _, c := range slices.Concat(ecr.Codes(), iam.Codes()) {
		all[c] = true
	}
	return all
}()

// Refuse answers with err and logs what the client is not told. The server
// calls it for requests that did not come as far as Serve.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, operation string, err error, requestID string) {
	status, kind, message := encodeError(err, requestID)
	if known, ok := err.(*ecr.Error); !ok || known.Err != nil || status >= http.StatusInternalServerError {
		level := slog.LevelError
		switch {
		case r.Context().Err() != nil: // the client has gone
			level = slog.LevelDebug
		case status < http.StatusInternalServerError:
			level = slog.LevelInfo
		}
		h.cfg.Log.Log(r.Context(), level, "admin api error", "request_id", requestID, "operation", operation, "error", err)
	}
	awsjson.WriteError(w, status, requestID, string(kind), message)
}
