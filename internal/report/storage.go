package report

// Storage is what a store for blobs can do, as kontor admin storage probe found.
type Storage struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	// Checks are in the order in which they ran. Never nil.
	Checks []StorageCheck `json:"checks"`
	// WriteMillis and ReadMillis are how long a small object took, the median of
	// several.
	WriteMillis float64 `json:"writeMillis"`
	ReadMillis  float64 `json:"readMillis"`
	// ClockSkewMillis is how far the store's clock is ahead of this machine's.
	ClockSkewMillis int64 `json:"clockSkewMillis"`
}

// StorageCheck is one thing that was tried.
type StorageCheck struct {
	Name   string        `json:"name"` // as "conditional writes"
	Status StorageStatus `json:"status"`
	Detail string        `json:"detail,omitempty"` // what was found, or what to do
}

// StorageStatus is the outcome of a check.
type StorageStatus string

// StorageOK: as it should be. StorageNotice: Kontor works without it, and Detail
// says what that means. StorageFailed: blobs cannot be kept there.
const (
	StorageOK     StorageStatus = "ok"
	StorageNotice StorageStatus = "notice"
	StorageFailed StorageStatus = "failed"
)

// Failed reports whether blobs cannot be kept in the store.
func (s Storage) Failed() bool {
	for _, c := range s.Checks {
		if c.Status == StorageFailed {
			return true
		}
	}
	return false
}
