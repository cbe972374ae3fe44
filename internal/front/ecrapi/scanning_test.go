package ecrapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// reporting is a scanner that finds the same in every image.
type reporting struct{}

func (reporting) Scan(context.Context, scanning.Target) (scanning.Report, error) {
	r := scanning.Report{Scanner: "Small 1.2", UpdatedAt: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}
	for i, s := range []ecr.Severity{ecr.SeverityLow, ecr.SeverityCritical, ecr.SeverityLow} {
		r.Findings = append(r.Findings, scanning.Finding{
			Name: fmt.Sprintf("CVE-2026-%d", i), Description: "It is bad.", URI: "https://example.com/", Severity: s,
			Package: "libexample", Version: "1.0", Vector: "CVSS:3.1/AV:N", Score: "9.8",
		})
	}
	return r, nil
}

func (reporting) About(context.Context) (scanning.About, error) { return scanning.About{}, nil }

// Amazon ECR API reference, DescribeImageScanFindings, and user guide, "Scan images".
func TestScansOverTheAPI(t *testing.T) {
	s := newServer(t, func(s *testkit.Settings) { s.Scanner = reporting{} })
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, digest := s.image(t, "app", "one", "")
	ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": `+quoted(t, manifest)+`}`)
	const image = `{"repositoryName": "app", "imageId": {"imageTag": "v1"}`
	status := func(status, description string) *ImageScanStatus {
		return &ImageScanStatus{Status: text(status), Description: text(description)}
	}
	started := ok[StartImageScanResponse](t, s, "StartImageScan", image+"}")
	want := StartImageScanResponse{RegistryId: text("000000000000"), RepositoryName: text("app"), ImageId: &ImageIdentifier{ImageDigest: text(digest), ImageTag: text("v1")},
		ImageScanStatus: status("IN_PROGRESS", "")}
	if d := cmp.Diff(want, started); d != "" {
		t.Errorf("StartImageScan (-want +got):\n%s", d)
	}
	waiting := ok[DescribeImageScanFindingsResponse](t, s, "DescribeImageScanFindings", image+"}")
	if d := cmp.Diff(status("IN_PROGRESS", ""), waiting.ImageScanStatus); d != "" || waiting.ImageScanFindings != nil {
		t.Errorf("while it waits (-want +got):\n%s\n%+v", d, waiting.ImageScanFindings)
	}
	s.steps(t, step{"StartImageScan", image + "}", "LimitExceededException: The scan quota per image has been exceeded. Wait and try again."})
	if n, err := s.h.cfg.Scanning.RunSlot(t.Context(), 0); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	var names []string
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		body := image + `, "maxResults": 2`
		if token != "" {
			body += `, "nextToken": "` + token + `"`
		}
		got := ok[DescribeImageScanFindingsResponse](t, s, "DescribeImageScanFindings", body+"}")
		if d := cmp.Diff(status("COMPLETE", "The scan was completed successfully."), got.ImageScanStatus); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if d := cmp.Diff(map[string]int32{"CRITICAL": 1, "LOW": 2}, got.ImageScanFindings.FindingSeverityCounts); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		for _, f := range got.ImageScanFindings.Findings {
			names = append(names, *f.Name+" "+*f.Severity)
		}
		if page == 0 {
			first := got.ImageScanFindings.Findings[0]
			var attributes []string
			for _, a := range first.Attributes {
				attributes = append(attributes, *a.Key+"="+*a.Value)
			}
			if d := cmp.Diff([]string{"package_version=1.0", "package_name=libexample", "CVSS3_VECTOR=CVSS:3.1/AV:N", "CVSS3_SCORE=9.8"}, attributes); d != "" {
				t.Errorf("attributes (-want +got):\n%s", d)
			}
		}
		token = value(got.NextToken)
	}
	if d := cmp.Diff([]string{"CVE-2026-1 CRITICAL", "CVE-2026-0 LOW", "CVE-2026-2 LOW"}, names); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	images := ok[DescribeImagesResponse](t, s, "DescribeImages", `{"repositoryName": "app"}`)
	if got := images.ImageDetails[0]; got.ImageScanFindingsSummary == nil || got.ImageScanFindingsSummary.FindingSeverityCounts["CRITICAL"] != 1 || *got.ImageScanStatus.Status != "COMPLETE" {
		t.Errorf("%+v", got)
	}
	s.steps(t, step{"DescribeImageScanFindings", `{"repositoryName": "app", "imageId": {"imageTag": "v1"}, "nextToken": "abc"}`,
		"InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that this operation returned for the same parameters'"})
}
