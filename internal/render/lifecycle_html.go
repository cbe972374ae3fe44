package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/lifecycle"
)

// ForecastHTML writes a forecast as a page of its own: the picture, the first
// image in use that goes, and what goes by day and rule. It has no scripts and
// loads nothing, and tells browsers to refuse both.
func ForecastHTML(w io.Writer, f Forecast) error {
	var b strings.Builder
	title := "Lifecycle forecast"
	if f.Repository != "" {
		title += ": " + f.Repository
	}
	fmt.Fprintf(&b, htmlHead, escape(title))
	b.WriteString("<main>\n<figure>\n" + forecastSVG(&f) + "\n</figure>\n")
	if run, d, ok := f.firstUsed(); ok {
		fmt.Fprintf(&b, "<p class=\"alarm\">%s</p>\n", escape(f.warning(run, d)))
	} else {
		fmt.Fprintf(&b, "<p class=\"calm\">No image pulled in the last week goes within %s.</p>\n", count(f.Days, "day", "days"))
	}
	fmt.Fprintf(&b, "<p>%s</p>\n", escape(f.balance()))
	busy, idle := f.lanes()
	f.rulesTable(&b, busy, idle)
	f.daysTable(&b)
	b.WriteString("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Forecast) rulesTable(b *strings.Builder, busy []lane, idle []lifecycle.Rule) {
	b.WriteString("<h2>Rules</h2>\n<table>\n<tr><th>Rule</th><th>What it says</th><th>Made by</th><th class=\"n\">Images</th><th class=\"n\">Size</th><th>First</th><th>Last</th></tr>\n")
	row := func(r lifecycle.Rule, t tally, first, last string) {
		o := f.Origins[r.Priority]
		fmt.Fprintf(b, "<tr><td>%d</td><td>%s</td><td>%s</td><td class=\"n\">%d</td><td class=\"n\">%s</td><td>%s</td><td>%s</td></tr>\n",
			r.Priority, escape(rule(r)), escape(strings.TrimSpace(o.String()+" "+o.Field)), t.Images, sizeCell(t.Bytes), first, last)
	}
	for _, r := range f.rules() {
		for _, l := range busy {
			if l.rule.Priority == r.Priority {
				row(r, l.total, day(l.first), day(l.last))
			}
		}
		for _, i := range idle {
			if i.Priority == r.Priority {
				row(r, tally{}, "", "")
			}
		}
	}
	b.WriteString("</table>\n")
}

func sizeCell(n int64) string {
	if n == 0 {
		return ""
	}
	return bytesText(n)
}

// mostNamed is how many images of one day and rule the page names.
const mostNamed = 200

func (f *Forecast) daysTable(b *strings.Builder) {
	b.WriteString("<h2>Days</h2>\n<table>\n<tr><th>Day</th><th>Rule</th><th>Images that go</th><th class=\"n\">Size</th><th class=\"n\">Images left</th></tr>\n")
	none := true
	for _, run := range f.Timeline.Runs {
		for _, d := range f.day(run) {
			none = false
			summary := count(d.gone.Images, "image", "images")
			if d.action == lifecycle.Transition {
				summary += ", to the archive"
			}
			if d.arrived > 0 {
				summary += fmt.Sprintf(" (%d pushed after %s)", d.arrived, day(f.At))
			}
			var names []string
			for _, m := range d.departed {
				if !m.Arrived && len(names) < mostNamed {
					names = append(names, "<li>"+escape(imageText(m.Image))+"</li>")
				}
			}
			if more := d.gone.Images - d.arrived - len(names); more > 0 {
				names = append(names, fmt.Sprintf("<li>and %d more</li>", more))
			}
			cell := summary
			if len(names) > 0 {
				cell = "<details><summary>" + summary + "</summary><ul>" + strings.Join(names, "") + "</ul></details>"
			}
			fmt.Fprintf(b, "<tr><td>%s</td><td>%d</td><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%d</td></tr>\n", day(run.At), d.rule, cell, sizeCell(d.gone.Bytes), run.Images)
		}
	}
	if none {
		b.WriteString("<tr><td colspan=\"5\">Nothing goes.</td></tr>\n")
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
summary { cursor: pointer; }
</style>
</head>
<body>
`
