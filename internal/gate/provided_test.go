package gate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
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

// A denial of the check is told when the transaction is over, once however often it ran.
func TestDeniedInTheCheck(t *testing.T) {
	w := open(t, audit.Changes, nil)
	now := func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	through := gate.New(gate.Config{Meta: w.meta, Events: events.NewOutbox(now)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := through.System("test").Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		var s meta.RegistrySettings
		if err := events.SetReceivers(&s, []events.Receiver{{ID: "r", Name: "all"}}); err != nil {
			return err
		}
		return tx.Registries().PutRegistrySettings(ctx, home, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	// From here on, each transaction runs twice.
	twice := gate.New(gate.Config{Meta: again{w.meta}, Events: events.NewOutbox(now)})
	who := nobody
	who.Request.ID = "request-2"
	check := func(ctx context.Context) error {
		return twice.As(who).Read(ctx, op, func(_ context.Context, v *gate.View) error {
			return v.Ask(authz.Request{Action: "ecr:Two", Resource: home.Repo("app").ARN(), Owner: home.Account, Region: home.Region})
		})
	}
	change := func(ctx context.Context, tx *gate.Tx) error { return ask(tx, "ecr:One") }
	if err := twice.As(admin).Change(gate.Provided(ctx, check), op, change); ecr.CodeOf(err) != ecr.CodeAccessDenied {
		t.Fatal(err)
	}
	// One that the check makes nothing of.
	passed := gate.Provided(ctx, func(ctx context.Context) error { _ = check(ctx); return nil })
	if err := twice.As(admin).Change(passed, op, change); err != nil {
		t.Fatal(err)
	}
	var told []string
	err = w.meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		list, err := r.Registries().DueDeliveries(ctx, "r", now(), 10)
		for _, d := range list {
			var e events.Event
			if err := json.Unmarshal(d.Event.Body, &e); err != nil {
				return err
			}
			told = append(told, fmt.Sprint(e.Type, " ", e.Actor, " ", e.RequestID))
		}
		return err
	})
	want := "access.denied " + nobody.ARN + " request-2"
	if err != nil || !slices.Equal(told, []string{want, want}) {
		t.Errorf("told %q, %v", told, err)
	}
}

// again runs each transaction that writes twice: the first time is rolled back.
type again struct{ meta.Store }

func (a again) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	rolledBack := errors.New("the commit failed")
	err := a.Store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		if err := fn(ctx, tx); err != nil {
			return errors.Join(rolledBack, err)
		}
		return rolledBack
	})
	if !errors.Is(err, rolledBack) {
		return err
	}
	return a.Store.Update(ctx, fn)
}
