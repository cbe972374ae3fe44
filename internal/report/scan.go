package report

import "time"

// Scan is what is known of the scan of an image.
type Scan struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest,omitzero"`
	// Status is IN_PROGRESS, COMPLETE, FAILED or UNSUPPORTED_IMAGE; Reason says why of the
	// last two.
	Status string `json:"status"`
	Reason string `json:"reason,omitzero"`
	// What follows is of a scan that is COMPLETE.
	CompletedAt time.Time      `json:"completedAt,omitzero"`
	Counts      map[string]int `json:"counts,omitzero"` // by severity
	Findings    []ScanFinding  `json:"findings"`        // the worst first
}

// ScanFinding is one finding of a scan.
type ScanFinding struct {
	Name        string `json:"name"`
	Severity    string `json:"severity"`
	Package     string `json:"package,omitzero"`
	Version     string `json:"version,omitzero"`
	Fixed       string `json:"fixed,omitzero"`
	URI         string `json:"uri,omitzero"`
	Description string `json:"description,omitzero"`
}
