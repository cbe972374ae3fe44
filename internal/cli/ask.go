package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ask puts a question to the terminal. Only y and yes are a yes.
func (e *Env) ask(ctx context.Context, question string) (bool, error) {
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

// mayAsk finds out whether the user can be asked, unless yes was given.
func (e *Env) mayAsk(yes, asJSON bool) error {
	switch {
	case !yes && asJSON:
		return usagef("cannot prompt with --json: pass --yes")
	case !yes && !e.IsTerminal(e.Stdin):
		return usagef("cannot prompt, because stdin is not a terminal: pass --yes")
	}
	return nil
}

// notice tells the user something that is no result.
func (e *Env) notice(format string, args ...any) {
	_, _ = fmt.Fprintf(e.Stderr, "kontor: "+format+"\n", args...) // nowhere to report to
}

func (e *Env) notices(list []string) {
	for _, n := range list {
		e.notice("%s", n)
	}
}
