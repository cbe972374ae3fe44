package retention

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/lifecycle"
)

// runBatch is how many images go in one transaction: few, as pushes wait.
const runBatch = 25

// batches runs the steps of d. It fails with errMoved when d is out of
// date.
func (x *execution) batches(ctx context.Context, d *decision) error {
	var todo []int
	for i, s := range d.steps {
		if s.Action != lifecycle.Keep {
			todo = append(todo, i)
		}
	}
	for len(todo) > 0 {
		n, err := x.batch(ctx, d, todo[:min(runBatch, len(todo))])
		if err != nil {
			return err
		}
		if todo = todo[n:]; len(todo) == 0 {
			break
		}
		if err := Pause(ctx, n, PerSecond); err != nil {
			return err
		}
	}
	return nil
}

// batch runs steps in one transaction, as many as one may do, and returns how many.
func (x *execution) batch(ctx context.Context, d *decision, batch []int) (int, error) {
	var (
		seq   int64
		saved []string
	)
	err := x.c.gate.ChangeRepository(ctx, opRunLifecycle, x.at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) (err error) {
		saved = nil
		if seq, err = x.unmoved(ctx, tx, d, repo); err != nil {
			return err
		}
		for work := (Work{}); len(saved) < len(batch) && !work.Full(); {
			why, err := x.one(ctx, tx, d, d.steps[batch[len(saved)]], &work)
			if err != nil {
				return err
			}
			saved = append(saved, why)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	d.seq = seq
	done := len(x.done)
	for i, n := range batch[:len(saved)] {
		o := &x.run.Outcomes[done+n]
		if saved[i] != "" {
			o.Action, o.Saved = lifecycle.Keep, saved[i]
			continue
		}
		x.count(d.steps[n])
		x.mine[o.Digest] = true
	}
	return len(saved), nil
}

// unmoved makes sure that nothing went from the repository since the decision
// but what this run took, so that no rule that counts would now count
// differently, and that policy and leases are the same. It returns the newest
// entry of the journal.
func (x *execution) unmoved(ctx context.Context, tx *gate.Tx, d *decision, repo meta.Repository) (int64, error) {
	if repo.ID != d.repo.ID || repo.LifecycleText != d.repo.LifecycleText {
		return 0, errMoved
	}
	leases, err := tx.Retention().ListLeases(ctx, x.at.In, x.at.Name)
	if err != nil {
		return 0, err
	}
	if !slices.Equal(leases, d.leases) {
		return 0, errMoved
	}
	seq := d.seq
	for e, err := range meta.Journal(ctx, tx.Retention(), meta.JournalQuery{Registry: x.at.In, Name: x.at.Name, Since: d.since}, seq, journalPage) {
		if err != nil {
			return 0, err
		}
		if e.Rule == 0 || !d.takes[e.Digest] || e.Op != meta.JournalDeleteImage && e.Op != meta.JournalArchiveImage {
			return 0, errMoved
		}
		seq = e.Seq
	}
	return seq, nil
}

// one runs a step and adds it to work, unless something saves the image: then it
// says what.
func (x *execution) one(ctx context.Context, tx *gate.Tx, d *decision, s step, work *Work) (saved string, err error) {
	m, err := tx.Manifest(ctx, d.repo.ID, s.Digest)
	if errors.Is(err, meta.ErrNotFound) {
		return "it is already gone", nil
	}
	if err != nil {
		return "", err
	}
	work.Add(m)
	Settle(&m.Image, d.now)
	if saved := changed(s, m.Image); saved != "" {
		return saved, nil
	}
	if saved, err := x.guarded(ctx, tx, d, s); saved != "" || err != nil {
		return saved, err
	}
	why := Cause{At: x.c.s.cfg.Now(), Reason: s.Reason, Rule: s.Rule}
	if s.Action == lifecycle.Expire {
		return "", x.c.s.DeleteImage(ctx, tx, x.at, m, why)
	}
	return "", archive(ctx, tx, x.at, m, why)
}

// changed says what of an image itself is different since the decision.
func changed(s step, now ecr.Image) string {
	switch was := s.image; {
	case !slices.Equal(was.Tags, now.Tags):
		return "its tags changed"
	case was.Status != now.Status || !was.ActivatedAt.Equal(now.ActivatedAt) || !was.ArchivedAt.Equal(now.ArchivedAt):
		return "its storage class changed"
	case !was.PushedAt.Equal(now.PushedAt):
		return "it was pushed again"
	case s.pulls && !was.LastPulledAt.Equal(now.LastPulledAt):
		return "it was pulled"
	}
	return ""
}

// guarded says what of the images around one keeps it now, as the guards of
// package lifecycle would.
func (x *execution) guarded(ctx context.Context, tx *gate.Tx, d *decision, s step) (string, error) {
	parents, err := tx.Parents(ctx, d.repo.ID, s.Digest)
	if err != nil {
		return "", err
	}
	for _, p := range parents {
		if stays, err := x.stays(ctx, tx, d, s, p); stays || err != nil {
			return "an index lists it: " + string(p), err
		}
	}
	known := d.referrers[s.Digest]
	referrers, err := tx.ListReferrers(ctx, d.repo.ID, s.Digest, "", len(known)+1)
	if err != nil {
		return "", err
	}
	for _, r := range referrers {
		if !slices.Contains(known, r.Image.Digest) {
			return "an image refers to it: " + string(r.Image.Digest), nil
		}
	}
	if s.image.Subject == "" {
		return "", nil
	}
	if stays, err := x.stays(ctx, tx, d, s, s.image.Subject); stays || err != nil {
		return "its subject stays: " + string(s.image.Subject), err
	}
	return "", nil
}

// stays reports whether image other is there, and for a step to the archive
// whether it is outside of that.
func (x *execution) stays(ctx context.Context, tx *gate.Tx, d *decision, s step, other ecr.Digest) (bool, error) {
	m, err := tx.Manifest(ctx, d.repo.ID, other)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return s.Action == lifecycle.Expire || m.Image.Status != ecr.StatusArchived, nil
}
