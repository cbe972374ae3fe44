package rollout

import (
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
)

// Promotion is what was planned of images, and what came of it.
type Promotion struct {
	Plan promote.Plan `json:"plan"`
	// Result is nil where nothing was to be done but to plan.
	Result *promote.Result `json:"result,omitempty"`
}

// History is the records of an image, the oldest first.
type History struct {
	Image   promote.Ref      `json:"image"`
	Records []history.Record `json:"records"` // never nil
}
