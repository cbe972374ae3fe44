package datadir_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
)

// holdEnv makes the test binary a server on the folder that it names: it
// opens it, announces itself when it reads a line, and closes the folder at
// the end of its input.
const holdEnv = "KONTOR_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		if err := hold(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hold(path string) error {
	d, err := datadir.Open(context.Background(), path)
	if err != nil {
		return err
	}
	fmt.Println("open")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := d.Announce(local("localhost:1")); err != nil {
			return err
		}
		fmt.Println("announced")
	}
	return d.Close()
}

// holder is another process that has a folder.
type holder struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startHolder(t *testing.T, path string) *holder {
	t.Helper()
	h := &holder{t: t, cmd: exec.Command(os.Args[0])}
	h.cmd.Env = append(os.Environ(), holdEnv+"="+path)
	h.cmd.Stderr = os.Stderr
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.out = in, bufio.NewScanner(out)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.cmd.Process.Kill() }) // it has ended, unless the test failed
	h.says("open")
	return h
}

func (h *holder) says(want string) {
	h.t.Helper()
	if !h.out.Scan() || h.out.Text() != want {
		h.t.Fatalf("the holder says %q, want %q", h.out.Text(), want)
	}
}

func (h *holder) announce() {
	h.t.Helper()
	if _, err := io.WriteString(h.in, "\n"); err != nil {
		h.t.Fatal(err)
	}
	h.says("announced")
}

func local(host string) []datadir.Registry {
	return []datadir.Registry{{Name: "local", Account: "000000000000", Region: "us-east-1", Host: host, Endpoint: "http://" + host}}
}

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeDir(t *testing.T, d *datadir.Dir) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// running asks without waiting.
func running(t *testing.T, path string) ([]datadir.Registry, bool, error) {
	t.Helper()
	return datadir.Running(t.Context(), path, 0)
}

func wantError(t *testing.T, err, is error, text string) {
	t.Helper()
	if err == nil || is != nil && !errors.Is(err, is) || err.Error() != text {
		t.Errorf("error %v, want %s", err, text)
	}
}

func TestOneServerAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder")
	h := startHolder(t, path)
	inUse := fmt.Sprintf("data folder %s: another kontor server runs on this folder (process %d): stop it, or use another folder with --data", path, h.cmd.Process.Pid)
	_, err := datadir.Open(t.Context(), path)
	wantError(t, err, datadir.ErrInUse, inUse)

	// It has the folder but no one can reach it yet.
	_, yes, err := running(t, path)
	wantError(t, err, nil, fmt.Sprintf("data folder %s: process %d holds it but does not serve yet: try again", path, h.cmd.Process.Pid))
	if !yes {
		t.Error("not running")
	}
	h.announce()
	got, yes, err := running(t, path)
	if d := cmp.Diff(local("localhost:1"), got); err != nil || !yes || d != "" {
		t.Errorf("Running = %v, %v (-want +got):\n%s", yes, err, d)
	}
	// Looking let no one in.
	_, err = datadir.Open(t.Context(), path)
	wantError(t, err, datadir.ErrInUse, inUse)

	// A process that is killed leaves its note and no lock.
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait() // killed
	got, yes, err = running(t, path)
	if d := cmp.Diff(local("localhost:1"), got); err != nil || yes || d != "" {
		t.Errorf("after its end: Running = %v, %v (-want +got):\n%s", yes, err, d)
	}
	closeDir(t, open(t, path))

	// One that ends on its own lets go of it as well.
	h = startHolder(t, path)
	if err := h.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	closeDir(t, open(t, path))
}

func TestTwiceInOneProcess(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := datadir.Open(t.Context(), path); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("Open = %v", err)
	}
	closeDir(t, d)
	closeDir(t, open(t, path))
}

// In a container every server is process 1: the process alone does not tell
// whose note it is.
func TestNoteOfAnEarlierRun(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if err := d.Announce(local("localhost:1")); err != nil {
		t.Fatal(err)
	}
	closeDir(t, d)
	d = open(t, path) // the same process
	if _, yes, err := running(t, path); err == nil || !yes {
		t.Errorf("the note of an earlier run is believed: %v, %v", yes, err)
	}
	waiting := make(chan error, 1)
	go func() {
		got, yes, err := datadir.Running(context.Background(), path, time.Hour)
		if err == nil && (!yes || got[0].Host != "localhost:2") {
			err = fmt.Errorf("Running = %v, %v", got, yes)
		}
		waiting <- err
	}()
	if err := d.Announce(local("localhost:2")); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	closeDir(t, d)
	if got, yes, err := running(t, path); err != nil || yes || got[0].Host != "localhost:2" {
		t.Errorf("Running = %v, %v, %v", got, yes, err)
	}
}

func TestRunningIsCancelled(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := datadir.Running(ctx, path, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Running = %v", err)
	}
	closeDir(t, d)
}

func TestNotes(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "cut off": `{"pid": 1, "regis`, "another form": `[]`, "no registries": `{"pid":1,"run":"X","registries":[]}`, "null": "null",
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			write(t, path, "server.json", content, 0o600)
			_, _, err := running(t, path)
			wantError(t, err, nil, fmt.Sprintf("data folder %s: server.json is damaged: run `kontor up --data %[1]s` once to write it again", path))
			d := open(t, path)
			// What a crash left of writing it is in no one's way.
			write(t, path, "server.json.new", "half", 0o600)
			if err := d.Announce(local("localhost:1")); err != nil {
				t.Fatal(err)
			}
			if _, yes, err := running(t, path); err != nil || !yes {
				t.Errorf("Running = %v, %v", yes, err)
			}
			info, err := os.Stat(filepath.Join(path, "server.json"))
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("server.json: %v, %v", info.Mode(), err)
			}
			closeDir(t, d)
			if names := list(t, path); slices.Contains(names, "server.json.new") {
				t.Errorf("left behind: %v", names)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "none")
	_, _, err := running(t, path)
	wantError(t, err, datadir.ErrEmpty, fmt.Sprintf("data folder %s: no registry was served from here yet: run `kontor up --data %[1]s` first", path))
}

func write(t *testing.T, path, name, content string, mode fs.FileMode) {
	t.Helper()
	name = filepath.Join(path, name)
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func list(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Every folder that cannot be opened says why in one line.
func TestFoldersThatCannotBeOpened(t *testing.T) {
	const another = "or use another folder with --data"
	// PATH represents the folder's path; openers are those that refuse it.
	type opener func(context.Context, string) (*datadir.Dir, error)
	both := []opener{datadir.Open, datadir.OpenReader}
	tests := []struct {
		name    string
		make    func(t *testing.T, path string)
		openers []opener
		want    string
	}{
		{"a file", func(t *testing.T, path string) { replaceBy(t, path, "a file") }, both[:1],
			"data folder PATH is not a folder: use another with --data (open PATH/lock: not a directory)"},
		{"nothing there", func(t *testing.T, path string) { remove(t, path) }, both[1:],
			"data folder PATH: no registry was served from here yet: run `kontor up --data PATH` first"},
		{"empty", func(*testing.T, string) {}, both[1:],
			"data folder PATH: no registry was served from here yet: run `kontor up --data PATH` first"},
		{"master key gone", func(t *testing.T, path string) { made(t, path); remove(t, filepath.Join(path, "master.key")) }, both,
			"data folder PATH: master.key is missing, and without it the secrets in kontor.db cannot be opened: put it back, or start on an empty folder"},
		{"master key for all", func(t *testing.T, path string) { made(t, path); chmod(t, filepath.Join(path, "master.key"), 0o640) }, both,
			"data folder PATH: master key PATH/master.key: mode 0640 lets other users read it; run: chmod 600 PATH/master.key"},
		{"master key cut off", func(t *testing.T, path string) { made(t, path); write(t, path, "master.key", "short", 0o600) }, both,
			"data folder PATH: master key PATH/master.key: 5 bytes, want 32: restore the file from its backup"},
		{"may not be made", func(t *testing.T, path string) { remove(t, path); chmod(t, filepath.Dir(path), 0o555) }, both[:1],
			"data folder PATH: permission denied: change its permissions, " + another + " (mkdir PATH: permission denied)"},
		{"may not be written", func(t *testing.T, path string) { chmod(t, path, 0o555) }, both[:1],
			"data folder PATH: permission denied: change its permissions, " + another + " (open PATH/lock: permission denied)"},
		{"somebody else's", func(t *testing.T, path string) { made(t, path); chmod(t, path, 0) }, both[:1],
			"data folder PATH: permission denied: change its permissions, " + another + " (open PATH/lock: permission denied)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := folder(t)
			tt.make(t, path)
			for _, open := range tt.openers {
				var err error
				unprivileged(t, func() { _, err = open(t.Context(), path) })
				wantError(t, err, nil, strings.ReplaceAll(tt.want, "PATH", path))
			}
		})
	}
	t.Run("whose note is somebody else's", func(t *testing.T) {
		path := folder(t)
		made(t, path)
		chmod(t, path, 0)
		var err error
		unprivileged(t, func() { _, _, err = datadir.Running(t.Context(), path, 0) })
		wantError(t, err, fs.ErrPermission, strings.ReplaceAll("data folder PATH: permission denied: change its permissions, "+another+
			" (open PATH/lock: permission denied)", "PATH", path))
	})
}

// folder is one that another user can reach.
func folder(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("", "kontor-datadir-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(base, "data")
	t.Cleanup(func() {
		_ = os.Chmod(base, 0o700)
		_ = os.Chmod(path, 0o700) // so that what is not root can remove it
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	give(t, base)
	give(t, path)
	return path
}

// made puts a registry into the folder, as the user who will look at it.
func made(t *testing.T, path string) {
	t.Helper()
	closeDir(t, open(t, path))
	for _, name := range list(t, path) {
		give(t, filepath.Join(path, name))
	}
}

func replaceBy(t *testing.T, path, content string) {
	t.Helper()
	remove(t, path)
	write(t, filepath.Dir(path), filepath.Base(path), content, 0o644)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestWrongMasterKey(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	users := identity.New(identity.Config{Meta: d.Meta, Key: d.Key, Now: time.Now})
	if err := users.EnsureAccount(t.Context(), "000000000000"); err != nil {
		t.Fatal(err)
	}
	closeDir(t, d)
	write(t, path, "master.key", strings.Repeat("x", identity.MasterKeySize), 0o600)
	d = open(t, path)
	users = identity.New(identity.Config{Meta: d.Meta, Key: d.Key, Now: time.Now})
	err := users.EnsureAccount(t.Context(), "000000000000")
	wantError(t, d.Explain(err), identity.ErrMasterKey, "data folder "+path+": "+identity.ErrMasterKey.Error())
	closeDir(t, d)
	if d.Explain(nil) != nil {
		t.Error("Explain(nil) is an error")
	}
}

// A reader sees what the server next to it writes, and makes nothing.
func TestReader(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	r, err := datadir.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.New(identity.Config{Meta: d.Meta, Key: d.Key, Now: time.Now}).EnsureAccount(t.Context(), "000000000000"); err != nil {
		t.Fatal(err)
	}
	before := list(t, path)
	users := identity.New(identity.Config{Meta: r.Meta, Key: r.Key, Now: time.Now})
	if _, err := users.Credentials(t.Context(), "000000000000", identity.Administrator); err != nil {
		t.Error(err)
	}
	closeDir(t, r)
	if diff := cmp.Diff(before, list(t, path)); diff != "" {
		t.Errorf("a reader changed the folder (-before +after):\n%s", diff)
	}
	if _, err := datadir.Open(t.Context(), path); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("the reader's end let go of the server's lock: %v", err)
	}
	closeDir(t, d)
}

// Whatever is in server.json and lock, looking gives an answer.
func FuzzNote(f *testing.F) {
	f.Add("1 RUN\n", `{"pid":1,"run":"RUN","registries":[{"name":"local","account":"000000000000","region":"us-east-1","host":"localhost:1","endpoint":"http://localhost:1"}]}`)
	f.Add("", "{}")
	f.Add("99999999999999999999 x", `{"registries":[{}]}`)
	f.Fuzz(func(t *testing.T, lock, note string) {
		path := t.TempDir()
		write(t, path, "lock", lock, 0o600)
		write(t, path, "server.json", note, 0o600)
		got, yes, err := running(t, path)
		if yes || (err == nil) != (len(got) > 0) {
			t.Errorf("Running = %v, %v, %v", got, yes, err)
		}
	})
}
