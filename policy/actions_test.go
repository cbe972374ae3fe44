package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/policy"
)

func TestActions(t *testing.T) {
	all := policy.Actions()
	if !slices.IsSortedFunc(all, func(a, b policy.Action) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not in order")
	}
	var v1 []string
	for _, a := range all {
		if a.RegistryV1 {
			v1 = append(v1, a.Name)
		}
	}
	if want := []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository", "ecr:ReplicateImage"}; !slices.Equal(v1, want) {
		t.Errorf("a V1 registry policy governs %v", v1)
	}
	all[0].Name = "changed"
	if policy.Actions()[0].Name == "changed" {
		t.Error("Actions gives its own slice away")
	}
	for name, repository := range map[string]bool{
		"ecr:PutImage": true, "ECR:putimage": true, "ecr:CreateRepository": true, "ecr:ListImageReferrers": true, "ecr:ReplicateImage": true,
		"ecr:GetAuthorizationToken": false, "ecr:DescribeRegistry": false, "ecr:PutRegistryPolicy": false, "ecr:GetAccountSetting": false,
	} {
		t.Run(name, func(t *testing.T) {
			if a, ok := policy.LookupAction(name); !ok || a.Repository != repository || !strings.EqualFold(a.Name, name) {
				t.Errorf("%+v, %v", a, ok)
			}
			if err := policy.CheckAction(name); err != nil {
				t.Error(err)
			}
		})
	}
	for name, want := range map[string]string{
		"ecr:PutImages":              `Amazon ECR has no action "ecr:PutImages"; did you mean ecr:PutImage?`,
		"ecr:batchgetimages":         `Amazon ECR has no action "ecr:batchgetimages"; did you mean ecr:BatchGetImage?`,
		"ecr:GetDownloadUrlForLayes": `Amazon ECR has no action "ecr:GetDownloadUrlForLayes"; did you mean ecr:GetDownloadUrlForLayer?`,
		"ecr:Fly":                    `Amazon ECR has no action "ecr:Fly"`,
		"":                           `Amazon ECR has no action ""`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := policy.CheckAction(name); err == nil || err.Error() != want {
				t.Errorf("CheckAction(%q) = %v", name, err)
			}
		})
	}
}
