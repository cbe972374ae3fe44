package cli

import (
	"reflect"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
)

func TestCollectionFlags(t *testing.T) {
	for name, c := range map[string]struct {
		flags collectionFlags
		env   map[string]string
		want  server.Config
		bad   bool
	}{
		"defaults":         {},
		"often":            {flags: collectionFlags{every: "15m"}, want: server.Config{LifecycleEvery: 15 * time.Minute}},
		"off":              {flags: collectionFlags{every: "off"}, want: server.Config{LifecycleEvery: -1}},
		"from environment": {env: map[string]string{envLifecycleEvery: "2h", envMaxExpire: "20%", envRecycleDays: "30"}, want: server.Config{LifecycleEvery: 2 * time.Hour, MaxExpire: retention.MaxExpire{Percent: 20}, RecycleTime: 30 * 24 * time.Hour}},
		"flag wins":        {flags: collectionFlags{maxExpire: "5"}, env: map[string]string{envMaxExpire: "20%"}, want: server.Config{MaxExpire: retention.MaxExpire{Images: 5}}},
		"no bin":           {flags: collectionFlags{recycleDays: "0"}, want: server.Config{RecycleTime: -1}},
		"test clock":       {flags: collectionFlags{testClock: true}, want: server.Config{}},
		"too often":        {flags: collectionFlags{every: "1ms"}, bad: true},
		"no duration":      {flags: collectionFlags{every: "hourly"}, bad: true},
		"nothing":          {flags: collectionFlags{maxExpire: "0"}, bad: true},
		"negative days":    {flags: collectionFlags{recycleDays: "-1"}, bad: true},
		"part of a day":    {flags: collectionFlags{recycleDays: "1.5"}, bad: true},
	} {
		e := &command.Env{Getenv: func(key string) string { return c.env[key] }}
		var got server.Config
		err := collection(e, &got, c.flags)
		if clock := got.TestClock; (clock != nil) != c.flags.testClock {
			t.Errorf("%s: test clock %v", name, clock)
		}
		got.TestClock = nil
		if (err != nil) != c.bad || !c.bad && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
