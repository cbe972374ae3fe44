package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// clients builds what a release holds, the programs of every platform and the
// image, and runs the tests of test/clients against them.
func clients(ctx context.Context) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("containerd mounts: run it as root")
	}
	tmp, err := os.MkdirTemp("", "kontor-clients-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binary := filepath.Join(tmp, "kontor")
	if err := command(ctx, ".", "go", "build", "-o", binary, "./cmd/kontor"); err != nil {
		return err
	}
	image := filepath.Join(tmp, "image")
	if err := command(ctx, ".", "go", "run", "./release", "-image", image, "-dist", filepath.Join(tmp, "dist"), "-version", "v0.0.0-test"); err != nil {
		return err
	}
	if err := command(ctx, "test/clients", "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
		return fmt.Errorf("installing the SDK for JavaScript: %w", err)
	}
	// crane, oras and regctl, of the versions in the module's go.mod.
	if err := command(ctx, "test/clients", "go", "build", "-o", tmp, "tool"); err != nil {
		return err
	}
	return goTest(ctx, "test/clients", []string{
		"KONTOR_BIN=" + binary, "KONTOR_IMAGE=" + image, "CLIENTS_BIN=" + tmp,
	}, "-count=1", "-timeout=30m", "./...")
}
