package retention_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// machine is a process with an image clock and a monotonic one.
type machine struct {
	*testkit.World
	passed time.Duration
	to     ecr.Repo
	pushed int
}

// restart makes a new process on the same stores.
func (m *machine) restart() {
	m.passed = 0
	m.Set(func(s *testkit.Settings) { s.Passed = func() time.Duration { return m.passed } })
}

// hours lets time pass on both clocks.
func (m *machine) hours(n int) {
	m.Advance(time.Duration(n) * time.Hour)
	m.passed += time.Duration(n) * time.Hour
}

// scheduled is a scheduled run, with an old image that it has to delete. It
// returns the finding about the clock, "" for a run that does not wait.
func (m *machine) scheduled() string {
	m.T.Helper()
	if len(m.Digests(m.to)) == 0 {
		m.pushed++
		body := m.Image(m.to, string(rune('a'+m.pushed)))
		m.Advance(-1000 * testkit.Day)
		m.MustPut(m.to, body)
		m.Advance(1000 * testkit.Day)
	}
	sweep, err := m.Retention.RunAllLifecycle(m.T.Context())
	if err != nil {
		m.T.Fatal(err)
	}
	code := ""
	if f := sweep.Findings[""]; len(f) > 0 {
		code = f[0].Code
	}
	left := len(m.Digests(m.to))
	if waits := left > 0; waits != (sweep.Expired == 0) {
		m.T.Fatalf("%d images are left after %+v", left, sweep)
	}
	if code == "" && left > 0 {
		m.T.Fatalf("it waits without a finding: %+v", sweep)
	}
	return code
}

func TestClockJumps(t *testing.T) {
	for name, steps := range map[string]func(t *testing.T, m *machine, want func(string)){
		"time passes": func(_ *testing.T, m *machine, want func(string)) {
			m.hours(1)
			want("")
			m.hours(100)
			want("")
		},
		"ahead by less than a day": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(23 * time.Hour)
			want("")
		},
		"ahead by more than a day, until a run by hand": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(25 * time.Hour)
			want(retention.FindingClockAhead)
			m.hours(1)
			want(retention.FindingClockAhead)
			m.restart()
			want(retention.FindingClockAhead)
			runPolicy(m.World, m.to, retention.RunOptions{DryRun: true})
			want(retention.FindingClockAhead)
			runPolicy(m.World, m.to, retention.RunOptions{})
			if sweep, err := m.Retention.RunAllLifecycle(m.T.Context()); err != nil || sweep.Repositories != 1 {
				m.T.Errorf("after a run by hand: %+v, %v", sweep, err)
			}
		},
		"back": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(-10 * time.Minute)
			want(retention.FindingClockBack)
			runPolicy(m.World, m.to, retention.RunOptions{})
			if sweep, err := m.Retention.RunAllLifecycle(m.T.Context()); err != nil || sweep.Repositories != 1 {
				m.T.Errorf("after a run by hand: %+v, %v", sweep, err)
			}
		},
		"a little back": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(-time.Second)
			want("")
		},
		"back while it was down": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(-time.Hour)
			m.restart()
			want(retention.FindingClockBack)
		},
		"down for a day": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(20 * time.Hour)
			m.restart()
			want("")
		},
		"down for long: one interval": func(_ *testing.T, m *machine, want func(string)) {
			m.Advance(30 * testkit.Day)
			m.restart()
			want(retention.FindingDowntime)
			m.hours(1)
			want("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{World: testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})}
			m.restart()
			m.to = m.Repo("app", ecr.Mutable)
			setRules(m.World, m.to, oldUntagged)
			want := func(code string) {
				t.Helper()
				if got := m.scheduled(); got != code {
					t.Fatalf("finding %q, want %q", got, code)
				}
			}
			want("")
			steps(t, m, want)
		})
	}
}

// What is queued waits as scheduled runs do, in a process that runs only what is
// queued too.
func TestQueuedRunsWait(t *testing.T) {
	m := &machine{World: testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})}
	m.restart()
	m.to = m.Repo("app", ecr.Mutable)
	setRules(m.World, m.to, oldUntagged)
	if code := m.scheduled(); code != "" {
		t.Fatal(code)
	}
	old := func() {
		m.pushed++
		body := m.Image(m.to, string(rune('a'+m.pushed)))
		m.Advance(-1000 * testkit.Day)
		m.MustPut(m.to, body)
		m.Advance(1000 * testkit.Day)
	}
	queue := func() {
		t.Helper()
		err := m.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, m.to.In, m.to.Name)
			if err != nil {
				return err
			}
			return tx.Retention().QueueLifecycle(ctx, []meta.RepositoryID{repo.ID})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	queued := func(when, code string, repositories int) {
		t.Helper()
		sweep, err := m.Retention.RunQueuedLifecycle(t.Context())
		got := ""
		if f := sweep.Findings[""]; len(f) > 0 {
			got = f[0].Code
		}
		if err != nil || got != code || sweep.Repositories != repositories || sweep.Expired != repositories {
			t.Fatalf("%s: %+v, %v, want finding %q and %d repositories", when, sweep, err, code, repositories)
		}
	}
	old()
	queue()
	m.Advance(25 * time.Hour)
	queued("after a jump", retention.FindingClockAhead, 0)
	m.restart()
	queued("after a restart", retention.FindingDowntime, 0)
	m.Advance(-26 * time.Hour)
	queued("on another clock", retention.FindingClockBack, 0)
	m.Advance(time.Hour)
	queued("on the right clock", "", 1)

	old()
	queue()
	m.Advance(30 * testkit.Day)
	m.restart()
	if code := m.scheduled(); code != retention.FindingDowntime {
		t.Fatalf("down for long: %q", code)
	}
	queued("down for long", retention.FindingDowntime, 0)
	m.hours(1)
	if code := m.scheduled(); code != "" {
		t.Fatal(code)
	}

	old()
	queue()
	m.Advance(25 * time.Hour)
	if code := m.scheduled(); code != retention.FindingClockAhead {
		t.Fatalf("after a jump: %q", code)
	}
	queue()
	queued("queued before the registry had to wait", "", 0)
	runPolicy(m.World, m.to, retention.RunOptions{})
	old()
	queued("a task that ended", "", 0)
	queue()
	queued("after a run by hand", "", 1)
}

// A repository whose run is under way in this process is passed over.
func TestRunUnderWay(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	busy, free := w.Repo("busy", ecr.Mutable), w.Repo("free", ecr.Mutable)
	setRules(w, busy, oldUntagged)
	setRules(w, free, oldUntagged)
	callOff := w.Retention.Occupy(busy)
	if sweep, err := w.Retention.RunAllLifecycle(t.Context()); err != nil || sweep.Repositories != 1 {
		t.Errorf("%+v, %v, want one of the two repositories", sweep, err)
	}
	callOff()
	if sweep, err := w.Retention.RunQueuedLifecycle(t.Context()); err != nil || sweep.Repositories != 0 {
		t.Errorf("taken again at once: %+v, %v", sweep, err)
	}
}

// Where processes share a database, one with another clock than the database's waits.
func TestClockOfTheDatabase(t *testing.T) {
	for name, tt := range map[string]struct {
		off, offset time.Duration
		waits       bool
	}{
		"right":             {},
		"an hour ahead":     {off: time.Hour},
		"two days ahead":    {off: 48 * time.Hour, waits: true},
		"an hour back":      {off: -time.Hour, waits: true},
		"a moved clock":     {offset: 48 * time.Hour},
		"moved, and behind": {off: -48 * time.Hour, offset: 48 * time.Hour, waits: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
			clock := retention.NewTestClock(func() time.Time { return time.Now().Add(tt.off) })
			clock.Advance(tt.offset)
			s := retention.New(retention.Config{Gate: w.Gate, Blobs: w.Blobs, Now: clock.Now, TestClock: clock, DatabaseClock: true, Log: slog.New(slog.DiscardHandler)})
			for name, run := range map[string]func(context.Context) (retention.LifecycleSweep, error){"scheduled": s.RunAllLifecycle, "queued": s.RunQueuedLifecycle} {
				sweep, err := run(t.Context())
				if f := sweep.Findings[""]; err != nil || (len(f) == 1 && f[0].Code == retention.FindingClockDiffers) != tt.waits || len(f) > 1 {
					t.Errorf("%s: %+v, %v", name, sweep, err)
				}
			}
		})
	}
}

// Moves of a test clock are intended: nothing waits. They last.
func TestMoveClock(t *testing.T) {
	m := &machine{World: testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})}
	clock := retention.NewTestClock(m.World.Now)
	start := func() {
		m.Set(func(s *testkit.Settings) {
			s.Clock, s.TestClock, s.Passed = clock.Now, clock, func() time.Duration { return m.passed }
		})
		if err := m.Retention.RestoreClock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	start()
	m.to = m.Repo("app", ecr.Mutable)
	setRules(m.World, m.to, oldUntagged)
	m.MustPut(m.to, m.Image(m.to, "young"))
	sweep := func(expired int) {
		t.Helper()
		got, err := m.Retention.RunAllLifecycle(t.Context())
		if err != nil || got.Expired != expired || len(got.Findings) > 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	sweep(0)
	moved, err := m.MoveClock(t.Context(), testkit.Home, 90*testkit.Day)
	if err != nil || !moved.Equal(m.Now().Add(90*testkit.Day)) {
		t.Fatalf("MoveClock = %v, %v", moved, err)
	}
	sweep(1)
	clock = retention.NewTestClock(m.World.Now)
	start()
	if got, err := m.MoveClock(t.Context(), testkit.Home, 0); err != nil || !got.Equal(moved) {
		t.Errorf("after a restart it is %v, %v; want %v", got, err, moved)
	}
	sweep(0)
	if _, err := m.MoveClock(t.Context(), testkit.Home, -30*testkit.Day); err != nil {
		t.Fatal(err)
	}
	sweep(0)
	_, err = m.MoveClock(t.Context(), testkit.Home, 101*365*testkit.Day)
	testkit.WantCode(t, err, ecr.CodeInvalidParameter, "100 years")
	_, err = testkit.Open(t, testkit.Settings{Compat: registry.CompatECR}).MoveClock(t.Context(), testkit.Home, testkit.Day)
	testkit.WantCode(t, err, ecr.CodeValidation, "--test-clock")
}
