package promote

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// imageName is how an image is called outside of a file.
func (r *repository) imageName(x Ref) string {
	s := r.registry.Remote.Host() + "/" + string(r.name)
	if x.Digest != "" {
		return s + "@" + string(x.Digest)
	}
	return s + ":" + string(x.Tag)
}

// writeRecord writes the record, unless a run that was interrupted has.
func (x *transfer) writeRecord(ctx context.Context) error {
	if !x.image.Record {
		return nil
	}
	r := history.Record{
		From: x.from.imageName(x.image.From), To: x.to.imageName(x.image.To), Digest: x.image.Digest, Replaces: x.image.ToDigest, Tag: x.image.To.Tag,
		Principal: cmp.Or(x.to.registry.Principal, x.cfg.Principal), Time: x.cfg.Now().UTC().Truncate(time.Millisecond), Route: x.image.Route, Plan: x.image.intent(), Gates: x.image.Gates,
	}
	// Where the tag was on another image, the same may have been done before, and
	// undone.
	if x.image.ToDigest == "" {
		old, err := records(ctx, x.to, x.image.Digest)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(old, func(o stored) bool { return o.Plan == r.Plan && o.To == r.To }); i >= 0 {
			x.result.Record = old[i].digest
			return nil
		}
	}
	root, err := x.source(ctx, x.image.Digest)
	if err != nil {
		return err
	}
	m, blobs, err := r.Artifact(remote.Descriptor{MediaType: root.MediaType, Digest: root.Digest, Size: int64(len(root.Body))})
	if err != nil {
		return err
	}
	for d, b := range blobs {
		if err := x.to.putSmall(ctx, d, b); err != nil {
			return err
		}
	}
	if err := x.put(ctx, m, string(m.Digest)); err != nil {
		return err
	}
	x.result.Record = m.Digest
	return nil
}

// stored is a record as it was found.
type stored struct {
	history.Record
	digest ecr.Digest
}

// maxRecord bounds a record's text.
const maxRecord = 1 << 20

// records reads the records of an image.
func records(ctx context.Context, r *repository, d ecr.Digest) ([]stored, error) {
	list, _, _, err := r.referrers(ctx, d)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(d remote.Descriptor) bool { return d.ArtifactType != history.RecordType })
	out := make([]stored, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for i, l := range list {
		g.Go(func() (err error) {
			out[i], err = readRecord(ctx, r, l.Digest)
			return err
		})
	}
	err = g.Wait()
	return slices.DeleteFunc(out, func(s stored) bool { return s.To == "" }), err
}

// readRecord reads a record. One that is not of this form is left empty: anybody
// who may push can write what he likes under its type.
func readRecord(ctx context.Context, r *repository, d ecr.Digest) (stored, error) {
	m, err := r.manifest(ctx, string(d))
	if err != nil {
		return stored{}, err
	}
	parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	if err != nil || len(parsed.Layers) != 1 || parsed.Layers[0].Size > maxRecord {
		return stored{}, nil
	}
	text, err := r.blob(ctx, Blob{Digest: parsed.Layers[0].Digest, Size: parsed.Layers[0].Size})
	if err != nil {
		return stored{}, err
	}
	s := stored{digest: d}
	if json.Unmarshal(text, &s.Record) != nil {
		return stored{}, nil
	}
	return s, nil
}

// History returns the records of an image, the oldest first: its way here, with
// those promotions that brought it to where it came from.
func (p *Promoter) History(ctx context.Context, image Ref) ([]history.Record, error) {
	if err := image.check(); err != nil {
		return nil, err
	}
	r, err := p.repository(ctx, image.Registry, image.Repository)
	if err != nil {
		return nil, err
	}
	d, err := r.remote.Resolve(ctx, image.reference())
	if err != nil {
		return nil, err
	}
	found, err := records(ctx, r, d.Digest)
	if err != nil {
		return nil, err
	}
	out := make([]history.Record, len(found))
	for i, f := range found {
		out[i] = f.Record
	}
	slices.SortStableFunc(out, func(a, b history.Record) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.To, b.To)
	})
	return out, nil
}
