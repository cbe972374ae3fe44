package upstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// maxReferrers is how many referrers of an image are fetched.
	maxReferrers = 100
	// referring is how long fetching them may take.
	referring = 2 * time.Minute
)

// Referrers makes sure that what refers to an image upstream is here, for the list
// that follows. Where the upstream does not say, the answer says so. It asks
// about images that came from there only.
func (p *Puller) Referrers(ctx context.Context, at ecr.Repo, subject ecr.Digest) (Answer, error) {
	var (
		rule    Rule
		cached  bool
		repo    meta.RepositoryID
		checked time.Time
		came    bool
	)
	err := p.gate.Peek(ctx, actor, opState, func(ctx context.Context, v *gate.View) error {
		settings, err := v.Registries().RegistrySettings(ctx, at.In)
		if err != nil {
			return err
		}
		rules, err := RulesOf(settings)
		if err != nil {
			return err
		}
		if rule, cached = rules.Match(at.Name); !cached {
			return nil
		}
		row, err := v.Repository(ctx, at.In, at.Name)
		if errors.Is(err, meta.ErrNotFound) {
			cached = false
			return nil
		}
		if repo = row.ID; err == nil {
			checked, came, err = v.Retention().UpstreamChecked(ctx, repo, string(subject))
		}
		return err
	})
	if err != nil || !cached || p.own || !came && p.s.comingDigest(at, subject) == nil {
		return Answer{}, err
	}
	a := Answer{How: Hit, Upstream: rule.Host}
	if age := p.s.cfg.Now().Sub(checked); age >= 0 && age < fresh || !p.wouldImport(ctx, at, ecr.ImageID{Digest: subject}) {
		return a, nil
	}
	if err := p.mayImport(ctx, at); err != nil {
		return a, err
	}
	if err = p.s.rests(at.In, rule); err == nil {
		_, err = p.s.once(ctx, tagKey{at: at, reference: "referrers of " + string(subject)}, referring, func(ctx context.Context) (registry.Manifest, error) {
			if err := p.s.refer(ctx, p.gate, at, rule, subject); err != nil {
				return registry.Manifest{}, err
			}
			return registry.Manifest{}, p.s.checked(ctx, repo, string(subject))
		})
	}
	if a.How = Compared; err != nil {
		a.How, a.Why = Stale, oneLine(err)
		p.s.cfg.Log.WarnContext(ctx, "listing referrers that could not be compared with the upstream",
			"upstream", rule.Host, "repository", at.Name, "subject", subject, "error", err)
	}
	return a, nil
}

// refer fetches what refers to subject.
func (s *Service) refer(ctx context.Context, as *gate.Caller, at ecr.Repo, rule Rule, subject ecr.Digest) error {
	repo, err := s.reach(ctx, at, rule)
	if err != nil {
		return err
	}
	list, api, err := repo.Referrers(ctx, subject)
	if err == nil && !api {
		list, err = taggedReferrers(ctx, repo, subject)
	}
	if s.note(at.In, rule, err); err != nil {
		if code := ecr.CodeOf(err); code == ecr.CodeRepositoryNotFound || code == ecr.CodeImageNotFound {
			return nil // what is not there has no referrers
		}
		return err
	}
	if len(list) > maxReferrers {
		list = list[:maxReferrers]
	}
	digests := make([]ecr.Digest, len(list))
	for i, d := range list {
		digests[i] = d.Digest
	}
	var missing []ecr.Digest
	err = s.look(ctx, func(ctx context.Context, v *gate.View) error {
		row, err := v.Repository(ctx, at.In, at.Name)
		if err == nil {
			missing, err = v.MissingManifests(ctx, row.ID, digests)
		}
		return err
	})
	for _, d := range missing {
		if err != nil {
			break
		}
		if _, err = s.fetch(ctx, as, at, rule, string(d), ""); err != nil {
			break
		}
		if c := s.comingDigest(at, d); c != nil {
			err = s.complete(ctx, c)
			s.mu.Lock()
			s.drop(imageKey{at, d})
			s.mu.Unlock()
		}
	}
	return err
}

// taggedReferrers reads the list that clients keep under a tag where a registry has
// no referrers API. Source: OCI distribution specification 1.1, "Referrers Tag
// Schema".
func taggedReferrers(ctx context.Context, repo *remote.Repository, subject ecr.Digest) ([]remote.Descriptor, error) {
	m, err := repo.Manifest(ctx, strings.Replace(string(subject), ":", "-", 1))
	if ecr.CodeOf(err) == ecr.CodeImageNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	parsed, err := manifest.Parse(m.Body, m.MediaType)
	if err != nil || parsed.Kind != manifest.Index {
		return nil, nil // an image that happens to have such a tag
	}
	var list []remote.Descriptor
	for _, c := range parsed.Children {
		list = append(list, remote.Descriptor{Digest: c.Digest, MediaType: c.MediaType})
	}
	return list, nil
}

var opRefresh = gate.Op("Refresh", "kontor:RefreshUpstream")

// Refreshed says what Refresh did.
type Refreshed struct {
	Upstream string
	Tag      ecr.Tag
	// Before and After are what the tag stood for and stands for; both are "" when no
	// tag was given.
	Before, After ecr.Digest
}

// Refresh makes the next pull of each tag of a repository compare it with its
// upstream, whenever it was compared last. With a tag it compares that at once.
// Errors: RepositoryNotFound, PullThroughCacheRuleNotFound, and with a tag those of
// Manifest.
func (c *Caller) Refresh(ctx context.Context, at ecr.Repo, tag ecr.Tag) (Refreshed, error) {
	var (
		rule   Rule
		before meta.TagRow
	)
	err := c.gate.Change(ctx, opRefresh, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.Enter(ctx, at)
		if err != nil {
			return err
		}
		settings, err := tx.Registries().RegistrySettings(ctx, at.In)
		if err != nil {
			return err
		}
		rules, err := RulesOf(settings)
		if err != nil {
			return err
		}
		var ok bool
		if rule, ok = rules.Match(at.Name); !ok {
			return ecr.Errorf(ecr.CodePullThroughCacheRuleNotFound, "No pull through cache rule in the registry with id '%s' is for the repository with name '%s'", at.In.Account, at.Name)
		}
		if tag != "" {
			if before, err = tx.Tag(ctx, s.Row.ID, tag); err != nil && !errors.Is(err, meta.ErrNotFound) {
				return err
			}
		}
		return tx.Retention().ForgetUpstreamChecks(ctx, s.Row.ID)
	})
	done := Refreshed{Upstream: rule.Host, Tag: tag, Before: before.Digest}
	if err != nil {
		return done, err
	}
	c.s.dropIdle(at)
	if tag == "" {
		return done, nil
	}
	m, a, err := c.s.For(c.gate).Manifest(ctx, at, ecr.ImageID{Tag: tag}, true)
	if err == nil && a.How == Stale {
		err = &ecr.Error{Code: ecr.CodeUpstreamImage, Message: "The upstream registry " + rule.Host + " could not be asked: " + a.Why}
	}
	if err == nil && a.How == "" {
		err = ecr.InvalidParameter("imageTag", "the tag '%s' was pushed to this registry, and is not compared with the upstream %s", tag, rule.Host)
	}
	done.After = m.Digest
	return done, err
}
