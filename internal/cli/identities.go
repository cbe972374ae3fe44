package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	people "github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/textfile"
)

// envIdentities stands in for --identities.
const envIdentities = "KONTOR_IDENTITIES"

// readIdentities reads what --identities names; nothing for none.
func (e *Env) readIdentities(name string) (people.File, error) {
	name = e.or(name, envIdentities, "")
	if name == "" {
		return people.File{}, nil
	}
	text, err := os.ReadFile(filepath.Clean(name))
	if err == nil {
		text, err = textfile.Decode(text)
	}
	if err != nil {
		return people.File{}, fmt.Errorf("--identities: %w", err)
	}
	f, err := people.Parse(text)
	if err != nil {
		return people.File{}, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// applyIdentities makes what f says in s, before anybody else is served.
func (e *Env) applyIdentities(ctx context.Context, s *localServer, f people.File) error {
	first := s.registries[0]
	return people.Apply(ctx, people.Config{IAM: s.server.IAM(first.Region), Account: first.Account, Getenv: e.Getenv}, f)
}
