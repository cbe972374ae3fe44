package page

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// The picture's measures, in pixels, and colours.
const (
	svgWidth   = 1000
	labelWidth = 300
	plotLeft   = labelWidth + 36
	plotRight  = svgWidth - 28
	laneGap    = 30
	maxBars    = 46 // more days are put together: each bar has its number
	labelChars = 44 // of a line of text

	inkColor     = "#1f2933"
	softColor    = "#66727f"
	lineColor    = "#dfe4ea"
	expireColor  = "#c8453b"
	archiveColor = "#c98a10"
	stayColor    = "#3d6f9e"
	alarmColor   = "#8e1b6b"
)

// pale are the colours of images that are only supposed to come.
var pale = map[string]string{expireColor: "#e8aca7", archiveColor: "#ecd29a"}

// picture draws an SVG. Its columns are now, before anything has gone, and then
// the bars.
type picture struct {
	b strings.Builder
	f *report.Forecast
	// binDays is how many days one bar represents, bins their number.
	binDays, bins int
	laneHeight    int
}

// ForecastSVG draws a forecast: what stays, and below it for each rule how
// many images it makes go, day by day. The picture stands alone: no scripts,
// no fonts or images from elsewhere.
func ForecastSVG(w io.Writer, f report.Forecast) error {
	_, err := io.WriteString(w, forecastSVG(&f)+"\n")
	return err
}

func forecastSVG(f *report.Forecast) string {
	p := &picture{f: f, laneHeight: 64}
	days := max(len(f.Days), 1)
	p.binDays = (days + maxBars - 1) / maxBars
	p.bins = (days + p.binDays - 1) / p.binDays
	busy, idle := f.Busy(), f.Idle()
	for _, l := range busy {
		if l.Description != "" {
			p.laneHeight = 80 // a line more
		}
	}

	const top = 104
	axis := top + (1+len(busy))*(p.laneHeight+laneGap) - laneGap + 6
	p.axis(top, axis)
	p.alarm(top, axis)
	p.stays(top)
	for i, l := range busy {
		p.lane(top+(i+1)*(p.laneHeight+laneGap), l)
	}
	y := axis + 52
	p.legend(y, busy)
	y += 24
	notes := f.Notes()
	if len(idle) > 0 {
		var names []int
		for _, r := range idle {
			names = append(names, r.Priority)
		}
		notes = append([]string{words.Sentence(words.Rules(names)) + " " + words.Plural(len(names), "does", "do") + " nothing in this time."}, notes...)
	}
	for _, note := range notes {
		for _, line := range wrap(note, 150, 4) {
			p.text(28, float64(y), 12, softColor, "", line)
			y += 16
		}
	}
	height := y + 8

	title := "Lifecycle forecast"
	if f.Repository != "" {
		title += ": " + f.Repository
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif">`+"\n", svgWidth, height)
	fmt.Fprintf(&b, "<title>%s</title>\n<desc>%s</desc>\n", escape(title), escape(f.Balance()))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", svgWidth, height)
	head := &picture{}
	head.text(28, 36, 20, inkColor, "bold", title)
	about := fmt.Sprintf("%s to %s, with %s. Policy: %s.", words.Day(f.At), words.Day(f.At.AddDate(0, 0, f.Ahead)), f.Premise(), f.Policy)
	for _, line := range wrap(about, 140, 1) {
		head.text(28, 58, 12.5, softColor, "", line)
	}
	b.WriteString(head.b.String())
	b.WriteString(p.b.String())
	b.WriteString("</svg>")
	return b.String()
}

// escape makes s safe within an element or a quoted attribute.
func escape(s string) string { return html.EscapeString(words.Clean(s)) }

// wrap breaks s at spaces into lines of at most width characters, and ends
// with "..." when there would be more than most lines.
func wrap(s string, width, most int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(words.Clean(s)) {
		for r := []rune(word); len(r) > width; r = []rune(word) {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines, word = append(lines, string(r[:width])), string(r[width:])
		}
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		lines = append(lines, line)
	}
	if len(lines) > most {
		last := []rune(lines[most-1])
		lines = append(lines[:most-1], string(last[:min(len(last), width-3)])+"...")
	}
	return lines
}

func (p *picture) text(x, y, size float64, color, weight, s string) {
	p.anchored(x, y, size, color, weight, "", s)
}

func (p *picture) anchored(x, y, size float64, color, weight, anchor, s string) {
	attributes := ""
	if weight != "" {
		attributes += ` font-weight="` + weight + `"`
	}
	if anchor != "" {
		attributes += ` text-anchor="` + anchor + `"`
	}
	fmt.Fprintf(&p.b, `<text x="%s" y="%s" font-size="%s" fill="%s"%s>%s</text>`+"\n", num(x), num(y), num(size), color, attributes, escape(s))
}

func (p *picture) line(x1, y1, x2, y2 float64, color, more string) {
	fmt.Fprintf(&p.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"%s/>`+"\n", num(x1), num(y1), num(x2), num(y2), color, more)
}

func num(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", x), "0"), ".")
}

// width is that of a column: of one bar and the space after it.
func (p *picture) width() float64 { return float64(plotRight-plotLeft) / float64(p.bins+1) }

// x is where a column begins; 0 is now, and the bars come after it.
func (p *picture) x(column int) float64 { return plotLeft + float64(column)*p.width() }

// label writes a lane's name, the author's words and ours to its left.
func (p *picture) label(y int, name, author, text, total string) {
	p.text(28, float64(y+12), 13.5, inkColor, "bold", name)
	at := y + 29
	if author != "" {
		for _, line := range wrap("\u201c"+author+"\u201d", labelChars, 1) {
			p.text(28, float64(at), 12, inkColor, "", line)
			at += 15
		}
	}
	for _, line := range wrap(text, labelChars, 2) {
		p.text(28, float64(at), 12, softColor, "", line)
		at += 15
	}
	p.text(28, float64(at+2), 12, inkColor, "", total)
}

// numberWidth is how wide a digit is, in the widest of the fonts.
const numberWidth = 6.4

// upright reports whether the numbers up to most fit next to each other.
func (p *picture) upright(most int) bool {
	return p.width() >= numberWidth*float64(len(fmt.Sprint(most)))+2
}

// headroom is how high the number of the tallest bar stands.
func (p *picture) headroom(most int) float64 {
	if p.upright(most) {
		return 14
	}
	return numberWidth*float64(len(fmt.Sprint(most))) + 6
}

// number writes that of a bar above it, turned where it has no room.
func (p *picture) number(x, y float64, n int) {
	if p.upright(n) {
		p.anchored(x, y-3, 10, softColor, "", "middle", fmt.Sprint(n))
		return
	}
	fmt.Fprintf(&p.b, `<text x="%s" y="%s" font-size="10" fill="%s" transform="rotate(-90 %[1]s %[2]s)">%[4]d</text>`+"\n", num(x+3.5), num(y-3), softColor, n)
}

// lane draws one rule's bars.
func (p *picture) lane(y int, l report.ForecastRule) {
	p.label(y, fmt.Sprintf("Rule %d", l.Priority), l.Description, l.Words, words.Verb(l.Action)+" "+l.Tally.String())
	base := float64(y + p.laneHeight)
	color := expireColor
	if l.Action == lifecycle.Transition {
		color = archiveColor
	}
	all, arrived, most := make([]int, p.bins), make([]int, p.bins), 0
	for i, d := range p.f.Days {
		for _, act := range d.Rules {
			if act.Priority == l.Priority {
				bin := i / p.binDays
				all[bin] += act.Images
				arrived[bin] += act.Arrived
				most = max(most, all[bin])
			}
		}
	}
	p.line(plotLeft, base, plotRight, base, lineColor, "")
	scale := (float64(p.laneHeight) - p.headroom(most)) / float64(max(most, 1))
	width := p.width() * 0.78
	for bin, n := range all {
		if n == 0 {
			continue
		}
		x, h := p.x(bin+1)+p.width()*0.11, math.Max(float64(n)*scale, 2)
		tip := fmt.Sprintf("%s: rule %d %s %s", p.span(bin), l.Priority, words.Verb(l.Action), words.Count(n, "image", "images"))
		if arrived[bin] > 0 {
			tip += fmt.Sprintf(", %d of them pushed after today", arrived[bin])
		}
		fmt.Fprintf(&p.b, `<g><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`, escape(tip), num(x), num(base-h), num(width), num(h), color)
		if a := float64(arrived[bin]) * h / float64(n); a > 0 {
			fmt.Fprintf(&p.b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"/>`, num(x), num(base-h), num(width), num(a), pale[color])
		}
		p.b.WriteString("</g>\n")
		p.number(x+width/2, base-h, n)
	}
}

// span names the days of a bin.
func (p *picture) span(bin int) string {
	days := p.f.Days
	first := days[bin*p.binDays].Date
	if p.binDays == 1 {
		return first
	}
	return first + " to " + days[min((bin+1)*p.binDays, len(days))-1].Date
}

// stays draws how many images there are now, and after each run.
func (p *picture) stays(y int) {
	days, now := p.f.Days, p.f.Now.Images
	p.label(y, "Images kept", "", "now "+p.f.Now.String(), fmt.Sprintf("after %s %s", words.Count(p.f.Ahead, "day", "days"), p.f.After()))
	base := float64(y + p.laneHeight)
	p.line(plotLeft, base, plotRight, base, lineColor, "")
	if len(days) == 0 {
		return
	}
	levels, most := []int{now}, now
	for bin := range p.bins {
		levels = append(levels, days[min((bin+1)*p.binDays, len(days))-1].ImagesLeft)
		most = max(most, levels[bin+1])
	}
	scale := float64(p.laneHeight-14) / float64(max(most, 1))
	var points strings.Builder
	fmt.Fprintf(&points, "%s,%s", num(p.x(0)), num(base))
	for column, n := range levels {
		h := num(base - float64(n)*scale)
		fmt.Fprintf(&points, " %s,%s %s,%s", num(p.x(column)), h, num(p.x(column+1)), h)
	}
	fmt.Fprintf(&points, " %s,%s", num(p.x(len(levels))), num(base))
	fmt.Fprintf(&p.b, `<polygon points="%s" fill="%s" fill-opacity="0.28" stroke="none"/>`+"\n", points.String(), stayColor)
	p.anchored(plotLeft-6, base-float64(now)*scale+4, 10, inkColor, "", "end", fmt.Sprint(now))
	last := levels[len(levels)-1]
	// where the level changes, its number has room if the last one is far enough
	free := plotLeft + 4.0
	for column, n := range levels {
		wide := numberWidth * float64(len(fmt.Sprint(n)))
		if column > 0 && column < len(levels)-1 && n != levels[column-1] && p.x(column) >= free && p.x(column)+wide < plotRight-numberWidth*float64(len(fmt.Sprint(last)))-6 {
			p.text(p.x(column)+1, base-float64(n)*scale-4, 10, softColor, "", fmt.Sprint(n))
			free = p.x(column) + wide + 6
		}
	}
	p.anchored(plotRight, base-float64(last)*scale-4, 10, inkColor, "", "end", fmt.Sprint(last))
}

// axis writes now, the next run and dates below the lanes, and draws a line for
// each.
func (p *picture) axis(top, y int) {
	tick := func(column int, text string) {
		p.line(p.x(column), float64(top), p.x(column), float64(y), lineColor, ` stroke-dasharray="2 3"`)
		p.anchored(p.x(column), float64(y+14), 11, softColor, "", "start", text)
	}
	tick(0, "now")
	if len(p.f.Days) == 0 {
		return
	}
	first := p.f.Days[0].At.UTC().Format("2 Jan")
	p.line(p.x(1), float64(top), p.x(1), float64(y), softColor, ` stroke-dasharray="2 3"`)
	at := p.x(1)
	if p.width() < 26 { // no room next to "now"
		p.anchored(at, float64(y+28), 11, inkColor, "", "start", "next run, "+first)
	} else {
		p.anchored(at, float64(y+14), 11, inkColor, "", "start", "next run")
	}
	step := max(1, (p.bins+7)/8)
	if p.binDays == 1 && p.bins > 14 {
		step = (step + 6) / 7 * 7 // whole weeks
	}
	for bin := step; bin < p.bins; bin += step {
		if p.x(bin+1)-at >= 50 {
			tick(bin+1, p.f.Days[bin*p.binDays].At.UTC().Format("2 Jan"))
		}
	}
}

// alarm marks the first day on which an image in use goes.
func (p *picture) alarm(top, y int) {
	used := p.f.First
	if used == nil {
		return
	}
	column := 1
	for i, d := range p.f.Days {
		if d.At.Equal(used.At) {
			column = i/p.binDays + 1
		}
	}
	x := p.x(column)
	p.line(x, float64(top-8), x, float64(y), alarmColor, ` stroke-width="1.5" stroke-dasharray="5 3"`)
	s := fmt.Sprintf("%s: the first image pulled in the last week expires, by rule %d", used.At.UTC().Format("2 Jan"), *used.Image.Rule)
	anchor := "start"
	if x > (plotLeft+plotRight)/2 {
		anchor = "end"
	}
	p.anchored(x, float64(top-13), 12, alarmColor, "bold", anchor, s)
}

func (p *picture) legend(y int, busy []report.ForecastRule) {
	x := 28.0
	entry := func(color, text string) {
		fmt.Fprintf(&p.b, `<rect x="%s" y="%d" width="12" height="12" fill="%s"/>`+"\n", num(x), y-10, color)
		p.text(x+18, float64(y), 12, softColor, "", text)
		x += 18 + 6.3*float64(len(text)) + 24
	}
	unit := "a day"
	if p.binDays > 1 {
		unit = fmt.Sprintf("in %d days", p.binDays)
	}
	expires, archives, arrived := false, false, false
	for _, l := range busy {
		expires = expires || l.Action == lifecycle.Expire
		archives = archives || l.Action == lifecycle.Transition
		arrived = arrived || l.Arrived > 0
	}
	if expires {
		entry(expireColor, "images that expire, "+unit)
	}
	if archives {
		entry(archiveColor, "images that are archived, "+unit)
	}
	if arrived {
		entry(pale[expireColor], "pushed after "+words.Day(p.f.At))
	}
	if len(busy) == 0 {
		p.text(x, float64(y), 12, softColor, "", "No image expires or is archived in this time.")
	}
}

// ForecastInline draws what ForecastSVG draws as an element within a page that has
// the colours as custom properties: --ink, --soft, --line, --surface, and --chart-
// with stay, expire, archive, their pale ones and alarm.
func ForecastInline(w io.Writer, f report.Forecast) error {
	_, err := inlineColors.WriteString(w, forecastSVG(&f))
	return err
}

var inlineColors = func() *strings.Replacer {
	var pairs []string
	for color, property := range map[string]string{
		inkColor: "--ink", softColor: "--soft", lineColor: "--line", "#ffffff": "--surface", expireColor: "--chart-expire", archiveColor: "--chart-archive",
		stayColor: "--chart-stay", alarmColor: "--chart-alarm", pale[expireColor]: "--chart-expire-pale", pale[archiveColor]: "--chart-archive-pale",
	} {
		pairs = append(pairs, `"`+color+`"`, `"var(`+property+`)"`)
	}
	return strings.NewReplacer(pairs...)
}()
