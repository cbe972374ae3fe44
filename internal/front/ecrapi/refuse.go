package ecrapi

import (
	"net/http"

	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// Refuse answers a request that did not come as far as Serve: one that is not
// signed rightly, or whose body could not be read.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, operation string, err error, requestID string) {
	status, e := encodeError(err, requestID)
	logCause(r.Context(), h.cfg.Log, operation, requestID, status, err)
	awsjson.WriteJSON(w, status, requestID, e)
}
