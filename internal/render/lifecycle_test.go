package render_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/lifecycle"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func expireRule(priority, days int, patterns ...string) lifecycle.Rule {
	r := lifecycle.Rule{Priority: priority, Action: lifecycle.Action{Type: lifecycle.Expire}, Selection: lifecycle.Selection{
		TagStatus: lifecycle.Tagged, TagPatterns: patterns, CountType: lifecycle.SinceImagePushed, CountUnit: lifecycle.Days, CountNumber: days,
	}}
	if len(patterns) == 0 {
		r.Selection.TagStatus = lifecycle.Any
	}
	return r
}

// hostile is a repository where every text from outside is an attack.
func hostile() report.Lifecycle {
	const evil = `"/></text><script>alert('&')</script>` + "\x00\x1b[31m\n"
	l := report.Lifecycle{
		Repository: evil, Source: evil, At: noon, Known: true,
		Policy:  lifecycle.Policy{Rules: []lifecycle.Rule{expireRule(1, 3, evil+"*"), expireRule(2, 5), {Priority: 9, Selection: lifecycle.Selection{TagStatus: lifecycle.Untagged, CountType: lifecycle.ImageCountMoreThan, CountNumber: 3}, Action: lifecycle.Action{Type: lifecycle.Transition, TargetStorageClass: lifecycle.Archive}}}},
		Origins: map[int]report.Origin{1: {Field: evil, Place: report.Place{File: evil, Line: 1, Column: 2}}},
	}
	for i := range 40 {
		m := lifecycle.Image{Digest: fmt.Sprintf("%s%d", evil, i), Tags: []string{evil + fmt.Sprint(i)}, PushedAt: noon.AddDate(0, 0, -i/2), LastPulledAt: noon.AddDate(0, 0, -i), SizeBytes: 1 << 30}
		if i%3 == 0 {
			m.Tags = nil
		}
		l.Images = append(l.Images, m)
	}
	return l
}

// What came from outside is text in pictures and pages, which load and run
// nothing.
func TestForecastPicturesAreInert(t *testing.T) {
	for _, rate := range []lifecycle.Rate{lifecycle.RateNone, lifecycle.RatePresent} {
		t.Run(string(rate), func(t *testing.T) {
			f := report.NewForecast(hostile(), 200, rate)
			var svg, html, text, data strings.Builder
			for _, err := range []error{
				page.ForecastSVG(&svg, f), page.ForecastHTML(&html, f), render.Forecast(&text, f, render.Options{}), render.JSON(&data, f),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for name, s := range map[string]string{"svg": svg.String(), "html": html.String()} {
				t.Run(name, func(t *testing.T) {
					for _, bad := range []string{"<script", "\x00", "\x1b", "href", "src=", "url(", "@import", "onload"} {
						if strings.Contains(s, bad) {
							t.Errorf("%s holds %q", name, bad)
						}
					}
					if n := strings.Count(s, "http"); n > 2 || strings.Count(s, `xmlns="http://www.w3.org/2000/svg"`)+strings.Count(s, "http-equiv") != n {
						t.Errorf("%s holds an address", name)
					}
				})
			}
			d := xml.NewDecoder(strings.NewReader(svg.String()))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("the SVG is not well-formed: %v", err)
				}
			}
			if strings.ContainsAny(text.String(), "\x00\x1b") {
				t.Error("the text holds escape sequences")
			}
		})
	}
}

// The picture of a small forecast says what happens.
func TestForecastPicture(t *testing.T) {
	l := report.Lifecycle{Repository: "team/app", Source: "policy.json", At: noon, Known: true, Policy: lifecycle.Policy{Rules: []lifecycle.Rule{expireRule(1, 7, "pr-*"), expireRule(2, 100)}}}
	l.Policy.Rules[0].Description = "pull <requests>"
	for i := range 6 {
		l.Images = append(l.Images, lifecycle.Image{Digest: fmt.Sprint("sha256:", i), Tags: []string{fmt.Sprint("pr-", i)}, PushedAt: noon.AddDate(0, 0, -4), LastPulledAt: noon, SizeBytes: 1 << 20})
	}
	f := report.NewForecast(l, 10, lifecycle.RateNone)
	var svg, html, text strings.Builder
	for _, err := range []error{page.ForecastSVG(&svg, f), page.ForecastHTML(&html, f), render.Forecast(&text, f, render.Options{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"Lifecycle forecast: team/app", "2026-03-05: rule 1 expires 6 images", "expires 6 images, 6.0 MiB",
		"5 Mar: the first image pulled in the last week expires, by rule 1", "Rule 2 does nothing in this time.", "now 6 images, 6.0 MiB", "after 10 days 0 images",
		">6</text>", ">now</text>", ">next run</text>", "\u201cpull &lt;requests&gt;\u201d",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(svg.String(), want) {
				t.Errorf("the picture does not say %q:\n%s", want, svg.String())
			}
		})
	}
	for _, want := range []string{"<svg ", "<td>2026-03-05</td><td>1</td><td><details><summary>6 images</summary><ul><li>sha256:0 (pr-0)</li>", "Content-Security-Policy", "<small>\u201cpull &lt;requests&gt;\u201d</small>"} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(html.String(), want) {
				t.Errorf("the page does not say %q:\n%s", want, html.String())
			}
		})
	}
	want := `Lifecycle forecast of team/app at 2026-03-01 12:00 UTC, by policy.json
For 10 days, with nothing pushed, pulled, tagged or deleted manually.

2026-03-05  rule 1 expires 6 images, 6.0 MiB

rule 1: images tagged pr-* expire 7 days after their push
  expires 6 images, 6.0 MiB between 2026-03-05 and 2026-03-05
rule 2: all images expire 100 days after their push
  expires nothing

The first image pulled in the last week expires on 2026-03-05 (in 4 days), by rule 1: sha256:0 (pr-0), last pulled 2026-03-01.
Now 6 images, 6.0 MiB; after 10 days 0 images.
`
	if text.String() != want {
		t.Errorf("the text is\n%s\nwant\n%s", text.String(), want)
	}
}

// Every bar has its number, however many there are and however high.
func TestEveryBarHasItsNumber(t *testing.T) {
	for _, images := range []int{1, 30, 3000} {
		t.Run(fmt.Sprint(images, " images"), func(t *testing.T) {
			for _, days := range []int{1, 5, 30, 46, 60, 400} {
				t.Run(fmt.Sprint(days, " days"), func(t *testing.T) {
					l := report.Lifecycle{Source: "policy.json", At: noon, Known: true, Policy: lifecycle.Policy{Rules: []lifecycle.Rule{expireRule(1, 7)}}}
					for i := range images {
						l.Images = append(l.Images, lifecycle.Image{Digest: fmt.Sprint("sha256:", i), Tags: []string{"x"}, PushedAt: noon.Add(-time.Duration(i) * 90 * time.Minute)})
					}
					f := report.NewForecast(l, days, lifecycle.RateNone)
					var svg strings.Builder
					if err := page.ForecastSVG(&svg, f); err != nil {
						t.Fatal(err)
					}
					// a bar's tip says its number, the next text is it
					bars := regexp.MustCompile(`<g><title>[^<]* (\d+) images?</title>.*</g>\n<text [^>]*>(\d+)</text>`).FindAllStringSubmatch(svg.String(), -1)
					if n := strings.Count(svg.String(), "<g>"); len(bars) != n || n == 0 && f.Rules[0].Images > 0 {
						t.Errorf("%d images, %d days: %d bars have numbers, of %d", images, days, len(bars), n)
					}
					for _, b := range bars {
						if b[1] != b[2] {
							t.Errorf("%d images, %d days: a bar of %s says %s", images, days, b[1], b[2])
						}
					}
				})
			}
		})
	}
}
