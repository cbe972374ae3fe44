package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// codeNoSuchEntity is IAM's: the user was deleted meanwhile.
const codeNoSuchEntity = ecr.Code("NoSuchEntity")

// Tokens are the machine tokens of the user arn on the Kontor registry in; none of other
// principals, and none on Amazon ECR. unseen says why they are not known, "" when they are.
func (r *Run) Tokens(ctx context.Context, in ecr.RegistryID, arn string) (list []proof.Token, unseen string, err error) {
	user, ok := userName(arn, in)
	if !ok {
		return nil, "", nil
	}
	for _, s := range r.Registries {
		if s.Conn == nil || s.Conn.Target.Registry != in {
			continue
		}
		c := s.admin()
		if c == nil {
			return nil, "", nil
		}
		var out admin.ListUserTokensResponse
		err := c.Call(ctx, "ListUserTokens", admin.ListUserTokensRequest{UserName: user}, &out)
		switch {
		case s.noAdmin(err), ecr.CodeOf(err) == codeNoSuchEntity:
			return nil, "", nil
		case ecr.CodeOf(err) == ecr.CodeAccessDenied:
			return nil, fmt.Sprintf("the machine tokens of users could not be read: %v", err), nil
		case err != nil:
			return nil, "", fmt.Errorf("reading the machine tokens of %s: %w", user, err)
		}
		for _, t := range out.Tokens {
			list = append(list, proof.Token{ID: t.ID, Name: t.Name, Scope: t.Policy, ExpiresAt: t.ExpiresAt, Expired: t.Expired, Off: out.Off})
		}
	}
	return list, "", nil
}

// userName is that of a user of the registry's account.
func userName(arn string, in ecr.RegistryID) (string, bool) {
	path, ok := strings.CutPrefix(arn, fmt.Sprintf("arn:%s:iam::%s:user/", in.Region.Partition(), in.Account))
	return path[strings.LastIndexByte(path, '/')+1:], ok
}
