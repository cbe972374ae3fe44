//go:build unix

package docs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ready is the end of what `kontor up` prints when it serves.
const ready = "Press Ctrl-C to stop"

// machine is what the blocks of a page run on.
type machine struct {
	bin string          // first on PATH
	env []string        // of the go command
	has map[string]bool // reasons of blocks whose programs bin has
}

// run runs the blocks of p, one after another in one shell that starts in
// dir, and says what is not as the page says. scratch is an empty folder; the
// shell's HOME is in it.
func (m machine) run(ctx context.Context, p page, dir, scratch string) (failure error) {
	steps, err := p.steps()
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		return nil
	}
	for i, s := range steps {
		if s.kind == notRun && m.has[s.reason] {
			steps[i].kind = run
		}
	}
	steps = withContainerd(steps, scratch)
	// A short path: addresses of sockets have 107 characters at most.
	sockets, err := os.MkdirTemp("", "docs")
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, os.RemoveAll(sockets)) }()
	settings, err := m.settings(scratch, sockets)
	if err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	hosts := strings.NewReplacer(
		"localhost:5050", fmt.Sprint("localhost:", port), "localhost:5051", fmt.Sprint("localhost:", port+1), "localhost:5052", fmt.Sprint("localhost:", port+2),
		"host.docker.internal:5050", fmt.Sprint("host.docker.internal:", port),
	)
	home, outs, tmp := filepath.Join(scratch, "home"), filepath.Join(scratch, "outputs"), filepath.Join(scratch, "tmp")
	for _, d := range []string{home, outs, tmp} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	var script strings.Builder
	script.WriteString(prologue)
	for i, s := range steps {
		out := filepath.Join(outs, strconv.Itoa(i))
		fmt.Fprintf(&script, "\n# %s:%d\nexec >%s 2>&1\n", p.name, s.line, quote(out))
		text := hosts.Replace(s.text)
		switch s.kind {
		case run:
			script.WriteString(text)
		case fails:
			fmt.Fprintf(&script, "set +e\n(\nset -e\n%s)\nkontor_docs_code=$?\nset -e\n", text)
			script.WriteString("if [ $kontor_docs_code = 0 ]; then echo 'it succeeded, but the page says that it fails'; exit 1; fi\n")
		case background:
			fmt.Fprintf(&script, "( set +e; (\nset -e\n%s); echo $? >%s) &\n", text, quote(out+".code"))
			fmt.Fprintf(&script, "until grep -q %s %s; do\n  if [ -e %s ]; then echo 'it ended'; exit 1; fi\n  sleep 0.1\ndone\n",
				quote(ready), quote(out), quote(out+".code"))
		case write:
			fmt.Fprintf(&script, "cat >%s <<'KONTOR_END'\n%sKONTOR_END\n", quote(s.file), text)
		case notRun:
		}
		// What runs on in the background must no longer write here.
		fmt.Fprintf(&script, "echo >%s\n", quote(out+".done"))
	}
	file := filepath.Join(scratch, "script")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		return err
	}

	docker, stop, err := withDocker(steps, append(m.environ(), "PATH="+os.Getenv("PATH"), "HOME="+home))
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, stop()) }()
	settings = append(settings, docker...)

	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", file)
	cmd.Dir = dir
	cmd.Env = append(append(m.environ(), settings...),
		"PATH="+m.bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "PWD="+dir,
		"HOME="+home, "GOPATH="+filepath.Join(home, "go"), "XDG_RUNTIME_DIR="+home, "TMPDIR="+tmp,
		fmt.Sprint("KONTOR_LISTEN=localhost:", port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Minute
	failed := cmd.Run()

	var errs []error
	for i, s := range steps {
		out := filepath.Join(outs, strconv.Itoa(i))
		b, err := os.ReadFile(out)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if _, err := os.Stat(out + ".done"); err != nil {
			return errors.Join(append(errs, fmt.Errorf("%s:%d: %w\n%s", p.name, s.line, failed, b))...)
		}
		for _, want := range s.output {
			if !contains(string(b), hosts.Replace(want.text)) {
				errs = append(errs, fmt.Errorf("%s:%d: the output is another:\n%s", p.name, want.line, b))
			}
		}
		if s.kind == background {
			code, err := os.ReadFile(out + ".code")
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			ended := strings.TrimSpace(string(code))
			// The go command ends with 1 after Ctrl-C, whatever its program does.
			if ended != "0" && (ended != "1" || !strings.HasPrefix(s.text, "go run ")) {
				errs = append(errs, fmt.Errorf("%s:%d: after Ctrl-C it ends with code %s, not 0\n%s", p.name, s.line, ended, b))
			}
		}
	}
	if failed != nil && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: %w", p.name, failed))
	}
	return errors.Join(errs...)
}

// prologue makes the shell stop at the first command that fails, and send
// Ctrl-C to what runs in the background before it ends.
const prologue = `set -e
exec </dev/null
trap 'kontor_docs_end=$?; trap "" INT; kill -INT 0; wait; exit $kontor_docs_end' EXIT
`

// environ is the environment of a new user who has Go.
func (m machine) environ() []string {
	env := append([]string(nil), m.env...)
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		switch prefix, _, _ := strings.Cut(name, "_"); prefix {
		case "AWS", "KONTOR", "DOCKER", "REGISTRY", "XDG", "BUILDAH", "BUILDKIT", "STORAGE", "CONTAINERS", "CONTAINERD", "GITHUB", "DOCS":
			continue
		}
		switch name {
		case "HOME", "PATH", "PWD", "TMPDIR", "GOBIN", "GOPATH", "GOFLAGS":
			continue
		}
		env = append(env, e)
	}
	return append(env, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "NO_COLOR=1")
}

// goEnv are the settings by which the go command finds its caches, whatever
// HOME is.
func goEnv(ctx context.Context) ([]string, error) {
	var env []string
	// git tells whom it trusts there.
	if home, err := os.UserHomeDir(); err == nil {
		env = append(env, "GIT_CONFIG_GLOBAL="+filepath.Join(home, ".gitconfig"))
	}
	for _, name := range []string{"GOENV", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"} {
		out, err := exec.CommandContext(ctx, "go", "env", name).Output()
		if err != nil {
			return nil, fmt.Errorf("go env %s: %w", name, err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env, nil
}

// freePort is a port of localhost that, like the next one, no one uses now.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	for range 100 {
		first, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := first.Addr().(*net.TCPAddr).Port
		for next := port + 1; err == nil && next < port+ports; next++ {
			var l net.Listener
			if l, err = lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(next))); err == nil {
				err = l.Close()
			}
		}
		if err = errors.Join(err, first.Close()); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no %d consecutive free ports", ports)
}

// ports are how many registries a page may run.
const ports = 3

// quote writes s as one word of the shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
