// Package events is what a registry tells others of: the types of events, what each
// says, who receives them, and the forms in which they are sent: the events that Amazon
// ECR sends to EventBridge, and CloudEvents 1.0.
//
// An event is written in the transaction of what it tells of (package gate), and sent
// later (package delivery). Sources: Amazon ECR user guide, "Amazon ECR events and
// EventBridge"; CloudEvents specification 1.0.2.
package events

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Type says what happened.
type Type string

// The types of events.
const (
	// ImagePushed: an image came, or a tag was set; one event for each tag.
	ImagePushed Type = "image.pushed"
	// ImageDeleted: by a request. ImageExpired: by a lifecycle rule.
	ImageDeleted   Type = "image.deleted"
	ImageExpired   Type = "image.expired"
	ImageRestored  Type = "image.restored" // from the recycle bin
	ImagePurged    Type = "image.purged"   // for good
	ImageArchived  Type = "image.archived"
	ImageActivated Type = "image.activated" // from the archive
	TagMoved       Type = "tag.moved"
	TagDeleted     Type = "tag.deleted"

	RepositoryCreated Type = "repository.created"
	RepositoryDeleted Type = "repository.deleted"
	PolicyChanged     Type = "policy.changed"

	// PullDenied, PushDenied and AccessDenied: somebody was denied something in a
	// repository.
	PullDenied   Type = "pull.denied"
	PushDenied   Type = "push.denied"
	AccessDenied Type = "access.denied"

	// LeaseTaken, LeaseEnded: a workload began or stopped to use an image.
	// LeaseOverdue: a collector did not report in time; its leases stay.
	LeaseTaken   Type = "lease.taken"
	LeaseEnded   Type = "lease.ended"
	LeaseOverdue Type = "lease.overdue"

	// CachePulled: an image came from an upstream, or (Failure) did not.
	CachePulled Type = "cache.pulled"
	// ImageReplicated: an image is complete at a destination, or (Failure) has failed.
	// ImageScanned: a scan is over.
	ImageReplicated Type = "image.replicated"
	ImageScanned    Type = "image.scanned"

	// EventsDropped: the queue of the receiver was too long.
	EventsDropped Type = "events.dropped"
	// Test is sent on request, to one receiver.
	Test Type = "receiver.test"
)

// Types are those that receivers can ask for.
var Types = []Type{
	ImagePushed, ImageDeleted, ImageExpired, ImageRestored, ImagePurged, ImageArchived, ImageActivated, TagMoved, TagDeleted,
	RepositoryCreated, RepositoryDeleted, PolicyChanged, PullDenied, PushDenied, AccessDenied,
	LeaseTaken, LeaseEnded, LeaseOverdue, CachePulled, ImageReplicated, ImageScanned,
}

// Event is something that happened in a registry. The fields that do not apply are zero.
type Event struct {
	ID       string         `json:"id"` // a UUID
	Type     Type           `json:"type"`
	At       time.Time      `json:"at"`
	Registry ecr.RegistryID `json:"registry"`

	Repository ecr.RepositoryName `json:"repository,omitzero"`
	Digest     ecr.Digest         `json:"digest,omitzero"`
	Tag        ecr.Tag            `json:"tag,omitzero"`
	// Tags are all that the image had; at most MaxTags of them.
	Tags      []ecr.Tag `json:"tags,omitzero"`
	MediaType string    `json:"mediaType,omitzero"`
	// ArtifactType is that of the manifest, or of its config. Subject is what it refers to.
	ArtifactType string     `json:"artifactType,omitzero"`
	Subject      ecr.Digest `json:"subject,omitzero"`
	SizeBytes    int64      `json:"size,omitzero"`
	// Previous is what the tag pointed to before.
	Previous ecr.Digest `json:"previous,omitzero"`

	// Actor is the ARN of who did it, or "system: reason" for jobs; RequestID and Source,
	// the address, are of the request.
	Actor     string `json:"actor,omitzero"`
	RequestID string `json:"request,omitzero"`
	Source    string `json:"source,omitzero"`
	// Reason says why, Rule is the priority of the lifecycle rule.
	Reason string `json:"reason,omitzero"`
	Rule   int    `json:"rule,omitzero"`

	// Operation and Action were denied; Statement is what denied them, "" when nothing
	// allows.
	Operation string `json:"operation,omitzero"`
	Action    string `json:"action,omitzero"`
	Statement string `json:"statement,omitzero"`

	// Policy is what was set or deleted: "repository", "lifecycle" or "registry".
	Policy  string `json:"policy,omitzero"`
	Deleted bool   `json:"deleted,omitzero"`

	// Collector reported that Workload, such as "Deployment shop/web", uses the image.
	Collector string    `json:"collector,omitzero"`
	Workload  string    `json:"workload,omitzero"`
	Expected  time.Time `json:"expected,omitzero"` // when the collector should have reported

	// Failure says why it failed; "" for success. FailureCode is a word for that.
	Failure     string `json:"failure,omitzero"`
	FailureCode string `json:"failureCode,omitzero"`

	// Prefix and Upstream are of the pull-through cache rule.
	Prefix   string `json:"prefix,omitzero"`
	Upstream string `json:"upstream,omitzero"`

	// From is where an image was replicated from.
	From ecr.RegistryID `json:"from,omitzero"`
	// ScanStatus and Findings, by severity, are of a scan.
	ScanStatus string         `json:"scanStatus,omitzero"`
	Findings   map[string]int `json:"findings,omitzero"`
	// ActivatedAt is when the image came back from the archive.
	ActivatedAt time.Time `json:"activatedAt,omitzero"`

	// Dropped counts events that were dropped, which happened from Since until Until.
	Dropped int       `json:"dropped,omitzero"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
}

// MaxTags bounds the tags in an event, as AWS bounds them in those of CloudTrail.
const MaxTags = 100

// Bounded is e without what would make it large.
func (e Event) Bounded() Event {
	const most = 1024
	e.Tags = e.Tags[:min(len(e.Tags), MaxTags)]
	for _, s := range []*string{&e.Reason, &e.Failure, &e.Actor, &e.Statement, &e.Workload, &e.Collector} {
		if len(*s) > most {
			*s = (*s)[:most]
		}
	}
	return e
}

// Key orders events: of those with the same key, a receiver gets one after the other. It
// is that of the repository and not of the image, so that what a tag points to last is
// told last.
func (e Event) Key() string { return e.Registry.String() + "/" + string(e.Repository) }

// NewID makes a random UUID (RFC 9562, version 4).
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Denied is the type for an action that was denied.
func Denied(action string) Type {
	switch action {
	case "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage":
		return PullDenied
	case "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:CreateRepository":
		return PushDenied
	}
	return AccessDenied
}
