package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
)

// Sizes of the drawing, in pixels.
const (
	rowHeight  = 18
	labelWidth = 380
	barWidth   = 420
)

// draw shows how many times the rate of each other server the first one has, as
// bars on a logarithmic scale; the line in the middle means equal.
func draw(results []result) []byte {
	var rows bytes.Buffer
	y := 24
	for _, r := range results {
		fmt.Fprintf(&rows, "<text x=\"0\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y, html.EscapeString(r.Title))
		y += rowHeight
		for _, f := range r.Servers[1:] {
			ratio := r.Servers[0].Rate / f.Rate
			// Two decades each way fill the width.
			length := math.Max(-2, math.Min(2, math.Log10(ratio))) / 4 * barWidth
			x, middle := math.Min(0, length), float64(labelWidth+barWidth/2)
			fill := "#2b7a4b"
			if ratio < 1 {
				fill = "#b3541e"
			}
			fmt.Fprintf(&rows, "<text x=\"16\" y=\"%d\">%s times %s</text><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"11\" fill=\"%s\"/>\n",
				y, format(ratio), html.EscapeString(f.Server), middle+x, y-10, math.Abs(length), fill)
			y += rowHeight
		}
		y += 6
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n", labelWidth+barWidth, y)
	fmt.Fprintf(&b, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<line x1=\"%d\" x2=\"%[1]d\" y1=\"0\" y2=\"%d\" stroke=\"#888\"/>\n", labelWidth+barWidth/2, y)
	b.Write(rows.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func format(ratio float64) string { return fmt.Sprintf("%.2g", ratio) }
