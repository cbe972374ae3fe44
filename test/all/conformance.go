package main

import (
	"context"
	"path/filepath"
)

// conformance builds the OCI distribution conformance suite and runs it against
// the binary.
func (r *runner) conformance(ctx context.Context) error {
	binary, err := r.kontor(ctx)
	if err != nil {
		return err
	}
	suite := filepath.Join(r.tmp, "conformance")
	if err := r.command(ctx, "test/conformance", "go", "build", "-o", suite, "github.com/opencontainers/distribution-spec/conformance"); err != nil {
		return err
	}
	return r.goTest(ctx, "test/conformance", []string{"KONTOR_BIN=" + binary, "OCI_CONFORMANCE=" + suite}, "./...")
}
