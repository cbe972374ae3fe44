package inspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// What policies of another account say of what is there is not told.
func TestRecordsTellNoPoliciesOfOtherAccounts(t *testing.T) {
	in := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	for resource, shown := range map[string]bool{
		"arn:aws:ecr:us-east-2:111111111111:repository/app": true, "*": true,
		"arn:aws:ecr:us-east-2:222222222222:repository/app": false,
	} {
		t.Run(resource, func(t *testing.T) {
			r := audit.Record{Principal: "arn:aws:iam::111111111111:user/ann", Resource: resource, Statement: "repository policy, statement 1", DependsOn: []string{"aws:SourceIp"}}
			want := r
			if !shown {
				want.Statement, want.DependsOn = "", nil
			}
			if diff := cmp.Diff(want, told(in, r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
