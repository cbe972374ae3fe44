package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

const module = "github.com/kontor-registry/kontor"

// stamps are the variables that hold the version.
var stamps = []string{module + "/internal/version.Version"}

// platform is a GOOS and a GOARCH.
type platform struct{ os, arch string }

func parsePlatform(s string) (platform, error) {
	goos, arch, ok := strings.Cut(s, "/")
	if !ok || goos == "" || arch == "" || strings.Contains(arch, "/") {
		return platform{}, fmt.Errorf("platform %q: want OS/ARCH, such as linux/amd64", s)
	}
	return platform{goos, arch}, nil
}

func (p platform) String() string { return p.os + "/" + p.arch }

// hasImage reports whether the platform is part of the container image.
func (p platform) hasImage() bool { return p.os == "linux" }

// exe is the name of the program there.
func (p platform) exe() string {
	if p.os == "windows" {
		return "kontor.exe"
	}
	return "kontor"
}

// binary is the program built for a platform.
type binary struct {
	platform platform
	data     []byte
	info     *debug.BuildInfo // the modules it is made of
}

// build builds the program. What could make a difference between two machines
// is set here, whatever their environment says.
func build(ctx context.Context, p platform, a about) (b binary, err error) {
	dir, err := os.MkdirTemp("", "kontor-release-")
	if err != nil {
		return binary{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	out := filepath.Join(dir, p.exe())
	flags := "-s -w"
	for _, name := range stamps {
		flags += " -X " + name + "=" + a.version
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", flags, "-o", out, module+"/cmd/kontor")
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return binary{}, fmt.Errorf("building for %s: %w\n%s", p, err, bytes.TrimSpace(text))
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return binary{}, err
	}
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil {
		return binary{}, fmt.Errorf("reading the modules of the program for %s: %w", p, err)
	}
	if err := checkStatic(p, data); err != nil {
		return binary{}, err
	}
	return binary{p, data, info}, nil
}
