package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

// need is a program that tests run, and the Debian package that brings it.
type need struct {
	pkg string
	// paths, any of which will do; those without a slash are looked up on
	// PATH, others are patterns of files.
	paths []string
}

var needs = []need{
	{"git", []string{"git"}},
	{"gcc libc6-dev", []string{"gcc"}}, // the race detector
	{"awscli", []string{"/usr/bin/aws"}},
	{"skopeo", []string{"/usr/bin/skopeo"}},
	{"buildah", []string{"/usr/bin/buildah"}},
	{"podman", []string{"/usr/bin/podman"}},
	{"containerd", []string{"/usr/bin/ctr"}},
	{"stargz-snapshotter", []string{"/usr/bin/ctr-remote"}},
	{"docker.io", []string{"/usr/sbin/dockerd"}},
	{"fish", []string{"/usr/bin/fish"}},
	{"postgresql", []string{"/usr/lib/postgresql/*/bin/postgres"}},
	{"pgbouncer", []string{"/usr/sbin/pgbouncer"}},
	{"e2fsprogs", []string{"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"}},
	{"nodejs npm", []string{"npm"}},
	{"chromium", []string{"/usr/bin/chromium"}},
	{"fonts-dejavu-core", []string{"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"}},
	{"prometheus", []string{"/usr/bin/promtool"}},
	{"zsh", []string{"/usr/bin/zsh", "/bin/zsh"}},
}

// install makes sure that every need is met.
func (r *runner) install(ctx context.Context) error {
	missing, err := unmet()
	if err != nil || len(missing) == 0 {
		fmt.Fprintf(r.out, "%d programs found\n", len(needs)-len(missing))
		return err
	}
	apt := append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)
	how := "apt-get " + strings.Join(apt, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("some programs are missing: as root, run `apt-get update && %s`", how)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("some programs are missing, and this is not Debian: install %s", strings.Join(missing, ", "))
	}
	for _, args := range [][]string{{"update", "-q"}, apt} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if missing, err = unmet(); err == nil && len(missing) > 0 {
		err = fmt.Errorf("still missing after installing: %s", strings.Join(missing, ", "))
	}
	return err
}

// unmet lists the packages that must be installed.
func unmet() ([]string, error) {
	var missing []string
	for _, n := range needs {
		ok, err := n.met()
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, strings.Fields(n.pkg)...)
		}
	}
	sort.Strings(missing)
	return missing, nil
}

func (n need) met() (bool, error) {
	for _, p := range n.paths {
		if !strings.Contains(p, "/") {
			_, err := exec.LookPath(p)
			if err == nil {
				return true, nil
			}
			if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) {
				return false, fmt.Errorf("looking for %s: %w", p, err)
			}
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return false, err
		}
		if len(found) > 0 {
			return true, nil
		}
	}
	return false, nil
}
