package gate

import (
	"context"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

type fenceKey struct{}

// Fenced returns a context with which no transaction changes anything once check
// fails in it: a job that another process took over meanwhile must not go on.
func Fenced(ctx context.Context, check func(ctx context.Context, r meta.JobReader) error) context.Context {
	return context.WithValue(ctx, fenceKey{}, check)
}

// fenced makes sure of what ctx was fenced with.
func fenced(ctx context.Context, tx meta.Tx) error {
	if check, ok := ctx.Value(fenceKey{}).(func(context.Context, meta.JobReader) error); ok {
		return check(ctx, tx.Retention())
	}
	return nil
}
