//go:build unix

// Package dockerd starts docker daemons for tests. Each daemon has
// its own folder, and leaves no process, mount or file when it is stopped. It has no
// network for containers: what runs in one needs --network=none.
package dockerd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Docker is Debian's client, whatever else comes first on PATH.
const Docker = "/usr/bin/docker"

const program = "/usr/sbin/dockerd"

// Daemon is a dockerd that answers.
type Daemon struct {
	dir   string
	cmd   *exec.Cmd
	ended chan error // of the process, sent once
}

// Start starts a daemon with the environment env, and waits until it answers.
// It takes root, because the daemon mounts. The caller stops it.
func Start(env []string) (*Daemon, error) { return StartWith(env, "{}") }

// StartWith is Start with a daemon.json.
func StartWith(env []string, config string) (*Daemon, error) {
	for _, path := range []string{Docker, program} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is missing: as root, run `apt-get install docker.io`, or `go run ./test/all -only tools`", path)
		}
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("dockerd mounts: run the test as root")
	}
	// Addresses of sockets have 107 characters at most, and folders of tests
	// are long.
	dir, err := os.MkdirTemp("", "docker")
	if err != nil {
		return nil, err
	}
	d := &Daemon{dir: dir, ended: make(chan error, 1)}
	if err := d.start(env, config); err != nil {
		if d.cmd != nil && d.cmd.Process != nil {
			return nil, errors.Join(err, d.Stop())
		}
		return nil, errors.Join(err, d.clean())
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		version := exec.Command(Docker, "version")
		version.Env = append(slices.Clone(env), "DOCKER_HOST="+d.Host())
		if version.Run() == nil {
			return d, nil
		}
		select {
		case err := <-d.ended:
			d.ended <- err
			return nil, errors.Join(errors.New("dockerd ended"), d.Stop())
		default:
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(errors.New("dockerd does not answer after a minute"), d.Stop())
		}
	}
}

func (d *Daemon) start(env []string, config string) (failure error) {
	// The machine's own configuration may contradict the flags.
	if err := os.WriteFile(d.in("daemon.json"), []byte(config), 0o600); err != nil {
		return err
	}
	log, err := os.Create(d.in("log"))
	if err != nil {
		return err
	}
	defer func() { failure = errors.Join(failure, log.Close()) }() // the daemon has its own
	d.cmd = exec.Command(program, "--config-file", d.in("daemon.json"), "--data-root", d.in("data"), "--exec-root", d.in("exec"),
		"--pidfile", d.in("pid"), "--host", d.Host(), "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs")
	d.cmd.Env = env
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Ctrl-C is for the test, which then stops the daemon.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	go func() { d.ended <- d.cmd.Wait() }()
	return nil
}

func (d *Daemon) in(name string) string { return filepath.Join(d.dir, name) }

// Host is the daemon's address, as DOCKER_HOST has it.
func (d *Daemon) Host() string { return "unix://" + d.in("sock") }

// Stop stops the daemon, and removes its mounts and all of its files. The
// error of a daemon that did not end well has the end of its log.
func (d *Daemon) Stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(fmt.Errorf("stopping dockerd: %w", err), d.clean())
	}
	var failed error
	select {
	case failed = <-d.ended:
	case <-time.After(time.Minute):
		// Its containerd ends with it.
		failed = errors.Join(errors.New("it runs on, a minute after SIGTERM"), d.cmd.Process.Kill(), <-d.ended)
	}
	if failed != nil {
		log, err := os.ReadFile(d.in("log"))
		failed = errors.Join(fmt.Errorf("dockerd: %w\n%s", failed, log[max(0, len(log)-4000):]), err)
	}
	return errors.Join(failed, d.clean())
}

// clean removes the folder, and before that what is still mounted there.
func (d *Daemon) clean() error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var mounts []string
	for line := range bytes.Lines(table) {
		if fields := strings.Fields(string(line)); len(fields) > 4 && strings.HasPrefix(fields[4], d.dir+"/") {
			mounts = append(mounts, fields[4])
		}
	}
	slices.Reverse(mounts) // the last first
	for _, m := range mounts {
		if out, err := exec.Command("umount", m).CombinedOutput(); err != nil {
			return fmt.Errorf("umount %s: %w: %s", m, err, out)
		}
	}
	return os.RemoveAll(d.dir)
}
