package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// marker is the object kontor.json, which says whose the prefix is.
type marker struct {
	Kontor       string `json:"kontor"` // markerKind
	Version      int    `json:"version"`
	Installation string `json:"installation"`
}

const (
	markerName = "kontor.json"
	markerKind = "blob store"
	// markerVersion is the version of the layout below the prefix.
	markerVersion = 1
	markerMax     = 4 << 10
)

// found is what reading the marker tells of the store.
type found struct {
	marker
	checksums bool // it gave the CRC64NVME back
	versioned bool
}

// open reads the marker, or makes it in an empty prefix. Of several processes that
// make it at once, all read the one that came to stay.
func (s *Store) open(ctx context.Context) error {
	if _, err := s.client.Options().Credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("no credentials for the store are found: give an access key id and a secret access key, or set the environment as for the AWS CLI: %w", err)
	}
	m, err := s.readMarker(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		if err := s.makeMarker(ctx); err != nil {
			return err
		}
		if m, err = s.readMarker(ctx); errors.Is(err, blob.ErrNotFound) {
			err = fmt.Errorf("%w: another process is making %q, try again: %w", blob.ErrUnavailable, s.prefix+markerName, err)
		}
	}
	if err != nil {
		return err
	}
	s.marker, s.checksums = m.marker, m.checksums
	if m.versioned {
		s.cfg.Log.WarnContext(ctx, "the bucket keeps old versions of objects: what Kontor deletes stays and costs, until a lifecycle rule of the bucket with NoncurrentVersionExpiration removes it",
			"bucket", s.cfg.Bucket)
	}
	return nil
}

func (s *Store) readMarker(ctx context.Context) (found, error) {
	name := s.prefix + markerName
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &name}, withChecksum)
	if err != nil {
		if status(err) == http.StatusForbidden && code(err) == "AccessDenied" {
			return found{}, fmt.Errorf("the store refuses to read %q in bucket %q: Kontor needs s3:GetObject for the objects and s3:ListBucket for the bucket, without which a missing object is refused too: %w",
				name, s.cfg.Bucket, err)
		}
		return found{}, s.failed("s3:GetObject", name, err)
	}
	b, err := io.ReadAll(io.LimitReader(out.Body, markerMax))
	if err := errors.Join(err, out.Body.Close()); err != nil {
		return found{}, s.failed("s3:GetObject", name, err)
	}
	f := found{
		checksums: aws.ToString(out.ChecksumCRC64NVME) == encodeCRC(crcOf(b)),
		versioned: aws.ToString(out.VersionId) != "" && aws.ToString(out.VersionId) != "null",
	}
	if err := json.Unmarshal(b, &f.marker); err != nil || f.Kontor != markerKind || f.Installation == "" {
		return found{}, fmt.Errorf("the object %q in bucket %q is not Kontor's: choose another prefix", name, s.cfg.Bucket)
	}
	if f.Version != markerVersion {
		return found{}, fmt.Errorf("the blobs below %q in bucket %q have layout %d, and this version of Kontor knows layout %d: use the version of Kontor that wrote them", s.prefix, s.cfg.Bucket, f.Version, markerVersion)
	}
	return f, nil
}

// makeMarker makes the marker where nothing else is below the prefix.
func (s *Store) makeMarker(ctx context.Context) error {
	for _, folder := range []string{"blobs/", "uploads/"} {
		err := s.list(ctx, s.prefix+folder, func(o object) error {
			return fmt.Errorf("bucket %q has %q but not %q, which says whose it is: restore that object, or choose an empty prefix", s.cfg.Bucket, o.name, s.prefix+markerName)
		})
		if err != nil {
			return err
		}
	}
	b, err := json.Marshal(marker{Kontor: markerKind, Version: markerVersion, Installation: string(blob.NewKey())})
	if err != nil {
		return err
	}
	name := s.prefix + markerName
	in := &s3.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: &name, ContentType: aws.String("application/json"),
		ChecksumCRC64NVME: aws.String(encodeCRC(crcOf(b))),
	}
	err = s.once(true, func(condition *string) error {
		in.IfNoneMatch, in.Body = condition, bytes.NewReader(b)
		_, err := s.client.PutObject(ctx, in)
		return err
	})
	if exists(err) {
		return nil // another process made it
	}
	return s.failed("s3:PutObject", name, err)
}

// exists reports whether a conditional write was refused because the object is
// there, or is being written.
func exists(err error) bool { return status(err) == http.StatusPreconditionFailed || conflict(err) }

// conflict reports whether a conditional write was refused because another one was
// under way, which may have failed since.
func conflict(err error) bool {
	return status(err) == http.StatusConflict && code(err) == "ConditionalRequestConflict"
}

// Installation implements blob.Installed.
func (s *Store) Installation(context.Context) (string, error) { return s.marker.Installation, nil }
