package admin

import "time"

// ReplicationRule is a rule of the replication configuration, as the ECR API has it.
// Destinations are ACCOUNT/REGION.
type ReplicationRule struct {
	Destinations []string `json:"destinations"`
	Prefixes     []string `json:"repositoryPrefixes"` // empty for all repositories
}

// ReplicationOptions are what Kontor adds for one destination.
type ReplicationOptions struct {
	ImageTags       []string `json:"imageTags"`       // wildcards; empty for all images
	ExcludePrefixes []string `json:"excludePrefixes"` // of repositories
	Deletions       bool     `json:"deletions"`
}

// ReplicationQueue is what waits for a destination.
type ReplicationQueue struct {
	Destination string    `json:"destination"`
	Waiting     int       `json:"waiting"`
	OldestAt    time.Time `json:"oldestAt"` // when the one that waits for longest was queued
	// WaitsForRate: more images could go now, and wait because of the destination's rate.
	WaitsForRate bool `json:"waitsForRate"`
	// RestReason says why the destination is left alone for a while: it did not answer, or
	// refused the login.
	RestReason string `json:"restReason,omitzero"`
}

// ReplicationRate is what may go to a destination at most; 0 for no limit.
type ReplicationRate struct {
	ImagesPerMinute int   `json:"imagesPerMinute"`
	BytesPerSecond  int64 `json:"bytesPerSecond"`
}

// Replication is one image, with one of its tags or with none, and a destination.
type Replication struct {
	Kind           string `json:"kind"` // copy or delete
	RepositoryName string `json:"repositoryName"`
	ImageDigest    string `json:"imageDigest"`
	ImageTag       string `json:"imageTag,omitzero"`
	Destination    string `json:"destination"`
	Status         string `json:"status"`
	FailureCode    string `json:"failureCode,omitzero"`
	FailureReason  string `json:"failureReason,omitzero"`
	// SubImageFailureCodes are why images failed that an index lists.
	SubImageFailureCodes []string  `json:"subImageFailureCodes,omitzero"`
	UpdatedAt            time.Time `json:"updatedAt"`
}

// ListReplicationsRequest asks how replication of a registry goes.
type ListReplicationsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	MaxResults int32  `json:"maxResults,omitzero"` // of failed
	NextToken  string `json:"nextToken,omitzero"`
}

// ListReplicationsResponse has the rules, the options by destination, what waits, and
// what failed, in the order in which it was queued first.
type ListReplicationsResponse struct {
	Rules     []ReplicationRule             `json:"rules"`
	Options   map[string]ReplicationOptions `json:"options"`
	Rates     map[string]ReplicationRate    `json:"rates"` // of destinations that have one
	Queues    []ReplicationQueue            `json:"queues"`
	Failed    []Replication                 `json:"failed"`
	NextToken string                        `json:"nextToken,omitzero"`
}

// DescribeReplicationRequest asks for the status of one image, by tag or digest.
type DescribeReplicationRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	RepositoryName string `json:"repositoryName"`
	ImageTag       string `json:"imageTag,omitzero"`
	ImageDigest    string `json:"imageDigest,omitzero"`
}

// DescribeReplicationResponse is in the order of destinations.
type DescribeReplicationResponse struct {
	Statuses []ReplicationStatus `json:"replicationStatuses"`
}

// ReplicationStatus is the status of an image at a destination.
type ReplicationStatus struct {
	Destination   string `json:"destination"`
	Status        string `json:"status"`
	FailureCode   string `json:"failureCode,omitzero"`
	FailureReason string `json:"failureReason,omitzero"`
	// WaitReason says why it is still in progress, where there is something to say.
	WaitReason string `json:"waitReason,omitzero"`
}

// PutReplicationOptionsRequest replaces the options of a destination. One without an
// account is a region of the registry's own.
type PutReplicationOptionsRequest struct {
	RegistryID  string             `json:"registryId,omitzero"`
	Destination string             `json:"replicationDestination"`
	Options     ReplicationOptions `json:"options"`
	// BeforeRule: no rule needs to have the destination yet.
	BeforeRule bool `json:"beforeRule,omitzero"`
}

// PutReplicationOptionsResponse is what they are now.
type PutReplicationOptionsResponse struct {
	Destination string             `json:"destination"`
	Options     ReplicationOptions `json:"options"`
}

// RetryReplicationsRequest queues again what failed, for one destination or for all.
type RetryReplicationsRequest struct {
	RegistryID  string `json:"registryId,omitzero"`
	Destination string `json:"replicationDestination,omitzero"`
}

// RetryReplicationsResponse says how much that is.
type RetryReplicationsResponse struct {
	Queued int `json:"queued"`
}

// StartBackfillRequest begins to replicate the images that are there already.
type StartBackfillRequest struct {
	RegistryID  string `json:"registryId,omitzero"`
	Destination string `json:"replicationDestination"`
}

// BackfillRequest names a backfill.
type BackfillRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	ID         string `json:"replicationBackfillId"`
}

// BackfillResponse is a backfill.
type BackfillResponse struct {
	Backfill Backfill `json:"backfill"`
	// Failed are the first that failed, when it has ended.
	Failed []Replication `json:"failed"`
}

// Backfill is a backfill and how far it is; the numbers are 0 while it is prepared.
type Backfill struct {
	ID          string    `json:"replicationBackfillId"`
	Destination string    `json:"destination"`
	Status      string    `json:"status"`
	StartedAt   time.Time `json:"startedAt"`
	EndedAt     time.Time `json:"endedAt,omitzero"`
	Total       int       `json:"totalReplicationCount"`
	Completed   int       `json:"completedReplicationCount"`
	FailedCount int       `json:"failedReplicationCount"`
}

// ListBackfillsRequest asks for the backfills of a registry.
type ListBackfillsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListBackfillsResponse is the newest first, 100 at most.
type ListBackfillsResponse struct {
	Backfills []Backfill `json:"backfills"`
}
