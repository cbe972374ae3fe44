package gate_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

var (
	home  = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	admin = access.Principal{
		Account: home.Account, ARN: "arn:aws:iam::000000000000:user/administrator", UniqueID: "AIDAADMIN",
		Policies: []string{access.PolicyAdministrator}, Request: access.RequestInfo{ID: "request-1"},
	}
	// nobody may do one thing.
	nobody = access.Principal{Account: home.Account, ARN: "arn:aws:iam::000000000000:user/nobody", UniqueID: "AIDANOBODY", Documents: []access.Document{
		{Name: "one thing", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:One","Resource":"*"}]}`},
	}}
	op = gate.Op("Operation", "ecr:One", "ecr:Two")
)

// world is a gate to a real database, with a real log.
type world struct {
	*gate.Gate
	t    *testing.T
	meta meta.Store
	dir  string // of the log
}

func open(t *testing.T, mode audit.Mode, wrap func(meta.Store) meta.Store) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, meta: store, dir: filepath.Join(t.TempDir(), "audit")}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	log, err := audit.Open(audit.Config{Dir: w.dir, Mode: mode, MaxBytes: 1, Keep: -1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time {
		now = now.Add(time.Second)
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() }) // some tests take its folder away
	through := gate.Config{Meta: store, Audit: log}
	if wrap != nil {
		through.Meta = wrap(store)
	}
	w.Gate = gate.New(through)
	return w
}

// onRecord are the records so far, each as "principal operation action
// resource decision".
func (w *world) onRecord() []string {
	w.t.Helper()
	var out []string
	for r, err := range audit.Query(w.dir, audit.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		_, who, _ := strings.Cut(r.Principal, "user/")
		if who == "" {
			who = r.Principal
		}
		out = append(out, strings.Join([]string{who, r.Operation, r.Action, r.Resource, string(r.Decision)}, " "))
	}
	return out
}

func (w *world) want(records ...string) {
	w.t.Helper()
	if got := w.onRecord(); !slices.Equal(got, records) {
		w.t.Errorf("on record:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(records, "\n"))
	}
}

// state is what the tests write.
func (w *world) state() (text string) {
	w.t.Helper()
	err := w.meta.View(w.t.Context(), func(ctx context.Context, r meta.Reader) error {
		b, err := r.Retention().JobState(ctx, "test")
		text = string(b)
		if errors.Is(err, meta.ErrNotFound) {
			err = nil
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func write(ctx context.Context, tx *gate.Tx, text string) error {
	return tx.Retention().PutJobState(ctx, "test", []byte(text))
}

// ask asks for actions on everything of the account.
func ask(q interface {
	Ask(authz.Request) error
}, actions ...access.Action) error {
	for _, a := range actions {
		if err := q.Ask(authz.Request{Action: a, Resource: "*", Owner: home.Account, Region: home.Region}); err != nil {
			return err
		}
	}
	return nil
}

// An operation that forgets to ask, or passes over a denial, is a defect: it
// changes nothing, and what it read is not answered.
func TestWhoIsAllowedNothingDoesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(q *gate.Inquiry)
	}{
		{"asks nothing", func(*gate.Inquiry) {}},
		{"passes over a denial", func(q *gate.Inquiry) { _ = ask(q, "ecr:Two") }},
		{"asks what would be", func(q *gate.Inquiry) { _ = q.Would(gate.Scene{At: home.Repo("app")}, "ecr:One") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, audit.All, nil)
			c := w.As(nobody)
			change := c.Change(t.Context(), op, func(ctx context.Context, tx *gate.Tx) error {
				tt.ask(tx.Inquiry)
				return write(ctx, tx, "written")
			})
			look := func(_ context.Context, v *gate.View) error { tt.ask(v.Inquiry); return nil }
			for verb, err := range map[string]error{"Change": change, "Read": c.Read(t.Context(), op, look), "Ask": c.Ask(t.Context(), op, look), "AskForNow": c.AskForNow(t.Context(), op, look)} {
				if ecr.CodeOf(err) != ecr.CodeServer || !strings.Contains(err.Error(), "defect: Operation ended without a permission") {
					t.Errorf("%s: %v", verb, err)
				}
			}
			if got := w.state(); got != "" {
				t.Errorf("%q was written", got)
			}
			w.want()
		})
	}
}

// A job of the server may do everything without asking; what it asks for is on
// record with its reason.
func TestSystem(t *testing.T) {
	w := open(t, audit.All, nil)
	job := w.System("test run")
	for _, asks := range []bool{false, true} {
		err := job.Change(t.Context(), op, func(ctx context.Context, tx *gate.Tx) error {
			if asks {
				if err := ask(tx, "ecr:One"); err != nil {
					return err
				}
			}
			return write(ctx, tx, "written")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := w.state(); got != "written" {
		t.Errorf("state %q", got)
	}
	w.want("system: test run Operation ecr:One * allowed")
}

func TestEachPermissionIsOnRecord(t *testing.T) {
	const one, two = "administrator Operation ecr:One * allowed", "administrator Operation ecr:Two * allowed"
	for _, tt := range []struct {
		name  string
		mode  audit.Mode
		verb  func(c *gate.Caller, ctx context.Context, fn func(q *gate.Inquiry) error) error
		twice bool
		want  []string
	}{
		{"a change", audit.Changes, change, false, []string{one, two}},
		{"a change that runs twice", audit.Changes, change, true, []string{one, two}},
		{"what is done elsewhere", audit.Changes, decide, false, []string{one, two}},
		{"what ends with the process", audit.Changes, forNow, false, []string{one, two}},
		{"a read, when reads are on record", audit.All, read, false, []string{one, two}},
		{"a read, when they are not", audit.Changes, read, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, tt.mode, func(s meta.Store) meta.Store {
				if tt.twice {
					return &twice{s}
				}
				return s
			})
			err := tt.verb(w.As(admin), t.Context(), func(q *gate.Inquiry) error { return ask(q, "ecr:One", "ecr:Two", "ecr:One") })
			if err != nil {
				t.Fatal(err)
			}
			w.want(tt.want...)
		})
	}
}

func change(c *gate.Caller, ctx context.Context, fn func(q *gate.Inquiry) error) error {
	return c.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		return errors.Join(fn(tx.Inquiry), write(ctx, tx, "written"))
	})
}

func read(c *gate.Caller, ctx context.Context, fn func(q *gate.Inquiry) error) error {
	return c.Read(ctx, op, func(_ context.Context, v *gate.View) error { return fn(v.Inquiry) })
}

func decide(c *gate.Caller, ctx context.Context, fn func(q *gate.Inquiry) error) error {
	return c.Ask(ctx, op, func(_ context.Context, v *gate.View) error { return fn(v.Inquiry) })
}

func forNow(c *gate.Caller, ctx context.Context, fn func(q *gate.Inquiry) error) error {
	return c.AskForNow(ctx, op, func(_ context.Context, v *gate.View) error { return fn(v.Inquiry) })
}

// twice is a store that loses every update once, as a database does when
// transactions collide.
type twice struct{ meta.Store }

func (s *twice) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	lost := errors.New("lost")
	err := s.Store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return lost
	})
	if !errors.Is(err, lost) {
		return err
	}
	return s.Store.Update(ctx, fn)
}

// What a transaction asks for only when it runs again is on record as well.
func TestAnotherQuestionInAnotherRun(t *testing.T) {
	w := open(t, audit.Changes, func(s meta.Store) meta.Store { return &twice{s} })
	run := 0
	err := w.As(admin).Change(t.Context(), op, func(ctx context.Context, tx *gate.Tx) error {
		run++
		return errors.Join(ask(tx, []access.Action{"ecr:One", "ecr:Two"}[:run]...), write(ctx, tx, "written"))
	})
	if err != nil || run != 2 {
		t.Fatalf("%d runs, %v", run, err)
	}
	w.want("administrator Operation ecr:One * allowed", "administrator Operation ecr:Two * allowed")
}

// A denial is on record once, with nothing of what was allowed before it, and
// undoes what was written.
func TestDenials(t *testing.T) {
	for name, verb := range map[string]func(*gate.Caller, context.Context, func(*gate.Inquiry) error) error{"Change": change, "Read": read, "Ask": decide, "AskForNow": forNow} {
		t.Run(name, func(t *testing.T) {
			w := open(t, audit.All, nil)
			err := verb(w.As(nobody), t.Context(), func(q *gate.Inquiry) error {
				if err := ask(q, "ecr:One"); err != nil {
					return err
				}
				return ask(q, "ecr:Two")
			})
			if ecr.CodeOf(err) != ecr.CodeAccessDenied || !strings.Contains(err.Error(), "nobody is not authorized to perform: ecr:Two on resource: *") {
				t.Errorf("%v", err)
			}
			if got := w.state(); got != "" {
				t.Errorf("%q was written", got)
			}
			w.want("nobody Operation ecr:Two * denied")
		})
	}
}

// A denial inside of another error is the reason of that error, and none of
// the caller's.
func TestDenialAsAReason(t *testing.T) {
	w := open(t, audit.All, nil)
	err := w.As(nobody).Read(t.Context(), op, func(_ context.Context, v *gate.View) error {
		return &ecr.Error{Code: ecr.CodeInvalidParameter, Message: "It would lock you out", Err: v.Would(gate.Scene{At: home.Repo("app")}, "ecr:Two")}
	})
	var e *ecr.Error
	if !errors.As(err, &e) || e.Code != ecr.CodeInvalidParameter || e.Err == nil {
		t.Errorf("%v", err)
	}
	w.want()
}

// When it cannot be put on record nothing is done, and no one is told why it is
// denied; reads continue unless the log is strict.
func TestWithoutARecord(t *testing.T) {
	const unrecorded = "The registry cannot put this on record now. Try again later."
	for _, mode := range []audit.Mode{audit.Changes, audit.All, audit.Strict} {
		t.Run(string(mode), func(t *testing.T) {
			w := open(t, mode, nil)
			may := func(q *gate.Inquiry) error { return ask(q, "ecr:One") }
			if err := change(w.As(admin), t.Context(), may); err != nil {
				t.Fatal(err) // the first record has its file already
			}
			if err := w.System("test").Change(t.Context(), op, func(ctx context.Context, tx *gate.Tx) error { return write(ctx, tx, "before") }); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(w.dir); err != nil {
				t.Fatal(err)
			}
			refused := func(what string, err error, text string) {
				t.Helper()
				var e *ecr.Error
				if !errors.As(err, &e) || e.Code != ecr.CodeUnavailable || e.Message != text {
					t.Errorf("%s: %v", what, err)
				}
			}
			refused("a change", change(w.As(admin), t.Context(), may), unrecorded)
			refused("what is done elsewhere", decide(w.As(admin), t.Context(), may), unrecorded)
			refused("a denial", read(w.As(nobody), t.Context(), func(q *gate.Inquiry) error { return ask(q, "ecr:Two") }), unrecorded)
			refused("in other words", change(w.Speaking(gate.Words{Unrecorded: "Sorry."}).As(admin), t.Context(), may), "Sorry.")
			if err := read(w.As(admin), t.Context(), may); mode == audit.Strict {
				refused("a read", err, unrecorded)
			} else if err != nil {
				t.Errorf("a read: %v", err)
			}
			if got := w.state(); got != "before" {
				t.Errorf("state %q", got)
			}
		})
	}
}

// A store that fails is told in words for the caller; the cause stays inside.
func TestUnavailable(t *testing.T) {
	w := open(t, audit.Changes, nil)
	fails := func(*gate.Inquiry) error { return meta.ErrUnavailable }
	for g, text := range map[*gate.Gate]string{
		w.Gate: "The registry cannot store this now. Try again later.",
		w.Speaking(gate.Words{Unavailable: "Sorry."}): "Sorry.",
	} {
		t.Run(text, func(t *testing.T) {
			err := read(g.As(admin), t.Context(), fails)
			var e *ecr.Error
			if !errors.As(err, &e) || e.Code != ecr.CodeUnavailable || e.Message != text || !errors.Is(err, meta.ErrUnavailable) {
				t.Errorf("%v, want %q", err, text)
			}
		})
	}
	other := errors.New("other")
	if err := read(w.As(admin), t.Context(), func(*gate.Inquiry) error { return other }); !errors.Is(err, other) || ecr.CodeOf(err) != ecr.CodeServer {
		t.Errorf("%v", err)
	}
}
