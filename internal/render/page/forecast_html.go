// Package page writes reports as pages and pictures: HTML and SVG that stand
// alone. They have no scripts and load nothing; what came from a registry or a
// file is text in them.
package page

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// ForecastHTML writes a forecast as a page of its own: the picture, the first
// image in use that goes, and what goes by day and rule. It has no scripts and
// loads nothing, and tells browsers to refuse both.
func ForecastHTML(w io.Writer, f report.Forecast) error {
	var b strings.Builder
	title := "Lifecycle forecast"
	if f.Repository != "" {
		title += ": " + f.Repository
	}
	fmt.Fprintf(&b, htmlHead, escape(title))
	b.WriteString("<main>\n<figure>\n" + forecastSVG(&f) + "\n</figure>\n")
	if f.First != nil {
		fmt.Fprintf(&b, "<p class=\"alarm\">%s</p>\n", escape(f.Warning()))
	} else {
		fmt.Fprintf(&b, "<p class=\"calm\">%s</p>\n", escape(f.Calm()))
	}
	fmt.Fprintf(&b, "<p>%s</p>\n", escape(f.Balance()))
	rulesTable(&b, &f)
	daysTable(&b, &f)
	b.WriteString("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func rulesTable(b *strings.Builder, f *report.Forecast) {
	b.WriteString("<h2>Rules</h2>\n<table>\n<tr><th>Rule</th><th>Effect</th><th>Field</th><th class=\"n\">Images</th><th class=\"n\">Size</th><th>First</th><th>Last</th></tr>\n")
	for _, r := range f.Rules {
		fmt.Fprintf(b, "<tr><td>%d</td><td>%s</td><td>%s</td><td class=\"n\">%d</td><td class=\"n\">%s</td><td>%s</td><td>%s</td></tr>\n",
			r.Priority, described(r.Rule), escape(strings.TrimSpace(r.Place+" "+r.Field)), r.Images, sizeCell(r.Bytes), r.First, r.Last)
	}
	b.WriteString("</table>\n")
}

// described is what a rule does, and below it what its author says of it.
func described(r report.Rule) string {
	s := escape(r.Words)
	if r.Description != "" {
		s += "<br><small>\u201c" + escape(r.Description) + "\u201d</small>"
	}
	return s
}

func sizeCell(n int64) string {
	if n == 0 {
		return ""
	}
	return words.Bytes(n)
}

// mostNamed is how many images of one day and rule the page names.
const mostNamed = 200

func daysTable(b *strings.Builder, f *report.Forecast) {
	b.WriteString("<h2>Days</h2>\n<table>\n<tr><th>Day</th><th>Rule</th><th>Images</th><th class=\"n\">Size</th><th class=\"n\">Images left</th></tr>\n")
	none := true
	for _, d := range f.Days {
		for _, act := range d.Rules {
			none = false
			summary := words.Count(act.Images, "image", "images")
			if act.Action == lifecycle.Transition {
				summary += " archived"
			}
			if act.Arrived > 0 {
				summary += fmt.Sprintf(" (%d pushed after %s)", act.Arrived, words.Day(f.At))
			}
			var names []string
			for _, m := range act.Names[:min(len(act.Names), mostNamed)] {
				names = append(names, "<li>"+escape(words.Image(m.Digest, m.Tags))+"</li>")
			}
			if more := len(act.Names) - len(names); more > 0 {
				names = append(names, fmt.Sprintf("<li>and %d more</li>", more))
			}
			cell := summary
			if len(names) > 0 {
				cell = "<details><summary>" + summary + "</summary><ul>" + strings.Join(names, "") + "</ul></details>"
			}
			fmt.Fprintf(b, "<tr><td>%s</td><td>%d</td><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%d</td></tr>\n", d.Date, act.Priority, cell, sizeCell(act.Bytes), d.ImagesLeft)
		}
	}
	if none {
		b.WriteString("<tr><td colspan=\"5\">No image expires or is archived.</td></tr>\n")
	}
	b.WriteString("</table>\n")
}

const htmlHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>
body { margin: 0; background: #f3f5f7; color: #1f2933; font: 15px/1.5 "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 1000px; margin: 24px auto; padding: 0 20px; }
figure { margin: 0 0 20px; background: #fff; border: 1px solid #dfe4ea; border-radius: 6px; padding: 8px; }
svg { display: block; width: 100%%; height: auto; }
p.alarm { border-left: 4px solid #8e1b6b; padding: 6px 12px; background: #fff; font-weight: bold; }
p.calm { border-left: 4px solid #2e7d4f; padding: 6px 12px; background: #fff; }
h2 { font-size: 17px; margin: 28px 0 8px; }
table { width: 100%%; border-collapse: collapse; background: #fff; border: 1px solid #dfe4ea; }
th, td { text-align: left; vertical-align: top; padding: 6px 10px; border-bottom: 1px solid #dfe4ea; font-size: 14px; }
th { color: #66727f; font-weight: normal; }
.n { text-align: right; white-space: nowrap; }
td:first-child { white-space: nowrap; }
ul { margin: 6px 0; padding-left: 18px; overflow-wrap: anywhere; }
small { color: #66727f; }
summary { cursor: pointer; }
</style>
</head>
<body>
`
