package scanning

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/registry"
)

// CommandConfig is a scanner that is a program.
type CommandConfig struct {
	Registry *registry.Registry // required
	// Command is the program and its arguments, in which {layout} is the folder of the
	// OCI layout, {digest} the image's digest, and {folder} a folder for what the program
	// wants to write. It prints its report, see Parse.
	Command []string
	// BillCommand, where it is given, is run instead where a bill of materials refers to
	// the image: {sbom} is its file.
	BillCommand []string
	// Folder is where the folders are made; "" for the system's.
	Folder string
	// MaxMemory bounds the data of each process, in bytes, where the system can; 0 for
	// no bound.
	MaxMemory int64
	Log       *slog.Logger // required
}

// Placeholders of commands.
const (
	inLayout = "{layout}"
	inBill   = "{sbom}"
	inDigest = "{digest}"
	inFolder = "{folder}"
)

// Check says what is wrong with the commands.
func (c CommandConfig) Check() error {
	holds := func(list []string, any ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool {
			return slices.ContainsFunc(any, func(p string) bool { return strings.Contains(s, p) })
		})
	}
	switch {
	case len(c.Command) == 0 || c.Command[0] == "":
		return errors.New("the command is empty: give a program and its arguments")
	case !holds(c.Command[1:], inLayout):
		return fmt.Errorf("no argument holds %s, so the program would not know what to scan", inLayout)
	case len(c.BillCommand) > 0 && (c.BillCommand[0] == "" || !holds(c.BillCommand[1:], inBill)):
		return fmt.Errorf("no argument of the command for bills of materials holds %s", inBill)
	}
	return nil
}

const (
	// maxStderr is how much is kept of what a program says of a failure.
	maxStderr = 8 << 10
	// killWait is how long the output of a program is waited for that was stopped.
	killWait = 5 * time.Second
)

// NewCommand returns a scanner that runs a program for each scan.
func NewCommand(cfg CommandConfig) Scanner {
	return &command{cfg, content{cfg.Registry}}
}

type command struct {
	cfg     CommandConfig
	content content
}

// About implements Scanner.
func (c *command) About(context.Context) (About, error) {
	a := About{Kind: "command", Name: filepath.Base(c.cfg.Command[0])}
	if _, err := exec.LookPath(c.cfg.Command[0]); err != nil {
		return a, fmt.Errorf("finding the program of the scanner: %w", err)
	}
	return a, nil
}

// Scan implements Scanner.
func (c *command) Scan(ctx context.Context, t Target) (r Report, err error) {
	dir, err := os.MkdirTemp(c.cfg.Folder, "kontor-scan-")
	if err != nil {
		return r, err
	}
	defer func() {
		if rerr := os.RemoveAll(dir); rerr != nil {
			c.cfg.Log.WarnContext(ctx, "folder of a scan not removed", "folder", dir, "error", rerr)
		}
	}()
	at := map[string]string{
		inLayout: filepath.Join(dir, "image"), inBill: filepath.Join(dir, "sbom.json"), inFolder: filepath.Join(dir, "work"), inDigest: string(t.Digest),
	}
	for _, f := range []string{at[inLayout], at[inFolder]} {
		if err := os.Mkdir(f, 0o700); err != nil {
			return r, err
		}
	}
	line, billed := c.cfg.Command, false
	if len(c.cfg.BillCommand) > 0 {
		if billed, err = c.content.writeBill(ctx, t, at[inBill]); err != nil {
			return r, fmt.Errorf("reading the image's bill of materials: %w", err)
		}
		if billed {
			line = c.cfg.BillCommand
		}
	}
	if !billed || slices.ContainsFunc(line, func(s string) bool { return strings.Contains(s, inLayout) }) {
		if err := c.content.writeLayout(ctx, t, at[inLayout]); err != nil {
			return r, err
		}
	}
	text, err := c.run(ctx, line, at)
	if err != nil {
		return r, err
	}
	return Parse(text)
}

// run runs the program, and returns what it prints.
func (c *command) run(ctx context.Context, line []string, at map[string]string) ([]byte, error) {
	var pairs []string
	for k, v := range at {
		pairs = append(pairs, k, v)
	}
	args := make([]string, len(line))
	for i, a := range line {
		args[i] = strings.NewReplacer(pairs...).Replace(a)
	}
	cmd := exec.CommandContext(ctx, line[0], args[1:]...) // the operator's, whose it is to say
	cmd.Dir, cmd.Env = at[inFolder], environment(at[inFolder])
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := &bounded{most: maxReport, full: func() { stop(fmt.Errorf("the scanner's report has more than %d bytes", maxReport)) }}
	errs := &tail{most: maxStderr}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, errs, killWait
	apart(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the scanner: %w", err)
	}
	if err := limitMemory(cmd, c.cfg.MaxMemory); err != nil {
		c.cfg.Log.WarnContext(ctx, "memory of the scanner not bounded", "error", err)
	}
	killed := context.AfterFunc(ctx, func() { kill(cmd) })
	err := cmd.Wait()
	killed()
	kill(cmd) // what it started and left behind
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, fmt.Errorf("the scanner failed: %w: %s", err, errs.text())
	}
	return out.b.Bytes(), nil
}

// secretNames begin the names of variables that are the server's, and no scanner's.
var secretNames = []string{"KONTOR_", "AWS_", "PG"}

// environment is the server's, without its secrets.
func environment(folder string) []string {
	var list []string
	for _, v := range os.Environ() {
		if !slices.ContainsFunc(secretNames, func(p string) bool { return strings.HasPrefix(v, p) }) {
			list = append(list, v)
		}
	}
	return append(list, "TMPDIR="+folder)
}

// bounded keeps what is written, up to a number of bytes. It has no ReadFrom, which would
// go past the bound.
type bounded struct {
	b    bytes.Buffer
	most int
	full func()
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.b.Len()+len(p) > b.most {
		b.full()
		return 0, errors.New("too much output")
	}
	return b.b.Write(p)
}

// tail keeps the end of what is written.
type tail struct {
	b    []byte
	most int
}

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - t.most; over > 0 {
		t.b = slices.Delete(t.b, 0, over)
	}
	return len(p), nil
}

// text is its last line, or all if that is short.
func (t *tail) text() string {
	s := clean(string(t.b), 4*maxReason)
	if len(s) > maxReason/2 {
		s = "..." + strings.ToValidUTF8(s[len(s)-maxReason/2:], "")
	}
	return s
}
