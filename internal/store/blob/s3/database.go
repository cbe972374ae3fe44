package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// databaseName is the object that holds the id of the database whose blobs these
// are.
const databaseName = "database"

// Bind implements blob.Bound. Of several databases that ask at once, all are told
// the one that came to stay.
func (s *Store) Bind(ctx context.Context, database string) (string, error) {
	if !isKey(database) {
		return "", fmt.Errorf("the id of a database is 32 hexadecimal digits, not %q", database)
	}
	name := s.prefix + databaseName
	b, err := s.getSmall(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		err = s.once(true, func(condition *string) error {
			_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
				Bucket: &s.cfg.Bucket, Key: &name, Body: bytes.NewReader([]byte(database)), IfNoneMatch: condition,
				ChecksumCRC64NVME: aws.String(encodeCRC(crcOf([]byte(database)))),
			})
			return err
		})
		if err != nil && !exists(err) {
			return "", s.failed("s3:PutObject", name, err)
		}
		b, err = s.getSmall(ctx, name)
	}
	if err != nil {
		return "", err
	}
	if !isKey(string(b)) {
		return "", fmt.Errorf("the object %q in bucket %q is not Kontor's: restore it, or choose another prefix", name, s.cfg.Bucket)
	}
	return string(b), nil
}
