//go:build unix

package docs

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link is the target of a Markdown link or picture: [text](target).
var link = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)

// inlineCode is text between backticks, where nothing is a link.
var inlineCode = regexp.MustCompile("`[^`\n]*`")

// checkLinks says which relative links of p lead nowhere. all holds every page
// by name.
func checkLinks(p page, all map[string]page) error {
	var errs []error
	for i, line := range strings.Split(p.prose, "\n") {
		for _, m := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") {
				continue // https:, mailto:
			}
			name := p.name
			if target != "" {
				name = path.Join(path.Dir(p.name), target)
			}
			to, isPage := all[name]
			if _, err := os.Stat(filepath.Join(root, name)); !isPage && err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: the link to %s leads nowhere", p.name, i+1, m[1]))
				continue
			}
			if isPage && anchor != "" && !hasAnchor(to, anchor) {
				errs = append(errs, fmt.Errorf("%s:%d: %s has no heading #%s", p.name, i+1, name, anchor))
			}
		}
	}
	return errors.Join(errs...)
}

// notInAnchor is what GitHub leaves out of the anchors of headings.
var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

func hasAnchor(p page, anchor string) bool {
	for _, line := range strings.Split(p.prose, "\n") {
		heading := strings.TrimLeft(line, "#")
		if heading == line {
			continue
		}
		slug := notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return false
}

func TestLinks(t *testing.T) {
	all := map[string]page{}
	for _, p := range pages(t) {
		all[p.name] = p
	}
	for _, p := range all {
		if err := checkLinks(p, all); err != nil {
			t.Error(err)
		}
	}
}
