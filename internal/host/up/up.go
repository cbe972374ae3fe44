// Package up runs a registry on this machine with the repositories of a file:
// what `kontor up` does. It never talks to AWS: each of the file's registries
// becomes one of this machine.
package up

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
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
	Now        func() time.Time
}

// Up is a server whose registries have what the file says.
type Up struct {
	*host.Server
	// Deployed says what became of each registry of the server, in the same order.
	Deployed []Deployed
	// Notices are further things that the user should know.
	Notices []string
}

// Deployed is one registry.
type Deployed struct {
	Repositories []state.Repository // that the file names
	Plan         plan.Plan          // that made them so
}

// Start serves, makes identities and repositories as c says, and then lets
// commands that wait for the server find it. Repositories are deployed by
// deploy/run, with every check. The caller closes the server.
func Start(ctx context.Context, c Config) (*Up, error) {
	external := host.Externals{}
	maps.Copy(external, c.Host.External)
	for _, t := range c.File.Frame(c.Registry).Targets {
		r := datadir.Registry{Name: t.Name, Account: t.Registry.Account, Region: t.Registry.Region}
		c.Host.Registries = append(c.Host.Registries, r)
		if t.ExternalURL != "" {
			if err := external.Add(r, t.ExternalURL); err != nil {
				return nil, err
			}
		}
	}
	c.Host.External = external
	c.Host.Server.Organizations = c.Identities.AccountsOf()
	s, err := host.Start(ctx, c.Host)
	if err != nil {
		return nil, err
	}
	u := &Up{Server: s}
	if err := u.fill(ctx, c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return u, nil
}

func (u *Up) fill(ctx context.Context, c Config) error {
	first := u.Registries[0]
	err := declared.Apply(ctx, declared.Config{IAM: u.IAM(first.Region), Account: first.Account, Getenv: c.Getenv}, c.Identities)
	if err != nil {
		return err
	}
	err = u.deploy(ctx, c)
	if ctx.Err() != nil {
		return errors.New("interrupted before the registry was ready: run it again to finish")
	}
	if err != nil {
		return err
	}
	// Commands that wait for this server find what the file says.
	return u.Announce()
}

// deploy makes the registries' repositories as the file says.
func (u *Up) deploy(ctx context.Context, c Config) error {
	var unfit leftOut
	r, err := run.Open(ctx, run.Config{
		File: c.File, Offline: true, Now: c.Now,
		Policy: func(ctx context.Context, t state.Target, repository state.Repository) (string, error) {
			text, left, err := u.Registry().Fit(ctx, t.Registry.Region.Partition(), c.Host.TLS.On(), repository.Policy)
			unfit.add(t.Name, repository.Name, left)
			return text, err
		},
		Local: func(ctx context.Context, t state.Target) (run.Local, error) {
			return u.local(ctx, c.Host.Folder, t.Name)
		},
	})
	if err != nil {
		return err
	}
	p, err := r.Plan(ctx, plan.Options{})
	if err != nil {
		return err
	}
	if p.Err() != nil {
		return refused(p)
	}
	u.Notices = append(unfit.notices(), p.Notices...)
	for i, s := range r.Registries {
		u.Notices = append(u.Notices, notEncrypted(p.Set.Plans[i].Target.Name, s.Desired().Repositories)...)
		u.Deployed = append(u.Deployed, Deployed{Repositories: s.Desired().Repositories, Plan: p.Set.Plans[i]})
	}
	result, failed := r.Apply(ctx, nil)
	for _, x := range result.Registries {
		for _, y := range x.Repositories {
			if y.Error != "" {
				err = errors.Join(err, fmt.Errorf("registry %s: %s: %s", x.Target.Name, y.Repository, y.Error))
			}
		}
		for _, y := range x.Settings {
			if y.Error != "" {
				err = errors.Join(err, fmt.Errorf("registry %s: %s", x.Target.Name, y.Error))
			}
		}
	}
	if err == nil {
		err = failed
	}
	return err
}

// leftOut is what the server cannot have of policies that were written for AWS.
type leftOut struct {
	reasons      []reason // in the order in which they came up
	repositories map[reason][]string
}

type reason struct{ registry, why string }

func (l *leftOut) add(registry string, repository ecr.RepositoryName, whys []string) {
	for _, why := range whys {
		k := reason{registry, why}
		if l.repositories[k] == nil {
			l.reasons = append(l.reasons, k)
		}
		if l.repositories == nil {
			l.repositories = map[reason][]string{}
		}
		l.repositories[k] = append(l.repositories[k], string(repository))
	}
}

func (l *leftOut) notices() (out []string) {
	for _, k := range l.reasons {
		out = append(out, fmt.Sprintf("registry %s: left out of the policy of %s: %s", k.registry, strings.Join(l.repositories[k], ", "), k.why))
	}
	return out
}

// notEncrypted tells of repositories whose encryption is told and not done.
func notEncrypted(registry string, repositories []state.Repository) []string {
	var names []string
	for _, r := range repositories {
		if r.Encryption != nil && r.Encryption.Type != "AES256" {
			names = append(names, string(r.Name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("registry %s: there is no KMS here: encryption of %s is stored and told as on ECR, and encrypts nothing; encrypt the disk of the data folder where that matters",
		registry, strings.Join(names, ", "))}
}

// refused says why a plan is not carried out. It was not printed, so each of its
// errors is named.
func refused(p run.Planned) error {
	err := p.Failed()
	for _, x := range p.Set.Plans {
		for _, f := range x.Errors() {
			err = errors.Join(err, fmt.Errorf("registry %s: %s", x.Target.Name, f.Message))
		}
	}
	for _, x := range p.Refusals {
		err = errors.Join(err, x.Err)
	}
	return err
}

// local reaches the server's registry of that name as its administrator.
func (u *Up) local(ctx context.Context, folder, name string) (run.Local, error) {
	i := slices.IndexFunc(u.Registries, func(r datadir.Registry) bool { return r.Name == name })
	c, err := u.Conn(ctx, u.Registries[i], identity.Administrator)
	return Local(c, folder, nil), err
}

// Local is how deploy/run reaches a registry of a data folder. end is called
// when it is done with it.
func Local(c host.Conn, folder string, end func() error) run.Local {
	return run.Local{
		Registry: c.Registry, Endpoint: c.Endpoint, Host: c.Host, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: c.HTTPClient, Close: end,
		People: func(ctx context.Context, partition string, accounts []ecr.AccountID) (map[ecr.AccountID][]proof.Principal, error) {
			return host.People(ctx, folder, partition, accounts)
		},
	}
}
