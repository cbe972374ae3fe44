package lifecyclecmd

import (
	"cmp"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
)

// parsePolicy reads the policy that the text of a file holds. What Kontor's
// registry takes beyond ECR is wrong where it is for AWS. The errors have places
// in the file.
func parsePolicy(file, text string, aws bool) (lifecycle.Policy, error) {
	policy, within := spec.EmbeddedLifecyclePolicy(text)
	p, err := lifecycle.Dialect{PulledExpire: !aws}.Parse([]byte(policy))
	var all lifecycle.Errors
	if !errors.As(err, &all) {
		return p, err
	}
	var out spec.Errors
	for _, e := range all {
		at := state.Position{File: file}
		if e.Line > 0 {
			at.Line, at.Column = placeIn(text, within(e.Offset))
		}
		out = append(out, &spec.Error{Position: at, Field: e.Path, Message: cmp.Or(e.Reason, e.Detail)})
	}
	return p, out
}

// lintText looks at the policy that the text of a file holds, which parsePolicy
// has read. The findings have places in the file.
func lintText(o lifecycle.Options, text string, images []lifecycle.Image, now time.Time) ([]lifecycle.Finding, error) {
	policy, within := spec.EmbeddedLifecyclePolicy(text)
	found, err := o.LintText([]byte(policy), images, now)
	for i, f := range found {
		if f.Line > 0 {
			found[i].Offset = within(f.Offset)
			found[i].Line, found[i].Column = placeIn(text, found[i].Offset)
		}
	}
	return found, err
}

// placeIn is the line and column, in characters, of an offset in bytes.
func placeIn(text string, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
}
