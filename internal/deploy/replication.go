package deploy

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// ReplicationAPI reads and changes the options of replication, which only a registry of
// Kontor has.
type ReplicationAPI interface {
	// ReplicationOptions are those of all destinations, without those that say nothing.
	ReplicationOptions(ctx context.Context) (map[kecr.RegistryID]state.ReplicationOptions, error)
	// PutReplicationOptions replaces those of one destination, which no rule needs to
	// have yet.
	PutReplicationOptions(ctx context.Context, to kecr.RegistryID, o state.ReplicationOptions) error
}

// observeReplication reads the replication and the registry policy, if they are in scope.
func observeReplication(ctx context.Context, api SettingsAPI, in kecr.RegistryID, scope SettingsScope, out *state.Settings) error {
	if scope.Replication != Unneeded {
		found, err := replicationOf(ctx, api, in)
		switch {
		case scope.Replication == Wished && (denied(err) || isCode(err, kecr.CodeUnknownOperation)):
			out.ReplicationUnseen = err.Error()
		case err != nil:
			return err
		default:
			out.Replication = &found
			out.NoReplicationOptions = "Amazon ECR has none"
		}
	}
	if scope.RegistryPolicy != Unneeded {
		text, err := registryPolicy(ctx, api, in)
		switch {
		case scope.RegistryPolicy == Wished && (denied(err) || isCode(err, kecr.CodeUnknownOperation)):
			out.RegistryPolicyUnseen = err.Error()
		case err != nil:
			return err
		default:
			out.RegistryPolicy, out.RegistryPolicySeen = text, true
		}
	}
	return nil
}

func replicationOf(ctx context.Context, api SettingsAPI, in kecr.RegistryID) (out state.Replication, err error) {
	got, err := api.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if err != nil {
		return out, explain(err, "the replication of "+in.String())
	}
	if got.ReplicationConfiguration == nil {
		return out, nil
	}
	for _, r := range got.ReplicationConfiguration.Rules {
		x := state.ReplicationRule{}
		for _, d := range r.Destinations {
			x.To = append(x.To, kecr.RegistryID{Account: kecr.AccountID(aws.ToString(d.RegistryId)), Region: kecr.Region(aws.ToString(d.Region))})
		}
		for _, f := range r.RepositoryFilters {
			x.Prefixes = append(x.Prefixes, aws.ToString(f.Filter))
		}
		out.Rules = append(out.Rules, x)
	}
	return out, nil
}

// registryPolicy is "" for none.
func registryPolicy(ctx context.Context, api SettingsAPI, in kecr.RegistryID) (string, error) {
	got, err := api.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	if isCode(err, kecr.CodeRegistryPolicyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", explain(err, "the registry policy of "+in.String())
	}
	return aws.ToString(got.PolicyText), nil
}

// replication changes the replication of the registry. Options come before the rules, so
// that nothing is copied that they leave out, and those that nothing needs go last.
func (s settings) replication(ctx context.Context, c plan.ReplicationChange) (moved string, err error) {
	in := s.plan.Target.Registry()
	have, err := replicationOf(ctx, s.api, in)
	if options(c.Before) || options(c.After) {
		switch {
		case err != nil:
		case s.options == nil:
			err = errors.New("the registry has no options of replication")
		default:
			have.Options, err = s.options.ReplicationOptions(ctx)
		}
	}
	if err != nil {
		return "", err
	}
	grants := func(r *plan.Replication) map[string]string {
		if r == nil {
			return nil
		}
		return r.Accounts
	}
	text, read := "", len(grants(c.Before))+len(grants(c.After)) > 0
	if read {
		if text, err = registryPolicy(ctx, s.api, in); err != nil {
			return "", err
		}
	}
	if moved := c.Moved(have, text); moved != "" {
		return moved, nil
	}
	after := plan.Replication{}
	if c.After != nil {
		after = *c.After
	}
	want := after.State()
	if read && !maps.EqualFunc(plan.Grants(text), after.Accounts, plan.EqualPolicy) {
		if err := s.putRegistryPolicy(ctx, text, after.Accounts); err != nil {
			return "", err
		}
	}
	for _, to := range sortedRegistries(want.Options) {
		if o := want.Options[to]; !o.Equal(have.Options[to]) {
			if err := s.options.PutReplicationOptions(ctx, to, o); err != nil {
				return "", err
			}
		}
	}
	if _, err := s.api.PutReplicationConfiguration(ctx, &ecr.PutReplicationConfigurationInput{ReplicationConfiguration: wireReplication(want)}); err != nil {
		return "", err
	}
	for _, to := range sortedRegistries(have.Options) {
		if _, stays := want.Options[to]; !stays {
			if err := s.options.PutReplicationOptions(ctx, to, state.ReplicationOptions{}); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func options(r *plan.Replication) bool { return r != nil && len(r.Options) > 0 }

func (s settings) putRegistryPolicy(ctx context.Context, now string, accounts map[string]string) error {
	text, err := plan.WithGrants(now, accounts)
	if err != nil {
		return err
	}
	if text == "" {
		_, err = s.api.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})
		if isCode(err, kecr.CodeRegistryPolicyNotFound) {
			err = nil
		}
		return err
	}
	_, err = s.api.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: aws.String(text)})
	return err
}

func wireReplication(r state.Replication) *types.ReplicationConfiguration {
	out := &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}}
	for _, rule := range r.Rules {
		x := types.ReplicationRule{}
		for _, to := range rule.To {
			x.Destinations = append(x.Destinations, types.ReplicationDestination{RegistryId: aws.String(string(to.Account)), Region: aws.String(string(to.Region))})
		}
		for _, p := range rule.Prefixes {
			x.RepositoryFilters = append(x.RepositoryFilters, types.RepositoryFilter{Filter: aws.String(p), FilterType: types.RepositoryFilterTypePrefixMatch})
		}
		out.Rules = append(out.Rules, x)
	}
	return out
}

func sortedRegistries(m map[kecr.RegistryID]state.ReplicationOptions) []kecr.RegistryID {
	return slices.SortedFunc(maps.Keys(m), func(a, b kecr.RegistryID) int { return strings.Compare(a.String(), b.String()) })
}
