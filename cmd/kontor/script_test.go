//go:build unix

package main

import (
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kontor-registry/kontor/internal/race"
)

// TestMain makes this binary kontor where a script or a benchmark runs it
// under that name, or that of docker's credential helper.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kontor": main, "docker-credential-kontor": main})
}

// TestScripts runs testdata/script. Each script has its own home and folder, no
// AWS configuration, and these commands in addition to testscript's:
//
//	server-start [args]    kontor up --data $WORK/data --listen localhost:0 args,
//	                       until it is ready; then sets what kontor env prints
//	server-stop [signal]   stop it by INT or TERM (default), which must be clean
//	server-kill            stop it by KILL
//	exits CODE command     run a command that must end with the exit code
//	api OPERATION JSON     call the ECR API as kontor env says
//	push IMAGE CONTENT     push an image of one layer with docker's credentials
//	pull IMAGE             pull it and print the layer
//	free-ports N           set $PORT to the first of N free ports in a row
//	small-disk SIZE DIR command      run a command with a small disk at DIR
//	read-only DIR command            run a command that finds DIR read-only
//	without-privileges command       run a command for which permissions count
//
// A server that still runs at the end is stopped, which must be clean as well.
//
// With the race detector only those of racingScripts run, and none of the other
// tests here: a process that is built with it takes many times longer to start.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if race.Enabled {
		names = names[:0]
		for _, name := range racingScripts {
			names = append(names, filepath.Join("testdata", "script", name+".txtar"))
		}
	}
	testscript.Run(t, testscript.Params{
		Files: names,
		Setup: func(e *testscript.Env) error {
			s := &session{data: filepath.Join(e.WorkDir, "data")}
			e.Values[sessionKey{}] = s
			e.Defer(func() {
				if s.server == nil {
					return
				}
				if err := s.server.stop(syscall.SIGTERM); err != nil {
					t.Errorf("%s: %v", filepath.Base(e.WorkDir), err)
				}
			})
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			e.Setenv("GORACE", "atexit_sleep_ms=50") // a second on its own, for each process
			return os.MkdirAll(e.Getenv("HOME"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server-start": serverStart, "server-stop": serverStop, "server-kill": serverKill, "exits": exits,
			"api": api, "push": push, "pull": pull, "free-ports": freePorts,
			"small-disk": smallDisk, "read-only": readOnly, "without-privileges": withoutPrivileges,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// racingScripts are those in which a server and a command do several things at
// once: registries and repositories in parallel, signals, jobs, clusters.
var racingScripts = []string{
	"apply-accounts", "apply-interrupted", "at-once", "cluster-pull", "lease-saves", "lifecycle", "registries", "up",
}

// session is what a script has running.
type session struct {
	data   string
	server *server // nil: none
}

type sessionKey struct{}

func sessionOf(ts *testscript.TestScript) *session { return ts.Value(sessionKey{}).(*session) }

func serverStart(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts)
	if neg || s.server != nil {
		ts.Fatalf("usage: server-start [args], where none runs")
	}
	up := append([]string{"up", "--data", s.data, "--listen", "localhost:0"}, args...)
	data := s.data
	if i := slices.Index(args, "--data"); i >= 0 && i+1 < len(args) {
		data = ts.MkAbs(args[i+1])
	}
	var err error
	s.server, err = startServer(ts.MkAbs("."), environ(ts), up...)
	ts.Check(err)
	_, err = ts.Stdout().Write([]byte(s.server.out.String()))
	ts.Check(err)
	vars, err := envOf(environ(ts), data)
	ts.Check(err)
	for k, v := range vars {
		ts.Setenv(k, v)
	}
}

func serverStop(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts)
	signals := map[string]os.Signal{"": syscall.SIGTERM, "TERM": syscall.SIGTERM, "INT": os.Interrupt}
	sig, ok := signals[strings.Join(args, " ")]
	if neg || !ok || s.server == nil {
		ts.Fatalf("usage: server-stop [TERM|INT], where one runs")
	}
	err := s.server.stop(sig)
	_, werr := ts.Stdout().Write([]byte(s.server.out.String()))
	s.server = nil
	ts.Check(err)
	ts.Check(werr)
}

func serverKill(ts *testscript.TestScript, neg bool, args []string) {
	s := sessionOf(ts)
	if neg || len(args) > 0 || s.server == nil {
		ts.Fatalf("usage: server-kill, where one runs")
	}
	ts.Check(s.server.kill())
	s.server = nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE command [args]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if code := exitCode(ts, args[1:]); code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// exitCode runs a command; what it writes is for `stdout` and `stderr`.
func exitCode(ts *testscript.TestScript, args []string) int {
	err := ts.Exec(args[0], args[1:]...)
	if exit, ok := err.(*exec.ExitError); ok && exit.Exited() {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// finish runs a command that must fail if neg says so.
func finish(ts *testscript.TestScript, neg bool, args []string) {
	if code := exitCode(ts, args); (code != 0) != neg {
		ts.Fatalf("exit code %d", code)
	}
}

func freePorts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: free-ports N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	// Below what systems hand out for port 0, so that no one gets them in
	// between.
	for range 1000 {
		first := 12_000 + rand.IntN(18_000)
		if free(first, n) {
			ts.Setenv("PORT", strconv.Itoa(first))
			for i := range n {
				ts.Setenv("PORT"+strconv.Itoa(i+1), strconv.Itoa(first+i))
			}
			return
		}
	}
	ts.Fatalf("no %d free ports in a row", n)
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		for _, host := range []string{"127.0.0.1", "::1"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
			if err == nil {
				err = l.Close()
			}
			if err != nil && host == "127.0.0.1" || isInUse(err) {
				return false
			}
		}
	}
	return true
}
