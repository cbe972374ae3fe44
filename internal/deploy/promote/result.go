package promote

import (
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Outcome is how an image of a plan came out.
type Outcome string

// The outcomes.
const (
	// OutcomeDone: the image is there, with all that belongs to it.
	OutcomeDone Outcome = "done"
	// OutcomeThere: it was there already.
	OutcomeThere Outcome = "there"
	// OutcomeRefused: the plan refused it; nothing was done.
	OutcomeRefused Outcome = "refused"
	// OutcomeMoved: source or target are not as the plan saw them; nothing was
	// done.
	OutcomeMoved Outcome = "moved"
	// OutcomeFailed: something went wrong. The tag was not set, unless the error
	// says so; another promotion goes on from here.
	OutcomeFailed Outcome = "failed"
	// OutcomeSkipped: the run ended before it came to the image.
	OutcomeSkipped Outcome = "skipped"
)

// Result is what became of a plan. The field names of its JSON form are
// published.
type Result struct {
	Images []ImageResult `json:"images"`
}

// ImageResult is what became of an image.
type ImageResult struct {
	Route   string     `json:"route,omitempty"`
	From    Ref        `json:"from"`
	To      Ref        `json:"to"`
	Digest  ecr.Digest `json:"digest,omitempty"`
	Outcome Outcome    `json:"outcome"`
	// Error says why it is not there, in one line.
	Error string `json:"error,omitempty"`
	// Created: the repository was made.
	Created bool `json:"created,omitempty"`
	// Manifests were written, Blobs and Bytes sent or mounted.
	Manifests int   `json:"manifests"`
	Blobs     Blobs `json:"blobs"`
	Bytes     Bytes `json:"bytes"`
	// Record is the digest of the record; "" for none.
	Record ecr.Digest `json:"record,omitempty"`
}

// Blobs counts blobs by how they came.
type Blobs struct {
	Moved   int `json:"moved"`
	Mounted int `json:"mounted"`
	There   int `json:"there"`
}

// OK reports whether every image is there.
func (r Result) OK() bool {
	return !slices.ContainsFunc(r.Images, func(i ImageResult) bool { return i.Outcome != OutcomeDone && i.Outcome != OutcomeThere })
}

// Err is the error for images that are not there; nil when all are.
func (r Result) Err() error {
	if n := len(r.Images) - r.Count(OutcomeDone) - r.Count(OutcomeThere); n > 0 {
		return fmt.Errorf("%s not promoted", count(n, "image"))
	}
	return nil
}

// Count counts the images of an outcome.
func (r Result) Count(o Outcome) int {
	n := 0
	for _, i := range r.Images {
		if i.Outcome == o {
			n++
		}
	}
	return n
}
