package page

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// MatrixHTML writes the matrix as a page of its own, without scripts: a row
// for each principal, a column for each repository.
func MatrixHTML(w io.Writer, m report.Matrix) error {
	var b strings.Builder
	fmt.Fprintf(&b, htmlHead, "Who may do what")
	b.WriteString(matrixStyle)
	b.WriteString("<main>\n<h1>Who may do what</h1>\n<p class=\"key\">")
	for _, o := range []proof.Outcome{proof.Allowed, proof.Unseen, proof.Depends, proof.Partly, proof.Denied} {
		fmt.Fprintf(&b, "<span class=\"r %s\">%s</span> ", o, escape(keyWords[o]))
	}
	b.WriteString("</p>\n<div class=\"scroll\"><table class=\"matrix\">\n<tr><th></th>")
	for _, repository := range m.Repositories {
		name, registry := repository, ""
		if arn := strings.SplitN(repository, ":", 6); len(arn) == 6 {
			name, registry = strings.TrimPrefix(arn[5], "repository/"), arn[3]+" "+arn[4]
		}
		fmt.Fprintf(&b, "<th title=\"%s\">%s<small>%s</small></th>", escape(repository), escape(name), escape(registry))
	}
	b.WriteString("</tr>\n")
	for i, principal := range m.Principals {
		fmt.Fprintf(&b, "<tr><th class=\"who\">%s</th>", escape(words.Principals(principal, m.Unseen(i))))
		for _, cell := range m.Row(i) {
			b.WriteString("<td>")
			for _, right := range proof.Rights() {
				o := cell.Rights[right]
				fmt.Fprintf(&b, "<span class=\"r %s\" title=\"%s: %s\">%s</span>", o, right, escape(keyWords[o]), right)
			}
			b.WriteString("</td>")
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table></div>\n")
	for _, n := range m.Notes {
		fmt.Fprintf(&b, "<p class=\"note\">%s</p>\n", escape(n))
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

var keyWords = map[proof.Outcome]string{
	proof.Allowed: "allowed", proof.Unseen: "allowed as far as was seen", proof.Depends: "under conditions",
	proof.Partly: "partly", proof.Denied: "denied",
}

const matrixStyle = `<style>
main { max-width: none; }
.scroll { overflow-x: auto; }
.matrix th small { display: block; font-weight: normal; color: #66727f; }
.matrix th.who { text-align: left; white-space: nowrap; }
.matrix td { white-space: nowrap; }
.r { display: inline-block; padding: 1px 6px; margin: 1px; border-radius: 3px; font-size: 12px; }
.r.allowed { background: #d5ead9; color: #14532d; }
.r.unseen { background: #e3edf7; color: #1e3a5f; }
.r.depends { background: #fbeecb; color: #6b4a00; }
.r.partly { background: #fde2c8; color: #7a3b00; }
.r.denied { background: transparent; color: #b8c0c8; }
</style>
`
