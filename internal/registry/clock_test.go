package registry_test

import (
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

// machine is a process with an image clock and a monotonic one.
type machine struct {
	*fixture
	passed time.Duration
	to     ecr.Repo
	pushed int
}

// restart makes a new process on the same stores.
func (m *machine) restart() {
	m.passed = 0
	m.reg = m.with(func(c *registry.Config) { c.Passed = func() time.Duration { return m.passed } })
	m.Caller = m.reg.As(admin)
}

// hours lets time pass on both clocks.
func (m *machine) hours(n int) {
	m.now = m.now.Add(time.Duration(n) * time.Hour)
	m.passed += time.Duration(n) * time.Hour
}

// scheduled is a scheduled run, with an old image that it has to delete. It
// returns the finding about the clock, "" for a run that does not wait.
func (m *machine) scheduled() string {
	m.t.Helper()
	if len(m.digests(m.to)) == 0 {
		m.pushed++
		body := m.image(m.to, string(rune('a'+m.pushed)))
		now := m.now
		m.now = now.Add(-1000 * day)
		m.mustPut(m.to, body)
		m.now = now
	}
	sweep, err := m.reg.RunAllLifecycle(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	code := ""
	if f := sweep.Findings[""]; len(f) > 0 {
		code = f[0].Code
	}
	left := len(m.digests(m.to))
	if waits := left > 0; waits != (sweep.Expired == 0) {
		m.t.Fatalf("%d images are left after %+v", left, sweep)
	}
	if code == "" && left > 0 {
		m.t.Fatalf("it waits without a finding: %+v", sweep)
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
			m.now = m.now.Add(23 * time.Hour)
			want("")
		},
		"ahead by more than a day, until a run by hand": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(25 * time.Hour)
			want(registry.FindingClockAhead)
			m.hours(1)
			want(registry.FindingClockAhead)
			m.restart()
			want(registry.FindingClockAhead)
			m.run(m.to, registry.RunOptions{DryRun: true})
			want(registry.FindingClockAhead)
			m.run(m.to, registry.RunOptions{})
			if sweep, err := m.reg.RunAllLifecycle(m.t.Context()); err != nil || sweep.Repositories != 1 {
				m.t.Errorf("after a run by hand: %+v, %v", sweep, err)
			}
		},
		"back": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(-10 * time.Minute)
			want(registry.FindingClockBack)
			m.run(m.to, registry.RunOptions{})
			if sweep, err := m.reg.RunAllLifecycle(m.t.Context()); err != nil || sweep.Repositories != 1 {
				m.t.Errorf("after a run by hand: %+v, %v", sweep, err)
			}
		},
		"a little back": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(-time.Second)
			want("")
		},
		"back while it was down": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(-time.Hour)
			m.restart()
			want(registry.FindingClockBack)
		},
		"down for a day": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(20 * time.Hour)
			m.restart()
			want("")
		},
		"down for long: one interval": func(_ *testing.T, m *machine, want func(string)) {
			m.now = m.now.Add(30 * day)
			m.restart()
			want(registry.FindingDowntime)
			m.hours(1)
			want("")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{fixture: open(t, registry.CompatECR)}
			m.restart()
			m.to = m.repo("app", ecr.Mutable)
			m.rules(m.to, oldUntagged)
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

// Moves of a test clock are intended: nothing waits. They last.
func TestMoveClock(t *testing.T) {
	m := &machine{fixture: open(t, registry.CompatECR)}
	clock := registry.NewTestClock(func() time.Time { return m.now })
	start := func() {
		m.reg = m.with(func(c *registry.Config) {
			c.Now, c.TestClock, c.Passed = clock.Now, clock, func() time.Duration { return m.passed }
		})
		m.Caller = m.reg.As(admin)
		if err := m.reg.RestoreClock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	start()
	m.to = m.repo("app", ecr.Mutable)
	m.rules(m.to, oldUntagged)
	m.mustPut(m.to, m.image(m.to, "young"))
	sweep := func(expired int) {
		t.Helper()
		got, err := m.reg.RunAllLifecycle(t.Context())
		if err != nil || got.Expired != expired || len(got.Findings) > 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	sweep(0)
	moved, err := m.MoveClock(t.Context(), home, 90*day)
	if err != nil || !moved.Equal(m.now.Add(90*day)) {
		t.Fatalf("MoveClock = %v, %v", moved, err)
	}
	sweep(1)
	clock = registry.NewTestClock(func() time.Time { return m.now })
	start()
	if got, err := m.MoveClock(t.Context(), home, 0); err != nil || !got.Equal(moved) {
		t.Errorf("after a restart it is %v, %v; want %v", got, err, moved)
	}
	sweep(0)
	if _, err := m.MoveClock(t.Context(), home, -30*day); err != nil {
		t.Fatal(err)
	}
	sweep(0)
	_, err = m.MoveClock(t.Context(), home, 101*365*day)
	wantCode(t, err, ecr.CodeInvalidParameter, "100 years")
	_, err = open(t, registry.CompatECR).MoveClock(t.Context(), home, day)
	wantCode(t, err, ecr.CodeValidation, "--test-clock")
}
