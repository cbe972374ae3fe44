package replication

import (
	"errors"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// done is what came of a task, besides its error.
type done struct {
	sent int64 // bytes of blobs that went over the network
	// others are images that belong to that of the task and failed, or are complete after
	// they had failed.
	others []meta.Replication
}

// failedImages is the error of an index that lacks images which failed at the destination.
type failedImages struct {
	error          // that of the first
	codes []string // each once, in order
}

func (f failedImages) Unwrap() error { return f.error }

// ofAll are the codes of failures that all images of a repository share.
var ofAll = []ecr.Code{ecr.CodeAccessDenied, ecr.CodeRepositoryNotFound}

// copyParts copies what belongs to an image, one after the other. An image of an index
// that is refused fails the index. What refers to an image and is refused fails alone: as
// on ECR, each image has a status. All other errors end the copy.
func copyParts(task meta.Replication, all []part, copy func(p part) error) (d done, err error) {
	var lacking failedImages
	for _, p := range all {
		own := p.digest == task.Image.Digest
		if own && lacking.error != nil {
			break // without its images it would be of no use, nor would what refers to it
		}
		err := copy(p)
		if ecr.CodeOf(err) == ecr.CodeImageTagAlreadyExists && p.tag != "" {
			// ECR user guide: into a repository with immutable tags the image comes
			// without the tag.
			refused := err
			if err = copy(part{digest: p.digest}); err == nil {
				err = refusedTags{refused}
			}
		}
		other := task
		other.Image, other.Via = ecr.ImageID{Digest: p.digest, Tag: p.tag}, nil
		switch {
		case own && errors.As(err, new(refusedTags)):
			lacking.error = err // what refers to it still goes
		case own && err != nil:
			return d, err
		case errors.Is(err, errGone): // deleted meanwhile
		case err == nil && p.failed:
			other.Status, other.Code, other.Message = meta.ReplicationComplete, "", ""
			d.others = append(d.others, other)
		case err != nil && !final(err):
			return d, err
		case err != nil:
			code := string(ecr.CodeOf(err))
			other.Status, other.Code, other.Message = meta.ReplicationFailed, code, messageOf(err)
			d.others = append(d.others, other)
			if p.optional {
				continue
			}
			if lacking.error == nil {
				lacking.error = fmt.Errorf("image %s: %w", p.digest, err)
			}
			if !slices.Contains(lacking.codes, code) {
				lacking.codes = append(lacking.codes, code)
			}
			if slices.Contains(ofAll, ecr.CodeOf(err)) {
				slices.Sort(lacking.codes)
				return d, lacking
			}
		}
	}
	slices.Sort(lacking.codes)
	switch {
	case lacking.error == nil:
		return d, nil
	case len(lacking.codes) == 0:
		return d, lacking.error
	}
	return d, lacking
}

// final reports whether trying again does not mend a failure.
func final(err error) bool {
	return errors.As(err, new(refusedTags)) || errors.As(err, new(failedImages)) || slices.Contains(permanent, ecr.CodeOf(err))
}
