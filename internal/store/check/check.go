// Package check reads everything that a registry keeps and says what of it is
// damaged: each blob against its digest and size, each manifest against its
// digest, each reference of an image and of a tag.
//
// It guarantees that it changes nothing, that it can run while a server runs, and
// that every object that it reports was damaged at a moment when it should have
// existed: an object deleted meanwhile is not reported as missing. Its memory is
// bounded by the number of damaged blobs and one repository's page.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config says what to check.
type Config struct {
	Meta  meta.Store // required
	Blobs blob.Store // required; it is only read
	// Readers is how many blobs are read at once. Default 2.
	Readers int
}

// Report is what was read and what is damaged.
type Report struct {
	Blobs        int64 `json:"blobs"`
	BlobBytes    int64 `json:"blobBytes"`
	Repositories int64 `json:"repositories"`
	Images       int64 `json:"images"`
	Tags         int64 `json:"tags"`
	// Damaged blobs come first, in order of their keys, then images and tags
	// in order of their repositories. Never nil.
	Damaged []Damage `json:"damaged"`
}

// Kind is what is damaged.
type Kind string

// What can be damaged.
const (
	KindBlob  Kind = "blob"
	KindImage Kind = "image"
	KindTag   Kind = "tag"
)

// Damage is one damaged object.
type Damage struct {
	Kind   Kind       `json:"kind"`
	Digest ecr.Digest `json:"digest"`
	// Key is the name of a blob's file, or says that the database has its content.
	Key blob.Key `json:"key,omitzero"`
	// Registry and Repository are those of an image or tag.
	Registry   string             `json:"registry,omitzero"` // "111111111111/us-east-1"
	Repository ecr.RepositoryName `json:"repository,omitzero"`
	Tags       []ecr.Tag          `json:"tags,omitzero"`
	// Problem says what is wrong, for example "has 3 bytes, not 5".
	Problem string `json:"problem"`
}

// pages of rows.
const (
	blobPage  = 500
	imagePage = 100
)

// Run checks everything. Its error says why it could not, not what is damaged.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.Readers <= 0 {
		cfg.Readers = 2
	}
	c := &checker{cfg: cfg, report: Report{Damaged: []Damage{}}, damaged: map[ecr.Digest]bool{}}
	if err := c.blobs(ctx); err != nil {
		return c.report, fmt.Errorf("checking blobs: %w", err)
	}
	if err := c.repositories(ctx); err != nil {
		return c.report, fmt.Errorf("checking images: %w", err)
	}
	return c.report, nil
}

type checker struct {
	cfg     Config
	report  Report
	damaged map[ecr.Digest]bool // blobs
}

func (c *checker) blobs(ctx context.Context) error {
	for after := blob.Key(""); ; {
		var page []meta.Blob
		err := c.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			page, err = r.ListBlobs(ctx, after, blobPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Key
		if err := c.readBlobs(ctx, page); err != nil {
			return err
		}
	}
}

func (c *checker) readBlobs(ctx context.Context, page []meta.Blob) error {
	var (
		mu       sync.Mutex
		problems = make([]string, len(page))
		read     int64 // guarded by mu
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.cfg.Readers)
	for i, b := range page {
		g.Go(func() error {
			n, problem, err := c.readBlob(ctx, b)
			mu.Lock()
			defer mu.Unlock()
			read += n
			problems[i] = problem
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.report.Blobs += int64(len(page))
	c.report.BlobBytes += read
	for i, b := range page {
		if problems[i] != "" {
			c.damaged[b.Digest] = true
			c.report.Damaged = append(c.report.Damaged, Damage{Kind: KindBlob, Digest: b.Digest, Key: b.Key, Problem: problems[i]})
		}
	}
	return nil
}

// readBlob returns how many bytes it read and what is wrong with them, "" for
// nothing.
func (c *checker) readBlob(ctx context.Context, b meta.Blob) (n int64, problem string, err error) {
	f, err := c.cfg.Blobs.Open(ctx, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		there, err := c.still(ctx, b)
		switch {
		case there && b.Key.InDatabase():
			problem = "its content is missing in the database"
		case there:
			problem = "its file is missing"
		}
		return 0, problem, err
	}
	if err != nil {
		return 0, "its file cannot be opened: " + err.Error(), ctx.Err()
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := b.Digest.Hash()
	n, err = io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{&untilDone{ctx, f}}, make([]byte, 256<<10))
	switch got := ecr.Digest(fmt.Sprintf("%s:%x", b.Digest.Algorithm(), h.Sum(nil))); {
	case ctx.Err() != nil:
		return n, "", ctx.Err()
	case err != nil:
		return n, "its file cannot be read: " + err.Error(), nil
	case n != b.SizeBytes:
		return n, fmt.Sprintf("has %d bytes, not %d", n, b.SizeBytes), nil
	case got != b.Digest:
		return n, "its content is " + string(got), nil
	}
	return n, "", nil
}

// untilDone reads until ctx is done.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// still reports whether b's row is still there: without it the file may go.
func (c *checker) still(ctx context.Context, b meta.Blob) (there bool, err error) {
	err = c.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		now, err := r.BlobsByKey(ctx, []blob.Key{b.Key})
		there = len(now) > 0
		return err
	})
	return there, err
}

func (c *checker) repositories(ctx context.Context) error {
	all := meta.Pages(0, blobPage, func(after meta.RepositoryID, limit int) (page []meta.Repository, err error) {
		err = c.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			page, err = r.AllRepositories(ctx, after, limit)
			return err
		})
		return page, err
	}, func(r meta.Repository) meta.RepositoryID { return r.ID })
	for repo, err := range all {
		if err != nil {
			return err
		}
		if err := errors.Join(c.images(ctx, repo), c.tags(ctx, repo)); err != nil {
			return fmt.Errorf("%s of %s: %w", repo.Name, repo.Registry, err)
		}
		c.report.Repositories++
	}
	return nil
}

// images checks the images of a repository, each page in one snapshot.
func (c *checker) images(ctx context.Context, repo meta.Repository) error {
	for after := ecr.Digest(""); ; {
		var (
			page []meta.Manifest
			bad  []Damage
		)
		err := c.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			bad = nil
			if page, err = r.ListManifests(ctx, repo.ID, after, imagePage); err != nil {
				return err
			}
			for _, m := range page {
				problem, err := c.image(ctx, r, repo, m.Image.Digest)
				if err != nil {
					return fmt.Errorf("image %s: %w", m.Image.Digest, err)
				}
				if problem != "" {
					bad = append(bad, Damage{Kind: KindImage, Digest: m.Image.Digest, Registry: repo.Registry.String(),
						Repository: repo.Name, Tags: m.Image.Tags, Problem: problem})
				}
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Image.Digest
		c.report.Images += int64(len(page))
		c.report.Damaged = append(c.report.Damaged, bad...)
	}
}

// image returns what is wrong with an image, "" for nothing. Entries of an
// index and foreign layers may be missing; those that the repository was given
// must be whole.
func (c *checker) image(ctx context.Context, r meta.Reader, repo meta.Repository, d ecr.Digest) (string, error) {
	row, err := r.Manifest(ctx, repo.ID, d)
	if err != nil {
		return "", err
	}
	h := d.Hash()
	h.Write(row.Body)
	if got := ecr.Digest(fmt.Sprintf("%s:%x", d.Algorithm(), h.Sum(nil))); got != d {
		return "its manifest's content is " + string(got), nil
	}
	m, err := manifest.Parse(row.Body, row.Image.MediaType)
	if err != nil {
		return "its manifest cannot be read: " + err.Error(), nil
	}
	held, err := r.ImageBlobs(ctx, repo.ID, d)
	if err != nil {
		return "", err
	}
	want := slices.Concat(m.Blobs(), held)
	linked, err := r.Blobs(ctx, repo.ID, want)
	if err != nil {
		return "", err
	}
	have := make(map[ecr.Digest]bool, len(linked))
	for _, b := range linked {
		have[b.Digest] = true
	}
	for _, b := range want {
		switch {
		case !have[b]:
			return fmt.Sprintf("its blob %s is not in the repository", b), nil
		case c.damaged[b]:
			return fmt.Sprintf("its blob %s is damaged", b), nil
		}
	}
	return "", nil
}

// tags checks that each tag points to an image.
func (c *checker) tags(ctx context.Context, repo meta.Repository) error {
	for after := ecr.Tag(""); ; {
		var (
			page    []meta.TagRow
			missing []ecr.Digest
		)
		err := c.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			if page, err = r.ListTags(ctx, repo.ID, after, imagePage); err != nil {
				return err
			}
			to := make([]ecr.Digest, len(page))
			for i, t := range page {
				to[i] = t.Digest
			}
			missing, err = r.MissingManifests(ctx, repo.ID, to)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Tag
		c.report.Tags += int64(len(page))
		for _, d := range missing {
			for _, t := range page {
				if t.Digest == d {
					c.report.Damaged = append(c.report.Damaged, Damage{Kind: KindTag, Digest: d, Registry: repo.Registry.String(),
						Repository: repo.Name, Tags: []ecr.Tag{t.Tag}, Problem: "the image it points to is missing"})
				}
			}
		}
	}
}
