package version

import (
	"runtime/debug"
	"testing"
)

func TestChoose(t *testing.T) {
	module := func(v string) *debug.BuildInfo { return &debug.BuildInfo{Main: debug.Module{Version: v}} }
	for _, c := range []struct {
		name    string
		stamped string
		info    *debug.BuildInfo
		want    string
	}{
		{"a release", "v1.2.3", module("v1.2.3-0.20260101000000-abcdefabcdef"), "v1.2.3"},
		{"go install of a version", "dev", module("v1.2.3"), "v1.2.3"},
		{"a checkout without its history", "dev", module("(devel)"), "dev"},
		{"stamped with nothing", "", module("v1.2.3"), "v1.2.3"},
		{"built without module support", "dev", &debug.BuildInfo{}, "dev"},
		{"no build information", "dev", nil, "dev"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := choose(c.stamped, c.info); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if String() == "" {
		t.Error("the version is empty")
	}
}
