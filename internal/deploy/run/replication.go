package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// replicationOptions are those of a Kontor registry.
type replicationOptions struct{ c *adminclient.Client }

// replication returns the options of the registry; nil for Amazon ECR.
func (s *Registry) replication() deploy.ReplicationAPI {
	if c := s.admin(); c != nil {
		return replicationOptions{c}
	}
	return nil
}

// observeReplicationOptions reads the options of what was seen, or says why they are not
// known.
func (s *Registry) observeReplicationOptions(ctx context.Context, seen *state.Settings) error {
	api := s.replication()
	if api == nil || seen.Replication == nil {
		return nil
	}
	options, err := api.ReplicationOptions(ctx)
	switch {
	case s.noAdmin(err):
		seen.NoReplicationOptions = "the server is not a Kontor server that replicates"
	case ecr.CodeOf(err) == ecr.CodeAccessDenied:
		seen.NoReplicationOptions = fmt.Sprintf("%v: allow kontor:ListReplications", err)
	case err != nil:
		return fmt.Errorf("reading the options of replication of registry %s: %w", s.Target.Name, err)
	default:
		seen.Replication.Options = options
	}
	return nil
}

// ReplicationOptions implements deploy.ReplicationAPI.
func (r replicationOptions) ReplicationOptions(ctx context.Context) (map[ecr.RegistryID]state.ReplicationOptions, error) {
	var list admin.ListReplicationsResponse
	if err := r.c.Call(ctx, "ListReplications", admin.ListReplicationsRequest{MaxResults: 1}, &list); err != nil {
		return nil, err
	}
	out := map[ecr.RegistryID]state.ReplicationOptions{}
	for to, o := range list.Options {
		account, region, _ := strings.Cut(to, "/")
		if x := (state.ReplicationOptions{Tags: o.ImageTags, Exclude: o.ExcludePrefixes, Deletions: o.Deletions}); !x.None() {
			out[ecr.RegistryID{Account: ecr.AccountID(account), Region: ecr.Region(region)}] = x
		}
	}
	return out, nil
}

// PutReplicationOptions implements deploy.ReplicationAPI.
func (r replicationOptions) PutReplicationOptions(ctx context.Context, to ecr.RegistryID, o state.ReplicationOptions) error {
	return r.c.Call(ctx, "PutReplicationOptions", admin.PutReplicationOptionsRequest{
		Destination: to.String(), BeforeRule: true,
		Options: admin.ReplicationOptions{ImageTags: o.Tags, ExcludePrefixes: o.Exclude, Deletions: o.Deletions},
	}, &admin.PutReplicationOptionsResponse{})
}
