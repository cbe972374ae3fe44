package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

func (c *call) getRegistryScanningConfiguration(ctx context.Context, _ *GetRegistryScanningConfigurationRequest) (*GetRegistryScanningConfigurationResponse, error) {
	in := c.in(nil)
	scan, err := c.RegistryScanning(ctx, in)
	if err != nil {
		return nil, err
	}
	return &GetRegistryScanningConfigurationResponse{RegistryId: text(in.Account), ScanningConfiguration: scanning(scan)}, nil
}

// putRegistryScanningConfiguration keeps the configuration, which replaces the
// one before as a whole.
func (c *call) putRegistryScanningConfiguration(ctx context.Context, in *PutRegistryScanningConfigurationRequest) (*PutRegistryScanningConfigurationResponse, error) {
	scan := registry.RegistryScan{Type: registry.ScanBasic}
	if in.ScanType != nil {
		scan.Type = registry.ScanType(*in.ScanType)
	}
	for _, r := range in.Rules {
		rule := registry.ScanRule{Frequency: registry.ScanFrequency(*r.ScanFrequency)}
		for _, f := range r.RepositoryFilters {
			rule.Filters = append(rule.Filters, *f.Filter)
		}
		scan.Rules = append(scan.Rules, rule)
	}
	if err := c.SetRegistryScanning(ctx, c.in(nil), scan); err != nil {
		return nil, err
	}
	return &PutRegistryScanningConfigurationResponse{RegistryScanningConfiguration: scanning(scan)}, nil
}

func scanning(scan registry.RegistryScan) *RegistryScanningConfiguration {
	out := &RegistryScanningConfiguration{ScanType: text(scan.Type), Rules: []RegistryScanningRule{}}
	for _, r := range scan.Rules {
		out.Rules = append(out.Rules, RegistryScanningRule{ScanFrequency: text(r.Frequency), RepositoryFilters: scanFilters(r.Filters)})
	}
	return out
}

func scanFilters(list []string) []ScanningRepositoryFilter {
	out := []ScanningRepositoryFilter{}
	for _, f := range list {
		out = append(out, ScanningRepositoryFilter{Filter: &f, FilterType: text("WILDCARD")})
	}
	return out
}

func (c *call) batchGetRepositoryScanningConfiguration(ctx context.Context, in *BatchGetRepositoryScanningConfigurationRequest) (*BatchGetRepositoryScanningConfigurationResponse, error) {
	at := c.in(nil)
	names := make([]ecr.RepositoryName, len(in.RepositoryNames))
	for i, n := range in.RepositoryNames {
		names[i] = ecr.RepositoryName(n)
	}
	list, missing, err := c.Scanning(ctx, at, names)
	if err != nil {
		return nil, err
	}
	out := &BatchGetRepositoryScanningConfigurationResponse{
		ScanningConfigurations: []RepositoryScanningConfiguration{}, Failures: []RepositoryScanningConfigurationFailure{},
	}
	for _, r := range list {
		out.ScanningConfigurations = append(out.ScanningConfigurations, RepositoryScanningConfiguration{
			RepositoryArn: text(r.ARN()), RepositoryName: text(r.Name), ScanOnPush: &r.ScanOnPush,
			ScanFrequency: text(r.Frequency), AppliedScanFilters: scanFilters(r.Filters),
		})
	}
	for _, name := range missing {
		out.Failures = append(out.Failures, RepositoryScanningConfigurationFailure{
			RepositoryName: text(name), FailureCode: text("REPOSITORY_NOT_FOUND"), FailureReason: text("REPOSITORY_NOT_FOUND"),
		})
	}
	return out, nil
}

// startImageScan is always refused: this server scans nothing, and a scan that
// is said to run would be waited for.
func (c *call) startImageScan(ctx context.Context, in *StartImageScanRequest) (*StartImageScanResponse, error) {
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	return nil, c.StartScan(ctx, c.repo(in.RegistryId, in.RepositoryName), id) // always an error
}

// describeImageScanFindings finds no scan: this server scans nothing, and an
// empty list of findings would be taken for a clean image.
func (c *call) describeImageScanFindings(ctx context.Context, in *DescribeImageScanFindingsRequest) (*DescribeImageScanFindingsResponse, error) {
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	return nil, c.ScanFindings(ctx, c.repo(in.RegistryId, in.RepositoryName), id) // always an error
}
