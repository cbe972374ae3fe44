package gate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// laneStore notes for each transaction that writes whether it may be READ COMMITTED.
type laneStore struct {
	meta.Store
	hot *[]bool
}

func (s laneStore) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	*s.hot = append(*s.hot, meta.IsHot(ctx))
	return s.Store.Update(ctx, fn)
}

// Hot operations are so, unless their change hangs on more than what they read
// themselves. What they find to be gone halfway is decided by a serializable transaction.
func TestLanes(t *testing.T) {
	var hot []bool
	w := open(t, audit.Changes, func(s meta.Store) meta.Store { return laneStore{s, &hot} })
	hotOp, errOther := op.Hot(), errors.New("other")
	fenced := gate.Fenced(t.Context(), func(context.Context, meta.JobReader) error { return nil })
	provided := gate.Provided(t.Context(), func(context.Context) error { return nil })
	for _, tt := range []struct {
		name string
		ctx  context.Context
		op   gate.Operation
		fail error // of the first run
		want []bool
	}{
		{"another operation", t.Context(), op, nil, []bool{false}},
		{"a hot one", t.Context(), hotOp, nil, []bool{true}},
		{"a hot one of a job with a lease", fenced, hotOp, nil, []bool{false}},
		{"a hot one that hangs on what was seen", provided, hotOp, nil, []bool{false}},
		{"another error", t.Context(), hotOp, errOther, []bool{true}},
		{"what it found is gone", t.Context(), hotOp, fmt.Errorf("adding: %w", meta.ErrReferenced), []bool{true, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hot = nil
			runs := 0
			err := w.As(admin).Change(tt.ctx, tt.op, func(_ context.Context, tx *gate.Tx) error {
				if runs++; runs == 1 && tt.fail != nil {
					return tt.fail
				}
				return ask(tx, "ecr:One")
			})
			if errors.Is(tt.fail, errOther) != errors.Is(err, errOther) || err != nil && !errors.Is(err, errOther) {
				t.Error(err)
			}
			if !slices.Equal(hot, tt.want) {
				t.Errorf("hot %v, want %v", hot, tt.want)
			}
		})
	}
}
