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
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
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

// Time is a time in one of the forms that the AWS CLI writes: ISO 8601 text,
// or seconds since 1970 as a number.
type Time struct{ time.Time }

// UnmarshalJSON reads either form; null is the zero time.
func (t *Time) UnmarshalJSON(b []byte) error {
	t.Time = time.Time{}
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	if b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return fmt.Errorf("%q is not a time such as 2026-03-01T12:00:00Z", s)
		}
		t.Time = parsed.UTC()
		return nil
	}
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return fmt.Errorf("%s is not a time", b)
	}
	const most = 253402300799 // the end of the year 9999
	if math.Abs(seconds) > most {
		return fmt.Errorf("%s is not a time in seconds since 1970", b)
	}
	t.Time = time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
	return nil
}

// localAccount is that of Kontor's registry where nothing else is said; AWS has
// no such account.
const localAccount = "000000000000"

// maxNamed is how many digests a message names.
const maxNamed = 3

// Parse reads what `aws ecr describe-images` prints: an object with
// imageDetails, or the list alone, as --query imageDetails prints it.
func Parse(text []byte) (Snapshot, error) {
	var page struct {
		Details   []Detail        `json:"imageDetails"`
		NextToken json.RawMessage `json:"nextToken"` // also the CLI's NextToken
	}
	var into any = &page
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		into = &page.Details
	}
	err := json.Unmarshal(text, into)
	switch {
	case err != nil:
		return Snapshot{}, fmt.Errorf("not what `aws ecr describe-images` prints: %w", err)
	case page.Details == nil:
		return Snapshot{}, fmt.Errorf("not what `aws ecr describe-images` prints: imageDetails is missing")
	case given(page.NextToken):
		return Snapshot{}, fmt.Errorf("this is one page of several: run `aws ecr describe-images` without --no-paginate and --max-items")
	}
	s := Snapshot{Details: page.Details}
	seen := make(map[string]bool, len(s.Details))
	for i, d := range s.Details {
		switch {
		case d.Digest == "":
			return Snapshot{}, fmt.Errorf("imageDetails[%d] has no imageDigest", i)
		case seen[d.Digest]:
			return Snapshot{}, fmt.Errorf("image %s is listed twice: is this more than one repository?", d.Digest)
		case d.Repository != s.Details[0].Repository || d.Registry != s.Details[0].Registry:
			return Snapshot{}, fmt.Errorf("the images are those of more than one repository: %s and %s", s.Details[0].Repository, d.Repository)
		}
		seen[d.Digest] = true
	}
	if len(s.Details) > 0 {
		s.Repository = ecr.RepositoryName(s.Details[0].Repository)
		s.Registry.Account = ecr.AccountID(s.Details[0].Registry)
		s.Kontor = s.Registry.Account == localAccount
	}
	return s, nil
}

func given(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) && !bytes.Equal(raw, []byte(`""`))
}

// Images are the images of s in its order, for the engine. unread are the
// digests of the indexes whose manifests s does not have: what they list is not
// known, so that an untagged image may belong to one.
func (s *Snapshot) Images() (all []lifecycle.Image, unread []string) {
	all = make([]lifecycle.Image, len(s.Details))
	for i, d := range s.Details {
		m := lifecycle.Image{
			Digest: d.Digest, Tags: d.Tags, PushedAt: d.PushedAt.Time, LastPulledAt: d.PulledAt.Time,
			LastActivatedAt: d.LastActivated.Time, LastArchivedAt: d.LastArchived.Time,
			Status: lifecycle.Status(d.Status), MediaType: d.MediaType, SizeBytes: d.SizeBytes, Subject: d.Subject,
		}
		if text, ok := s.Manifests[d.Digest]; ok {
			refer(&m, text)
		} else if isIndex(d.MediaType) {
			unread = append(unread, d.Digest)
		}
		all[i] = m
	}
	return all, unread
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
// ago, so it is read leniently: what is no manifest refers to nothing.
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

// isIndex reports whether manifests of a media type list others.
func isIndex(mediaType string) bool {
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
