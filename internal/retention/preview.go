package retention

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Preview is what a lifecycle policy would do to the images of a repository at
// the time of the preview. It is the policy's word, before guards and leases,
// as on ECR; a dry run says what would really happen.
type Preview struct {
	PolicyText string // as submitted
	Status     PreviewStatus
	StartedAt  time.Time
	// Results are oldest push first, then by digest. None unless complete.
	Results []PreviewResult
}

// PreviewStatus is the state of a preview.
type PreviewStatus string

// The states. How long a preview lives on ECR is not documented.
const (
	PreviewInProgress PreviewStatus = "IN_PROGRESS"
	PreviewComplete   PreviewStatus = "COMPLETE"
	PreviewExpired    PreviewStatus = "EXPIRED" // after previewLife
	PreviewFailed     PreviewStatus = "FAILED"
)

const (
	previewLife = 24 * time.Hour
	// previewPatience is after what time a preview that is still in progress
	// has failed: no one is working on it.
	previewPatience = 10 * time.Minute
)

// PreviewResult is one image on which a rule would act.
type PreviewResult struct {
	Digest   ecr.Digest           `json:"digest"`
	Tags     []ecr.Tag            `json:"tags,omitempty"`
	PushedAt time.Time            `json:"pushedAt"`
	Action   lifecycle.ActionType `json:"action"` // Expire or Transition
	Rule     int                  `json:"rule"`   // priority
	Archived bool                 `json:"archived,omitempty"`
}

// Select returns the results that have the tag status, and when ids is not nil,
// those of them that one of ids names.
func (p Preview) Select(status ecr.TagStatus, ids []ecr.ImageID) []PreviewResult {
	var list []PreviewResult
	for _, r := range p.Results {
		if status.Selects(len(r.Tags) > 0) && (ids == nil || slices.ContainsFunc(ids, r.is)) {
			list = append(list, r)
		}
	}
	return list
}

// is reports whether id names the image.
func (r PreviewResult) is(id ecr.ImageID) bool {
	return id != (ecr.ImageID{}) && (id.Digest == "" || id.Digest == r.Digest) && (id.Tag == "" || slices.Contains(r.Tags, id.Tag))
}

// Totals counts the images that would expire and those that would be archived.
func (p Preview) Totals() (expire, archive int) {
	for _, r := range p.Results {
		if r.Action == lifecycle.Expire {
			expire++
		} else {
			archive++
		}
	}
	return expire, archive
}

// preview carries p out on paper.
func preview(p lifecycle.Policy, images []lifecycle.Image, rows []meta.Manifest, now time.Time) []PreviewResult {
	list := []PreviewResult{}
	for i, o := range lifecycle.Evaluate(p, images, now) {
		if o.Action == lifecycle.Keep {
			continue
		}
		m := rows[i].Image
		list = append(list, PreviewResult{
			Digest: m.Digest, Tags: m.Tags, PushedAt: m.PushedAt, Action: o.Action, Rule: o.Rule, Archived: m.Status == ecr.StatusArchived,
		})
	}
	slices.SortFunc(list, func(a, b PreviewResult) int {
		return cmp.Or(a.PushedAt.Compare(b.PushedAt), compare(a.Digest, b.Digest))
	})
	return list
}

// newPreview is a stored preview as it is at now.
func newPreview(row meta.LifecyclePreview, now time.Time) (Preview, error) {
	p := Preview{PolicyText: row.PolicyText, Status: PreviewStatus(row.Status), StartedAt: row.StartedAt}
	age := now.Sub(row.StartedAt)
	switch {
	case p.Status == PreviewInProgress && age > previewPatience:
		p.Status = PreviewFailed
	case p.Status == PreviewComplete && age > previewLife:
		p.Status = PreviewExpired
	case p.Status == PreviewComplete:
		if err := json.Unmarshal(row.Results, &p.Results); err != nil {
			return p, fmt.Errorf("reading a stored lifecycle preview: %w", err)
		}
	}
	return p, nil
}

var opStartLifecyclePreview = gate.Op("StartLifecyclePreview", "ecr:StartLifecyclePolicyPreview")

// StartLifecyclePreview makes the preview of a policy, without text of the
// repository's own, in place of the repository's last one, and returns it as it
// was when it started.
// Errors: RepositoryNotFound, InvalidParameter, LifecyclePolicyNotFound,
// PreviewInProgress.
func (c *Caller) StartLifecyclePreview(ctx context.Context, at ecr.Repo, text string) (Preview, error) {
	var (
		row    meta.LifecyclePreview
		policy lifecycle.Policy
	)
	parse := func(text string) (err error) {
		if policy, err = c.s.Dialect(at.In).Parse([]byte(text)); err != nil {
			return invalidLifecyclePolicy(err)
		}
		return nil
	}
	if text != "" {
		if err := parse(text); err != nil {
			return Preview{}, err
		}
	}
	err := c.gate.ChangeRepository(ctx, opStartLifecyclePreview, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		now := c.s.cfg.Now()
		row = meta.LifecyclePreview{Repository: repo.ID, PolicyText: text, Status: string(PreviewInProgress), StartedAt: now}
		if text == "" {
			if repo.LifecycleText == "" {
				return noLifecyclePolicy(at)
			}
			row.PolicyText = repo.LifecycleText
			if err := parse(row.PolicyText); err != nil {
				return err
			}
		}
		last, err := tx.Retention().LifecyclePreview(ctx, repo.ID)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		if err == nil && last.Status == string(PreviewInProgress) && now.Sub(last.StartedAt) <= previewPatience {
			return ecr.Errorf(ecr.CodePreviewInProgress,
				"A lifecycle policy preview is already in progress for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
		}
		return tx.Retention().PutLifecyclePreview(ctx, row)
	})
	if err != nil {
		return Preview{}, err
	}
	return Preview{PolicyText: row.PolicyText, Status: PreviewInProgress, StartedAt: row.StartedAt}, c.makePreview(ctx, at, row, policy)
}

// makePreview fills in the preview row, which is in progress. It ends one way
// or the other, also when the client has gone.
func (c *Caller) makePreview(ctx context.Context, at ecr.Repo, row meta.LifecyclePreview, p lifecycle.Policy) error {
	ctx = context.WithoutCancel(ctx)
	row.Status = string(PreviewComplete)
	err := c.s.FlushPulls(ctx) // pulls of the last seconds count
	if err == nil {
		row.Results, err = c.previewResults(ctx, at, row, p)
	}
	if err != nil {
		c.s.cfg.Log.ErrorContext(ctx, "lifecycle preview failed", "repository", at.ARN(), "error", err)
		row.Status, row.Results = string(PreviewFailed), nil
	}
	return c.s.cfg.Gate.System("lifecycle preview").Change(ctx, opStartLifecyclePreview, func(ctx context.Context, tx *gate.Tx) error {
		last, err := tx.Retention().LifecyclePreview(ctx, row.Repository)
		if errors.Is(err, meta.ErrNotFound) || err == nil && !last.StartedAt.Equal(row.StartedAt) {
			return nil // the repository has gone, or another preview took over
		}
		if err != nil {
			return err
		}
		return tx.Retention().PutLifecyclePreview(ctx, row)
	})
}

func (c *Caller) previewResults(ctx context.Context, at ecr.Repo, row meta.LifecyclePreview, p lifecycle.Policy) (results []byte, err error) {
	err = c.s.cfg.Gate.System("lifecycle preview").Read(ctx, opStartLifecyclePreview, func(ctx context.Context, r *gate.View) error {
		d := &decision{now: row.StartedAt, referrers: map[ecr.Digest][]ecr.Digest{}}
		images, err := c.lifecycleImages(ctx, r, meta.Repository{ID: row.Repository}, d)
		if err != nil {
			return err
		}
		results, err = json.Marshal(preview(p, images, d.images, d.now))
		return err
	})
	return results, err
}

var opLifecyclePreview = gate.Op("LifecyclePreview", "ecr:GetLifecyclePolicyPreview")

// LifecyclePreview returns the last preview of a repository.
// Errors: RepositoryNotFound, PreviewNotFound.
func (c *Caller) LifecyclePreview(ctx context.Context, at ecr.Repo) (Preview, error) {
	var p Preview
	err := c.gate.ReadRepository(ctx, opLifecyclePreview, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		row, err := r.Retention().LifecyclePreview(ctx, repo.ID)
		if errors.Is(err, meta.ErrNotFound) {
			return ecr.Errorf(ecr.CodePreviewNotFound,
				"Lifecycle policy preview does not exist for the repository with name '%s' in the registry with id '%s'", at.Name, at.In.Account)
		}
		if err != nil {
			return err
		}
		p, err = newPreview(row, c.s.cfg.Now())
		return err
	})
	return p, err
}
