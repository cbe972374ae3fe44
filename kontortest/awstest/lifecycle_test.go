package awstest_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/kontortest"
)

// A lifecycle policy as the SDK sees it: preview, with its waiter, run after
// the clock has moved, and when that was.
func TestLifecycle(t *testing.T) {
	r := kontortest.Start(t)
	p, ctx := pushImage(t, r), t.Context()
	const rules = `{"rules":[{"rulePriority":1,"description":"everything","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}`
	if _, err := p.client.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: p.repo, LifecyclePolicyText: aws.String(rules)}); err != nil {
		t.Fatal(err)
	}
	get := &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: p.repo}
	_, err := p.client.GetLifecyclePolicyPreview(ctx, get)
	var missing *types.LifecyclePolicyPreviewNotFoundException
	if !errors.As(err, &missing) {
		t.Errorf("no preview: %v", err)
	}
	preview := func() *ecr.GetLifecyclePolicyPreviewOutput {
		t.Helper()
		started, err := p.client.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: p.repo})
		if err != nil || started.Status != types.LifecyclePolicyPreviewStatusInProgress {
			t.Fatalf("%+v, %v", started, err)
		}
		out, err := ecr.NewLifecyclePolicyPreviewCompleteWaiter(p.client).WaitForOutput(ctx, get, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := preview(); len(out.PreviewResults) != 0 || aws.ToInt32(out.Summary.ExpiringImageTotalCount) != 0 {
		t.Errorf("a young image: %+v", out)
	}
	if gone := r.RunLifecycle(t, *p.repo); len(gone) != 0 {
		t.Errorf("young images went: %v", gone)
	}
	r.Advance(31 * 24 * time.Hour)
	out := preview()
	if len(out.PreviewResults) != 1 || aws.ToString(out.PreviewResults[0].ImageDigest) != p.d || out.PreviewResults[0].Action.Type != types.ImageActionTypeExpire ||
		!slices.Equal(out.PreviewResults[0].ImageTags, []string{"v1"}) || aws.ToInt32(out.PreviewResults[0].AppliedRulePriority) != 1 {
		t.Errorf("an old image: %+v", out.PreviewResults)
	}
	if gone := r.RunLifecycle(t, *p.repo); !slices.Equal(gone, []string{p.d}) {
		t.Errorf("gone: %v, want %s", gone, p.d)
	}
	policy, err := p.client.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: p.repo})
	if err != nil || aws.ToTime(policy.LastEvaluatedAt).Before(time.Now().Add(30*24*time.Hour)) {
		t.Errorf("last evaluated at %v, %v", aws.ToTime(policy.LastEvaluatedAt), err)
	}
}

// Archived images are pulled on no way, and come back.
func TestArchive(t *testing.T) {
	r := kontortest.Start(t)
	p, ctx := pushImage(t, r), t.Context()
	set := func(class types.TargetStorageClass) types.ImageStatus {
		t.Helper()
		out, err := p.client.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{
			RepositoryName: p.repo, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v1")}, TargetStorageClass: class,
		})
		if err != nil {
			t.Fatal(err)
		}
		return out.ImageStatus
	}
	pulls := func(want int) {
		t.Helper()
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequestWithContext(ctx, method, r.URL+"/v2/"+*p.repo+"/manifests/v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("AWS", r.Password(t))
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != want {
				t.Errorf("%s: %s, want %d", method, resp.Status, want)
			}
		}
		out, err := p.client.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: p.repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})
		if err != nil || (len(out.Images) == 1) != (want == http.StatusOK) {
			t.Errorf("BatchGetImage: %+v, %v", out, err)
		}
	}
	pulls(http.StatusOK)
	if got := set(types.TargetStorageClassArchive); got != types.ImageStatusArchived {
		t.Errorf("archive: %s", got)
	}
	pulls(http.StatusNotFound)
	if got := set(types.TargetStorageClassStandard); got != types.ImageStatusActivating {
		t.Errorf("restore: %s", got)
	}
	r.Advance(time.Hour)
	pulls(http.StatusOK)
}
