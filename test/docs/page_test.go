package docs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// page is a Markdown file of the project and its fenced code blocks.
type page struct {
	name   string // relative to the root of the checkout, with slashes
	prose  string // everything but the blocks, with the same line numbers
	blocks []block
}

// block is a fenced code block. What its info string may say is in steps.
type block struct {
	line int // of the opening fence, from 1
	info string
	text string // ends with a newline, unless empty
}

// parsePage finds the blocks of a page. A fence is three or more backticks;
// what stands before them is taken off each line of the block.
func parsePage(name, text string) (page, error) {
	p := page{name: name}
	var (
		prose strings.Builder
		open  *block
		fence string
		dent  string
	)
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		ticks := trimmed[:len(trimmed)-len(strings.TrimLeft(trimmed, "`"))]
		switch {
		case open != nil && len(ticks) >= len(fence) && strings.TrimSpace(trimmed) == ticks:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, dent) + "\n"
		case len(ticks) >= 3:
			open = &block{line: i + 1, info: strings.TrimSpace(trimmed[len(ticks):])}
			fence, dent = ticks, line[:len(line)-len(trimmed)]
		default:
			prose.WriteString(line)
		}
		prose.WriteByte('\n')
	}
	if open != nil {
		return p, fmt.Errorf("%s:%d: the code block has no end", name, open.line)
	}
	p.prose = prose.String()
	return p, nil
}

// kind is what becomes of a step.
type kind int

const (
	run        kind = iota // must exit 0
	fails                  // must exit with another code
	background             // started, ready when it says so, and kept to the end
	write                  // text is written to file
	notRun                 // for reason
)

// step is a block that does something, and the output that the page shows.
type step struct {
	kind   kind
	line   int
	text   string
	file   string
	reason string
	output []block
}

// steps reads the info strings of p's blocks:
//
//	sh                   run it
//	sh fails             run it; it must fail
//	sh background        start it, and keep it to the end of the page
//	sh not-run: REASON   do not run it
//	text output          the block before it prints this; "..." represents anything
//	yaml FILE            write it to FILE; likewise json, toml and dockerfile
//	yaml workflow        of GitHub Actions; run its scripts that call kontor
//	yaml not-run: REASON
//	go FILE              it is a part of FILE, which is compiled
//
// Blocks of text, json, yaml and toml without more are for reading; a yaml block
// with ecr_repositories: must be a valid file all the same. Other languages
// are refused, so that no command is overlooked.
func (p page) steps() ([]step, error) {
	var (
		all  []step
		errs []error
	)
	for _, b := range p.blocks {
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s:%d: %s", p.name, b.line, fmt.Sprintf(format, args...)))
		}
		language, rest, _ := strings.Cut(b.info, " ")
		reason, notRunnable := strings.CutPrefix(rest, "not-run:")
		s := step{line: b.line, text: b.text}
		switch {
		case notRunnable && (language == "sh" || language == "yaml"):
			s.kind, s.reason = notRun, strings.TrimSpace(reason)
			if s.reason == "" {
				bad("not-run without a reason")
			}
		case b.info == "sh":
			s.kind = run
		case b.info == "sh fails":
			s.kind = fails
		case b.info == "sh background":
			s.kind = background
		case b.info == "text output":
			if len(all) == 0 || all[len(all)-1].kind == notRun || all[len(all)-1].kind == write {
				bad("there is no block before it that prints")
				continue
			}
			last := &all[len(all)-1]
			last.output = append(last.output, b)
			continue
		case b.info == "yaml workflow":
			steps, err := workflow(b)
			if err != nil {
				bad("%v", err)
			}
			all = append(all, steps...)
			continue
		case b.info == "yaml" && strings.Contains("\n"+b.text, "\necr_repositories:"):
			s.kind, s.text = run, "kontor validate -f /dev/stdin <<'KONTOR_END'\n"+b.text+"KONTOR_END\n"
		case slices.Contains([]string{"yaml", "json", "toml", "dockerfile"}, language) && filepath.IsLocal(rest) && !strings.Contains(rest, " "):
			s.kind, s.file = write, rest
		case language == "go":
			if err := compiled(b.text, rest); err != nil {
				bad("%v", err)
			}
			continue
		case slices.Contains([]string{"text", "json", "yaml", "toml"}, b.info):
			continue
		default:
			bad("unknown kind of block %q: see steps in test/docs", b.info)
			continue
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

// compiled checks that text stands in file, a Go file below the root, whatever
// the indentation.
func compiled(text, file string) error {
	if file == "" {
		return errors.New("name the Go file that this is a part of")
	}
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return err
	}
	if !strings.Contains(flush(string(b)), flush(text)) {
		return fmt.Errorf("this is not in %s", file)
	}
	return nil
}

// flush takes off the space around each line.
func flush(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// contains reports whether the lines of want stand in out one after another. A
// line "..." of want matches any number of lines, and "..." within a line
// for any text.
func contains(out, want string) bool {
	outs, wants := lines(out), lines(want)
	for i := range outs {
		if matchLines(outs[i:], wants) {
			return true
		}
	}
	return len(wants) == 0
}

func lines(s string) []string {
	ls := strings.Split(strings.Trim(s, "\n"), "\n")
	for i := range ls {
		ls[i] = strings.TrimRight(ls[i], " \t\r")
	}
	return ls
}

// matchLines reports whether outs begins with what wants describes.
func matchLines(outs, wants []string) bool {
	if len(wants) == 0 {
		return true
	}
	if wants[0] == "..." {
		for i := range len(outs) + 1 {
			if matchLines(outs[i:], wants[1:]) {
				return true
			}
		}
		return false
	}
	return len(outs) > 0 && matchLine(outs[0], wants[0]) && matchLines(outs[1:], wants[1:])
}

func matchLine(out, want string) bool {
	parts := strings.Split(want, "...")
	if len(parts) == 1 {
		return out == want
	}
	out, ok := strings.CutPrefix(out, parts[0])
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		i := strings.Index(out, part)
		ok = ok && i >= 0
		if ok {
			out = out[i+len(part):]
		}
	}
	return ok && strings.HasSuffix(out, parts[last])
}
