package ecrapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

func (c *call) getRegistryScanningConfiguration(ctx context.Context, _ *GetRegistryScanningConfigurationRequest) (*GetRegistryScanningConfigurationResponse, error) {
	in := c.in(nil)
	scan, err := c.RegistryScanning(ctx, in)
	if err != nil {
		return nil, err
	}
	return &GetRegistryScanningConfigurationResponse{RegistryId: text(in.Account), ScanningConfiguration: scanningOf(scan)}, nil
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
	return &PutRegistryScanningConfigurationResponse{RegistryScanningConfiguration: scanningOf(scan)}, nil
}

func scanningOf(scan registry.RegistryScan) *RegistryScanningConfiguration {
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

// scansOf are the operations on scans for the caller.
func scansOf(c *call) *scanning.Caller { return c.h.cfg.Scanning.As(c.p) }

func (c *call) startImageScan(ctx context.Context, in *StartImageScanRequest) (*StartImageScanResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	digest, err := scansOf(c).StartScan(ctx, at, id)
	if err != nil {
		return nil, err
	}
	return &StartImageScanResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), ImageId: imageID(ecr.ImageID{Digest: digest, Tag: id.Tag}),
		ImageScanStatus: scanStatus(scanning.Summary{Status: ecr.ScanInProgress}),
	}, nil
}

func (c *call) describeImageScanFindings(ctx context.Context, in *DescribeImageScanFindingsRequest) (*DescribeImageScanFindingsResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	walk, err := newListing("DescribeImageScanFindings", at.In, DescribeImageScanFindingsRequest{RepositoryName: in.RepositoryName, ImageId: in.ImageId})
	if err != nil {
		return nil, err
	}
	after, err := walk.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	// The findings of one scan do not change: a number says where to go on, with the time
	// of the scan that it counts in.
	from, of := 0, ""
	if after != "" {
		number, scan, _ := strings.Cut(after, " ")
		if from, err = strconv.Atoi(number); err != nil {
			return nil, err
		}
		of = scan
	}
	s, list, more, err := scansOf(c).ScanFindings(ctx, at, id, from, pageSize(in.MaxResults, defaultPage))
	if err != nil {
		return nil, err
	}
	scan := s.CompletedAt.UTC().Format(time.RFC3339Nano)
	if of != "" && of != scan {
		return nil, ecr.InvalidParameter("nextToken", "the image was scanned again since the token was returned: begin with the first page")
	}
	out := &DescribeImageScanFindingsResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), ImageId: imageID(ecr.ImageID{Digest: s.Digest, Tag: id.Tag}), ImageScanStatus: scanStatus(s),
	}
	if s.Status != ecr.ScanComplete {
		return out, nil
	}
	found := &ImageScanFindings{
		ImageScanCompletedAt: awsjson.NewTime(s.CompletedAt), VulnerabilitySourceUpdatedAt: awsjson.NewTime(s.UpdatedAt),
		FindingSeverityCounts: severityCounts(s), Findings: []ImageScanFinding{},
	}
	for _, f := range list {
		one := ImageScanFinding{Name: text(f.Name), Description: text(f.Description), Uri: text(f.URI), Severity: text(f.Severity)}
		for _, a := range f.Attributes() {
			one.Attributes = append(one.Attributes, Attribute{Key: text(a.Key), Value: text(a.Value)})
		}
		found.Findings = append(found.Findings, one)
	}
	out.ImageScanFindings = found
	if more {
		out.NextToken = walk.token(strconv.Itoa(from+len(list)) + " " + scan)
	}
	return out, nil
}

// scanStatus is the state of a scan in ECR's words, as far as they are known.
func scanStatus(s scanning.Summary) *ImageScanStatus {
	out := &ImageScanStatus{Status: text(s.Status), Description: text(s.Reason)}
	if s.Status == ecr.ScanComplete {
		out.Description = text("The scan was completed successfully.")
	}
	return out
}

// severityCounts are the severities of which there is a finding.
func severityCounts(s scanning.Summary) map[string]int32 {
	out := map[string]int32{}
	for severity, n := range s.Counts {
		out[string(severity)] = int32(n) // bounded by the engine
	}
	return out
}

// addScan adds to the details of an image what is known of its scan.
func addScan(d *ImageDetail, scan *ecr.Scan) error {
	if scan == nil {
		return nil
	}
	s, err := scanning.SummaryOf(*scan)
	if err != nil {
		return err
	}
	d.ImageScanStatus = scanStatus(s)
	if s.Status == ecr.ScanComplete {
		d.ImageScanFindingsSummary = &ImageScanFindingsSummary{
			ImageScanCompletedAt: awsjson.NewTime(s.CompletedAt), VulnerabilitySourceUpdatedAt: awsjson.NewTime(s.UpdatedAt), FindingSeverityCounts: severityCounts(s),
		}
	}
	return nil
}
