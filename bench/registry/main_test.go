package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain serves a limit when a test starts this program for it.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestCompare is the measurement in short: each scenario against Kontor and the
// limits, with figures of each.
func TestCompare(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kontor")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/kontor").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{
		targets: "kontor,rawsync,null", rounds: 2, each: 20 * time.Millisecond, tags: 20, prepared: 64, large: 1 << 20,
		compat: "oci", kontor: binary,
	}
	dir := t.TempDir()
	targets, err := chooseTargets(t.Context(), o, dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []result
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			r, err := compare(t.Context(), o, s, targets)
			if err != nil {
				t.Fatal(err)
			}
			want := 3
			if s.disk || s.start {
				want = 2
			}
			if len(r.Servers) != want {
				t.Errorf("%d servers took part, want %d", len(r.Servers), want)
			}
			for _, f := range r.Servers {
				if len(f.Rates) == 0 || f.Rate <= 0 || f.P50 <= 0 || f.P99 < f.P50 {
					t.Errorf("figures of %s: %+v", f.Server, f)
				}
			}
			if err := r.print(t.Output()); err != nil {
				t.Error(err)
			}
			all = append(all, r)
		})
	}
	d := xml.NewDecoder(bytes.NewReader(draw(all)))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the drawing is no SVG: %v", err)
		}
	}
}

func TestChoose(t *testing.T) {
	if _, err := chooseScenarios(options{scenarios: "push-small,push-smal"}); err == nil {
		t.Error("an unknown scenario was accepted")
	}
	if _, err := chooseTargets(t.Context(), options{targets: "zot"}, t.TempDir()); err == nil {
		t.Error("an unknown server was accepted")
	}
	s, err := chooseScenarios(options{scenarios: "mount,start"})
	if err != nil || len(s) != 2 || s[0].name != "mount" || s[1].name != "start" {
		t.Errorf("chose %v, %v", s, err)
	}
}
