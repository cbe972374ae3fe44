package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// admin is the admin API of the registry; nil for Amazon ECR, which has none.
// What stands in for it may have none, either.
func (s *Registry) admin() *adminclient.Client {
	t := s.Conn.Target
	if !t.Local && t.Endpoint == "" {
		return nil
	}
	return adminclient.New(adminclient.Config{
		Endpoint: t.Endpoint, Region: s.Conn.Config.Region, Credentials: s.Conn.Config.Credentials, HTTPClient: s.Conn.Config.HTTPClient, Now: s.run.cfg.Now, Patience: deploy.Silence,
	})
}

// noAdmin reports whether err says that a server has no admin API, or an older
// one.
func (s *Registry) noAdmin(err error) bool {
	return !s.Conn.Target.Local && errors.Is(err, adminclient.ErrNoKontor) || ecr.CodeOf(err) == ecr.CodeUnknownOperation
}

// indexes reads manifests from a Kontor registry without pulling them; nil for
// Amazon ECR.
func (s *Registry) indexes() deploy.IndexReader {
	c := s.admin()
	if c == nil {
		return nil
	}
	return func(ctx context.Context, name ecr.RepositoryName) (map[string][]byte, time.Time, error) {
		in := admin.ListIndexManifestsRequest{RepositoryName: string(name), MaxResults: admin.MaxPage}
		manifests, now := map[string][]byte{}, time.Time{}
		err := adminclient.Pages(ctx, c, "ListIndexManifests", &in, &in.NextToken, func(out *admin.ListIndexManifestsResponse) (string, error) {
			for _, m := range out.Manifests {
				manifests[m.ImageDigest] = []byte(m.Manifest)
			}
			now = out.Now
			return out.NextToken, nil
		})
		switch {
		case s.noAdmin(err):
			return nil, time.Time{}, deploy.ErrNoIndexes
		case ecr.CodeOf(err) == ecr.CodeAccessDenied:
			s.hear("the indexes of repository %s and the image clock of registry %s are not known (%s)", name, s.Conn.Target.Name, err)
			return nil, time.Time{}, nil
		}
		return manifests, now, err
	}
}

// mostFreed is how many images one call of EstimateFreedBytes takes.
const mostFreed = 100_000

// freed asks a Kontor registry how many bytes are free without the images that go,
// and tells l.effects. Where it cannot or may not say, the effects have the sum of
// the images' sizes only.
func (s *Registry) freed(ctx context.Context, name ecr.RepositoryName, l looked) error {
	c := s.admin()
	in := admin.EstimateFreedBytesRequest{RepositoryName: string(name)}
	n := 0
	for _, set := range l.gone {
		in.ImageSets = append(in.ImageSets, admin.ImageSet{ImageDigests: append([]string{}, set...)})
		n += len(set)
	}
	if c == nil || n == 0 || n > mostFreed {
		return nil
	}
	var out admin.EstimateFreedBytesResponse
	err := c.Call(ctx, "EstimateFreedBytes", &in, &out)
	switch code := ecr.CodeOf(err); {
	case s.noAdmin(err) || code == ecr.CodeAccessDenied || code == ecr.CodeRepositoryNotFound:
		return nil
	case err != nil:
		return fmt.Errorf("asking what would be free without images of repository %s: %w", name, err)
	case len(out.FreedBytes) != len(l.gone):
		return fmt.Errorf("asking what would be free without images of repository %s: %d answers for %d questions", name, len(out.FreedBytes), len(l.gone))
	}
	if l.effects.Deleted != nil {
		l.effects.Deleted.FreedBytes = &out.FreedBytes[0]
		return nil
	}
	for i := range l.effects.Expire {
		l.effects.Expire[i].FreedBytes = &out.FreedBytes[i]
	}
	return nil
}

// hear keeps a notice for Notices.
func (s *Registry) hear(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, fmt.Sprintf(format, args...))
}

// Notices are what the user should know of what was read of the registry since
// the last call.
func (s *Registry) Notices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.heard
	s.heard = nil
	slices.Sort(list) // what was read at a time was heard in any order
	return list
}

// Gone asks a Kontor registry for an image that is not there: what its journal
// and its recycle bin say. It is nil when they say nothing, or may not. The image
// had the tag, or a digest that begins with digest.
func (s *Registry) Gone(ctx context.Context, name ecr.RepositoryName, tag, digest string) (*report.Gone, error) {
	c := s.admin()
	if c == nil {
		return nil, nil
	}
	gone := report.Gone{Repository: string(name), Tag: tag, Digest: digest}
	in := admin.ListJournalRequest{RepositoryName: string(name), ImageTag: tag, MaxResults: admin.MaxPage}
	err := adminclient.Pages(ctx, c, "ListJournal", &in, &in.NextToken, func(out *admin.ListJournalResponse) (string, error) {
		for _, entry := range out.Entries {
			if digest == "" || strings.HasPrefix(entry.ImageDigest, digest) {
				gone.Entries = append(gone.Entries, entry)
			}
		}
		return out.NextToken, nil
	})
	switch {
	case s.noAdmin(err) || ecr.CodeOf(err) == ecr.CodeAccessDenied:
		return nil, nil
	case err != nil || len(gone.Entries) == 0:
		return nil, err
	}
	last := gone.Entries[len(gone.Entries)-1].ImageDigest
	bin := admin.ListRecycleBinRequest{RepositoryName: string(name), MaxResults: admin.MaxPage}
	err = adminclient.Pages(ctx, c, "ListRecycleBin", &bin, &bin.NextToken, func(out *admin.ListRecycleBinResponse) (string, error) {
		for _, entry := range out.Entries {
			if entry.ImageDigest == last {
				gone.Restorable = &entry
			}
		}
		return out.NextToken, nil
	})
	if ecr.CodeOf(err) == ecr.CodeAccessDenied {
		err = nil
	}
	return &gone, err
}
