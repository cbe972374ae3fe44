package admin

import "time"

// GetScannerRequest asks for the scanner, and for what waits for it.
type GetScannerRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// GetScannerResponse has no Scanner where none is configured. The numbers are of the scans
// of all registries of the server.
type GetScannerResponse struct {
	Scanner       *Scanner  `json:"scanner,omitzero"`
	Waiting       int       `json:"waiting"`
	Running       int       `json:"running"`
	OldestAskedAt time.Time `json:"oldestAskedAt,omitzero"` // of those that wait
}

// Scanner is what scans the images.
type Scanner struct {
	Name        string `json:"name"`
	Kind        string `json:"kind"` // adapter or command
	Concurrency int    `json:"concurrency"`
	// What it says of itself, empty where it does not.
	Product           string    `json:"product,omitzero"`
	Vendor            string    `json:"vendor,omitzero"`
	Version           string    `json:"version,omitzero"`
	DatabaseUpdatedAt time.Time `json:"databaseUpdatedAt,omitzero"`
	// Failure is why it cannot be reached; "" where it can.
	Failure string `json:"failure,omitzero"`
}
