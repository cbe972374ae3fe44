// Package images reads what the lifecycle engine must know of a repository's
// images: from a registry through the ECR API, from what `aws ecr
// describe-images` prints, or from a snapshot that it wrote.
//
// What it guarantees: a list of images is whole, or there is an error; what
// could not be learnt of their manifests is named; and no file, however odd,
// makes it panic.
//
// It only reads. But on Amazon ECR the call that returns a manifest is the one
// that pulling makes, so that reading an index may count as a pull of it:
// manifests are read where nothing else tells, which is for indexes.
//
// Sources: the ECR API, version 2015-09-21, DescribeImages and BatchGetImage;
// the AWS CLI for the forms of its output.
package images

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Snapshot is a repository's images, as far as they are known.
type Snapshot struct {
	// Taken is when it was read; zero when that is not known.
	Taken time.Time
	// Registry and Repository are empty when they are not known.
	Registry   ecr.RegistryID
	Repository ecr.RepositoryName
	// Kontor: the registry is Kontor's, so that nothing need be assumed of AWS.
	Kontor bool
	// Policy is the text of the repository's lifecycle policy, "" for none.
	Policy  string
	Details []Detail
	// Manifests are by digest; those of indexes are enough.
	Manifests map[string][]byte
}

// Detail is an image in the form of DescribeImages.
type Detail struct {
	Registry      string   `json:"registryId,omitempty"`
	Repository    string   `json:"repositoryName,omitempty"`
	Digest        string   `json:"imageDigest"`
	Tags          []string `json:"imageTags,omitempty"`
	SizeBytes     int64    `json:"imageSizeInBytes"`
	PushedAt      Time     `json:"imagePushedAt,omitzero"`
	MediaType     string   `json:"imageManifestMediaType,omitempty"`
	ArtifactType  string   `json:"artifactMediaType,omitempty"`
	PulledAt      Time     `json:"lastRecordedPullTime,omitzero"`
	Subject       string   `json:"subjectManifestDigest,omitempty"`
	Status        string   `json:"imageStatus,omitempty"`
	LastArchived  Time     `json:"lastArchivedAt,omitzero"`
	LastActivated Time     `json:"lastActivatedAt,omitzero"`
}

// Time is a time, written as ISO 8601 text; the zero Time is left out.
type Time struct{ time.Time }

// timeLayouts are the forms of text that the AWS CLI and people's scripts write:
// ISO 8601, and what Python makes of a time (json.dumps(answer, default=str)).
var timeLayouts = []string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z0700", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05 MST",
}

// parseTime reads the text of a time. Its error says what is wrong.
func parseTime(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil && (!strings.HasSuffix(layout, "MST") || strings.HasSuffix(text, " UTC") || strings.HasSuffix(text, " GMT")) {
			return t.UTC(), nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if _, err := time.Parse(layout, text); err == nil {
			return time.Time{}, fmt.Errorf("%q says no time zone: want a time such as 2026-03-01T12:00:00Z", text)
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-03-01T12:00:00Z", text)
}

// parseSeconds reads a time as a number: seconds since 1970, as the AWS CLI
// writes with cli_timestamp_format=wire, or milliseconds, as SDKs of other
// languages do.
func parseSeconds(number string) (time.Time, error) {
	const (
		most   = 253402300799 // the end of the year 9999
		millis = 1e11         // seconds of the year 5138; milliseconds of 1973
	)
	n, err := strconv.ParseFloat(number, 64)
	if err == nil && math.Abs(n) >= millis && math.Abs(n) <= most*1000 {
		n /= 1000
	}
	if err != nil || math.Abs(n) > most {
		return time.Time{}, fmt.Errorf("%s is not a time in seconds since 1970", number)
	}
	return time.UnixMicro(int64(math.Round(n * 1e6))).UTC(), nil
}

// localAccount is that of Kontor's registry where nothing else is said; AWS has
// no such account.
const localAccount = "000000000000"

// maxNamed is how many digests a message names.
const maxNamed = 3

// Images are the images of s in its order, for the engine. unread are the
// digests of the indexes whose manifests s does not have: what they list is not
// known, so that an untagged image may belong to one.
func (s *Snapshot) Images() (all []lifecycle.Image, unread []string) {
	all = make([]lifecycle.Image, len(s.Details))
	for i, d := range s.Details {
		m := lifecycle.Image{
			Digest: d.Digest, Tags: d.Tags, PushedAt: d.PushedAt.Time, LastPulledAt: d.PulledAt.Time,
			LastActivatedAt: d.LastActivated.Time, LastArchivedAt: d.LastArchived.Time,
			Status: lifecycle.Status(d.Status), MediaType: d.MediaType, ArtifactType: d.ArtifactType, SizeBytes: d.SizeBytes, Subject: d.Subject,
		}
		if text, ok := s.Manifests[d.Digest]; ok {
			refer(&m, text)
		} else if IsIndex(d.MediaType) {
			unread = append(unread, d.Digest)
		}
		all[i] = m
	}
	return all, unread
}

// Linked reports whether it is known which images belong to which index: the
// manifest of each index is there, or no image is an index. Where manifests were
// looked for, an image without a media type is one whose manifest was not found,
// and is none.
func (s *Snapshot) Linked() bool {
	for _, d := range s.Details {
		if _, ok := s.Manifests[d.Digest]; !ok && (IsIndex(d.MediaType) || d.MediaType == "" && s.Manifests == nil) {
			return false
		}
	}
	return true
}

// references are the parts of a manifest that name other manifests.
type references struct {
	MediaType string       `json:"mediaType"`
	Manifests []descriptor `json:"manifests"`
	Subject   *descriptor  `json:"subject"`
}

type descriptor struct {
	Digest string `json:"digest"`
}

// refer fills in what the manifest says of m. A registry has accepted it long
// ago, so it is read leniently: what is not a manifest refers to nothing.
func refer(m *lifecycle.Image, text []byte) {
	var r references
	if json.Unmarshal(text, &r) != nil {
		return
	}
	if m.MediaType == "" {
		m.MediaType = r.MediaType
	}
	for _, c := range r.Manifests {
		if c.Digest != "" && !slices.Contains(m.Children, c.Digest) {
			m.Children = append(m.Children, c.Digest)
		}
	}
	if r.Subject != nil && m.Subject == "" {
		m.Subject = r.Subject.Digest
	}
}

// IsIndex reports whether manifests of a media type list others.
func IsIndex(mediaType string) bool {
	switch mediaType {
	case "application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json":
		return true
	}
	return false
}

// Digests names some of a list of digests, shortened, for messages.
func Digests(list []string) string {
	var names []string
	for i, d := range list {
		if i == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(list)-maxNamed))
			break
		}
		names = append(names, Short(d))
	}
	return strings.Join(names, ", ")
}

// Short is a digest in 12 digits, "sha256:0123456789ab".
func Short(digest string) string {
	const digits = len("sha256:") + 12
	if len(digest) > digits {
		return digest[:digits]
	}
	return digest
}

// Used names the images in use, those in lost only unless that is nil, with who
// uses each and the rule of lost that takes it.
func Used(all []lifecycle.Image, held lifecycle.Held, lost map[string]int) string {
	var names []string
	for _, m := range all {
		by, ok := held[m.Digest]
		rule, gone := lost[m.Digest]
		if !ok || lost != nil && !gone {
			continue
		}
		name := Short(m.Digest)
		if len(m.Tags) > 0 {
			name += " (" + strings.Join(m.Tags, ", ") + ")"
		}
		name += " used by " + by
		if rule != 0 {
			name += fmt.Sprintf(", by rule %d", rule)
		}
		names = append(names, name)
	}
	const most = 5
	if n := len(names); n > most {
		return strings.Join(names[:most], "; ") + fmt.Sprintf("; and %d more", n-most)
	}
	return strings.Join(names, "; ")
}
