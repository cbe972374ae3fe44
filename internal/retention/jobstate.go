package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// job reads what a job remembers into state, which stays as it is when the job
// remembers nothing.
func job(ctx context.Context, r meta.JobReader, name string, state any) error {
	b, err := r.JobState(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, state); err != nil {
		return fmt.Errorf("reading the state of job %q: %w", name, err)
	}
	return nil
}

func putJob(ctx context.Context, w meta.JobWriter, name string, state any) error {
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return w.PutJobState(ctx, name, b)
}
