package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// describeRegistry tells of no replication: this server replicates nothing.
func (c *call) describeRegistry(ctx context.Context, _ *DescribeRegistryRequest) (*DescribeRegistryResponse, error) {
	in := c.in(nil)
	if err := c.DescribeRegistry(ctx, in); err != nil {
		return nil, err
	}
	return &DescribeRegistryResponse{RegistryId: text(in.Account), ReplicationConfiguration: &ReplicationConfiguration{Rules: []ReplicationRule{}}}, nil
}

// getRegistryScanningConfiguration tells ECR's default, which is how it is
// here: basic scanning without rules of the registry.
func (c *call) getRegistryScanningConfiguration(ctx context.Context, _ *GetRegistryScanningConfigurationRequest) (*GetRegistryScanningConfigurationResponse, error) {
	in := c.in(nil)
	if err := c.RegistryScanning(ctx, in); err != nil {
		return nil, err
	}
	return &GetRegistryScanningConfigurationResponse{
		RegistryId: text(in.Account), ScanningConfiguration: &RegistryScanningConfiguration{ScanType: text("BASIC"), Rules: []RegistryScanningRule{}},
	}, nil
}

func (c *call) putRegistryPolicy(ctx context.Context, in *PutRegistryPolicyRequest) (*PutRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.SetRegistryPolicy(ctx, at, *in.PolicyText)
	if err != nil {
		return nil, err
	}
	return &PutRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) getRegistryPolicy(ctx context.Context, _ *GetRegistryPolicyRequest) (*GetRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.RegistryPolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &GetRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) deleteRegistryPolicy(ctx context.Context, _ *DeleteRegistryPolicyRequest) (*DeleteRegistryPolicyResponse, error) {
	at := c.in(nil)
	policy, err := c.DeleteRegistryPolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &DeleteRegistryPolicyResponse{RegistryId: text(at.Account), PolicyText: &policy}, nil
}

func (c *call) getAccountSetting(ctx context.Context, in *GetAccountSettingRequest) (*GetAccountSettingResponse, error) {
	value, err := c.AccountSetting(ctx, c.in(nil), *in.Name)
	if err != nil {
		return nil, err
	}
	return &GetAccountSettingResponse{Name: in.Name, Value: &value}, nil
}

func (c *call) putAccountSetting(ctx context.Context, in *PutAccountSettingRequest) (*PutAccountSettingResponse, error) {
	if err := c.SetAccountSetting(ctx, c.in(nil), *in.Name, *in.Value); err != nil {
		return nil, err
	}
	return &PutAccountSettingResponse{Name: in.Name, Value: in.Value}, nil
}

// batchGetRepositoryScanningConfiguration knows the repository's own setting
// only: there are no registry-wide rules here, so no filters apply.
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
		frequency := "MANUAL"
		if r.ScanOnPush {
			frequency = "SCAN_ON_PUSH"
		}
		out.ScanningConfigurations = append(out.ScanningConfigurations, RepositoryScanningConfiguration{
			RepositoryArn: text(r.ARN()), RepositoryName: text(r.Name), ScanOnPush: &r.ScanOnPush,
			ScanFrequency: &frequency, AppliedScanFilters: []ScanningRepositoryFilter{},
		})
	}
	for _, name := range missing {
		out.Failures = append(out.Failures, RepositoryScanningConfigurationFailure{
			RepositoryName: text(name), FailureCode: text("REPOSITORY_NOT_FOUND"), FailureReason: text(ecr.RepositoryNotFound(at, name).Message),
		})
	}
	return out, nil
}
