package promote

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote/expiry"
	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Version is the version of a plan's JSON form. A field that changes its
// meaning, or goes, raises it.
const Version = 1

// Plan is what Execute would do. The field names of its JSON form are
// published; it is a plan file.
type Plan struct {
	Version int       `json:"version"`
	Made    time.Time `json:"made"`
	// Images are in the order in which they are promoted.
	Images []Image `json:"images"`
	// Dropped are tags of the repositories of routes that take none.
	Dropped []Dropped `json:"dropped,omitempty"`
	// Failures are repositories of routes that could not be read.
	Failures []Failure `json:"failures,omitempty"`
}

// Status says what a plan does with an image.
type Status string

// The statuses of planned images.
const (
	// StatusPending: there is something to do.
	StatusPending Status = "pending"
	// StatusThere: the image is there, with all that belongs to it.
	StatusThere Status = "there"
	// StatusRefused: an error among the findings says why.
	StatusRefused Status = "refused"
)

// Image is one image's part of a plan.
type Image struct {
	Route  string `json:"route,omitempty"`
	From   Ref    `json:"from"`
	To     Ref    `json:"to"`
	Status Status `json:"status"`
	// Digest and MediaType are of what is promoted. FromDigest is what From
	// stands for, another digest where platforms were chosen. ToDigest is what
	// To's tag stood for, "" for nothing. They are empty where that could not be
	// found out.
	Digest     ecr.Digest `json:"digest,omitempty"`
	MediaType  string     `json:"media_type,omitempty"`
	FromDigest ecr.Digest `json:"from_digest,omitempty"`
	ToDigest   ecr.Digest `json:"to_digest,omitempty"`
	// Platforms are those of the images that go, in the order of the index.
	Platforms []string `json:"platforms,omitempty"`
	// Index is the index that is made of chosen platforms; "" for none.
	Index string `json:"index,omitempty"`
	// Create: the repository is made first.
	Create bool `json:"create,omitempty"`
	// Manifests are in the order in which they are written, by digest.
	Manifests []Manifest `json:"manifests,omitempty"`
	Blobs     []Blob     `json:"blobs,omitempty"`
	// Signatures are cosign's, by tag. They are written after the manifests.
	Signatures []Signature `json:"signatures,omitempty"`
	// Lists are lists of referrers to be written under tags, for a registry
	// without the referrers API, by the digest that they are for.
	Lists []ecr.Digest `json:"lists,omitempty"`
	// Record: a record of the promotion is written.
	Record bool `json:"record,omitempty"`
	// Bytes are those of the blobs.
	Bytes Bytes          `json:"bytes"`
	Gates []history.Gate `json:"gates,omitempty"`
	// Expires is when a lifecycle policy takes the image at its destination; nil
	// where that is not known, or there is none.
	Expires *expiry.Expiry `json:"expires,omitempty"`
	// Rights are those that the caller lacks.
	Rights   []Right   `json:"rights,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
}

// Manifest is a manifest of an image.
type Manifest struct {
	Digest       ecr.Digest `json:"digest"`
	MediaType    string     `json:"media_type"`
	Kind         Kind       `json:"kind"`
	ArtifactType string     `json:"artifact_type,omitempty"`
	Platform     string     `json:"platform,omitempty"`
	// Of is what an attestation, a referrer or a signature is about.
	Of ecr.Digest `json:"of,omitempty"`
	// Stage orders the writes: those of one stage do not need each other.
	Stage int `json:"stage"`
	// There: the target has it.
	There bool `json:"there,omitempty"`
}

// Blob is a config or a layer.
type Blob struct {
	Digest ecr.Digest `json:"digest"`
	Size   int64      `json:"size"` // bytes
	// There: the target has it.
	There bool `json:"there,omitempty"`
	// Mount is a repository of the target's registry that has it in an image.
	Mount ecr.RepositoryName `json:"mount,omitempty"`
}

// Signature is a manifest that is written under a separate tag.
type Signature struct {
	Tag ecr.Tag `json:"tag"`
	Manifest
}

// Bytes are sizes of blobs.
type Bytes struct {
	// Move are sent from one registry to the other, Mount made visible without
	// sending them, There are those that the target has.
	Move  int64 `json:"move"`
	Mount int64 `json:"mount"`
	There int64 `json:"there"`
}

// Right is what a caller lacks.
type Right struct {
	Registry   string             `json:"registry"`
	Repository ecr.RepositoryName `json:"repository"`
	Actions    []access.Action    `json:"actions"`
}

// Dropped is a tag that a route leaves out.
type Dropped struct {
	Route string `json:"route,omitempty"`
	From  Ref    `json:"from"`
	Why   string `json:"why"`
}

// Failure is a repository of a route that could not be read.
type Failure struct {
	Route string `json:"route,omitempty"`
	From  Ref    `json:"from"` // without a tag; without a repository for all
	Error string `json:"error"`
}

// Finding is something the reader of a plan should know.
type Finding struct {
	Code     Code          `json:"code"`
	Severity plan.Severity `json:"severity"`
	// Message is a whole sentence that names the object and what to do.
	Message string `json:"message"`
}

// Code names a kind of finding. A code is never reused.
type Code string

// The findings. An error refuses the image.
const (
	// CodeUnreadable: the image, or what belongs to it, cannot be read.
	CodeUnreadable Code = "KON4001"
	// CodeTagTaken: the tag has another image at the target.
	CodeTagTaken Code = "KON4002"
	// CodeNoRepository: the target's repository does not exist, and the file
	// does not have it.
	CodeNoRepository Code = "KON4003"
	// CodeSparse: an index lists images that are not there.
	CodeSparse Code = "KON4004"
	// CodePlatforms: the platforms cannot be promoted as asked for.
	CodePlatforms Code = "KON4005"
	// CodeNotForECR: ECR refuses a manifest.
	CodeNotForECR Code = "KON4006"
	// CodeNoReferrersAPI: the target cannot list what refers to an image.
	CodeNoReferrersAPI Code = "KON4007"
	// CodeGate: a condition of the route is not met.
	CodeGate Code = "KON4008"
	// CodeRights: the caller lacks rights.
	CodeRights Code = "KON4009"
	// CodeNewIndex: signatures of the old index do not apply to the new one.
	CodeNewIndex Code = "KON4010"
	// CodeLeftOut: something that belongs to the image does not go with it.
	CodeLeftOut Code = "KON4011"
	// CodeSignatureTaken: a tag of cosign has other content at the target.
	CodeSignatureTaken Code = "KON4012"
	// CodeExpires: a lifecycle policy takes the image soon.
	CodeExpires Code = "KON4013"
	// CodeUntaggedRule: it is not known whether a rule for untagged images takes
	// what refers to the image.
	CodeUntaggedRule Code = "KON4014"
)

func (i *Image) find(code Code, severity plan.Severity, format string, args ...any) {
	i.Findings = append(i.Findings, Finding{Code: code, Severity: severity, Message: fmt.Sprintf(format, args...)})
	if severity == plan.Error {
		i.Status = StatusRefused
	}
}

// Refusal is the first of the findings that refuse the image; "" when it is not
// refused.
func (i Image) Refusal() string {
	for _, f := range i.Findings {
		if f.Severity == plan.Error {
			return f.Message
		}
	}
	return ""
}

// Count counts the images of a status.
func (p Plan) Count(s Status) int {
	n := 0
	for _, i := range p.Images {
		if i.Status == s {
			n++
		}
	}
	return n
}

// Err is the error for images that are refused; nil when none is.
func (p Plan) Err() error {
	if n := p.Count(StatusRefused); n > 0 {
		return fmt.Errorf("%s cannot be promoted", count(n, "image"))
	}
	return nil
}

// Warnings are the findings, of images that are to be promoted, that do not
// refuse them.
func (p Plan) Warnings() []Finding {
	var out []Finding
	for _, i := range p.Images {
		for _, f := range i.Findings {
			if i.Status == StatusPending && f.Severity == plan.Warning {
				out = append(out, f)
			}
		}
	}
	return out
}

// Unread is the error for repositories that could not be read; nil for none.
func (p Plan) Unread() error {
	var err error
	for _, f := range p.Failures {
		where := f.From.Registry
		if f.From.Repository != "" {
			where = f.From.String()
		}
		err = errors.Join(err, fmt.Errorf("route %s: %s: %s", f.Route, where, f.Error))
	}
	return err
}

// Bytes are those of all images. What several images share is in each of them,
// and so may be counted more often than it is sent.
func (p Plan) Bytes() Bytes {
	var b Bytes
	for _, i := range p.Images {
		b.Move += i.Bytes.Move
		b.Mount += i.Bytes.Mount
		b.There += i.Bytes.There
	}
	return b
}

// intent names what is to become of an image, for records: "sha256:" and the hex
// of a hash. It is the same in every run that finds the same to do.
func (i Image) intent() string {
	form := struct {
		Route        string       `json:"route"`
		From, To     Ref          // as the plan has them
		Digest, Was  ecr.Digest   // of the image, of the tag before
		Manifests    []ecr.Digest // that belong to it
		SignatureTag []ecr.Tag
	}{Route: i.Route, From: i.From, To: i.To, Digest: i.Digest, Was: i.ToDigest}
	for _, m := range i.Manifests {
		form.Manifests = append(form.Manifests, m.Digest)
	}
	for _, s := range i.Signatures {
		form.SignatureTag = append(form.SignatureTag, s.Tag)
	}
	b, err := json.Marshal(form)
	if err != nil {
		panic(fmt.Sprintf("promote: encoding an intent: %v", err)) // of strings
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParsePlan reads a plan file. The errors name it.
func ParsePlan(name string, b []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return Plan{}, fmt.Errorf("%s is not a plan of kontor promote: %w", name, err)
	}
	if p.Images == nil {
		return Plan{}, fmt.Errorf("%s is not a plan of kontor promote: it has no images", name)
	}
	if p.Version != Version {
		return Plan{}, fmt.Errorf("%s is not a plan of kontor promote: it has version %d, this is for version %d", name, p.Version, Version)
	}
	for n, i := range p.Images {
		if err := i.check(); err != nil {
			return Plan{}, fmt.Errorf("%s: images[%d]: %w", name, n, err)
		}
	}
	return p, nil
}

// check refuses what planning would not have made and carrying out relies on.
func (i Image) check() error {
	switch i.Status {
	case StatusThere:
		return nil
	case StatusRefused:
		if i.Refusal() == "" {
			return errors.New("it is refused, and nothing says why")
		}
		return nil
	case StatusPending:
	default:
		return fmt.Errorf("unknown status %q", i.Status)
	}
	if err := errors.Join(i.From.check(), i.To.check()); err != nil {
		return err
	}
	if i.To.Tag == "" {
		return fmt.Errorf("%s: want a tag", i.To)
	}
	digests := []ecr.Digest{i.Digest, i.FromDigest}
	if i.ToDigest != "" {
		digests = append(digests, i.ToDigest)
	}
	digests = append(digests, i.Lists...)
	root := false
	for _, m := range i.Manifests {
		digests = append(digests, m.Digest)
		root = root || m.Digest == i.Digest
	}
	for _, s := range i.Signatures {
		digests = append(digests, s.Digest)
		if !isSignatureTag(s.Tag) {
			return fmt.Errorf("%q is not a tag of a signature", s.Tag)
		}
	}
	for _, b := range i.Blobs {
		digests = append(digests, b.Digest)
		if b.Size < 0 {
			return fmt.Errorf("blob %s has %d bytes", b.Digest, b.Size)
		}
	}
	for _, d := range digests {
		if _, err := ecr.ParseDigest(string(d)); err != nil {
			return fmt.Errorf("%q is not a digest", d)
		}
	}
	switch {
	case !root:
		return fmt.Errorf("the image %s is not among its manifests", i.Digest)
	case i.Index != "" && !i.Digest.Verifies([]byte(i.Index)):
		return fmt.Errorf("the index is not %s", i.Digest)
	case i.Index == "" && i.Digest != i.FromDigest && len(i.Platforms) > 1:
		return fmt.Errorf("%s is not what %s stands for", i.Digest, i.From)
	}
	for _, f := range i.Findings {
		if f.Severity == plan.Error {
			return fmt.Errorf("it is to be done in spite of %s", f.Code)
		}
	}
	return nil
}
