package run

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/effects"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// mostPulled is how many images of a repository are looked at for what policies ask of
// images: each takes a request or two.
const mostPulled = 100

// barred says which images can no longer be pulled after c, if a policy asks for
// signatures or scans; nil if none does, or the registry is Amazon ECR, which knows no
// such conditions.
func (s *Registry) barred(ctx context.Context, p *proof.Prover, c plan.Change) *plan.Barred {
	signatures, scans := effects.AsksOfImages(c)
	if s.admin() == nil || !signatures && !scans {
		return nil
	}
	images, err := s.pulled(ctx, c.Repository, signatures, scans)
	if err != nil {
		return &plan.Barred{Unread: deploy.Explain(err, "the images of repository "+string(c.Repository)).Error()}
	}
	out, err := effects.OfPulls(p, s.Conn.Target.Registry, c, s.observed.Repositories[c.Repository].Tags, images)
	if err != nil {
		return &plan.Barred{Unread: err.Error()}
	}
	return out
}

// pulled are the newest images of a repository that have a tag, with what is known of
// them.
func (s *Registry) pulled(ctx context.Context, name ecr.RepositoryName, signatures, scans bool) ([]effects.Image, error) {
	snapshot, err := s.Conn.ImagesUnder(ctx, name, "", scans, s.run.cfg.Now())
	if err != nil {
		return nil, err
	}
	all, _ := snapshot.Images()
	children := map[string][]string{}
	for _, i := range all {
		children[i.Digest] = i.Children
	}
	all = slices.DeleteFunc(all, func(i lifecycle.Image) bool {
		// tags such as sha256-...sig are of signatures
		return len(i.Tags) == 0 || strings.HasPrefix(slices.Min(i.Tags), "sha256-") || i.Subject != "" || i.Status == lifecycle.StatusArchived
	})
	slices.SortFunc(all, func(a, b lifecycle.Image) int {
		return cmp.Or(b.PushedAt.Compare(a.PushedAt), cmp.Compare(slices.Min(b.Tags), slices.Min(a.Tags)))
	})
	all = all[:min(len(all), mostPulled)]
	out := make([]effects.Image, len(all))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(s.run.cfg.Parallel))
	for i, image := range all {
		g.Go(func() (err error) {
			out[i] = effects.Image{Name: slices.Min(image.Tags), SignedBy: []string{}}
			if signatures {
				out[i].SignedBy, err = s.signersOf(gctx, name, ecr.Digest(image.Digest))
			}
			if scans && err == nil {
				out[i].Severity, err = s.severityOf(gctx, name, image.Digest, children)
			}
			return err
		})
	}
	return out, g.Wait()
}

// signersOf are those whose signature of an image the registry has verified.
func (s *Registry) signersOf(ctx context.Context, name ecr.RepositoryName, d ecr.Digest) ([]string, error) {
	list, err := s.Conn.Signed(ctx, name, d)
	out := []string{}
	for _, x := range list {
		if x.Verified {
			out = append(out, x.By)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), err
}

// severityOf is what kontor:MaxSeverity is of an image: of an index, the worst of its
// platforms.
func (s *Registry) severityOf(ctx context.Context, name ecr.RepositoryName, digest string, children map[string][]string) (ecr.Severity, error) {
	scan, err := s.Conn.Scan(ctx, name, ecr.Digest(digest))
	switch {
	case err != nil:
		return "", err
	case scan.Complete:
		return scan.Worst, nil
	case scan.Status == string(ecr.ScanUnsupported):
		return ecr.Unscannable, nil
	case len(children[digest]) == 0:
		return ecr.Unscanned, nil
	}
	worst := ecr.Unscannable
	for _, child := range children[digest] {
		one := ecr.Unscanned
		if _, here := children[child]; here {
			if one, err = s.severityOf(ctx, name, child, nil); err != nil {
				return "", err
			}
		}
		if one.Compare(worst) < 0 {
			worst = one
		}
	}
	return worst, nil
}
