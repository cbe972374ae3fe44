package gate

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

type (
	conditionKey struct{}
	insideKey    struct{}
)

// condition is what a change hangs on.
type condition struct {
	check func(ctx context.Context) error
	met   bool // by a change that was made
}

// nested is the transaction that a check reads in.
type nested struct {
	r    meta.Reader
	told []events.Event // by the check, such as of denials; written when the transaction is over
}

// Provided returns a context with which the first Change changes something only if check
// returns nil in its transaction; else it returns the error of check. What check reads
// through a gate with the context that it is given, it reads in that transaction, so
// that nothing comes between. It must not change anything, and it may run several
// times. The context is for one operation, and one goroutine.
func Provided(ctx context.Context, check func(ctx context.Context) error) context.Context {
	return context.WithValue(ctx, conditionKey{}, &condition{check: check})
}

// provided makes sure of what ctx provides. It returns what to call when the change was
// made, and what the check told of.
func provided(ctx context.Context, tx meta.Tx) (made func(), told []events.Event, err error) {
	c, ok := ctx.Value(conditionKey{}).(*condition)
	if !ok || c.met {
		return func() {}, nil, nil
	}
	n := &nested{r: reading{tx, tx}}
	err = c.check(context.WithValue(context.WithValue(ctx, conditionKey{}, nil), insideKey{}, n))
	return func() { c.met = true }, n.told, err
}

// reading is a transaction to read in.
type reading struct {
	meta.ContentReader
	tx meta.Tx
}

func (r reading) Registries() meta.RegistryReader { return r.tx.Registries() }
func (r reading) Identities() meta.IdentityReader { return r.tx.Identities() }
func (r reading) Retention() meta.RetentionReader { return r.tx.Retention() }

// inside is the transaction that ctx reads in; nil for none.
func inside(ctx context.Context) meta.Reader {
	if n := nestedIn(ctx); n != nil {
		return n.r
	}
	return nil
}

func nestedIn(ctx context.Context) *nested {
	n, _ := ctx.Value(insideKey{}).(*nested)
	return n
}

// errInside is for a check that changes something.
var errInside = errors.New("gate: the check of Provided changes something")
