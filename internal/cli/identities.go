package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/access/declared"
)

// envIdentities stands in for --identities.
const envIdentities = "KONTOR_IDENTITIES"

// readIdentities reads what --identities names; nothing for none.
func readIdentities(e *Env, name string) (declared.File, error) {
	name = e.or(name, envIdentities, "")
	if name == "" {
		return declared.File{}, nil
	}
	text, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return declared.File{}, fmt.Errorf("--identities: %w", err)
	}
	f, err := declared.Parse(text)
	if err != nil {
		return declared.File{}, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}
