package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// defaultPage is the page of most listings when maxResults is absent.
const defaultPage = 100

func (c *call) createRepository(ctx context.Context, in *CreateRepositoryRequest) (*CreateRepositoryResponse, error) {
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	n := registry.NewRepository{
		Repo:       c.repo(in.RegistryId, in.RepositoryName),
		Mutability: mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters),
		Tags:       tags,
	}
	if s := in.ImageScanningConfiguration; s != nil {
		n.ScanOnPush = value(s.ScanOnPush)
	}
	if e := in.EncryptionConfiguration; e != nil {
		n.Encryption = ecr.Encryption{Type: value(e.EncryptionType), KMSKey: value(e.KmsKey)}
	}
	repo, err := c.CreateRepository(ctx, n)
	if err != nil {
		return nil, err
	}
	r := c.repository(repo)
	return &CreateRepositoryResponse{Repository: &r}, nil
}

func (c *call) describeRepositories(ctx context.Context, in *DescribeRepositoriesRequest) (*DescribeRepositoriesResponse, error) {
	at := c.in(in.RegistryId)
	out := &DescribeRepositoriesResponse{Repositories: []Repository{}}
	var list []registry.Repository
	if in.RepositoryNames != nil {
		if err := exclusive("repositoryNames", in.MaxResults, in.NextToken); err != nil {
			return nil, err
		}
		names := make([]ecr.RepositoryName, len(in.RepositoryNames))
		for i, n := range in.RepositoryNames {
			names[i] = ecr.RepositoryName(n)
		}
		var err error
		if list, err = c.DescribeRepositories(ctx, at, names); err != nil {
			return nil, err
		}
	} else {
		walk, err := newListing("DescribeRepositories", at, nil)
		if err != nil {
			return nil, err
		}
		after, err := walk.cursor(in.NextToken)
		if err != nil {
			return nil, err
		}
		var more bool
		list, more, err = c.ListRepositories(ctx, at, ecr.RepositoryName(after), pageSize(in.MaxResults, defaultPage))
		if err != nil {
			return nil, err
		}
		if more && len(list) > 0 {
			out.NextToken = walk.token(string(list[len(list)-1].Name))
		}
	}
	for _, r := range list {
		out.Repositories = append(out.Repositories, c.repository(r))
	}
	return out, nil
}

func (c *call) deleteRepository(ctx context.Context, in *DeleteRepositoryRequest) (*DeleteRepositoryResponse, error) {
	repo, err := c.DeleteRepository(ctx, c.repo(in.RegistryId, in.RepositoryName), value(in.Force))
	if err != nil {
		return nil, err
	}
	r := c.repository(repo)
	return &DeleteRepositoryResponse{Repository: &r}, nil
}

func (c *call) putImageTagMutability(ctx context.Context, in *PutImageTagMutabilityRequest) (*PutImageTagMutabilityResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	if err := c.SetTagMutability(ctx, at, mutability(in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters)); err != nil {
		return nil, err
	}
	return &PutImageTagMutabilityResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageTagMutability:                 in.ImageTagMutability,
		ImageTagMutabilityExclusionFilters: in.ImageTagMutabilityExclusionFilters,
	}, nil
}

func (c *call) putImageScanningConfiguration(ctx context.Context, in *PutImageScanningConfigurationRequest) (*PutImageScanningConfigurationResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	on := value(in.ImageScanningConfiguration.ScanOnPush)
	if err := c.SetScanOnPush(ctx, at, on); err != nil {
		return nil, err
	}
	return &PutImageScanningConfigurationResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageScanningConfiguration: &ImageScanningConfiguration{ScanOnPush: &on},
	}, nil
}

func mutability(mode *string, filters []ImageTagMutabilityExclusionFilter) ecr.Mutability {
	m := ecr.Mutability{Mode: ecr.TagMutability(value(mode))}
	for _, f := range filters {
		m.Filters = append(m.Filters, value(f.Filter))
	}
	return m
}

// repository is r on the wire. Like ECR it names the encryption and the
// scanning also where they are the defaults.
func (c *call) repository(r registry.Repository) Repository {
	out := Repository{
		RepositoryArn: text(r.ARN()), RegistryId: text(r.In.Account),
		RepositoryName: text(r.Name), RepositoryUri: text(c.at.Address(r.In).Host + "/" + string(r.Name)),
		CreatedAt:                  awsjson.NewTime(r.CreatedAt),
		ImageTagMutability:         text(r.Mutability.Mode),
		ImageScanningConfiguration: &ImageScanningConfiguration{ScanOnPush: &r.ScanOnPush},
		EncryptionConfiguration:    &EncryptionConfiguration{EncryptionType: text(r.Encryption.Type), KmsKey: text(r.Encryption.KMSKey)},
	}
	out.ImageTagMutabilityExclusionFilters = exclusionFilters(r.Mutability)
	return out
}

func exclusionFilters(m ecr.Mutability) (out []ImageTagMutabilityExclusionFilter) {
	for _, f := range m.Filters {
		out = append(out, ImageTagMutabilityExclusionFilter{Filter: &f, FilterType: text("WILDCARD")})
	}
	return out
}
