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
	// Why it had gone. For lifecycle rules its age counts from now on.
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

// CollectGarbageRequest asks for a collection now.
type CollectGarbageRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// CollectGarbageResponse is what a collection removed from the server's store.
type CollectGarbageResponse struct {
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

// DescribeUsageRequest names a repository.
type DescribeUsageRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
}

// DescribeUsageResponse is what a repository's images take. A layer counts once
// however many images have it; sizes are bytes. What is in the recycle bin does
// not count.
type DescribeUsageResponse struct {
	RepositoryName string `json:"repositoryName"`
	Images         int    `json:"images"`
	ManifestBytes  int64  `json:"manifestBytes"`
	LayerBytes     int64  `json:"layerBytes"`
	// OwnBytes are those that no other repository has.
	OwnBytes int64       `json:"ownLayerBytes"`
	Tags     []TagUsage  `json:"tags"`  // in byte order
	Rules    []RuleUsage `json:"rules"` // by priority
}

// TagUsage is what a tag's image takes, with the images that it lists.
type TagUsage struct {
	ImageTag    string `json:"imageTag"`
	ImageDigest string `json:"imageDigest"`
	LayerBytes  int64  `json:"layerBytes"`
	// OwnBytes would be free without it.
	OwnBytes int64 `json:"ownLayerBytes"`
}

// RuleUsage is what a lifecycle rule would free now.
type RuleUsage struct {
	RulePriority int   `json:"rulePriority"`
	Images       int   `json:"images"`
	FreedBytes   int64 `json:"freedLayerBytes"`
}

// EstimateFreedBytesRequest asks what would be free without each of some sets of a
// repository's images. There may be 100,000 images over all sets.
type EstimateFreedBytesRequest struct {
	RegistryID     string     `json:"registryId,omitzero"`
	RepositoryName string     `json:"repositoryName"`
	ImageSets      []ImageSet `json:"imageSets"`
}

// ImageSet are images by their digests.
type ImageSet struct {
	ImageDigests []string `json:"imageDigests"`
}

// EstimateFreedBytesResponse has for each set, in their order, the bytes of the
// layers that no other image has, each counted once. Images that are not there
// count for nothing.
type EstimateFreedBytesResponse struct {
	FreedBytes []int64 `json:"freedLayerBytes"`
}

// ListIndexManifestsRequest asks for the manifests of a repository's indexes.
type ListIndexManifestsRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	MaxResults     int32  `json:"maxResults,omitzero"`
	NextToken      string `json:"nextToken,omitzero"`
}

// ListIndexManifestsResponse is in byte order of the digests; a page has fewer
// manifests than asked for when they are large. Reading them is not a pull.
type ListIndexManifestsResponse struct {
	Now       time.Time       `json:"now"` // of the image clock
	Manifests []IndexManifest `json:"manifests"`
	NextToken string          `json:"nextToken,omitzero"`
}

// IndexManifest is the manifest of an index.
type IndexManifest struct {
	ImageDigest string `json:"imageDigest"`
	Manifest    string `json:"imageManifest"`
}

// RunLifecycleRequest asks for a run of a repository's lifecycle policy now.
type RunLifecycleRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	DryRun         bool   `json:"dryRun,omitzero"` // change nothing
	Force          bool   `json:"force,omitzero"`  // however many images that takes
}

// RunLifecycleResponse is what a run did, or in a dry run would do.
type RunLifecycleResponse struct {
	RepositoryName string    `json:"repositoryName"`
	At             time.Time `json:"at"`
	DryRun         bool      `json:"dryRun"`
	Images         int       `json:"images"` // that the repository had
	Expired        int       `json:"expired"`
	Archived       int       `json:"archived"`
	SizeBytes      int64     `json:"sizeInBytes"` // of the expired
	// Stopped says that nothing was done; the findings say why.
	Stopped bool `json:"stopped"`
	// Outcomes are the images on which a rule acts, whether they went or not.
	Outcomes []Outcome `json:"outcomes"`
	Findings []Finding `json:"findings"`
}

// Outcome is an image on which a rule acts.
type Outcome struct {
	ImageDigest  string    `json:"imageDigest"`
	ImageTags    []string  `json:"imageTags"`
	PushedAt     time.Time `json:"imagePushedAt"`
	SizeBytes    int64     `json:"imageSizeInBytes"`
	RulePriority int       `json:"rulePriority"`
	Reason       string    `json:"reason"`
	// Action is what happens, "expire", "transition" or "keep"; Wanted what the
	// rule says.
	Action string `json:"action"`
	Wanted string `json:"wantedAction"`
	With   string `json:"withImageDigest,omitzero"` // the subject that it goes with
	// What keeps it: the index or subject, a lease, or what happened since.
	GuardedBy string `json:"guardedByImageDigest,omitzero"`
	HeldBy    string `json:"heldBy,omitzero"`
	Saved     string `json:"savedBy,omitzero"`
}

// Finding is a finding for the operator.
type Finding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// CreateConsoleLinkRequest asks for a one-time link to the web console, which opens it
// as the caller.
type CreateConsoleLinkRequest struct{}

// CreateConsoleLinkResponse is such a link: a path with its query, below the URL at
// which the server is reached. Who has it before ExpiresAt is logged in.
type CreateConsoleLinkResponse struct {
	Path      string    `json:"path"`
	ExpiresAt time.Time `json:"expiresAt"`
	Principal string    `json:"principal"` // ARN of the caller
}

// ListJobsRequest asks for the background jobs of the server.
type ListJobsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListJobsResponse has the jobs that were begun at least once, in order of their names.
type ListJobsResponse struct {
	Jobs []Job `json:"jobs"`
}

// Job is a background job of the server, which one of its processes does at a time.
// Times are those of the database's clock.
type Job struct {
	Name    string    `json:"name"`
	Process string    `json:"process"` // that began it last
	Running bool      `json:"running"`
	BeganAt time.Time `json:"beganAt"`
	// Progress is how much the run has removed so far, while it is running.
	Progress int `json:"progress"`
	// Last is the run that ended last.
	Last *JobRun `json:"last,omitzero"`
}

// JobRun is how a run of a job ended.
type JobRun struct {
	EndedAt   time.Time `json:"endedAt"`
	Removed   int       `json:"removed"`
	SizeBytes int64     `json:"sizeInBytes"`
	Error     string    `json:"error,omitzero"`
}

// MoveClockRequest moves the test clock; 0 asks for its time.
type MoveClockRequest struct {
	RegistryID  string `json:"registryId,omitzero"`
	MoveSeconds int64  `json:"moveSeconds"`
}

// MoveClockResponse is the time of the test clock.
type MoveClockResponse struct {
	Now time.Time `json:"now"`
}
