package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
)

// Environment variables of collection.
const (
	envLifecycleEvery = "KONTOR_LIFECYCLE_EVERY"
	envMaxExpire      = "KONTOR_MAX_EXPIRE"
	envRecycleDays    = "KONTOR_RECYCLE_DAYS"
)

// collectionFlags are the flags of a server about what it removes by itself.
type collectionFlags struct {
	testClock                     bool
	every, maxExpire, recycleDays string
}

func (o *collectionFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.testClock, "test-clock", false, "let `kontor admin clock` move the clock by which images age; never where images matter (default false)")
	f.StringVar(&o.every, "lifecycle-every", "", fmt.Sprintf("carry out lifecycle policies every `DURATION` such as 15m, or never by itself: off (default %s; env %s)", jobs.DefaultLifecycleEvery, envLifecycleEvery))
	f.StringVar(&o.maxExpire, "max-expire", "", fmt.Sprintf("stop a lifecycle run that would expire more than `N` images of a repository, or N%% of them (default no limit; env %s)", envMaxExpire))
	f.StringVar(&o.recycleDays, "recycle-days", "", fmt.Sprintf("keep deleted images restorable for `N` days; 0 is not at all (default %d; env %s)", int(server.DefaultRecycleTime/(24*time.Hour)), envRecycleDays))
}

// collectionConfig is what the flags say. Zero fields have the server's
// defaults.
type collectionConfig struct {
	testClock bool
	every     time.Duration
	maxExpire retention.MaxExpire
	recycle   time.Duration
}

// maxRecycleDays is a hundred years.
const maxRecycleDays = 36_500

func (e *Env) collection(o collectionFlags) (collectionConfig, error) {
	c := collectionConfig{testClock: o.testClock}
	switch every := e.or(o.every, envLifecycleEvery, ""); every {
	case "":
	case "off":
		c.every = -1
	default:
		d, err := time.ParseDuration(every)
		if err != nil || d < time.Second {
			return c, usagef("--lifecycle-every %s: want a duration from 1s, such as 15m or 1h, or off", every)
		}
		c.every = d
	}
	var err error
	if c.maxExpire, err = retention.ParseMaxExpire(e.or(o.maxExpire, envMaxExpire, "")); err != nil {
		return c, usagef("--max-expire %v", err)
	}
	if days := e.or(o.recycleDays, envRecycleDays, ""); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > maxRecycleDays {
			return c, usagef("--recycle-days %s: want a number of days from 0 to %d", days, maxRecycleDays)
		}
		if c.recycle = time.Duration(n) * 24 * time.Hour; n == 0 {
			c.recycle = -1
		}
	}
	return c, nil
}

// clock is the test clock that goes as now does, nil without one.
func (c collectionConfig) clock(now func() time.Time) *retention.TestClock {
	if !c.testClock {
		return nil
	}
	return retention.NewTestClock(now)
}
