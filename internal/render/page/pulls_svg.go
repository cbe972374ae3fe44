package page

import (
	"fmt"
	"io"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
)

// Bar is one day of a picture of pulls.
type Bar struct {
	Day   time.Time
	Count int64
}

// PullsInline draws how many pulls there were on each day, as an element within a page
// that has the colours of ForecastInline. title is what it is called. The days follow
// each other; there is at least one.
func PullsInline(w io.Writer, title string, days []Bar) error {
	_, err := inlineColors.WriteString(w, pullsSVG(title, days))
	return err
}

func pullsSVG(title string, days []Bar) string {
	const left, right, top, height = 56, svgWidth - 16, 24, 96
	most, total := int64(1), int64(0)
	for _, d := range days {
		most, total = max(most, d.Count), total+d.Count
	}
	p := &picture{}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif">`+"\n", svgWidth, top+height+28)
	fmt.Fprintf(&p.b, "<title>%s</title>\n<desc>%s</desc>\n", escape(title), escape(words.Count(int(total), "pull", "pulls")))
	bottom := float64(top + height)
	p.line(left, top, right, top, lineColor, "")
	p.anchored(left-8, top+4, 12, softColor, "", "end", fmt.Sprint(most))
	p.anchored(left-8, bottom+4, 12, softColor, "", "end", "0")
	step := float64(right-left) / float64(len(days))
	for i, d := range days {
		if d.Count == 0 {
			continue
		}
		tall := max(2, float64(height)*float64(d.Count)/float64(most))
		fmt.Fprintf(&p.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"><title>%s: %d</title></rect>`+"\n",
			num(left+float64(i)*step+1), num(bottom-tall), num(max(1, step-2)), num(tall), stayColor, words.Day(d.Day), d.Count)
	}
	p.line(left, bottom, right, bottom, softColor, "")
	p.text(left, bottom+20, 12, softColor, "", words.Day(days[0].Day))
	if n := len(days); n > 1 {
		p.anchored(right, bottom+20, 12, softColor, "", "end", words.Day(days[n-1].Day))
	}
	p.b.WriteString("</svg>")
	return p.b.String()
}
