// Package up runs a registry on this machine with the repositories of a file:
// what `kontor up` does. It never talks to AWS: each of the file's registries
// becomes one of this machine.
package up

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
)

// Config says what to run.
type Config struct {
	// Host is how to serve. Its registries are those of the file.
	Host host.Config
	File *spec.File
	// Registry is the one of a file without registries.
	Registry ecr.RegistryID
	// Identities are the users, roles and policies that there are to be; Getenv
	// reads the secrets that they name.
	Identities declared.File
	Getenv     func(string) string
}

// Up is a server whose registries have what the file says.
type Up struct {
	*host.Server
	// Deployed says what became of each registry of the server, in the same order.
	Deployed []Deployed
}

// Deployed is one registry.
type Deployed struct {
	Repositories []state.Repository // that the file names
	Plan         plan.Plan          // that made them so
}

// Start serves, makes identities and repositories as c says, and then lets
// commands that wait for the server find it. The caller closes it.
func Start(ctx context.Context, c Config) (*Up, error) {
	desired := c.File.Desired(c.Registry)
	for _, t := range desired.Targets {
		c.Host.Registries = append(c.Host.Registries, datadir.Registry{Name: t.Name, Account: t.Registry.Account, Region: t.Registry.Region})
	}
	s, err := host.Start(ctx, c.Host)
	if err != nil {
		return nil, err
	}
	u := &Up{Server: s}
	if err := u.fill(ctx, c, desired); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return u, nil
}

func (u *Up) fill(ctx context.Context, c Config, desired state.Desired) error {
	first := u.Registries[0]
	err := declared.Apply(ctx, declared.Config{IAM: u.IAM(first.Region), Account: first.Account, Getenv: c.Getenv}, c.Identities)
	if err != nil {
		return err
	}
	for i, r := range u.Registries {
		p, err := u.deploy(ctx, desired, desired.Targets[i], r)
		if ctx.Err() != nil {
			return errors.New("interrupted before the registry was ready: run it again to finish")
		}
		if err != nil {
			return err
		}
		u.Deployed = append(u.Deployed, Deployed{Repositories: desired.For(desired.Targets[i]).Repositories, Plan: p})
	}
	// Commands that wait for this server find what the file says.
	return u.Announce()
}

// deploy makes one registry's repositories as the file says.
func (u *Up) deploy(ctx context.Context, desired state.Desired, target state.Target, r datadir.Registry) (plan.Plan, error) {
	c, err := u.Conn(ctx, r, identity.Administrator)
	if err != nil {
		return plan.Plan{}, err
	}
	// Whatever the file says of roles and endpoints is about AWS.
	target = state.Target{Name: target.Name, Registry: r.ID(), Endpoint: c.Endpoint, Local: true}
	conn, err := deploy.Connect(ctx, deploy.ConnectConfig{Target: target, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: c.HTTPClient})
	if err != nil {
		return plan.Plan{}, err
	}
	observed, err := deploy.Observe(ctx, conn.API, target, deploy.ScopeOf(desired))
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Diff(desired, observed)
	for _, f := range p.Errors() {
		err = errors.Join(err, fmt.Errorf("registry %s: %s", target.Name, f.Message))
	}
	if err != nil {
		return p, err
	}
	result, err := deploy.Apply(ctx, conn.API, p, func(deploy.RepositoryResult) {})
	for _, rr := range result.Repositories {
		if rr.Error != "" {
			err = errors.Join(err, fmt.Errorf("registry %s: %s: %s", target.Name, rr.Repository, rr.Error))
		}
	}
	return p, err
}
