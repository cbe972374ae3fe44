package gate_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// counting counts the transactions of a store.
type counting struct {
	meta.Store
	views, snapshots, open int
}

func (c *counting) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	c.views++
	return c.Store.View(ctx, fn)
}

func (c *counting) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	c.snapshots++
	r, end, err := c.Store.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.open++
	return r, func() { c.open--; end() }, nil
}

func openCounting(t *testing.T) (*world, *counting) {
	c := &counting{}
	w := open(t, audit.Changes, func(s meta.Store) meta.Store {
		c.Store = s
		return c
	})
	return w, c
}

// stateIn is what the tests have written, as r sees it.
func stateIn(ctx context.Context, r meta.Reader) string {
	b, err := r.Retention().JobState(ctx, "test")
	if err != nil {
		return ""
	}
	return string(b)
}

// put writes in the name of another.
func (w *world) put(text string) {
	w.t.Helper()
	if err := w.System("tests").Change(w.t.Context(), op, func(ctx context.Context, tx *gate.Tx) error { return write(ctx, tx, text) }); err != nil {
		w.t.Fatal(err)
	}
}

// Who calls and what is decided first are seen at one moment, in one
// transaction; what is read later is seen as it is then.
func TestVisitIsOneMoment(t *testing.T) {
	w, c := openCounting(t)
	w.put("one")
	visit := w.Visit()
	defer visit.End()
	if c.snapshots != 0 {
		t.Error("a visit opens a snapshot before it is needed")
	}
	var seen []string
	look := func(ctx context.Context, r meta.Reader) error {
		seen = append(seen, stateIn(ctx, r))
		return nil
	}
	for range 2 {
		if err := visit.View(t.Context(), look); err != nil {
			t.Fatal(err)
		}
	}
	w.put("two")
	caller := visit.As(admin).Saying(gate.Said{TagKeys: []string{"a"}})
	for i, verb := range []func(context.Context, gate.Operation, func(context.Context, *gate.View) error) error{caller.Read, caller.Read, caller.Ask} {
		err := verb(t.Context(), op, func(ctx context.Context, v *gate.View) error {
			_ = look(ctx, v)
			if (c.open == 1) != (i == 0) {
				t.Errorf("reading %d: %d snapshots of the visit are open", i+1, c.open)
			}
			return ask(v, "ecr:One")
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.open != 0 {
			t.Error("the snapshot is open when what it was for is over")
		}
	}
	if want := []string{"one", "one", "one", "two", "two"}; !slices.Equal(seen, want) {
		t.Errorf("seen: %q, want %q", seen, want)
	}
	if c.snapshots != 1 || c.views != 2 {
		t.Errorf("%d snapshots and %d views", c.snapshots, c.views)
	}
}

// The server looks in the snapshot that is open, and leaves it open for the caller.
// Where none is, it ends the one that it opens.
func TestPeek(t *testing.T) {
	w, c := openCounting(t)
	w.put("one")
	visit := w.Visit()
	defer visit.End()
	caller := visit.As(admin)
	var seen []string
	look := func(ctx context.Context, v *gate.View) error {
		seen = append(seen, stateIn(ctx, v))
		return nil
	}
	peek := func(open int) {
		t.Helper()
		if err := caller.Peek(t.Context(), "tests", op, look); err != nil || c.open != open {
			t.Errorf("Peek = %v, and %d snapshots are open, want %d", err, c.open, open)
		}
	}
	peek(0)
	err := visit.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		stateIn(ctx, r) // it begins
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.put("two")
	peek(1)
	if err := caller.Read(t.Context(), op, func(ctx context.Context, v *gate.View) error { return errors.Join(look(ctx, v), ask(v, "ecr:One")) }); err != nil {
		t.Fatal(err)
	}
	peek(0)
	if want := []string{"one", "one", "one", "two"}; !slices.Equal(seen, want) || c.snapshots != 1 || c.views != 2 {
		t.Errorf("seen: %q, want %q; %d snapshots and %d views", seen, want, c.snapshots, c.views)
	}
}

// Whatever becomes of a request, its snapshot ends.
func TestVisitEnds(t *testing.T) {
	broken := errors.New("broken")
	for name, use := range map[string]func(ctx context.Context, v *gate.Visit){
		"only who calls": func(context.Context, *gate.Visit) {},
		"a read": func(ctx context.Context, v *gate.Visit) {
			_ = read(v.As(admin), ctx, func(q *gate.Inquiry) error { return ask(q, "ecr:One") })
		},
		"a read that fails": func(ctx context.Context, v *gate.Visit) {
			_ = read(v.As(admin), ctx, func(*gate.Inquiry) error { return broken })
		},
		"a denial": func(ctx context.Context, v *gate.Visit) {
			_ = read(v.As(nobody), ctx, func(q *gate.Inquiry) error { return ask(q, "ecr:Two") })
		},
		"a panic": func(ctx context.Context, v *gate.Visit) {
			defer func() { _ = recover() }()
			_ = read(v.As(admin), ctx, func(*gate.Inquiry) error { panic(broken) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := openCounting(t)
			visit := w.Visit()
			if err := visit.View(t.Context(), func(context.Context, meta.Reader) error { return broken }); !errors.Is(err, broken) {
				t.Error(err)
			}
			use(t.Context(), visit)
			visit.End()
			visit.End()
			if c.snapshots != 1 || c.open != 0 {
				t.Errorf("%d of %d snapshots are open", c.open, c.snapshots)
			}
		})
	}
}

// No snapshot is held while others write, and a change rests on what it reads
// itself.
func TestVisitEndsBeforeAChange(t *testing.T) {
	w, c := openCounting(t)
	visit := w.Visit()
	if err := visit.View(t.Context(), func(context.Context, meta.Reader) error { return nil }); err != nil {
		t.Fatal(err)
	}
	w.put("one")
	err := visit.As(admin).Change(t.Context(), op, func(ctx context.Context, tx *gate.Tx) error {
		if b, err := tx.Retention().JobState(ctx, "test"); err != nil || string(b) != "one" || c.open != 0 {
			t.Errorf("%q, %v, %d open", b, err, c.open)
		}
		return errors.Join(ask(tx, "ecr:One"), write(ctx, tx, "two"))
	})
	if err != nil || w.state() != "two" {
		t.Errorf("%v, %q", err, w.state())
	}
}

// When the database cannot be read, a visit says so as it would.
func TestVisitOfADatabaseThatIsAway(t *testing.T) {
	w, _ := openCounting(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	visit := w.Visit()
	if err := visit.View(ctx, func(context.Context, meta.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	visit.End()
	if err := visit.View(t.Context(), func(context.Context, meta.Reader) error { return nil }); err != nil {
		t.Error(err)
	}
	visit.End()
}
