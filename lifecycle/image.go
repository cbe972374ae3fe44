package lifecycle

import "time"

// Image is what rules and guards look at in an image. Digests and tags are
// opaque: compared, never read. A zero time is one that never was, or that is
// not known.
type Image struct {
	Digest string   // "sha256:..."; unique among the images of a repository
	Tags   []string // none makes the image untagged
	// PushedAt is the push of this digest; pushing it again or tagging it
	// again does not change it. Without it the image counts as the youngest and
	// has no age, so that rules by age do not act on it.
	PushedAt        time.Time
	LastPulledAt    time.Time // last recorded pull; zero when never pulled
	LastActivatedAt time.Time // last return from the archive
	LastArchivedAt  time.Time // last move into the archive
	Status          Status    // "" is StatusActive
	MediaType       string    // of the manifest; rules ignore it
	// ArtifactType is the media type of an artifact, or of an image's
	// configuration, as the API's artifactMediaType; rules ignore it.
	ArtifactType string
	SizeBytes    int64 // rules ignore it
	// Children are the digests that the image, if it is an index, lists;
	// Subject is the digest an artifact refers to, "" for none. They may name
	// images that are not there. Only counts and guards look at them.
	Children []string
	Subject  string
}

// Status says where an image is. Its values are those of the API's
// imageStatus.
type Status string

// The statuses.
const (
	StatusActive     Status = "ACTIVE"     // in storage class Standard
	StatusArchived   Status = "ARCHIVED"   // in storage class Archive
	StatusActivating Status = "ACTIVATING" // on its way back from the archive
)

// age is the time since which a rule of type t counts the age of m; zero when
// it is not known. An image that came back from the archive is as old as its
// return.
func (m *Image) age(t CountType) time.Time {
	switch t {
	case SinceImageTransitioned:
		return m.LastArchivedAt
	case SinceImagePulled:
		if m.LastPulledAt.After(m.pushed()) {
			return m.LastPulledAt
		}
	}
	return m.pushed()
}

// pushed is the time by which images are ordered.
func (m *Image) pushed() time.Time {
	if m.LastActivatedAt.After(m.PushedAt) {
		return m.LastActivatedAt
	}
	return m.PushedAt
}
