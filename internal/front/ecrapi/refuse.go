package ecrapi

import (
	"net/http"

	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// Refuse answers with err and logs what the client is not told. The server
// calls it for requests that did not come as far as Serve: not signed rightly,
// or with a body that could not be read.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, operation string, err error, requestID string) {
	status, e := encodeError(err, requestID)
	logCause(r.Context(), h.cfg.Log, operation, requestID, status, err)
	awsjson.WriteJSON(w, status, requestID, e)
}
