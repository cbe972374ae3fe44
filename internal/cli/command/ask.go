package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNothing ends what came to nothing.
var ErrNothing = errors.New("nothing was changed")

// Ask puts a question to the terminal. Only y and yes are a yes.
func (e *Env) Ask(ctx context.Context, question string) (bool, error) {
	if _, err := fmt.Fprintf(e.Stderr, "%s [y/N] ", question); err != nil {
		return false, err
	}
	type answer struct {
		line string
		err  error
	}
	// A read of a terminal cannot be interrupted; when ctx ends first, the
	// goroutine ends with the process.
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(e.Stdin).ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stderr)
		return false, err
	case a := <-got:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, a.err
		}
		switch strings.ToLower(strings.TrimSpace(a.line)) {
		case "y", "yes":
			return true, nil
		}
		return false, nil
	}
}

// MayAsk finds out whether the user can be asked, unless yes was given.
func (e *Env) MayAsk(yes, asJSON bool) error {
	switch {
	case !yes && asJSON:
		return Usagef("cannot prompt with --json: pass --yes")
	case !yes && !e.IsTerminal(e.Stdin):
		return Usagef("cannot prompt, because stdin is not a terminal: pass --yes")
	}
	return nil
}

// Notice tells the user something that is not a result.
func (e *Env) Notice(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Stderr, "kontor: "+format+"\n", args...) // nowhere to report to
}

// Notices tells the user each of list; see notice.
func (e *Env) Notices(list []string) {
	for _, n := range list {
		e.Notice("%s", n)
	}
}
