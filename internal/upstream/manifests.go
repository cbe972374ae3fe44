package upstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Puller pulls in the name of one principal: what is here, and where a rule says so
// what its upstream has. It is of one request.
type Puller struct {
	s     *Service
	gate  *gate.Caller
	local *registry.Caller
	own   bool // what came from an upstream is not for the request, see Mirrored
}

// For returns a Puller for a request.
func (s *Service) For(c *gate.Caller) *Puller {
	return &Puller{s: s, gate: c, local: s.cfg.Registry.For(c)}
}

// Answer says where content came from; zero for a repository without a rule.
type Answer struct {
	How      Outcome
	Upstream string // its host
	Why      string // of Stale: what the upstream said instead, in one line
}

// importAction is asked for before anything is fetched: who pulls a new image needs
// it. Source: ECR user guide, "IAM permissions required to sync an upstream
// registry".
const importAction access.Action = "ecr:BatchImportUpstreamImage"

// Names of what the gate puts on record.
var (
	opImport  = gate.Op("ImportUpstreamImage", importAction)
	opCompare = gate.Op("CompareUpstream", "ecr:BatchGetImage")
	opState   = gate.Op("UpstreamState")
)

// Manifest returns the manifest of an image; read says whether that is a pull (GET)
// or a look (HEAD). Errors: those of registry.Caller.Manifest, UnableToGetUpstreamImage,
// Throttling, Unavailable.
func (p *Puller) Manifest(ctx context.Context, at ecr.Repo, id ecr.ImageID, read bool) (registry.Manifest, Answer, error) {
	rule, cached, err := p.rule(ctx, at)
	if err != nil {
		return registry.Manifest{}, Answer{}, err
	}
	get := p.local.StatManifest
	if read {
		get = p.local.Manifest
	}
	m, err := get(ctx, at, id)
	if err == nil && cached {
		here := m.Digest
		m, a := p.current(ctx, at, rule, id, m, read)
		if m.Digest != here {
			if err := p.mayGet(ctx, at, m.Digest); err != nil {
				return registry.Manifest{}, a, err
			}
		}
		if p.own && a.How != "" && id.Digest == "" {
			return registry.Manifest{}, Answer{}, ecr.ImageNotFound(at.In, at.Name, id)
		}
		if a.How != "" {
			p.s.count(at.In, rule.Host, a.How, int64(len(m.Body)))
		}
		return m, a, nil
	}
	if err == nil || !cached || !p.mayCome(err) {
		return m, Answer{}, err
	}
	found, err := p.pull(ctx, at, rule, id, read)
	a := Answer{How: Miss, Upstream: rule.Host}
	if err != nil {
		a.How = Failed
	} else if err = p.mayGet(ctx, at, found.Digest); err != nil {
		return registry.Manifest{}, a, err
	}
	p.s.count(at.In, rule.Host, a.How, int64(len(found.Body)))
	return found, a, err
}

// Mirrored is the repository here that caches the repository name of the registry
// host, as a mirror is asked for it. It is name itself where host is this server, or
// where no rule is for host: mirrors are asked under this server's other names, too.
// Errors: RepositoryNotFound, where rules are for host, and none for name.
func (p *Puller) Mirrored(ctx context.Context, in ecr.RegistryID, host, name string) (ecr.RepositoryName, error) {
	same := ecr.RepositoryName(name)
	if p.s.cfg.Self != nil && p.s.cfg.Self(host) {
		return same, nil
	}
	rules, err := p.peekRules(ctx, in)
	if err != nil {
		return "", err
	}
	rule, matches := rules.Match(same)
	if !rules.name(host) {
		// ROOT is for names of one registry only: content of that one is not what is
		// asked for, but what was pushed here may be.
		p.own = matches && rule.Prefix == Root
		return same, nil
	}
	if matches && rule.Prefix != Root && canonicalHost(rule.Host) == canonicalHost(host) {
		return same, nil // with the rule's path before it (override_path)
	}
	local, ok := rules.OfHost(host, name)
	if !ok {
		return "", ecr.Errorf(ecr.CodeRepositoryNotFound, "No pull through cache rule in the registry with id '%s' is for the repository '%s' of the registry that ns names", in.Account, name)
	}
	return local, nil
}

// peekRules reads the rules of a registry in the snapshot of the caller's visit: a
// second one, while that is open, waits for itself where all are taken.
func (p *Puller) peekRules(ctx context.Context, in ecr.RegistryID) (rules Rules, err error) {
	err = p.gate.Peek(ctx, actor, opState, func(ctx context.Context, v *gate.View) error {
		settings, err := v.Registries().RegistrySettings(ctx, in)
		if err == nil {
			rules, err = RulesOf(settings)
		}
		return err
	})
	return rules, err
}

// rule finds the rule of a repository, before anything else is read.
func (p *Puller) rule(ctx context.Context, at ecr.Repo) (rule Rule, ok bool, err error) {
	rules, err := p.peekRules(ctx, at.In)
	rule, ok = rules.Match(at.Name)
	return rule, ok, err
}

// mayCome reports whether missing says that something is not here, which may come from
// an upstream.
func (p *Puller) mayCome(missing error) bool {
	switch ecr.CodeOf(missing) {
	case ecr.CodeRepositoryNotFound, ecr.CodeImageNotFound, ecr.CodeLayersNotFound:
		return !p.own
	}
	return false
}

// Cached reports whether a rule is for a repository, whether it is there or not.
func (s *Service) Cached(ctx context.Context, at ecr.Repo) bool {
	var rules Rules
	err := s.look(ctx, func(ctx context.Context, v *gate.View) error {
		settings, err := v.Registries().RegistrySettings(ctx, at.In)
		if err == nil {
			rules, err = RulesOf(settings)
		}
		return err
	})
	_, ok := rules.Match(at.Name)
	return err == nil && ok
}

// look reads as the server itself.
func (s *Service) look(ctx context.Context, fn func(context.Context, *gate.View) error) error {
	return s.cfg.Gate.System(actor).Read(ctx, opState, fn)
}

// change writes as the server itself.
func (s *Service) change(ctx context.Context, fn func(context.Context, *gate.Tx) error) error {
	return s.cfg.Gate.System(actor).Change(ctx, opState, fn)
}

// mayImport asks for what the caller needs to fetch into a repository, and to make it
// first where it is not there. ECR tells who may not make it that there is no such
// repository, and who may not import that there is no such image.
func (p *Puller) mayImport(ctx context.Context, at ecr.Repo) error {
	missing := error(ecr.ImageNotFound(at.In, at.Name, ecr.ImageID{}))
	err := p.gate.Ask(ctx, opImport, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterName(ctx, at)
		if err == nil {
			err = v.May(v.Coming(s), "ecr:BatchGetImage")
		}
		if err == nil && s.Row.ID == 0 {
			if err = v.May(s, "ecr:CreateRepository"); err != nil {
				missing = ecr.RepositoryNotFound(at.In, at.Name)
			}
		}
		return err
	})
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return missing
	}
	return err
}

// wouldImport is mayImport for an image that is here: that somebody may not import
// is no denial then.
func (p *Puller) wouldImport(ctx context.Context, at ecr.Repo, id ecr.ImageID) (yes bool) {
	err := p.gate.Read(ctx, opCompare, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterImage(ctx, at, id)
		yes = err == nil && v.Would(s, importAction) == nil
		return err
	})
	return err == nil && yes
}

// mayGet asks for an image that came in place of what the caller has asked for, or is on
// its way: it is another one than policies were asked about.
func (p *Puller) mayGet(ctx context.Context, at ecr.Repo, d ecr.Digest) error {
	return p.gate.Read(ctx, opCompare, func(ctx context.Context, v *gate.View) error {
		_, err := v.EnterComing(ctx, at, ecr.ImageID{Digest: d})
		return err
	})
}

// current makes sure that an image that is here is still what its upstream has, as
// far as it can be known. The Answer for a tag that was pushed here is zero.
func (p *Puller) current(ctx context.Context, at ecr.Repo, rule Rule, id ecr.ImageID, m registry.Manifest, read bool) (registry.Manifest, Answer) {
	a := Answer{How: Hit, Upstream: rule.Host}
	if id.Tag == "" || id.Digest != "" {
		return m, a // a digest stands for the same for ever
	}
	var (
		checked time.Time
		cached  bool
	)
	err := p.s.look(ctx, func(ctx context.Context, v *gate.View) (err error) {
		checked, cached, err = v.Retention().UpstreamChecked(ctx, m.Repository, string(id.Tag))
		return err
	})
	if err == nil && !cached {
		return m, Answer{} // pushed here: what the upstream has is something else
	}
	newer := p.s.coming(at, string(id.Tag))
	age := p.s.cfg.Now().Sub(checked)
	if err == nil && newer == nil && age >= 0 && age < fresh || p.own || !p.wouldImport(ctx, at, ecr.ImageID{Digest: m.Digest}) {
		return m, a
	}
	if newer != nil {
		p.s.begin(newer, read)
		return newer.m, Answer{How: Miss, Upstream: rule.Host}
	}
	if err == nil {
		err = p.s.rests(at.In, rule)
	}
	var now registry.Manifest
	if err == nil {
		now, err = p.compare(ctx, at, rule, id.Tag, m, read)
	}
	switch {
	case err != nil:
		a.How, a.Why = Stale, oneLine(err)
		p.s.cfg.Log.WarnContext(ctx, "serving an image that could not be compared with its upstream",
			"upstream", rule.Host, "repository", at.Name, "tag", id.Tag, "error", err)
		return m, a
	case now.Digest == m.Digest:
		a.How = Compared
		return m, a
	}
	a.How = Miss
	return now, a
}

// compare asks the upstream what a tag stands for now, and fetches that if it is not m.
func (p *Puller) compare(ctx context.Context, at ecr.Repo, rule Rule, tag ecr.Tag, m registry.Manifest, read bool) (registry.Manifest, error) {
	newer, err := p.s.once(ctx, tagKey{at: at, reference: string(tag)}, p.s.cfg.Comparing, func(ctx context.Context) (registry.Manifest, error) {
		repo, err := p.s.reach(ctx, at, rule)
		if err != nil {
			return registry.Manifest{}, err
		}
		d, err := repo.Resolve(ctx, string(tag))
		if p.s.note(at.In, rule, err); err != nil {
			return registry.Manifest{}, err
		}
		immutable := false
		if d.Digest != m.Digest {
			err = p.s.look(ctx, func(ctx context.Context, v *gate.View) error {
				row, err := v.Repository(ctx, at.In, at.Name)
				immutable = err == nil && row.Mutability.IsImmutable(tag)
				return err
			})
		}
		// ECR user guide: a tag of an immutable repository is not refreshed.
		if err != nil || d.Digest == m.Digest || immutable {
			return m, errors.Join(err, p.s.recheck(ctx, m.Repository, string(tag)))
		}
		return p.s.fetch(ctx, p.gate, at, rule, string(d.Digest), tag)
	})
	if err == nil && newer.Digest != m.Digest {
		if c := p.s.comingDigest(at, newer.Digest); c != nil {
			p.s.begin(c, read)
		}
	}
	return newer, err
}

// checked takes note that a reference was compared just now.
func (s *Service) checked(ctx context.Context, repo meta.RepositoryID, reference string) error {
	now := s.cfg.Now()
	err := s.change(ctx, func(ctx context.Context, tx *gate.Tx) error {
		return tx.Retention().PutUpstreamChecked(ctx, repo, reference, now)
	})
	if errors.Is(err, meta.ErrReferenced) {
		return nil // the repository went
	}
	return err
}

// recheck is checked for a tag, unless another one was pushed here meanwhile.
func (s *Service) recheck(ctx context.Context, repo meta.RepositoryID, tag string) error {
	now := s.cfg.Now()
	return s.change(ctx, func(ctx context.Context, tx *gate.Tx) error {
		_, cached, err := tx.Retention().UpstreamChecked(ctx, repo, tag)
		if err != nil || !cached {
			return err
		}
		return tx.Retention().PutUpstreamChecked(ctx, repo, tag, now)
	})
}

// pull fetches an image that is not here.
func (p *Puller) pull(ctx context.Context, at ecr.Repo, rule Rule, id ecr.ImageID, read bool) (registry.Manifest, error) {
	if err := p.mayImport(ctx, at); err != nil {
		return registry.Manifest{}, err
	}
	reference := string(id.Digest)
	if reference == "" {
		reference = string(id.Tag)
	}
	c := p.s.coming(at, reference)
	if c == nil {
		m, err := p.s.once(ctx, tagKey{at: at, reference: reference}, patience, func(ctx context.Context) (registry.Manifest, error) {
			// It may have come since the caller looked.
			if c := p.s.coming(at, reference); c != nil {
				return c.m, nil
			}
			if m, err := p.s.cfg.Registry.System(actor).StatManifest(ctx, at, id); err == nil {
				return m, nil
			}
			return p.s.fetch(ctx, p.gate, at, rule, reference, id.Tag)
		})
		if err != nil {
			p.failed(ctx, at, rule, id, err)
			return m, p.s.imageError(at, rule, id, err)
		}
		if c = p.s.comingDigest(at, m.Digest); c == nil {
			return m, nil
		}
	}
	p.s.begin(c, read)
	return c.m, nil
}

// failed has those told who want to know that an upstream did not have, or did not give,
// an image.
func (p *Puller) failed(ctx context.Context, at ecr.Repo, rule Rule, id ecr.ImageID, why error) {
	if !fromUpstream(why) || ctx.Err() != nil {
		return
	}
	err := p.gate.Tell(ctx, events.Event{
		Type: events.CachePulled, Registry: at.In, Repository: at.Name, Digest: id.Digest, Tag: id.Tag, Prefix: rule.Prefix, Upstream: rule.Host,
		FailureCode: string(ecr.CodeOf(why)), Failure: oneLine(why),
	})
	if err != nil {
		p.s.cfg.Log.WarnContext(ctx, "the event of a failed pull was not written", "repository", at.Name, "error", err)
	}
}

// reach is where a rule's upstream has a repository, unless the request came from
// there.
func (s *Service) reach(ctx context.Context, at ecr.Repo, rule Rule) (*remote.Repository, error) {
	if err := s.loops(ctx); err != nil {
		return nil, err
	}
	return s.repository(at, rule)
}

// fetch reads a manifest upstream. One whose blobs are all here, and an index, are
// stored at once; another one is on its way from then on, see begin.
func (s *Service) fetch(ctx context.Context, as *gate.Caller, at ecr.Repo, rule Rule, reference string, tag ecr.Tag) (registry.Manifest, error) {
	repo, err := s.reach(ctx, at, rule)
	if err != nil {
		return registry.Manifest{}, err
	}
	if err := s.rests(at.In, rule); ecr.CodeOf(err) == ecr.CodeThrottling {
		return registry.Manifest{}, err // it said how long
	}
	got, err := s.manifest(ctx, at, rule, repo, reference)
	if err != nil {
		return registry.Manifest{}, err
	}
	parsed, err := manifest.Parse(got.Body, got.MediaType)
	if err != nil {
		return registry.Manifest{}, &ecr.Error{Code: ecr.CodeUpstreamImage, Message: "The upstream " + rule.Host + " sent a manifest that this registry does not take: " + oneLine(err), Err: err}
	}
	m := registry.Manifest{Digest: got.Digest, MediaType: parsed.MediaType, Body: got.Body}
	if m.Repository, err = s.ensure(ctx, as, at); err != nil {
		return registry.Manifest{}, err
	}
	c := &pending{at: at, rule: rule, m: m, parsed: parsed}
	if tag != "" {
		c.tags = []ecr.Tag{tag}
	}
	missing, err := s.missing(ctx, m.Repository, parsed)
	if err != nil {
		return registry.Manifest{}, err
	}
	if len(missing) == 0 {
		return m, s.store(ctx, c)
	}
	return m, s.keep(c)
}

// manifest reads a manifest upstream, or takes the one that another replica has read a
// moment ago.
func (s *Service) manifest(ctx context.Context, at ecr.Repo, rule Rule, repo *remote.Repository, reference string) (remote.Manifest, error) {
	c, there := s.claim(ctx, at, reference, manifestTime)
	if there.Content != nil {
		m := remote.Manifest{MediaType: there.MediaType, Digest: ecr.DigestOf(there.Content), Body: there.Content}
		if d, err := ecr.ParseDigest(reference); err == nil && d.Verifies(m.Body) {
			m.Digest = d
		}
		return m, nil
	}
	defer c.done(ctx)
	got, err := repo.Manifest(ctx, reference)
	if s.note(at.In, rule, err); err == nil {
		c.share(ctx, got)
	}
	return got, err
}

// missing are the blobs of an image that its repository lacks.
func (s *Service) missing(ctx context.Context, repo meta.RepositoryID, m manifest.Manifest) (list []ecr.Digest, err error) {
	blobs := m.Blobs()
	if len(blobs) == 0 {
		return nil, nil
	}
	err = s.look(ctx, func(ctx context.Context, v *gate.View) error {
		list, err = v.MissingBlobs(ctx, repo, blobs)
		return err
	})
	return list, err
}

// ensure returns the repository, made if need be.
func (s *Service) ensure(ctx context.Context, as *gate.Caller, at ecr.Repo) (id meta.RepositoryID, err error) {
	find := func(ctx context.Context, v *gate.View) error {
		row, err := v.Repository(ctx, at.In, at.Name)
		id = row.ID
		return err
	}
	err = s.look(ctx, find)
	if !errors.Is(err, meta.ErrNotFound) {
		return id, err
	}
	if err := s.createForPull(ctx, as, at); err != nil {
		return 0, err
	}
	return id, s.look(ctx, find)
}

// createForPull makes the repository of a first pull, in the name of who pulls, as a
// repository creation template with PULL_THROUGH_CACHE in its appliedFor says; without
// one it has ECR's defaults.
func (s *Service) createForPull(ctx context.Context, as *gate.Caller, at ecr.Repo) error {
	err := s.cfg.Registry.CreateForPull(ctx, as, at)
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		return ecr.RepositoryNotFound(at.In, at.Name)
	}
	return err
}

// store stores an image whose blobs are all here.
func (s *Service) store(ctx context.Context, c *pending) error {
	c.mu.Lock()
	tags := c.tags
	c.mu.Unlock()
	caller := s.cfg.Registry.System(actor)
	n := registry.NewImage{Body: c.m.Body, MediaType: c.m.MediaType, Digest: c.m.Digest, Tags: tags, Sparse: true, Cached: true, Prefix: c.rule.Prefix, Upstream: c.rule.Host}
	_, err := caller.PutImage(ctx, c.at, n)
	if ecr.CodeOf(err) == ecr.CodeImageTagAlreadyExists {
		n.Tags = nil // immutable: the image comes without it, as by replication
		_, err = caller.PutImage(ctx, c.at, n)
	}
	return err
}

// call is a question to an upstream that several wait for. Requests of other caches
// wait among themselves only: two that are each other's upstream would otherwise
// wait for each other.
type call struct {
	done chan struct{}
	m    registry.Manifest // set before done is closed, as err
	err  error
}

// once lets the first of those who ask for the same at a time run fn, and gives all
// of them what it returns. A caller who goes away does not end it for the others.
func (s *Service) once(ctx context.Context, key tagKey, limit time.Duration, fn func(context.Context) (registry.Manifest, error)) (registry.Manifest, error) {
	if err := s.loops(ctx); err != nil {
		return registry.Manifest{}, err
	}
	key.via = viaOf(ctx)
	s.mu.Lock()
	c := s.calls[key]
	if c == nil {
		c = &call{done: make(chan struct{})}
		s.calls[key] = c
		inner, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, errSlow)
		stop := context.AfterFunc(s.ctx, cancel)
		s.work.Go(func() {
			defer cancel()
			defer stop()
			c.m, c.err = fn(inner)
			s.mu.Lock()
			delete(s.calls, key)
			s.mu.Unlock()
			close(c.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-c.done:
		return c.m, c.err
	case <-ctx.Done():
		return registry.Manifest{}, ctx.Err()
	}
}

// errSlow ends a call that takes too long.
var errSlow = &ecr.Error{Code: ecr.CodeUnavailable, Message: "the upstream did not answer in time"}

// imageError is what a client is told that asked for an image which could not be
// fetched. Sources: ECR user guide, "Troubleshooting pull through cache issues".
func (s *Service) imageError(at ecr.Repo, rule Rule, id ecr.ImageID, err error) error {
	switch code := ecr.CodeOf(err); {
	case !fromUpstream(err):
		return err
	case code == ecr.CodeRepositoryNotFound, code == ecr.CodeImageNotFound:
		return &ecr.Error{Code: ecr.CodeImageNotFound, Message: ecr.ImageNotFound(at.In, at.Name, id).Message, Err: err}
	}
	return s.upstreamError(ecr.CodeUpstreamImage, rule, err)
}

// fromUpstream reports whether an upstream is the cause of an error.
func fromUpstream(err error) bool {
	var e *remote.Error
	return errors.As(err, &e) || errors.Is(err, errSlow) || errors.Is(err, errRests)
}

// upstreamError puts a failure of an upstream into words for a client: busy and
// broken ones may be tried again, others refuse.
func (s *Service) upstreamError(otherwise ecr.Code, rule Rule, err error) error {
	code, what := otherwise, "refused the request"
	switch ecr.CodeOf(err) {
	case ecr.CodeThrottling:
		code, what = ecr.CodeThrottling, "wants fewer requests, and there is no cached copy"
	case ecr.CodeUnavailable:
		code, what = ecr.CodeUnavailable, "does not answer as it should, and there is no cached copy"
	case ecr.CodeImageDigestDoesNotMatch:
		what = "sent content that is not what its digest says"
	case ecr.CodeUnrecognizedClient, ecr.CodeExpiredToken:
		what = "does not accept the credential of the pull through cache rule"
		if rule.CredentialARN == "" {
			// Docker Hub answers so for repositories that do not exist.
			what = "has no such repository, or wants a login, which the pull through cache rule does not have"
		}
	}
	var e *remote.Error
	if code == otherwise && errors.As(err, &e) && e.Message != "" {
		what += ": " + e.Message
	}
	s.cfg.Log.Warn("an upstream failed", "upstream", rule.Host, "error", err)
	return &ecr.Error{Code: code, Message: fmt.Sprintf("The upstream registry %s %s", rule.Host, what), Err: err}
}
