// Command release builds what a release of Kontor holds: static binaries,
// archives of them with checksums and a bill of materials, and Kontor's own
// container image as an OCI image layout.
//
// It needs the go command and git, and no container tools. The same commit,
// version and Go toolchain give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const usage = `usage: go run ./release [-version V] [-platforms LIST] [-dist DIR] [-image DIR]

Builds Kontor for each platform, static and without paths of this machine, and
writes, into folders that are new or empty,

  -dist DIR     an archive for each platform, SHA256SUMS, and an SBOM (SPDX 2.3)
  -image DIR    the container image of the linux platforms as an OCI image
                layout: an index named VERSION, and the SBOM as its referrer,
                named VERSION.sbom. Copy it with, for example,
                skopeo copy --all oci:DIR:VERSION docker://HOST/kontor:VERSION

All times are that of the commit, or SOURCE_DATE_EPOCH (seconds) when it is set;
so the same commit, version and Go toolchain produce the same bytes.

Flags:
`

const usageEnd = `
Exit codes: 0 done, 1 failed, 2 wrong usage.

Example:
  go run ./release -version v1.2.3 -dist dist -image image
`

var defaultPlatforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line asks for.
type options struct {
	image, dist string // folders; "" for none
	platforms   []platform
	version     string // "" for git's description of the commit
}

// errUsage is an error of whoever called.
var errUsage = errors.New("wrong usage")

func run(ctx context.Context, args []string, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = release(ctx, o, stderr)
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "release: %v; see go run ./release -h\n", err)
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "release: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.dist, "dist", "", "write archives and checksums to `DIR` (default none)")
	f.StringVar(&o.image, "image", "", "write the container image to `DIR`, as an OCI image layout (default none)")
	list := f.String("platforms", strings.Join(defaultPlatforms, ","), "build for the `LIST` of OS/ARCH")
	f.StringVar(&o.version, "version", "", "the version to stamp, such as v1.2.3 (default the output of git describe)")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stderr, usage)
		f.SetOutput(stderr)
		f.PrintDefaults()
		fmt.Fprint(stderr, usageEnd)
		return o, err
	} else if err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%w: unknown argument %q", errUsage, f.Arg(0))
	}
	if o.dist == "" && o.image == "" {
		return o, fmt.Errorf("%w: nothing to do: pass -dist, -image or both", errUsage)
	}
	for name := range strings.SplitSeq(*list, ",") {
		p, err := parsePlatform(name)
		if err != nil {
			return o, fmt.Errorf("%w: %w", errUsage, err)
		}
		if slices.Contains(o.platforms, p) {
			return o, fmt.Errorf("%w: platform %s is given twice", errUsage, p)
		}
		o.platforms = append(o.platforms, p)
	}
	if o.image != "" && !slices.ContainsFunc(o.platforms, platform.hasImage) {
		return o, fmt.Errorf("%w: -image needs a linux platform, such as linux/amd64", errUsage)
	}
	if o.version != "" {
		return o, checkVersion(o.version)
	}
	return o, nil
}

// versionPattern is OCI's grammar of tags, with room for a suffix.
var versionPattern = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,99}$`)

func checkVersion(v string) error {
	if !versionPattern.MatchString(v) {
		return fmt.Errorf("%w: version %q: want letters, digits, '.', '_' and '-', such as v1.2.3", errUsage, v)
	}
	return nil
}

// about is what everything in a release says of itself.
type about struct {
	version  string
	revision string    // the commit; "" when not known
	created  time.Time // UTC, whole seconds
}

// release does what o asks for, and says on log what it does.
func release(ctx context.Context, o options, log io.Writer) error {
	a, err := describe(ctx, o.version)
	if err != nil {
		return err
	}
	var made []binary
	for _, p := range o.platforms {
		if o.dist == "" && !p.hasImage() {
			continue
		}
		fmt.Fprintf(log, "building %s for %s\n", a.version, p)
		b, err := build(ctx, p, a)
		if err != nil {
			return err
		}
		made = append(made, b)
	}
	if o.dist != "" {
		if err := writeDist(o.dist, a, made); err != nil {
			return fmt.Errorf("writing %s: %w", o.dist, err)
		}
		fmt.Fprintf(log, "wrote %d archives to %s\n", len(made), o.dist)
	}
	if o.image != "" {
		d, err := writeImage(o.image, a, made)
		if err != nil {
			return fmt.Errorf("writing %s: %w", o.image, err)
		}
		fmt.Fprintf(log, "wrote image %s@%s to %s\n", a.version, d, o.image)
	}
	return nil
}

// describe finds out what is released; version is what was asked for, or "".
func describe(ctx context.Context, version string) (about, error) {
	a := about{version: version}
	revision, gitErr := git(ctx, "rev-parse", "HEAD")
	a.revision = revision
	if a.version == "" {
		v, err := git(ctx, "describe", "--tags", "--always", "--dirty")
		if err != nil {
			return about{}, fmt.Errorf("finding the version: %w; set it with -version", err)
		}
		if err := checkVersion(v); err != nil {
			return about{}, err
		}
		a.version = v
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if gitErr != nil {
			return about{}, fmt.Errorf("finding out the time of the commit: %w; set SOURCE_DATE_EPOCH", gitErr)
		}
		var err error
		if epoch, err = git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return about{}, err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return about{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: want seconds since 1970", epoch)
	}
	a.created = time.Unix(seconds, 0).UTC()
	return a, nil
}

// git is the first line of what a git command prints.
func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// emptyDir makes dir, or checks that nothing is in it.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder is not empty: remove it, or choose another")
	}
	return nil
}
