package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/deploy"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// Manifests come from who reads them without pulling, and else by pulling.
func TestManifestsOfIndexes(t *testing.T) {
	reg := kontortest.Start(t, kontortest.Options{Compat: "oci"})
	reg.CreateRepository(t, "app")
	api := awstest.ECR(reg)
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	digest := push.DigestOf(index)
	if _, err := api.PutImage(t.Context(), &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: aws.String(index), ImageTag: aws.String("v1")}); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, reg)
	then, now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC), time.Now()
	broken := errors.New("broken")
	for _, c := range []struct {
		name      string
		indexes   deploy.IndexReader
		manifests bool
		read      []string
		taken     time.Time
		err       error
	}{
		{"not asked for", nil, false, nil, now, nil},
		{"told", func(context.Context, kecr.RepositoryName) (map[string][]byte, time.Time, error) {
			return map[string][]byte{digest: []byte(index)}, then, nil
		}, true, []string{digest}, then, nil},
		{"told, and not asked for", func(context.Context, kecr.RepositoryName) (map[string][]byte, time.Time, error) {
			return map[string][]byte{digest: []byte(index)}, then, nil
		}, false, nil, then, nil},
		{"may not know", func(context.Context, kecr.RepositoryName) (map[string][]byte, time.Time, error) {
			return nil, time.Time{}, nil
		}, true, nil, now, nil},
		{"fails", func(context.Context, kecr.RepositoryName) (map[string][]byte, time.Time, error) {
			return nil, time.Time{}, broken
		}, true, nil, now, broken},
		{"has no such call", func(context.Context, kecr.RepositoryName) (map[string][]byte, time.Time, error) {
			return nil, time.Time{}, fmt.Errorf("wrapped: %w", deploy.ErrNoIndexes)
		}, true, []string{digest}, now, nil},
		{"pulled", nil, true, []string{digest}, now, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn.Indexes = c.indexes
			s, err := conn.Images(t.Context(), "app", c.manifests, now)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if got := slices.Sorted(maps.Keys(s.Manifests)); !slices.Equal(got, c.read) || !s.Taken.Equal(c.taken) || len(s.Details) != 1 {
				t.Errorf("manifests %v at %v, want %v at %v", got, s.Taken, c.read, c.taken)
			}
			if all, _ := s.Images(); s.Linked() != (c.read != nil) || len(all) != 1 {
				t.Errorf("linked is %v", s.Linked())
			}
		})
	}
}
