package command

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/host/serve"
)

// EnvConfig stands in for --config.
const EnvConfig = "KONTOR_CONFIG"

// ServeConfig loads the configuration of kontor serve that is in the file called
// name, or that the environment names or has for "".
func (e *Env) ServeConfig(name string) (*serve.Config, error) {
	name = e.Setting(name, EnvConfig, "")
	if name == "" {
		return serve.Load(nil, e.Getenv)
	}
	b, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return serve.Load(&lang.Source{Name: name, Data: b}, e.Getenv)
}
