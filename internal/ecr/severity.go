package ecr

import (
	"slices"
	"time"
)

// Severity is how bad a finding of a scan is.
type Severity string

// Severities, the worst first. Source: ECR API reference, ImageScanFinding.
const (
	SeverityCritical      Severity = "CRITICAL"
	SeverityHigh          Severity = "HIGH"
	SeverityMedium        Severity = "MEDIUM"
	SeverityLow           Severity = "LOW"
	SeverityInformational Severity = "INFORMATIONAL"
	SeverityUndefined     Severity = "UNDEFINED"
)

// What stands in place of the highest severity of an image.
const (
	// SeverityNone is of an image that was scanned, and nothing was found.
	SeverityNone Severity = "NONE"
	// Unscanned is of an image of which no scan was completed.
	Unscanned Severity = "UNSCANNED"
	// Unscannable is of what is no container image, such as a signature, and of an image
	// of which the scanner said that it cannot scan it.
	Unscannable Severity = "UNSUPPORTED"
)

// Severities are those of findings, the worst first.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityInformational, SeverityUndefined}
}

// ordered are all values, the worst first: what was not scanned may have anything.
var ordered = append([]Severity{Unscanned}, append(Severities(), SeverityNone, Unscannable)...)

// Compare is negative when s is worse than other: what was not scanned is the worst, and
// what cannot be scanned the best.
func (s Severity) Compare(other Severity) int {
	return slices.Index(ordered, s) - slices.Index(ordered, other)
}

// Scan is what is known of the scan of an image.
type Scan struct {
	Status ScanStatus
	Reason string // why it failed the last time; "" when it did not
	// CompletedAt, Severity and Result are those of the last scan that was completed,
	// zero for none. Severity is the highest one found. Result is the engine's.
	CompletedAt time.Time
	Severity    Severity
	Result      []byte
}

// ScanStatus is the state of the scan of an image.
type ScanStatus string

// States of scans. Source: ECR API reference, ImageScanStatus.
const (
	ScanInProgress  ScanStatus = "IN_PROGRESS"
	ScanComplete    ScanStatus = "COMPLETE"
	ScanFailed      ScanStatus = "FAILED"
	ScanUnsupported ScanStatus = "UNSUPPORTED_IMAGE"
)

// IsSeverity reports whether s is a severity of findings.
func IsSeverity(s Severity) bool { return slices.Contains(Severities(), s) }
