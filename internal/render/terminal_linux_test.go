package render_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kontor-registry/kontor/internal/render"
)

// A terminal gets colour, unless NO_COLOR says no (https://no-color.org: "when
// present and not an empty string (regardless of its value)") or it knows none.
func TestColorOnATerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile(t, master)
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile(t, terminal)
	file, err := os.CreateTemp(t.TempDir(), "file")
	if err != nil {
		t.Fatal(err)
	}
	defer closeFile(t, file)
	for _, c := range []struct {
		name string
		out  *os.File
		env  map[string]string
		want bool
	}{
		{"a terminal", terminal, map[string]string{"TERM": "xterm-256color"}, true},
		{"NO_COLOR", terminal, map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}, false},
		{"NO_COLOR that is empty", terminal, map[string]string{"TERM": "xterm-256color", "NO_COLOR": ""}, true},
		{"NO_COLOR, whatever it says", terminal, map[string]string{"TERM": "xterm-256color", "NO_COLOR": "0"}, false},
		{"a terminal that knows none", terminal, map[string]string{"TERM": "dumb"}, false},
		{"a file", file, map[string]string{"TERM": "xterm-256color"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := render.ColorFor(c.out, func(k string) string { return c.env[k] }); got != c.want {
				t.Errorf("colour %t", got)
			}
		})
	}
}

func closeFile(t *testing.T, f *os.File) {
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
