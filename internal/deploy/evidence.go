package deploy

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// EvidenceAPI is what ECR's API tells of images that are to be trusted.
type EvidenceAPI interface {
	DescribeImageScanFindings(context.Context, *ecr.DescribeImageScanFindingsInput, ...func(*ecr.Options)) (*ecr.DescribeImageScanFindingsOutput, error)
	DescribeImageSigningStatus(context.Context, *ecr.DescribeImageSigningStatusInput, ...func(*ecr.Options)) (*ecr.DescribeImageSigningStatusOutput, error)
}

// Scan reads what the scan of an image found.
func (c *Conn) Scan(ctx context.Context, name kecr.RepositoryName, d kecr.Digest) (s images.Scan, err error) {
	out, err := c.API.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{
		RegistryId: aws.String(string(c.Target.Registry.Account)), RepositoryName: aws.String(string(name)),
		ImageId: &types.ImageIdentifier{ImageDigest: aws.String(string(d))}, MaxResults: aws.Int32(1),
	})
	if errors.As(err, new(*types.ScanNotFoundException)) {
		return s, nil
	}
	if err != nil {
		return s, explainOn(err, "the scan of "+string(name)+"@"+string(d), c.Target.Registry.RepositoryARN(name))
	}
	if out.ImageScanStatus != nil {
		s.Status, s.Reason = string(out.ImageScanStatus.Status), aws.ToString(out.ImageScanStatus.Description)
	}
	// ACTIVE is of Amazon Inspector, which goes on.
	s.Complete = out.ImageScanStatus != nil && (out.ImageScanStatus.Status == types.ScanStatusComplete || out.ImageScanStatus.Status == types.ScanStatusActive)
	if !s.Complete || out.ImageScanFindings == nil {
		s.Complete = false
		return s, nil
	}
	s.Worst, s.At = kecr.SeverityNone, aws.ToTime(out.ImageScanFindings.ImageScanCompletedAt)
	for severity, n := range out.ImageScanFindings.FindingSeverityCounts {
		if n <= 0 {
			continue
		}
		found := kecr.Severity(severity)
		if !kecr.IsSeverity(found) { // UNTRIAGED, of Amazon Inspector
			found = kecr.SeverityUndefined
		}
		if s.Counts == nil {
			s.Counts = map[kecr.Severity]int{}
		}
		s.Counts[found] += int(n)
		if found.Compare(s.Worst) < 0 {
			s.Worst = found
		}
	}
	return s, nil
}

// Signed reads whose signatures an image has, as its registry says.
func (c *Conn) Signed(ctx context.Context, name kecr.RepositoryName, d kecr.Digest) (list []images.Signed, err error) {
	out, err := c.API.DescribeImageSigningStatus(ctx, &ecr.DescribeImageSigningStatusInput{
		RegistryId: aws.String(string(c.Target.Registry.Account)), RepositoryName: aws.String(string(name)),
		ImageId: &types.ImageIdentifier{ImageDigest: aws.String(string(d))},
	})
	if err != nil {
		return nil, explainOn(err, "the signatures of "+string(name)+"@"+string(d), c.Target.Registry.RepositoryARN(name))
	}
	for _, s := range out.SigningStatuses {
		arn := aws.ToString(s.SigningProfileArn)
		_, by, ok := strings.Cut(arn, "/signing-profiles/")
		if !ok {
			continue
		}
		by, _, _ = strings.Cut(by, "/") // a version of the profile
		one := images.Signed{By: by, Verified: s.Status == types.SigningStatusComplete}
		if !one.Verified {
			one.Reason = cmp.Or(aws.ToString(s.FailureReason), aws.ToString(s.FailureCode), strings.ToLower(string(s.Status)))
		}
		list = append(list, one)
	}
	return list, nil
}
