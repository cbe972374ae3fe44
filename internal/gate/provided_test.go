package gate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A change that hangs on what was seen is made only as long as that is so, in the
// transaction of the change: another one that comes between is noticed.
func TestProvided(t *testing.T) {
	between := func() {}
	w := open(t, audit.Changes, func(s meta.Store) meta.Store { return &before{s, func() { between() }} })
	errChanged := errors.New("it has changed")
	seen := func(ctx context.Context) (text string, err error) {
		err = w.As(admin).Read(ctx, op, func(ctx context.Context, v *gate.View) error {
			text = stateIn(ctx, v)
			return ask(v, "ecr:One")
		})
		return text, err
	}
	put := func(ctx context.Context, text string) error {
		return w.As(admin).Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
			if err := ask(tx, "ecr:One"); err != nil {
				return err
			}
			return write(ctx, tx, text)
		})
	}
	provided := func(want string) context.Context {
		return gate.Provided(t.Context(), func(ctx context.Context) error {
			text, err := seen(ctx)
			if err == nil && text != want {
				err = errChanged
			}
			return err
		})
	}
	if err := put(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	ctx := provided("one")
	if err := put(ctx, "two"); err != nil || w.state() != "two" {
		t.Errorf("as it was seen: %v, %s", err, w.state())
	}
	if err := put(ctx, "three"); err != nil || w.state() != "three" { // the second step of the operation
		t.Errorf("a later transaction: %v, %s", err, w.state())
	}
	if err := put(provided("two"), "four"); !errors.Is(err, errChanged) || w.state() != "three" {
		t.Errorf("as it was not seen: %v, %s", err, w.state())
	}
	between = func() {
		between = func() {}
		if err := put(t.Context(), "another's"); err != nil {
			t.Error(err)
		}
	}
	if text, err := seen(t.Context()); err != nil || text != "three" {
		t.Fatal(text, err)
	}
	if err := put(provided("three"), "four"); !errors.Is(err, errChanged) || w.state() != "another's" {
		t.Errorf("something came between: %v, %s", err, w.state())
	}
	err := put(gate.Provided(t.Context(), func(ctx context.Context) error { return put(ctx, "five") }), "four")
	if err == nil || w.state() != "another's" {
		t.Errorf("a check that changes something: %v, %s", err, w.state())
	}
}

// before calls a function before each transaction that writes.
type before struct {
	meta.Store
	fn func()
}

func (b *before) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	b.fn()
	return b.Store.Update(ctx, fn)
}
