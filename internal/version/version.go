// Package version knows which version of Kontor this binary is.
package version

import "runtime/debug"

// unknown is the version of a binary that no one gave one.
const unknown = "dev"

// Version is set by the release program, with
// -ldflags "-X github.com/kontor-registry/kontor/internal/version.Version=v1.2.3".
// Read it through String.
var Version = unknown

// String is the version the release program stamped; else the module version
// that `go install MODULE@VERSION` and builds from a checkout record; else
// "dev".
func String() string {
	info, _ := debug.ReadBuildInfo()
	return choose(Version, info)
}

func choose(stamped string, info *debug.BuildInfo) string {
	if stamped != unknown && stamped != "" {
		return stamped
	}
	if info != nil && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return unknown
}
