// Package inspect holds the operations with which people look at what is there:
// repositories at a glance, images with what lifecycle rules, indexes and leases have
// to do with them, tags in the order of time, who else has a layer, and the audit log.
//
// It guarantees that nothing is told that the caller could not ask the APIs for: what
// an operation tells besides is left out, and said to be, for those who lack the
// permission of the API operation that has it. It reads a bounded number of rows,
// which the caller chooses, and changes nothing, not even the time of a pull.
package inspect

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Config is what a Service is made of. All fields but Audit are required.
type Config struct {
	Gate *gate.Gate
	// Retention knows pulls that are not stored yet.
	Retention *retention.Service
	// Now is the image clock.
	Now func() time.Time
	// Audit is the log of this process; nil for none.
	Audit *audit.Log
}

// Service looks at registries. It is safe for concurrent use.
type Service struct{ cfg Config }

// New returns a Service.
func New(cfg Config) *Service { return &Service{cfg} }

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// Caller is the operations in the name of one principal. It is safe for concurrent
// use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// Operations lists every operation.
func Operations() []gate.Operation {
	return []gate.Operation{opInspectRepositories, opInspectOrder, opInspectPlatforms, opInspectImages, opInspectTags, opInspectSharing, opAuditRecords}
}

// Actions that operations ask for, some for what they tell besides.
const (
	describeImages access.Action = "ecr:DescribeImages"
	getLifecycle   access.Action = "ecr:GetLifecyclePolicy"
	batchGetImage  access.Action = "ecr:BatchGetImage"
	listLeases     access.Action = "kontor:ListLeases"
	describeRepo   access.Action = "ecr:DescribeRepositories"
	checkLayer     access.Action = "ecr:BatchCheckLayerAvailability"
	describeUsage  access.Action = "kontor:DescribeUsage"
)

// linkedMost is how many layers of a repository are added up.
const linkedMost = 2000

// MostSharing is how many other repositories Sharing names of a blob.
const MostSharing = 5

// Images are the images of a repository, and what is known of their fates.
type Images struct {
	Images []ecr.Image // in byte order of digests
	// Complete: these are all. Otherwise there are more than were asked for, and none is
	// here: what becomes of one hangs on all of them.
	Complete bool
	// Policy is the text of the lifecycle policy, "" for none; PolicySeen is false
	// where the caller may not read it.
	Policy     string
	PolicySeen bool
	// Children are the entries of indexes; ChildrenSeen is false where the caller may
	// not read manifests.
	Children     map[ecr.Digest][]ecr.Digest
	ChildrenSeen bool
	// Held are leased images with who uses them; LeasesSeen is false where the caller
	// may not list leases: then some may be kept that are said to go.
	Held       lifecycle.Held
	LeasesSeen bool
	Now        time.Time // image time
}

// Lifecycle are the images as rules see them.
func (i *Images) Lifecycle() []lifecycle.Image {
	out := make([]lifecycle.Image, len(i.Images))
	for k, m := range i.Images {
		out[k] = lifecycle.Image{
			Digest: string(m.Digest), PushedAt: m.PushedAt, LastPulledAt: m.LastPulledAt, LastActivatedAt: m.ActivatedAt,
			LastArchivedAt: m.ArchivedAt, Status: lifecycle.Status(m.Status), MediaType: m.MediaType, ArtifactType: m.ArtifactMediaType,
			SizeBytes: m.SizeBytes, Subject: string(m.Subject),
		}
		for _, tag := range m.Tags {
			out[k].Tags = append(out[k].Tags, string(tag))
		}
		for _, d := range i.Children[m.Digest] {
			out[k].Children = append(out[k].Children, string(d))
		}
	}
	return out
}

var opInspectImages = gate.Op("Images", describeImages)

// Images returns the images of a repository with what is known of their fates; where
// there are more than most, none. Errors: RepositoryNotFound.
func (c *Caller) Images(ctx context.Context, at ecr.Repo, most int) (Images, error) {
	var out Images
	err := c.gate.Read(ctx, opInspectImages, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		out, err = c.images(ctx, v, s, most)
		return err
	})
	return out, err
}

// images reads the images of s, which the caller may see.
func (c *Caller) images(ctx context.Context, v *gate.View, s gate.Scene, most int) (Images, error) {
	out := Images{Now: c.s.cfg.Now(), Held: lifecycle.Held{}}
	more, err := v.Retention().MoreImages(ctx, s.Row.ID, most)
	if err != nil {
		return out, err
	}
	out.Complete = !more
	var rows []meta.Manifest
	if out.Complete { // nothing can be said of some
		if rows, err = v.ListManifests(ctx, s.Row.ID, "", most); err != nil {
			return out, err
		}
	}
	byTag := map[ecr.Tag]ecr.Digest{}
	for _, m := range rows {
		retention.Settle(&m.Image, out.Now)
		c.s.cfg.Retention.CountPulls(s.Row.ID, &m.Image)
		out.Images = append(out.Images, m.Image)
		for _, tag := range m.Image.Tags {
			byTag[tag] = m.Image.Digest
		}
	}
	if out.PolicySeen, err = may(v, s, getLifecycle); err != nil {
		return out, err
	} else if out.PolicySeen {
		out.Policy = s.Row.LifecycleText
	}
	if out.ChildrenSeen, err = may(v, s, batchGetImage); err != nil {
		return out, err
	} else if out.ChildrenSeen && out.Complete {
		if out.Children, err = meta.Children(ctx, v, s.Row.ID, 1000); err != nil {
			return out, err
		}
	}
	if out.LeasesSeen, err = may(v, s, listLeases); err != nil || !out.LeasesSeen || !out.Complete {
		return out, err
	}
	leases, err := v.Retention().ListLeases(ctx, s.At.In, s.At.Name)
	if err != nil {
		return out, err
	}
	for _, l := range leases {
		for _, d := range []ecr.Digest{l.Image.Digest, byTag[l.Image.Tag]} {
			if d != "" {
				out.Held[string(d)] = l.Collector + ": " + l.User
			}
		}
	}
	return out, nil
}

// may reports whether the caller has the permission, and uses it: it is on record as
// asked for when there is one, and nothing is when there is none.
func may(v *gate.View, s gate.Scene, a access.Action) (bool, error) {
	if v.Would(s, a) != nil {
		return false, nil
	}
	return true, v.May(s, a)
}

// Repository is a repository at a glance.
type Repository struct {
	ecr.Repo
	CreatedAt  time.Time
	Mutability ecr.Mutability
	// Images are there where Seen.
	Images Images
	Seen   bool
	// Takes is what its layers take, where the caller may ask for usage
	// (TakesSeen).
	Takes     meta.Linked
	TakesSeen bool
}

var opInspectRepositories = gate.Op("Repositories", describeRepo)

// scanPage is how many names one statement reads, and scanMost how many one page of a
// list looks at for those that it wants.
const (
	scanPage = 500
	scanMost = 5000
)

// Listing is what Repositories lists.
type Listing struct {
	Want  func(ecr.RepositoryName) bool // nil for all
	After ecr.RepositoryName            // "" for from the beginning
	Limit int
	// Images is how many images are read of each, at most; 0 for none. Governed: only of
	// those with a lifecycle policy that the caller may read. Usage: what the layers
	// take is read, too.
	Images          int
	Governed, Usage bool
}

// Repositories returns at most Limit repositories that the caller may see and whose
// names are wanted, in byte order. next is the name to go
// on after, "" at the end: the search for names that are wanted ends after some
// thousands, so that a page can have fewer than Limit and a next one.
func (c *Caller) Repositories(ctx context.Context, in ecr.RegistryID, l Listing) (list []Repository, next ecr.RepositoryName, err error) {
	err = c.gate.Read(ctx, opInspectRepositories, func(ctx context.Context, v *gate.View) error {
		list, next = nil, ""
		scene, err := v.EnterNew(ctx, in.Repo("*"))
		if err != nil {
			return err
		}
		at, looked := l.After, 0
		for {
			rows, err := v.ListRepositories(ctx, in, at, scanPage)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if len(list) == l.Limit || looked == scanMost {
					next = at
					return nil
				}
				at = row.Name
				looked++
				r := Repository{Repo: in.Repo(row.Name), CreatedAt: row.CreatedAt, Mutability: row.Mutability}
				s := gate.Scene{At: r.Repo, Row: row, Settings: scene.Settings}
				if l.Want != nil && !l.Want(row.Name) || v.Would(s, describeRepo) != nil {
					continue
				}
				if err := c.look(ctx, v, s, l, &r); err != nil {
					return err
				}
				list = append(list, r)
			}
			if len(rows) < scanPage {
				return nil
			}
		}
	})
	return list, next, err
}

var opInspectOrder = gate.Op("RepositoriesBy", describeRepo)

// RepositoriesBy is Repositories in the order of a figure that repositories had when they
// were counted, not long ago; l.After is ignored. The order tells what it is by, so it
// leaves out the repositories of which the caller may not ask for that: of figures the
// images, and of sizes the usage. next is zero at the end.
func (c *Caller) RepositoriesBy(ctx context.Context, in ecr.RegistryID, l Listing, by meta.FigureQuery) (list []Repository, next meta.FigureKey, err error) {
	by.Registry = in
	err = c.gate.Read(ctx, opInspectOrder, func(ctx context.Context, v *gate.View) error {
		list, next = nil, meta.FigureKey{}
		scene, err := v.EnterNew(ctx, in.Repo("*"))
		if err != nil {
			return err
		}
		q, looked := by, 0
		for {
			size := scanPage
			if l.Want == nil { // most of them are shown
				size = l.Limit + 1
			}
			rows, err := v.Retention().Figures().ByFigure(ctx, q, size)
			if err != nil {
				return err
			}
			for _, row := range rows {
				if len(list) == l.Limit || looked == scanMost {
					next = q.After
					return nil
				}
				q.After = row.Key
				looked++
				r := Repository{Repo: in.Repo(row.Name), CreatedAt: row.CreatedAt, Mutability: row.Mutability}
				s := gate.Scene{At: r.Repo, Row: row.Repository, Settings: scene.Settings}
				if l.Want != nil && !l.Want(row.Name) || v.Would(s, describeRepo) != nil ||
					by.By != meta.FigureName && v.Would(s, describeImages) != nil || by.By == meta.FigureSize && v.Would(s, describeUsage) != nil {
					continue
				}
				if err := c.look(ctx, v, s, l, &r); err != nil {
					return err
				}
				list = append(list, r)
			}
			if len(rows) < size {
				return nil
			}
		}
	})
	return list, next, err
}

// look reads of a repository what l asks for.
func (c *Caller) look(ctx context.Context, v *gate.View, s gate.Scene, l Listing, r *Repository) (err error) {
	read := l.Images > 0
	if read && l.Governed {
		read = s.Row.LifecycleText != "" && v.Would(s, getLifecycle) == nil
	}
	if read {
		if r.Seen, err = may(v, s, describeImages); err == nil && r.Seen {
			r.Images, err = c.images(ctx, v, s, l.Images)
		}
	}
	if err == nil && l.Usage {
		if r.TakesSeen, err = may(v, s, describeUsage); err == nil && r.TakesSeen {
			r.Takes, err = v.Retention().LinkedBytes(ctx, s.Row.ID, linkedMost)
		}
	}
	return err
}

var opInspectTags = gate.Op("Tags", describeImages)

// Tags returns at most limit tags with their images, in the order of q, and whether
// there are more. Errors: RepositoryNotFound.
func (c *Caller) Tags(ctx context.Context, at ecr.Repo, q meta.TagQuery, limit int) (list []meta.TagImage, more bool, err error) {
	err = c.gate.ReadRepository(ctx, opInspectTags, at, func(ctx context.Context, v *gate.View, repo meta.Repository) error {
		if list, err = v.Retention().ListTagImages(ctx, repo.ID, q, limit+1); err != nil {
			return err
		}
		if more = len(list) > limit; more {
			list = list[:limit]
		}
		now := c.s.cfg.Now()
		for i := range list {
			retention.Settle(&list[i].Image, now)
			c.s.cfg.Retention.CountPulls(repo.ID, &list[i].Image)
		}
		return nil
	})
	return list, more, err
}

var opInspectSharing = gate.Op("Sharing", batchGetImage)

// Sharing returns, of each of the blobs, some of the other repositories of the
// registry that have it and that the caller may ask about, in byte order of their
// names, and whether there are more. Errors: RepositoryNotFound.
func (c *Caller) Sharing(ctx context.Context, at ecr.Repo, blobs []ecr.Digest) (map[ecr.Digest][]ecr.RepositoryName, error) {
	out := map[ecr.Digest][]ecr.RepositoryName{}
	err := c.gate.Read(ctx, opInspectSharing, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		clear(out)
		for _, d := range blobs {
			rows, err := v.ListBlobRepositories(ctx, at.In, d, "", 4*MostSharing)
			if err != nil {
				return err
			}
			for _, row := range rows {
				other := gate.Scene{At: at.In.Repo(row.Name), Row: row, Settings: s.Settings}
				if row.Name == at.Name || len(out[d]) == MostSharing {
					continue
				}
				if yes, err := may(v, other, checkLayer); err != nil {
					return err
				} else if yes {
					out[d] = append(out[d], row.Name)
				}
			}
		}
		return nil
	})
	return out, err
}
