package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// client runs kontor in dir, with nothing of the caller's environment that
// could lead it elsewhere.
type client struct{ binary, dir string }

// run measures one command. It fails unless kontor exits with 0.
func (c client) run(ctx context.Context, w *world, name string, args ...string) (phase, error) {
	w.calls.reset()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &out, &out
	cmd.Env = []string{"HOME=" + c.dir, "PATH=" + os.Getenv("PATH"), "AWS_CONFIG_FILE=" + filepath.Join(c.dir, "aws"), "AWS_EC2_METADATA_DISABLED=true"}
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	if err != nil {
		text := out.String()
		return phase{}, fmt.Errorf("%s: kontor %s: %w\n%s", name, strings.Join(args, " "), err, text[max(0, len(text)-2000):])
	}
	p := phase{name: name, took: took, memory: resident(cmd.ProcessState)}
	p.answered, p.throttled = w.calls.take()
	return p, nil
}

// resident is the most memory that a process had, in bytes; 0 where the system
// does not say.
func resident(s *os.ProcessState) int64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return u.Maxrss // bytes there, KiB elsewhere
	}
	return u.Maxrss << 10
}

// writeFile writes a file of the repositories numbered from and up to, but
// without, to, spread over the registries.
func writeFile(name string, registries []string, from, to int) error {
	repositories := make(map[string]any, to-from)
	for i := from; i < to; i++ {
		repositories[fmt.Sprintf("team-%02d/service-%05d", i%40, i)] = map[string]any{
			"registries":                  []string{registries[i%len(registries)]},
			"additional_pull_account_ids": []string{"555555555555", fmt.Sprintf("6666666666%02d", i%40)},
			"expiration_rules":            []any{map[string]any{"tag_pattern": "pr-*", "days": 7 + i%90}},
		}
	}
	return writeJSON(name, map[string]any{"stack": "bench", "ecr_repositories": repositories})
}

func writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o600)
}
