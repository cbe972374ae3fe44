package scanning_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A program is given the image as an OCI layout, and what it prints is what was found.
func TestCommand(t *testing.T) {
	folder := ""
	w := command(t, "scan", func(_ *testkit.Settings, c *scanning.CommandConfig) { folder = c.Folder })
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "clean"), "clean")
	w.MustPut(app, w.Image(app, "a CVE-2026-1 and CVE-2026-2 "), "bad")
	start(t, w, app, "clean")
	start(t, w, app, "bad")
	s, list := findings(t, w, app, "bad")
	if s.Status != ecr.ScanInProgress || list != nil {
		t.Fatalf("before it was scanned: %+v, %v", s, list)
	}
	if n := run(t, w); n != 2 {
		t.Fatalf("%d scans were over", n)
	}
	s, list = findings(t, w, app, "bad")
	want := scanning.Summary{Digest: s.Digest, Status: ecr.ScanComplete, CompletedAt: w.Now(), Counts: map[ecr.Severity]int{ecr.SeverityHigh: 2}, Scanner: "Small 1.2"}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	one := scanning.Finding{Name: "CVE-2026-1", Description: "It is bad.", URI: "https://example.com/CVE-2026-1", Severity: ecr.SeverityHigh,
		Package: "libexample", Version: "1.0", Fixed: "1.1", Score: "7.5", Vector: "CVSS:3.1/AV:N"}
	if len(list) != 2 || list[0] != one || list[1].Name != "CVE-2026-2" {
		t.Errorf("%+v", list)
	}
	if s, list := findings(t, w, app, "clean"); s.Status != ecr.ScanComplete || len(list) != 0 || s.Counts != nil {
		t.Errorf("%+v %v", s, list)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("what is left of the scans: %v, %v", left, err)
	}
}

// What fails is tried again, later each time, and then says why.
func TestFailingCommand(t *testing.T) {
	for _, tt := range []struct{ how, want string }{
		{"fail", "the scanner failed: exit status 3: no <b>database</b>[31m: give me one"},
		{"endless", "the scanner's report has more than 67108864 bytes"},
		{"print", "the report is none of Trivy's, Grype's or Harbor's in JSON"},
	} {
		t.Run(tt.how, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join("testdata", "unknown.json"))
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("REPORT_FILE", file)
			w := command(t, tt.how, nil)
			app := w.Repo("app", ecr.Mutable)
			w.MustPut(app, w.Image(app, "any"), "v1")
			start(t, w, app, "v1")
			for i := range 5 {
				n := run(t, w)
				if s, _ := findings(t, w, app, "v1"); i < 4 && (n != 0 || s.Status != ecr.ScanInProgress) {
					t.Fatalf("try %d: %d over, %+v", i, n, s)
				}
				if again := run(t, w); again != 0 {
					t.Fatal("it was tried again at once")
				}
				w.Advance(time.Hour)
			}
			s, list := findings(t, w, app, "v1")
			if s.Status != ecr.ScanFailed || !strings.HasPrefix(s.Reason, tt.want) || list != nil {
				t.Errorf("%+v", s)
			}
			start(t, w, app, "v1") // which may be asked for again at once
		})
	}
}

// A program that does not end in time is stopped.
func TestHangingCommand(t *testing.T) {
	w := command(t, "hang", func(s *testkit.Settings, _ *scanning.CommandConfig) { s.ScanTimeout = time.Millisecond })
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "any"), "v1")
	start(t, w, app, "v1")
	for range 5 {
		run(t, w)
		w.Advance(time.Hour)
	}
	if s, _ := findings(t, w, app, "v1"); s.Status != ecr.ScanFailed || s.Reason != "the scanner has not finished within 1ms" {
		t.Errorf("%+v", s)
	}
}

// When the server stops, the program ends with what it started, and the scan is begun
// again by the next one.
func TestStoppedCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "child")
	t.Setenv("CHILD_FILE", file)
	w := command(t, "leave a child", nil)
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "a CVE-2026-1 "), "v1")
	start(t, w, app, "v1")
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() {
		_, err := w.Scans.RunSlot(ctx, 0)
		stopped <- err
	}()
	pid := 0
	for deadline := time.Now().Add(time.Minute); pid == 0; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			pid, _ = strconv.Atoi(string(text)) // it may be half written
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not start another")
		}
	}
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped with %v", err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d, which the program started, goes on", pid)
		}
	}
	t.Setenv(asScanner, "scan")
	if n := run(t, w); n != 1 {
		t.Errorf("%d scans were over afterwards", n)
	}
	if s, list := findings(t, w, app, "v1"); s.Status != ecr.ScanComplete || len(list) != 1 {
		t.Errorf("%+v %+v", s, list)
	}
}

// zombie reports whether a process has ended, and nobody has asked how.
func zombie(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(text), ") Z ")
}

// A program gets the environment of the server but its secrets.
func TestEnvironmentOfCommand(t *testing.T) {
	t.Setenv("KONTOR_DATABASE_URL", "CVE-secret")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "CVE-secret2")
	t.Setenv("TRIVY_CACHE_DIR", "CVE-cache")
	w := command(t, "environment", nil)
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "any"), "v1")
	start(t, w, app, "v1")
	run(t, w)
	if _, list := findings(t, w, app, "v1"); len(list) != 1 || list[0].Name != "CVE-cache" {
		t.Errorf("%+v", list)
	}
}

// Linux bounds the memory of another process.
func TestMemoryOfCommand(t *testing.T) {
	w := command(t, "memory", func(_ *testkit.Settings, c *scanning.CommandConfig) { c.MaxMemory = 256 << 20 })
	app := w.Repo("app", ecr.Mutable)
	w.MustPut(app, w.Image(app, "any"), "v1")
	start(t, w, app, "v1")
	for range 5 {
		run(t, w)
		w.Advance(time.Hour)
	}
	if s, _ := findings(t, w, app, "v1"); s.Status != ecr.ScanFailed || !strings.Contains(s.Reason, "the scanner failed") {
		t.Errorf("%+v", s)
	}
}

// Where there is a command for bills of materials, an image that has one is judged by it.
func TestBillOfMaterials(t *testing.T) {
	w := command(t, "scan", func(_ *testkit.Settings, c *scanning.CommandConfig) {
		c.BillCommand = []string{c.Command[0], "none", "{sbom}"}
	})
	app := w.Repo("app", ecr.Mutable)
	d := w.MustPut(app, w.Image(app, "a CVE-2026-1 "), "with")
	w.MustPut(app, w.Image(app, "another CVE-2026-1 "), "without")
	for i, kind := range []string{"text/plain", "application/vnd.cyclonedx+json"} {
		bill := []byte(`{"of": " CVE-2026-` + strconv.Itoa(i+8) + ` "}`)
		config := []byte("{}")
		w.Blob(app, bill)
		w.Blob(app, config)
		w.MustPut(app, testkit.JSON(map[string]any{"schemaVersion": 2, "mediaType": testkit.ImageType, "artifactType": kind,
			"config": testkit.DescOf("application/vnd.oci.empty.v1+json", config), "layers": []testkit.Desc{testkit.DescOf(kind, bill)},
			"subject": map[string]any{"mediaType": testkit.ImageType, "digest": d, "size": 1}}))
	}
	for tag, want := range map[ecr.Tag]string{"with": "CVE-2026-9", "without": "CVE-2026-1"} {
		start(t, w, app, tag)
		run(t, w)
		if s, list := findings(t, w, app, tag); len(list) != 1 || list[0].Name != want {
			t.Errorf("%s: %+v %+v", tag, s, list)
		}
	}
}
