package admincmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func scannerCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scanner",
		Short: "Show the scanner, scan images and show findings",
		Long: `Show the scanner that finds vulnerabilities in images, have images scanned, and show
what was found. The guide docs/guides/scanning.md shows how to attach a scanner.`,
		Example: `  kontor admin scanner status
  kontor admin scanner findings team/app:1.4.2`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(scannerStatusCommand(e), scanCommand(e), findingsCommand(e))
	return cmd
}

func scannerStatusCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "status [flags]", Short: "Show the scanner and how many scans wait",
		Long:    "Show what the scanner says of itself, whether it can be reached, and how many scans\nwait and run. The exit code is 1 if it cannot be reached.",
		Example: "  kontor admin scanner status", Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.GetScannerResponse
		err := c.Call(ctx, "GetScanner", admin.GetScannerRequest{}, &out)
		s := command.Show(out, render.Scanner)
		if err == nil && out.Scanner != nil && out.Scanner.Failure != "" {
			s.Code = command.ExitFailed
		}
		return s, err
	})
}

// imageOf reads REPOSITORY:TAG or REPOSITORY@DIGEST.
func imageOf(ref string) (repository *string, id *types.ImageIdentifier, err error) {
	if strings.Contains(ref, "@") {
		name, digest, err := splitDigest(ref)
		return &name, &types.ImageIdentifier{ImageDigest: &digest}, err
	}
	name, tag, _ := strings.Cut(ref, ":")
	_, err = ecr.ParseRepositoryName(name)
	if _, terr := ecr.ParseTag(tag); err != nil || terr != nil {
		return nil, nil, command.Usagef("%q: want REPOSITORY:TAG or REPOSITORY@DIGEST", ref)
	}
	return &name, &types.ImageIdentifier{ImageTag: &tag}, nil
}

// addPage adds a page of findings to r.
func addPage(r *report.Scan, page *awsecr.DescribeImageScanFindingsOutput) {
	if page.ImageId != nil {
		r.Digest = aws.ToString(page.ImageId.ImageDigest)
	}
	if s := page.ImageScanStatus; s != nil {
		if r.Status = string(s.Status); s.Status == types.ScanStatusFailed || s.Status == types.ScanStatusUnsupportedImage {
			r.Reason = aws.ToString(s.Description)
		}
	}
	found := page.ImageScanFindings
	if found == nil {
		return
	}
	r.CompletedAt, r.Counts = aws.ToTime(found.ImageScanCompletedAt), map[string]int{}
	for severity, n := range found.FindingSeverityCounts {
		r.Counts[severity] = int(n)
	}
	for _, f := range found.Findings {
		one := report.ScanFinding{Name: aws.ToString(f.Name), Severity: string(f.Severity), URI: aws.ToString(f.Uri), Description: aws.ToString(f.Description)}
		for _, a := range f.Attributes {
			switch aws.ToString(a.Key) {
			case "package_name":
				one.Package = aws.ToString(a.Value)
			case "package_version":
				one.Version = aws.ToString(a.Value)
			case "fixed_version":
				one.Fixed = aws.ToString(a.Value)
			}
		}
		r.Findings = append(r.Findings, one)
	}
}

func scanCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "scan IMAGE [flags]", Short: "Have an image scanned",
		Long: `Have an image scanned (ecr:StartImageScan), and do not wait for it. IMAGE is
REPOSITORY:TAG or REPOSITORY@DIGEST. An image can be scanned once in 24 hours, or again
after a scan that failed.`,
		Example: "  kontor admin scanner scan team/app:1.4.2", Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		repository, id, err := imageOf(args[0])
		if err != nil {
			return command.Shown{}, err
		}
		out, err := c.ECR().StartImageScan(ctx, &awsecr.StartImageScanInput{RepositoryName: repository, ImageId: id})
		if err != nil {
			return command.Shown{}, fmt.Errorf("%s: %w", args[0], inOwnWords(err))
		}
		r := report.Scan{Repository: *repository, Digest: aws.ToString(out.ImageId.ImageDigest), Status: string(out.ImageScanStatus.Status), Findings: []report.ScanFinding{}}
		return said(r, "%s is going to be scanned", args[0]), nil
	})
}

func findingsCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use: "findings IMAGE [flags]", Short: "Show what the last scan of an image found",
		Long: `Show what the last scan of an image found (ecr:DescribeImageScanFindings), the worst
first. IMAGE is REPOSITORY:TAG or REPOSITORY@DIGEST. The exit code is 1 if the image was
never scanned.`,
		Example: `  kontor admin scanner findings team/app:1.4.2
  kontor admin scanner findings team/app:1.4.2 --json | jq .counts`,
		Args: command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		repository, id, err := imageOf(args[0])
		if err != nil {
			return command.Shown{}, err
		}
		r := report.Scan{Repository: *repository, Findings: []report.ScanFinding{}}
		pages := awsecr.NewDescribeImageScanFindingsPaginator(c.ECR(), &awsecr.DescribeImageScanFindingsInput{RepositoryName: repository, ImageId: id, MaxResults: aws.Int32(admin.MaxPage)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return command.Shown{}, fmt.Errorf("%s: %w", args[0], inOwnWords(err))
			}
			addPage(&r, page)
		}
		return command.Show(r, render.Scan), nil
	})
}
