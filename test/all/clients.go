package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// clients builds the image of a release, and runs the tests of test/clients
// against it and the binary.
func (r *runner) clients(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("containerd and dockerd mount: run it as root")
	}
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	tools, err := r.clientTools(ctx)
	if err != nil {
		return err
	}
	image := filepath.Join(r.tmp, "image")
	if err := r.command(ctx, ".", "go", "run", "./release", "-image", image, "-platforms", "linux/amd64,linux/arm64", "-version", "v0.0.0-test"); err != nil {
		return err
	}
	if err := r.command(ctx, "test/clients", "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
		return fmt.Errorf("installing the SDK for JavaScript: %w", err)
	}
	gateway, err := r.gateway(ctx)
	if err != nil {
		return err
	}
	return r.goTest(ctx, "test/clients", []string{"KONTOR_BIN=" + binary, "KONTOR_IMAGE=" + image, "CLIENTS_BIN=" + tools, "VERSITYGW_BIN=" + gateway}, "./...")
}

// clientTools builds crane, oras and regctl, of the versions in the go.mod of
// test/clients, and returns their folder.
func (r *runner) clientTools(ctx context.Context) (string, error) {
	if r.tools != "" {
		return r.tools, nil
	}
	dir := filepath.Join(r.tmp, "clients")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := r.command(ctx, "test/clients", "go", "build", "-o", dir, "tool"); err != nil {
		return "", err
	}
	r.tools = dir
	return dir, nil
}

// release builds what a release holds, the programs of every platform and the
// image.
func (r *runner) release(ctx context.Context) error {
	dir := filepath.Join(r.tmp, "release")
	return r.command(ctx, ".", "go", "run", "./release", "-image", filepath.Join(dir, "image"), "-dist", filepath.Join(dir, "dist"), "-version", "v0.0.0-test")
}
