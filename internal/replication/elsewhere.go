package replication

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Elsewhere is a registry that is not on this server, such as one of Amazon ECR, of
// another Kontor, or any other that speaks the OCI distribution API. Rules name it by an
// account and a region, which its operator gives it.
type Elsewhere struct {
	Host      string // with its port, such as "registry.example.com:5000"
	PlainHTTP bool   // HTTP without TLS
	// Prefix stands before the names of repositories there, such as "mirror/"; "" for
	// none.
	Prefix string
	// Trust are certificate authorities to trust besides the system's; nil for none.
	Trust *x509.CertPool
	// Login logs in; nil for requests without a login.
	Login remote.Source
	// Registry is the account and region of a registry with the ECR API, so that errors name
	// the permissions that lack; zero for others.
	Registry ecr.RegistryID
	// Rate limits what is sent there.
	Rate Rate
	// Create creates a repository there. Without it, a repository that does not exist is a
	// failure, unless the registry creates repositories when they are pushed to.
	Create func(ctx context.Context, name ecr.RepositoryName) error
}

const (
	// silent is how long a destination may say nothing, patience the longest pause before a
	// request is sent again within one try.
	silent   = 30 * time.Second
	patience = 2 * time.Second
)

// client is the client of a destination elsewhere.
func (s *Service) client(to ecr.RegistryID, e Elsewhere) (*remote.Registry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[to]; c != nil {
		return c, nil
	}
	transport := remote.NewTransport()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.Trust}
	c, err := remote.New(remote.Config{
		Host: e.Host, Name: e.Host, PlainHTTP: e.PlainHTTP, Registry: e.Registry, Credentials: e.Login, Transport: transport, Silence: silent, Patience: patience,
		UserAgent: "kontor", Now: s.cfg.Now,
	})
	if err == nil {
		s.clients[to] = c
	}
	return c, err
}

// there is the repository of a task elsewhere.
func (s *Service) there(task meta.Replication, e Elsewhere) (*remote.Repository, error) {
	c, err := s.client(task.To, e)
	if err != nil {
		return nil, err
	}
	repo, err := c.Repository(ecr.RepositoryName(e.Prefix) + task.Name)
	if err != nil {
		return nil, ecr.Errorf(ecr.CodeInvalidParameter, "%v", err)
	}
	return repo, nil
}

// copyElsewhere copies an image, with all that belongs to it, to a registry that is not
// on this server, and returns how many bytes of blobs it sent.
func (s *Service) copyElsewhere(ctx context.Context, task meta.Replication, c stored, e Elsewhere) (done, error) {
	all, m, err := s.collect(ctx, task)
	if err != nil {
		return done{}, err
	}
	if waits, err := s.waitsFor(ctx, task, m.Image.Subject); err != nil || waits {
		return done{}, errors.Join(err, errSubjectFirst)
	}
	to, err := s.there(task, e)
	if err != nil {
		return done{}, err
	}
	x := &sending{s: s, task: task, to: to, create: e.Create}
	if subject := cmp.Or(m.Image.Subject, subjectOf(task.Image.Tag)); !c.wants(task.To, task.Image.Tag) {
		// It comes only because of what it refers to.
		if _, err := to.Resolve(ctx, string(subject)); missing(err) {
			return done{}, errGone
		} else if err != nil {
			return done{}, err
		}
	}
	d, err := copyParts(task, all, func(p part) error { return x.image(ctx, p) })
	d.sent = x.sent.Load()
	return d, err
}

// missing reports whether a registry said that it does not have something.
func missing(err error) bool {
	return slices.Contains([]ecr.Code{ecr.CodeImageNotFound, ecr.CodeRepositoryNotFound}, ecr.CodeOf(err))
}

// sending is copyElsewhere of one task.
type sending struct {
	s      *Service
	task   meta.Replication
	to     *remote.Repository
	create func(ctx context.Context, name ecr.RepositoryName) error
	sent   atomic.Int64
}

// image sends one image, and then sets its tag, if the source has it still.
func (x *sending) image(ctx context.Context, p part) error {
	if p.tag != "" {
		has, err := x.tagged(ctx, p)
		if err != nil {
			return err
		}
		if !has {
			if x.task.Attempts > 1 {
				// An earlier try may have set the tag, and then not have come to confirm.
				if err := x.confirm(ctx, p); err != nil {
					return err
				}
			}
			p.tag = ""
		}
	}
	reference := string(p.digest)
	if p.tag != "" {
		reference = string(p.tag)
	}
	d, err := x.to.Resolve(ctx, reference)
	switch {
	case err == nil && d.Digest == p.digest:
		return nil
	case err != nil && !missing(err):
		return err
	}
	body, parsed, err := x.manifest(ctx, p.digest)
	if err != nil {
		return err
	}
	err = x.blobs(ctx, parsed)
	if err == nil {
		err = x.to.PutManifest(ctx, remote.Manifest{
			MediaType: parsed.MediaType, Digest: p.digest, Body: body, Header: map[string]string{ecr.ReplicatedFromHeader: x.through()},
		}, reference)
	}
	if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound && x.create != nil {
		create := x.create
		x.create = nil
		if err := create(ctx, x.to.Name()); err != nil && ecr.CodeOf(err) != ecr.CodeRepositoryAlreadyExists {
			return err
		}
		return x.image(ctx, p)
	}
	if err != nil || p.tag == "" {
		return err
	}
	return x.confirm(ctx, p)
}

// through are the registries that the image came through, this one included.
func (x *sending) through() string {
	var names []string
	for _, in := range append(slices.Clone(x.task.Via), x.task.Source) {
		names = append(names, in.String())
	}
	return strings.Join(names, ",")
}

// manifest reads an image of the source.
func (x *sending) manifest(ctx context.Context, d ecr.Digest) (body []byte, parsed manifest.Manifest, err error) {
	err = x.s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) error {
		m, err := v.Manifest(ctx, x.task.Repository, d)
		if errors.Is(err, meta.ErrNotFound) {
			return errGone
		}
		if err != nil {
			return err
		}
		body = m.Body
		parsed, err = manifest.Parse(m.Body, m.Image.MediaType)
		return err
	})
	return body, parsed, err
}

// tagged reports whether the source has the tag for the image.
func (x *sending) tagged(ctx context.Context, p part) (has bool, err error) {
	err = x.s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) error {
		t, err := v.Tag(ctx, x.task.Repository, p.tag)
		has = err == nil && t.Digest == p.digest
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		return err
	})
	return has, err
}

// confirm looks again after a tag was set. Where the source moved it meanwhile, what it
// stands for now may have arrived first: it is sent once more. What the source itself has
// from the destination was never queued, and is not sent back.
func (x *sending) confirm(ctx context.Context, p part) error {
	return x.s.system().Change(ctx, opWork, func(ctx context.Context, tx *gate.Tx) error {
		t, err := tx.Tag(ctx, x.task.Repository, p.tag)
		if errors.Is(err, meta.ErrNotFound) || err == nil && t.Digest == p.digest {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := tx.Registries().ImageReplications(ctx, x.task.Repository, t.Digest)
		if err != nil {
			return err
		}
		for _, again := range rows {
			if again.To == x.task.To && again.Image.Tag == p.tag {
				again.Backfill = ""
				return tx.Registries().QueueReplication(ctx, again, 0, true)
			}
		}
		return nil
	})
}

// blobs sends what the destination lacks of an image.
func (x *sending) blobs(ctx context.Context, m manifest.Manifest) error {
	all := slices.Clone(m.Layers)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	at := x.task.Source.Repo(x.task.Name)
	for _, d := range all {
		there, err := x.to.Exists(ctx, d.Digest)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		if d.Foreign {
			if _, err := x.s.cfg.Registry.System(actor).StatBlob(ctx, at, d.Digest); ecr.CodeOf(err) == ecr.CodeLayersNotFound {
				continue // it is where its URLs say
			}
		}
		last := int64(0)
		err = x.to.PutBlob(ctx, remote.Blob{Digest: d.Digest, Size: d.Size}, nil, func(ctx context.Context) (io.ReadCloser, error) {
			content, err := registry.ReadBlob(ctx, x.s.cfg.Registry.System(actor), at, d.Digest)
			if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
				return nil, errGone // that of the source
			}
			if err != nil {
				return nil, err
			}
			return x.s.limited(ctx, x.task.To, content), nil
		}, func(n int64) { last += n })
		if err != nil {
			return err
		}
		x.sent.Add(last)
	}
	return nil
}
