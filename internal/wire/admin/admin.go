// Package admin is the vocabulary of Kontor's admin API: the requests and the
// responses of its operations, as both sides of the wire and whoever prints
// them see them. It does nothing.
//
// Names are ECR's where ECR has the thing. Times are RFC 3339 in UTC, to the
// microsecond, unlike ECR's, so that what `--json` prints is what the server
// said. In requests a member that is absent or empty is one that was not
// given; registryId is then the caller's account.
package admin

import "time"

// TargetPrefix precedes the operation in the X-Amz-Target header, with a dot
// between them.
const TargetPrefix = "Kontor_V20261101"

// Limits of requests.
const (
	// DefaultPage and MaxPage are how many elements a page of a list has.
	DefaultPage = 100
	MaxPage     = 1000
	// MaxLeases is how many leases one report may hold.
	MaxLeases = 50_000
	// MaxName and MaxUser bound the name of a collector and the text that says
	// who uses an image, in bytes.
	MaxName = 128
	MaxUser = 512
	// MaxReason bounds the reason for a purge, in bytes.
	MaxReason = 1024
)

// ListJournalRequest selects entries that have everything that is given.
type ListJournalRequest struct {
	RegistryID     string    `json:"registryId,omitzero"`
	RepositoryName string    `json:"repositoryName,omitzero"`
	ImageTag       string    `json:"imageTag,omitzero"`
	ImageDigest    string    `json:"imageDigest,omitzero"`
	RulePriority   int32     `json:"rulePriority,omitzero"`
	Operation      string    `json:"operation,omitzero"`
	Since          time.Time `json:"since,omitzero"`
	Until          time.Time `json:"until,omitzero"`
	// IncludeManifests asks for the documents that went, too.
	IncludeManifests bool   `json:"includeManifests,omitzero"`
	MaxResults       int32  `json:"maxResults,omitzero"`
	NextToken        string `json:"nextToken,omitzero"`
}

// ListJournalResponse is oldest first.
type ListJournalResponse struct {
	Entries   []JournalEntry `json:"entries"`
	NextToken string         `json:"nextToken,omitzero"`
}

// JournalEntry is one thing that went, moved or came back.
type JournalEntry struct {
	Sequence       int64     `json:"sequence"`
	At             time.Time `json:"at"`
	Operation      string    `json:"operation"` // such as delete-image
	RepositoryName string    `json:"repositoryName"`
	ImageDigest    string    `json:"imageDigest,omitzero"`
	ImageTags      []string  `json:"imageTags"`
	MediaType      string    `json:"imageManifestMediaType,omitzero"`
	SizeBytes      int64     `json:"imageSizeInBytes"`
	Actor          string    `json:"actor"` // an ARN, or "system: " and a reason
	Reason         string    `json:"reason"`
	RulePriority   int       `json:"rulePriority,omitzero"`
	RequestID      string    `json:"requestId,omitzero"`
	Manifest       string    `json:"imageManifest,omitzero"`
}

// ListRecycleBinRequest asks for the bin of a repository, or of all.
type ListRecycleBinRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName,omitzero"`
	MaxResults     int32  `json:"maxResults,omitzero"`
	NextToken      string `json:"nextToken,omitzero"`
}

// ListRecycleBinResponse is in the order of deletion.
type ListRecycleBinResponse struct {
	Entries   []BinEntry `json:"entries"`
	NextToken string     `json:"nextToken,omitzero"`
}

// BinEntry is a deleted image that can be restored.
type BinEntry struct {
	ID             int64     `json:"id"`
	RepositoryName string    `json:"repositoryName"`
	ImageDigest    string    `json:"imageDigest"`
	ImageTags      []string  `json:"imageTags"`
	MediaType      string    `json:"imageManifestMediaType"`
	Subject        string    `json:"subjectDigest,omitzero"`
	SizeBytes      int64     `json:"imageSizeInBytes"`
	PushedAt       time.Time `json:"imagePushedAt"`
	DeletedAt      time.Time `json:"deletedAt"`
	ExpiresAt      time.Time `json:"expiresAt"`
	Actor          string    `json:"actor"`
	Reason         string    `json:"reason"`
	RulePriority   int       `json:"rulePriority,omitzero"`
}

// ImageRequest names one image: RestoreImage.
type ImageRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	ImageDigest    string `json:"imageDigest"`
}

// PurgeImageRequest names an image and says why it has to go.
type PurgeImageRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	ImageDigest    string `json:"imageDigest"`
	Reason         string `json:"reason"`
}

// ReportLeasesRequest is everything that a collector knows to be in use.
type ReportLeasesRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Collector  string `json:"collector"`
	// TTLSeconds is how long after now the collector is expected again.
	TTLSeconds int64   `json:"ttlSeconds"`
	Leases     []Lease `json:"leases"`
}

// Lease is an image in use.
type Lease struct {
	RepositoryName string `json:"repositoryName"`
	// One of them or both.
	ImageDigest string `json:"imageDigest,omitzero"`
	ImageTag    string `json:"imageTag,omitzero"`
	// Collector says who reported it; absent in reports, which say it once.
	Collector string `json:"collector,omitzero"`
	User      string `json:"user"`
}

// ListLeasesRequest asks for the leases of a repository, or of all.
type ListLeasesRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName,omitzero"`
	MaxResults     int32  `json:"maxResults,omitzero"`
	NextToken      string `json:"nextToken,omitzero"`
}

// ListLeasesResponse has all collectors on every page, and leases in byte
// order of repository, digest, tag, collector and user.
type ListLeasesResponse struct {
	Collectors []Collector `json:"collectors"`
	Leases     []Lease     `json:"leases"`
	NextToken  string      `json:"nextToken,omitzero"`
}

// Collector is who reports images in use.
type Collector struct {
	Name       string    `json:"collector"`
	ReportedAt time.Time `json:"reportedAt"`
	ExpectedAt time.Time `json:"expectedAt"` // again, at the latest
	// Silent says that it is overdue. Its leases stay in force.
	Silent bool `json:"silent"`
}

// ForgetLeasesRequest names a collector that will not report again.
type ForgetLeasesRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Collector  string `json:"collector"`
}

// ReportLeasesResponse is the collector as recorded.
type ReportLeasesResponse struct {
	Collector Collector `json:"collector"`
	Leases    int       `json:"leases"`
}

// RestoreImageResponse begins with the image that was asked for.
type RestoreImageResponse struct {
	RepositoryName string          `json:"repositoryName"`
	Images         []RestoredImage `json:"images"`
	// MissingDigests are children of restored indexes that are nowhere.
	MissingDigests []string `json:"missingDigests"`
}

// RestoredImage is one image that came back.
type RestoredImage struct {
	ImageDigest string   `json:"imageDigest"`
	ImageTags   []string `json:"imageTags"` // that came back
	// TakenTags point to other images by now, and stay there.
	TakenTags []TakenTag `json:"takenTags"`
	// Why it had gone. A lifecycle rule takes it again at its next run.
	Reason       string `json:"reason"`
	RulePriority int    `json:"rulePriority,omitzero"`
}

// TakenTag is a tag that points to another image.
type TakenTag struct {
	ImageTag    string `json:"imageTag"`
	ImageDigest string `json:"imageDigest"` // that it points to
}

// PurgeImageResponse is what went for good.
type PurgeImageResponse struct {
	RepositoryName string   `json:"repositoryName"`
	ImageDigest    string   `json:"imageDigest"`
	Live           bool     `json:"live"` // it was in the repository
	ImageTags      []string `json:"imageTags"`
	BinEntries     int      `json:"binEntries"`
	Blobs          int      `json:"blobs"` // that nothing else used
	SizeBytes      int64    `json:"sizeInBytes"`
}

// CollectRequest asks for a collection now.
type CollectRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// CollectResponse is what a collection removed from the server's store.
type CollectResponse struct {
	BinEntries int   `json:"binEntries"` // that expired
	Links      int   `json:"links"`      // of repositories to blobs without images
	Blobs      int   `json:"blobs"`
	SizeBytes  int64 `json:"sizeInBytes"`
}

// ForgetLeasesResponse names the collector that was forgotten.
type ForgetLeasesResponse struct {
	Collector string `json:"collector"`
	Leases    int    `json:"leases"` // that it had
}
