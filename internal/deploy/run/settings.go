package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// secretPrefix begins the names of all credentials; files leave it out.
const secretPrefix = "ecr-pullthroughcache/"

// observeSettings reads the templates and upstream rules of the registry as far as a
// plan needs them, and the names of its credentials where the file has some.
func (s *Registry) observeSettings(ctx context.Context, end plan.End) (state.Settings, error) {
	desired := s.Desired()
	out, err := deploy.ObserveSettings(ctx, s.Conn.API, s.Conn.Target.Registry, deploy.SettingsScopeOf(desired, end))
	if err == nil && len(desired.Wanted.Signers) > 0 {
		out.Signers, out.NoSigners, err = s.observeSigners(ctx)
	}
	if err == nil && len(desired.Wanted.Receivers) > 0 {
		out.Receivers, out.NoReceivers, err = s.observeReceivers(ctx)
	}
	if err == nil && desired.Wanted.Replication != nil {
		err = s.observeReplicationOptions(ctx, &out)
	}
	if err != nil || !desired.Wanted.NamesCredentials() {
		return out, err
	}
	out.Credentials, out.NoCredentials, err = s.credentials(ctx)
	return out, err
}

// credentials are the ARNs of a Kontor registry's credentials by name, or why they are
// not known.
func (s *Registry) credentials(ctx context.Context) (byName map[string]string, why string, err error) {
	c := s.admin()
	if c == nil {
		return nil, "the registry is Amazon ECR, where a credential is the ARN of a secret of AWS Secrets Manager", nil
	}
	var list admin.ListSecretsResponse
	err = c.Call(ctx, "ListSecrets", admin.ListSecretsRequest{}, &list)
	switch {
	case s.noAdmin(err):
		return nil, "the server is not a Kontor server that has credentials: give the ARN of the secret", nil
	case ecr.CodeOf(err) == ecr.CodeAccessDenied:
		return nil, fmt.Sprintf("%v: give the ARN of the secret, or allow kontor:ListSecrets", err), nil
	case err != nil:
		return nil, "", fmt.Errorf("reading the credentials of registry %s: %w", s.Target.Name, err)
	}
	byName = map[string]string{}
	for _, x := range list.Secrets {
		byName[x.Name] = x.ARN
		byName[strings.TrimPrefix(x.Name, secretPrefix)] = x.ARN
	}
	return byName, "", nil
}

// Settings reads all templates, upstream rules, signers, receivers of events and the
// replication of the only registry of r, as far as the caller may.
func (r *Run) Settings(ctx context.Context) (state.Settings, error) {
	s := r.Registries[0]
	out, err := deploy.ObserveSettings(ctx, s.Conn.API, s.Conn.Target.Registry, deploy.SettingsScope{Templates: deploy.Wished, Upstreams: deploy.Wished, Replication: deploy.Wished})
	if err == nil {
		err = s.observeReplicationOptions(ctx, &out)
	}
	if err == nil {
		out.Signers, out.NoSigners, err = s.observeSigners(ctx)
	}
	if err == nil {
		out.Receivers, out.NoReceivers, err = s.observeReceivers(ctx)
	}
	return out, err
}

// FoundSettings are the templates and upstream rules of the file in each registry of r,
// in the order of Registries. Those that do not exist are left out.
func (r *Run) FoundSettings(ctx context.Context) ([]state.Settings, error) {
	var out []state.Settings
	for _, s := range r.Registries {
		found, err := deploy.ObserveSettings(ctx, s.Conn.API, s.Conn.Target.Registry, deploy.SettingsScopeOf(s.Desired(), plan.Nothing))
		if err != nil {
			return nil, s.named(err)
		}
		out = append(out, found)
	}
	return out, nil
}
