package cli_test

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

// TestFlagsWinOverVariables: each variable counts, and its flag counts more.
func TestFlagsWinOverVariables(t *testing.T) {
	s := clitest.New(t)
	home := s.Env
	nowhere := filepath.Join(t.TempDir(), "nowhere", "log")
	tests := []struct {
		name string
		env  map[string]string
		args []string
		code int
		want string
	}{
		{"KONTOR_LISTEN", map[string]string{"KONTOR_LISTEN": "nope"}, nil, 2, "--listen nope: want HOST:PORT"},
		{"KONTOR_COMPAT", map[string]string{"KONTOR_COMPAT": "nope"}, nil, 2, "--compat nope: want ecr or oci"},
		{"KONTOR_LOG", map[string]string{"KONTOR_LOG": nowhere}, nil, 1, "--log: open " + nowhere},
		{"flags", map[string]string{"KONTOR_LISTEN": "nope", "KONTOR_COMPAT": "nope", "KONTOR_LOG": "-"},
			[]string{"--listen", "localhost:0", "--compat", "oci", "--log", nowhere}, 1, "--log: open " + nowhere},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.T, s.Env = t, maps.Clone(home)
			maps.Copy(s.Env, tt.env)
			s.Want(s.Run(append([]string{"up"}, tt.args...)...), tt.code, tt.want)
		})
	}
}
