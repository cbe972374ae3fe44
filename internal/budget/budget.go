// Package budget counts memory that a request needs beyond what every request
// needs: whoever is about to read something large asks first. What is taken is
// given back when the request ends.
package budget

import "context"

// Budget is the memory of one request. It is safe for concurrent use.
type Budget interface {
	// Take takes n bytes, or says why they cannot be had.
	// Errors: Unavailable when they can be had later, LimitExceeded when not.
	Take(n int64) error
}

type key struct{}

// With returns a context of a request whose memory b counts.
func With(ctx context.Context, b Budget) context.Context { return context.WithValue(ctx, key{}, b) }

// Take takes n bytes of the budget of ctx. Without one nothing is counted.
func Take(ctx context.Context, n int64) error {
	if b, ok := ctx.Value(key{}).(Budget); ok {
		return b.Take(n)
	}
	return nil
}
