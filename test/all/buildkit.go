package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// buildkit builds the binary and BuildKit, and has the one push to the other.
// What it needs and does not find it names, and fails.
func (r *runner) buildkit(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("buildkitd mounts: run it as root")
	}
	runtime, err := ociRuntime()
	if err != nil {
		return err
	}
	if _, err := os.Stat("/usr/bin/aws"); err != nil {
		return errors.New("there is no /usr/bin/aws: run `go run ./test/all -only tools`")
	}
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"buildkitd", "buildctl"} {
		if err := r.command(ctx, "test/buildkit", "go", "build", "-o", filepath.Join(r.tmp, name), "github.com/moby/buildkit/cmd/"+name); err != nil {
			return fmt.Errorf("building %s from its module: %w", name, err)
		}
	}
	// The commands of the manual's page, which other runs of its test leave out.
	if err := r.goTest(ctx, ".", []string{"DOCS_BUILDKIT_BIN=" + r.tmp}, "-run", "TestCommandsOfThePages/docs/guides/buildkit.md", "./test/docs"); err != nil {
		return err
	}
	return r.goTest(ctx, "test/buildkit", []string{
		"KONTOR_BIN=" + binary, "BUILDKITD=" + filepath.Join(r.tmp, "buildkitd"), "BUILDCTL=" + filepath.Join(r.tmp, "buildctl"), "CRUN=" + runtime,
	}, "./...")
}

// ociRuntime is the program that buildkitd would run containers with. Without
// one it does not start.
func ociRuntime() (string, error) {
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is neither crun nor runc: buildkitd needs one (Debian has packages of those names)")
}
