package events

import (
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// journalled are the types of what the journal records.
var journalled = map[meta.JournalOp]Type{
	meta.JournalDeleteImage: ImageDeleted, meta.JournalRestoreImage: ImageRestored, meta.JournalPurgeImage: ImagePurged,
	meta.JournalArchiveImage: ImageArchived, meta.JournalActivateImage: ImageActivated, meta.JournalDeleteTag: TagDeleted,
	meta.JournalDeleteRepository: RepositoryDeleted, meta.JournalDeletePolicy: PolicyChanged, meta.JournalDeleteLifecycle: PolicyChanged,
}

// OfJournal is the event of an entry of the journal about image, which is zero where it is
// about none; ok is false for entries that are no events.
func OfJournal(j meta.JournalEntry, image ecr.Image) (e Event, ok bool) {
	e = Event{
		At: j.At, Registry: j.Registry, Repository: j.Name, Digest: j.Digest, Tags: j.Tags, MediaType: j.MediaType, SizeBytes: j.SizeBytes,
		ArtifactType: image.ArtifactMediaType, Subject: image.Subject, Actor: j.Actor, RequestID: j.RequestID, Reason: j.Reason, Rule: j.Rule,
	}
	e.Type, ok = journalled[j.Op]
	switch j.Op {
	case meta.JournalDeleteImage:
		if j.Rule != 0 {
			e.Type = ImageExpired
		}
	case meta.JournalDeleteTag:
		e.Tag, e.Tags = first(j.Tags), nil
	case meta.JournalActivateImage:
		e.ActivatedAt = image.ActivatedAt
	case meta.JournalDeletePolicy:
		e.Policy, e.Deleted = "repository", true
	case meta.JournalDeleteLifecycle:
		e.Policy, e.Deleted = "lifecycle", true
	}
	return e, ok
}

func first(tags []ecr.Tag) ecr.Tag {
	if len(tags) == 0 {
		return ""
	}
	return tags[0]
}
