//go:build unix

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/test/dockerd"
)

// newMachine puts kontor where the pages expect it, with the programs of
// Debian. It builds kontor, unless KONTOR_BIN names it.
func newMachine(t *testing.T) machine {
	t.Helper()
	env, err := goEnv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := machine{bin: t.TempDir(), env: env}
	if built := os.Getenv("KONTOR_BIN"); built != "" {
		m.link(t, built, "kontor")
	} else {
		m.build(t, ".", "./cmd/kontor")
	}
	// Debian's, whatever else comes first on PATH.
	for _, name := range []string{"aws", "skopeo", "buildah", "podman", "containerd", "ctr", "docker"} {
		if _, err := os.Stat("/usr/bin/" + name); err == nil {
			m.link(t, "/usr/bin/"+name, name)
		}
	}
	return m
}

// build puts the programs of a package of ours, or of the go.mod of dir, into m.
func (m machine) build(t *testing.T, dir, pkg string) {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", m.bin, pkg)
	build.Dir = filepath.Join(root, dir)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
}

func (m machine) link(t *testing.T, program, name string) {
	t.Helper()
	if err := os.Symlink(program, filepath.Join(m.bin, name)); err != nil {
		t.Fatal(err)
	}
}

// addTools adds crane, oras and regctl, of the versions in test/clients, from
// the folder CLIENTS_BIN or built here, and the programs of the folders that
// buildKitBin and ecosystemBin name.
func (m *machine) addTools(t *testing.T) {
	t.Helper()
	if built := os.Getenv("CLIENTS_BIN"); built != "" {
		for _, name := range []string{"crane", "oras", "regctl"} {
			m.link(t, filepath.Join(built, name), name)
		}
	} else {
		m.build(t, "test/clients", "tool")
	}
	m.has = map[string]bool{}
	if dir := os.Getenv(ecosystemBin); dir != "" {
		m.has[needsEcosystem] = true
		for _, name := range []string{"helm", "ko"} {
			m.link(t, filepath.Join(dir, name), name)
		}
	}
	dir := os.Getenv(buildKitBin)
	if dir == "" {
		return
	}
	m.has[needsBuildKit] = true
	m.link(t, filepath.Join(dir, "buildctl"), "buildctl")
	m.link(t, filepath.Join(dir, "buildkitd"), "buildkitd.real")
	// What only a machine that is a container itself needs is said here.
	wrapper := "#!/bin/sh\nexec buildkitd.real --root \"$KONTOR_DOCS_BUILDKIT/root\" --addr \"$BUILDKIT_HOST\" --containerd-worker=false " +
		"--oci-worker=true --oci-worker-snapshotter=native --oci-worker-binary \"$KONTOR_DOCS_RUNTIME\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(m.bin, "buildkitd"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
}

// These name the environment's folders of programs that take minutes to build: with
// buildctl and buildkitd, which `go run ./test/all -only buildkit` sets, and with
// helm and ko, which `go run ./test/all -only ecosystem` sets.
const (
	buildKitBin  = "DOCS_BUILDKIT_BIN"
	ecosystemBin = "DOCS_ECOSYSTEM_BIN"
)

// These are the reasons of blocks that run where such programs are.
const (
	needsBuildKit  = "needs BuildKit, with which `go run ./test/all -only buildkit` runs it"
	needsEcosystem = "needs helm and ko, with which `go run ./test/all -only ecosystem` runs it"
)

// elsewhere says that another step of the tests runs the block.
func (s step) elsewhere() bool {
	return s.kind == notRun && (s.reason == needsBuildKit || s.reason == needsEcosystem)
}

// settings are the environment by which the tools of containers keep to
// scratch, and do without what a machine that is a container itself lacks.
// sockets is a folder with a short path.
func (m machine) settings(scratch, sockets string) ([]string, error) {
	in := func(name string) string { return filepath.Join(scratch, name) }
	files := map[string]string{
		"storage.conf": fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrootless_storage_path = %[1]q\nrunroot = %q\n", in("images"), in("run")),
		"containers.conf": fmt.Sprintf("[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\n"+
			"static_dir = %q\ntmp_dir = %q\nvolume_path = %q\n", in("podman"), in("podman.tmp"), in("volumes")),
		"containerd.toml": fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = %q\n",
			in("containerd"), filepath.Join(sockets, "state"), filepath.Join(sockets, "ctr")),
	}
	for name, text := range files {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	runtime := ""
	for _, name := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			runtime = path
			break
		}
	}
	return []string{
		"CONTAINERS_STORAGE_CONF=" + in("storage.conf"), "CONTAINERS_CONF=" + in("containers.conf"),
		// buildah and podman build, without privileges that a container lacks.
		"BUILDAH_ISOLATION=chroot",
		"CONTAINERD_ADDRESS=" + filepath.Join(sockets, "ctr"), "CONTAINERD_SNAPSHOTTER=native",
		"BUILDKIT_HOST=unix://" + filepath.Join(sockets, "bk"), "KONTOR_DOCS_BUILDKIT=" + in("buildkit"), "KONTOR_DOCS_RUNTIME=" + runtime,
	}, nil
}

// usesDocker finds commands of docker, which needs a daemon.
var usesDocker = regexp.MustCompile(`(?m)(^|[|(;&!])\s*docker `)

// withDocker starts a docker daemon, if a step uses it, for the variables env,
// and returns the one that says where it is. The caller calls stop.
func withDocker(steps []step, env []string) (setting []string, stop func() error, err error) {
	if !slices.ContainsFunc(steps, func(s step) bool { return s.kind != notRun && s.kind != write && usesDocker.MatchString(s.text) }) {
		return nil, func() error { return nil }, nil
	}
	d, err := dockerd.Start(env)
	if err != nil {
		return nil, nil, err
	}
	return []string{"DOCKER_HOST=" + d.Host()}, d.Stop, nil
}

// usesCtr finds commands of ctr, which needs a daemon.
var usesCtr = regexp.MustCompile(`(?m)(^|[|(;&!])\s*ctr `)

// withContainerd starts containerd before the first step that uses it. It is
// stopped as everything else that a page leaves in the background.
func withContainerd(steps []step, scratch string) []step {
	for i, s := range steps {
		if s.kind == notRun || s.kind == write || !usesCtr.MatchString(s.text) {
			continue
		}
		config, log := quote(filepath.Join(scratch, "containerd.toml")), quote(filepath.Join(scratch, "containerd.log"))
		start := step{kind: run, line: s.line, text: strings.NewReplacer("CONFIG", config, "LOG", log).Replace(
			"( set +e; containerd --config CONFIG >LOG 2>&1; echo $? >LOG.code ) &\n" +
				"until ctr version >/dev/null 2>&1; do\n  if [ -e LOG.code ]; then cat LOG; echo 'containerd ended'; exit 1; fi\n  sleep 0.1\ndone\n")}
		return append(append(append([]step(nil), steps[:i]...), start), steps[i:]...)
	}
	return steps
}
