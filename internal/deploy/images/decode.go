package images

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// Parse reads what `aws ecr describe-images` prints: an object with
// imageDetails, or the list alone, as --query imageDetails prints it. in is
// read as a stream, so that a list of any length takes no more than its images.
// Errors of the text say line, column and image.
func Parse(in io.Reader) (Snapshot, error) {
	d := decoder{r: jsonpos.NewReader(textfile.NewReader(in)), seen: map[string]bool{}, texts: map[string]string{}}
	if err := d.document(); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Details: d.details}
	if len(s.Details) > 0 {
		s.Repository = ecr.RepositoryName(s.Details[0].Repository)
		s.Registry.Account = ecr.AccountID(s.Details[0].Registry)
		s.Kontor = s.Registry.Account == localAccount
	}
	return s, nil
}

// decoder reads the answer of DescribeImages.
type decoder struct {
	r       *jsonpos.Reader
	details []Detail
	seen    map[string]bool   // digests
	texts   map[string]string // that many images have, once each
}

const notImages = "not what `aws ecr describe-images` prints"

func (d *decoder) document() error {
	k, err := d.r.Kind()
	if err != nil {
		return fmt.Errorf("%w: %s", err, notImages)
	}
	list, pages, other := false, false, ""
	switch k {
	case jsonpos.Array:
		list, err = true, d.images()
	case jsonpos.Object:
		err = d.r.Members(func(name []byte) error {
			switch string(name) {
			case "imageDetails":
				list = true
				return d.images()
			case "nextToken", "NextToken":
				text, err := d.text()
				pages = pages || text != ""
				return err
			case "imageIds":
				other = ": imageIds are the answer of list-images"
			}
			return d.r.Skip()
		})
	default:
		err = d.r.Skip()
	}
	var syntax *jsonpos.SyntaxError
	switch {
	case err == nil:
		err = d.r.End()
	case errors.As(err, &syntax) && len(d.details) == 0 && len(syntax.Path) <= 1:
		return fmt.Errorf("%w: %s", err, notImages)
	}
	switch {
	case err != nil:
		return err
	case !list:
		return fmt.Errorf("%s: imageDetails is missing%s", notImages, other)
	case pages:
		return errors.New("this is one page of several: run `aws ecr describe-images` without --no-paginate and --max-items")
	}
	return nil
}

func (d *decoder) images() error {
	return d.r.Items(func(int) error {
		m, err := d.image()
		if n := len(d.details); n == cap(d.details) { // twice as many rather than a quarter more: they are large
			d.details = slices.Grow(d.details, max(n, 256))
		}
		if err == nil {
			d.details = append(d.details, m)
		}
		return err
	})
}

// image reads one image. What is wrong with it names it, where that is known.
func (d *decoder) image() (Detail, error) {
	var m Detail
	at := d.r.Next()
	err := d.r.Members(func(name []byte) error { return d.member(&m, string(name)) })
	if err != nil {
		if m.Digest != "" {
			err = fmt.Errorf("%w (image %s)", err, Short(m.Digest))
		}
		return m, err
	}
	first := &m
	if len(d.details) > 0 {
		first = &d.details[0]
	}
	switch {
	case m.Digest == "":
		err = d.r.FailAt(at, "has no imageDigest")
	case d.seen[m.Digest]:
		err = d.r.FailAt(at, "image %s is listed twice: is this more than one repository?", m.Digest)
	case m.Repository != first.Repository || m.Registry != first.Registry:
		err = d.r.FailAt(at, "the images are those of more than one repository: %s and %s", first.Repository, m.Repository)
	}
	d.seen[m.Digest] = true
	return m, err
}

func (d *decoder) member(m *Detail, name string) (err error) {
	switch name {
	case "registryId":
		m.Registry, err = d.common()
	case "repositoryName":
		m.Repository, err = d.common()
	case "imageDigest":
		m.Digest, err = d.text()
		m.Digest = wholeDigest(m.Digest)
	case "imageTags":
		m.Tags, err = d.tags()
	case "imageSizeInBytes":
		m.SizeBytes, err = d.size()
	case "imagePushedAt":
		m.PushedAt.Time, err = d.time()
	case "imageManifestMediaType":
		m.MediaType, err = d.common()
	case "artifactMediaType":
		m.ArtifactType, err = d.common()
	case "lastRecordedPullTime":
		m.PulledAt.Time, err = d.time()
	case "subjectManifestDigest":
		m.Subject, err = d.text()
		m.Subject = wholeDigest(m.Subject)
	case "imageStatus":
		m.Status, err = d.common()
	case "lastArchivedAt":
		m.LastArchived.Time, err = d.time()
	case "lastActivatedAt":
		m.LastActivated.Time, err = d.time()
	default:
		err = d.r.Skip()
	}
	return err
}

// raw reads a string, or null, which is empty.
func (d *decoder) raw() ([]byte, error) {
	k, err := d.r.Kind()
	if err != nil {
		return nil, err
	}
	text, err := d.r.Text()
	if err == nil && k != jsonpos.String && k != jsonpos.Null {
		return nil, d.r.Fail("want a string, have %s", k)
	}
	return text, err
}

func (d *decoder) text() (string, error) {
	text, err := d.raw()
	return string(text), err
}

// common is text that most images have alike.
func (d *decoder) common() (string, error) {
	text, err := d.raw()
	s, ok := d.texts[string(text)]
	if !ok && err == nil && len(d.texts) < 1000 {
		s = string(text)
		d.texts[s] = s
	} else if !ok {
		s = string(text)
	}
	return s, err
}

func (d *decoder) tags() (tags []string, err error) {
	if k, err := d.r.Kind(); err == nil && k == jsonpos.Null {
		return nil, d.r.Skip()
	}
	err = d.r.Items(func(int) error {
		tag, err := d.text()
		if err == nil && tag == "" {
			err = d.r.Fail("a tag is not empty")
		}
		tags = append(tags, tag)
		return err
	})
	return tags, err
}

func (d *decoder) size() (int64, error) {
	k, err := d.r.Kind()
	if err != nil {
		return 0, err
	}
	text, err := d.r.Text()
	switch {
	case err != nil || k == jsonpos.Null:
		return 0, err
	case k != jsonpos.Number:
		return 0, d.r.Fail("want a number, have %s", k)
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 {
		return 0, d.r.Fail("%s is not a size in bytes", text)
	}
	return n, nil
}

func (d *decoder) time() (t time.Time, err error) {
	k, err := d.r.Kind()
	if err != nil {
		return t, err
	}
	if k != jsonpos.String && k != jsonpos.Number && k != jsonpos.Null {
		return t, d.r.FailAt(d.r.Next(), "want a time such as 2026-03-01T12:00:00Z, have %s", k)
	}
	text, err := d.r.Text()
	switch {
	case err != nil || k == jsonpos.Null:
		return t, err
	case k == jsonpos.String:
		t, err = parseTime(string(text))
	default:
		t, err = parseSeconds(string(text))
	}
	if err != nil {
		err = d.r.Fail("%v", err)
	}
	return t, err
}

// wholeDigest adds what people leave out of a digest: 64 hexadecimal digits
// alone are a SHA-256.
func wholeDigest(s string) string {
	if len(s) == 64 && hexDigest.MatchString(s) {
		return "sha256:" + s
	}
	return s
}
