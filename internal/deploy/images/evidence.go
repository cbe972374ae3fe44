package images

import (
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Scan is what a registry tells of the scan of an image.
type Scan struct {
	// Complete: there are findings, which may be none. Otherwise Status says what the
	// scan is, such as FAILED, and Reason why; "" where there was none.
	Complete bool
	Status   string
	Reason   string
	// Worst is the highest severity that was found, ecr.SeverityNone for none, and Counts
	// are the findings by severity.
	Worst  ecr.Severity
	Counts map[ecr.Severity]int
	At     time.Time // when it was completed
}

// Signed is what a registry tells of the signatures of one signer.
type Signed struct {
	// By is the name of a signing profile: a signer of Kontor, or one of AWS Signer.
	By string
	// Verified: the registry has verified, or made, a signature. Otherwise Reason says
	// why there is none.
	Verified bool
	Reason   string
}
