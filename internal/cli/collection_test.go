package cli

import (
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/retention"
)

func TestCollectionFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags collectionFlags
		env   map[string]string
		want  collectionConfig
		bad   bool
	}{
		"defaults":         {},
		"often":            {flags: collectionFlags{every: "15m"}, want: collectionConfig{every: 15 * time.Minute}},
		"off":              {flags: collectionFlags{every: "off"}, want: collectionConfig{every: -1}},
		"from environment": {env: map[string]string{envLifecycleEvery: "2h", envMaxExpire: "20%", envRecycleDays: "30"}, want: collectionConfig{every: 2 * time.Hour, maxExpire: retention.MaxExpire{Percent: 20}, recycle: 30 * 24 * time.Hour}},
		"flag wins":        {flags: collectionFlags{maxExpire: "5"}, env: map[string]string{envMaxExpire: "20%"}, want: collectionConfig{maxExpire: retention.MaxExpire{Images: 5}}},
		"no bin":           {flags: collectionFlags{recycleDays: "0"}, want: collectionConfig{recycle: -1}},
		"test clock":       {flags: collectionFlags{testClock: true}, want: collectionConfig{testClock: true}},
		"too often":        {flags: collectionFlags{every: "1ms"}, bad: true},
		"no duration":      {flags: collectionFlags{every: "hourly"}, bad: true},
		"nothing":          {flags: collectionFlags{maxExpire: "0"}, bad: true},
		"negative days":    {flags: collectionFlags{recycleDays: "-1"}, bad: true},
		"part of a day":    {flags: collectionFlags{recycleDays: "1.5"}, bad: true},
	} {
		e := &Env{Getenv: func(key string) string { return c.env[key] }}
		got, err := e.collection(c.flags)
		if (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if clock := got.clock(time.Now); (clock != nil) != c.flags.testClock {
			t.Errorf("%s: test clock %v", name, clock)
		}
	}
}
