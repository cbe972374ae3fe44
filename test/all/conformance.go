package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// conformance builds the binary and the OCI distribution conformance suite,
// and runs the one against the other.
func conformance(ctx context.Context) (err error) {
	tmp, err := os.MkdirTemp("", "kontor-conformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	binary, suite := filepath.Join(tmp, "kontor"), filepath.Join(tmp, "conformance")
	if err := command(ctx, ".", "go", "build", "-o", binary, "./cmd/kontor"); err != nil {
		return err
	}
	if err := command(ctx, "test/conformance", "go", "build", "-o", suite, "github.com/opencontainers/distribution-spec/conformance"); err != nil {
		return err
	}
	return goTest(ctx, "test/conformance", []string{"KONTOR_BIN=" + binary, "OCI_CONFORMANCE=" + suite}, "-count=1", "./...")
}
