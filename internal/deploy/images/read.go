package images

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/errgroup"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// API is the part of ECR's API that reading images uses; *ecr.Client has it.
type API interface {
	ecr.DescribeImagesAPIClient
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
}

var _ API = (*ecr.Client)(nil)

const (
	pageSize = 1000 // images of one DescribeImages
	batch    = 100  // manifests of one BatchGetImage
	parallel = 4    // BatchGetImages at a time
)

// manifestTypes are those a manifest may be returned in, which are all that a
// registry may have, so that none is converted.
var manifestTypes = []string{
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json",
}

// ReadConfig says what to read.
type ReadConfig struct {
	API        API
	Registry   kecr.RegistryID
	Repository kecr.RepositoryName
	// Now stamps the snapshot.
	Now time.Time
}

// Read reads all images of a repository, archived ones too, without their
// manifests. Their lifecycle policy is the caller's to add. The errors are the
// SDK's.
func Read(ctx context.Context, c ReadConfig) (Snapshot, error) {
	s := Snapshot{Taken: c.Now.UTC(), Registry: c.Registry, Repository: c.Repository}
	pages := ecr.NewDescribeImagesPaginator(c.API, &ecr.DescribeImagesInput{
		RegistryId: aws.String(string(c.Registry.Account)), RepositoryName: aws.String(string(c.Repository)),
		MaxResults: aws.Int32(pageSize),
		// without it, only those that are not archived
		Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	seen := map[string]bool{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Snapshot{}, err
		}
		for _, d := range page.ImageDetails {
			detail := detailOf(d)
			if seen[detail.Digest] { // pages of a list that changes meanwhile
				continue
			}
			seen[detail.Digest] = true
			s.Details = append(s.Details, detail)
		}
	}
	// the API's order is not specified
	slices.SortFunc(s.Details, func(a, b Detail) int { return strings.Compare(a.Digest, b.Digest) })
	return s, nil
}

// ReadManifests reads the manifests of s's indexes, which on Amazon ECR may
// count as pulling them. One that cannot be read is left out; archived ones
// cannot, and are not asked for. The errors are the SDK's.
func ReadManifests(ctx context.Context, c ReadConfig, s *Snapshot) error {
	var ids []types.ImageIdentifier
	for _, d := range s.Details {
		if (d.MediaType == "" || IsIndex(d.MediaType)) && lifecycle.Status(d.Status) != lifecycle.StatusArchived {
			ids = append(ids, types.ImageIdentifier{ImageDigest: aws.String(d.Digest)})
		}
	}
	s.Manifests = map[string][]byte{}
	var mu sync.Mutex // guards s.Manifests
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for part := range slices.Chunk(ids, batch) {
		g.Go(func() error {
			out, err := c.API.BatchGetImage(ctx, &ecr.BatchGetImageInput{
				RegistryId: aws.String(string(c.Registry.Account)), RepositoryName: aws.String(string(c.Repository)),
				ImageIds: part, AcceptedMediaTypes: manifestTypes,
			})
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range out.Images {
				if m.ImageId != nil {
					s.Manifests[aws.ToString(m.ImageId.ImageDigest)] = []byte(aws.ToString(m.ImageManifest))
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func detailOf(d types.ImageDetail) Detail {
	at := func(t *time.Time) Time { return Time{aws.ToTime(t).UTC()} }
	tags := slices.Clone(d.ImageTags)
	slices.Sort(tags)
	return Detail{
		Registry: aws.ToString(d.RegistryId), Repository: aws.ToString(d.RepositoryName),
		Digest: aws.ToString(d.ImageDigest), Tags: tags, SizeBytes: aws.ToInt64(d.ImageSizeInBytes),
		PushedAt: at(d.ImagePushedAt), MediaType: aws.ToString(d.ImageManifestMediaType),
		ArtifactType: aws.ToString(d.ArtifactMediaType), PulledAt: at(d.LastRecordedPullTime),
		Subject: aws.ToString(d.SubjectManifestDigest), Status: string(d.ImageStatus),
		LastArchived: at(d.LastArchivedAt), LastActivated: at(d.LastActivatedAt),
	}
}
