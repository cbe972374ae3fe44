package registry

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

// PassRole checks the customRoleArn of a setting of the registry in: it must be a role of
// the registry's account, and the caller needs iam:PassRole on it. use is the end of an
// example of such an ARN. Source: ECR API reference, customRoleArn; Service authorization
// reference, dependent actions. Errors: InvalidParameter, AccessDenied.
func PassRole(tx *gate.Tx, in ecr.RegistryID, arn, use string) error {
	if owner, ok := roleAccount(arn); !ok || owner != in.Account {
		return ecr.InvalidParameter("customRoleArn", "%q must be the ARN of a role in account %s, such as arn:%s:iam::%s:role/%s",
			arn, in.Account, in.Region.Partition(), in.Account, use)
	}
	return tx.Ask(authz.Request{Action: "iam:PassRole", Resource: arn, Owner: in.Account, Region: in.Region})
}

// roleAccount is the account of a role's ARN.
func roleAccount(arn string) (ecr.AccountID, bool) {
	p := strings.SplitN(arn, ":", 6)
	if len(p) < 6 || p[0] != "arn" || p[2] != "iam" || !strings.HasPrefix(p[5], "role/") || len(p[5]) == len("role/") {
		return "", false
	}
	return ecr.AccountID(p[4]), true
}
