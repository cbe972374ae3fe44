package render

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/lifecycle"
)

// Forecast is what successive runs of a policy do, a day apart.
type Forecast struct {
	Lifecycle
	Days int
	Rate lifecycle.Rate
	// Timeline has a run for each day, the first at Lifecycle.At.
	Timeline lifecycle.Timeline
}

// NewForecast looks ahead for days.
func NewForecast(l Lifecycle, days int, rate lifecycle.Rate) Forecast {
	return Forecast{l, days, rate, l.Options.Forecast(l.Policy, l.Images, l.At, lifecycle.Horizon{Days: days, Rate: rate})}
}

// recent is how long ago a pull says that an image is in use.
const recent = 7 * 24 * time.Hour

// firstUsed is the first run that deletes an image pulled within the last week
// as seen from the forecast's beginning.
func (f *Forecast) firstUsed() (lifecycle.Run, lifecycle.Departure, bool) {
	return f.Timeline.FirstPulledSince(f.At.Add(-recent))
}

// ruleDay is what one rule does in one run.
type ruleDay struct {
	rule     int // priority
	action   lifecycle.ActionType
	gone     tally
	arrived  int // of them, pushed after the forecast's beginning
	assumed  int // of them, gone only by what is assumed of AWS
	mayBe    int // of them, perhaps kept by an index that is not known
	departed []lifecycle.Departure
}

// day groups what a run does by rule and action.
func (f *Forecast) day(run lifecycle.Run) []ruleDay {
	var out []ruleDay
	for _, d := range run.Gone {
		i := slices.IndexFunc(out, func(r ruleDay) bool { return r.rule == d.Outcome.Rule && r.action == d.Outcome.Action })
		if i < 0 {
			i = len(out)
			out = append(out, ruleDay{rule: d.Outcome.Rule, action: d.Outcome.Action})
		}
		r := &out[i]
		r.gone.add(d.Image)
		r.departed = append(r.departed, d)
		if d.Arrived {
			r.arrived++
		}
		if d.Outcome.Assumed != 0 {
			r.assumed++
		}
		if f.mayBeChild(d.Image, d.Outcome) {
			r.mayBe++
		}
	}
	slices.SortFunc(out, func(a, b ruleDay) int { return a.rule - b.rule })
	return out
}

// lane is one rule's part of a forecast.
type lane struct {
	rule        lifecycle.Rule
	byRun       []ruleDay // by run; the zero ruleDay where nothing goes
	total       tally
	arrived     int
	first, last time.Time // runs in which something goes
}

// lanes are those of the rules that make something go, and the others.
func (f *Forecast) lanes() (busy []lane, idle []lifecycle.Rule) {
	for _, r := range f.rules() {
		busy = append(busy, lane{rule: r, byRun: make([]ruleDay, len(f.Timeline.Runs))})
	}
	for i, run := range f.Timeline.Runs {
		for _, d := range f.day(run) {
			k := slices.IndexFunc(busy, func(l lane) bool { return l.rule.Priority == d.rule })
			if k < 0 {
				continue
			}
			l := &busy[k]
			l.byRun[i] = d
			l.total.Images += d.gone.Images
			l.total.Bytes += d.gone.Bytes
			l.arrived += d.arrived
			if l.first.IsZero() {
				l.first = run.At
			}
			l.last = run.At
		}
	}
	busy = slices.DeleteFunc(busy, func(l lane) bool {
		if l.total.Images == 0 {
			idle = append(idle, l.rule)
		}
		return l.total.Images == 0
	})
	return busy, idle
}

// premise says what the forecast takes for granted.
func (f *Forecast) premise() string {
	if f.Rate == lifecycle.RatePresent {
		return "pushes going on as of late, and nothing pulled, tagged or deleted by hand"
	}
	return "nothing pushed, pulled, tagged or deleted by hand"
}

func verb(a lifecycle.ActionType) string {
	if a == lifecycle.Transition {
		return "archives"
	}
	return "expires"
}

// ForecastText writes what goes when, by day and rule.
func ForecastText(w io.Writer, f Forecast, o Options) error {
	p := newPrinter(o)
	p.linef(bold, "%s", f.title("Lifecycle forecast"))
	p.linef(plain, "For %s, with %s.", count(f.Days, "day", "days"), f.premise())
	if len(f.Policy.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy: nothing expires.")
	}
	p.linef(plain, "")
	any := false
	for _, run := range f.Timeline.Runs {
		for i, d := range f.day(run) {
			any = true
			when := day(run.At)
			if i > 0 {
				when = "          "
			}
			line := fmt.Sprintf("%s  rule %d %s %s", when, d.rule, verb(d.action), d.gone)
			if d.arrived > 0 {
				line += fmt.Sprintf(" (%d pushed after today)", d.arrived)
			}
			c := plain
			if d.action == lifecycle.Expire {
				c = red
			}
			p.linef(c, "%s", line)
		}
	}
	if !any {
		p.linef(plain, "Nothing goes.")
	}
	p.linef(plain, "")
	busy, idle := f.lanes()
	for _, l := range busy {
		p.linef(bold, "%s%s", ruleText(l.rule), f.origin(l.rule.Priority))
		p.linef(plain, "  %s %s between %s and %s", verb(l.rule.Action.Type), l.total, day(l.first), day(l.last))
	}
	for _, r := range idle {
		p.linef(plain, "%s%s", ruleText(r), f.origin(r.Priority))
		p.linef(plain, "  %s nothing", verb(r.Action.Type))
	}
	p.linef(plain, "")
	if run, d, ok := f.firstUsed(); ok {
		p.linef(red, "%s", f.warning(run, d))
	} else {
		p.linef(green, "No image pulled in the last week goes within %s.", count(f.Days, "day", "days"))
	}
	for _, note := range f.notes(busy) {
		p.linef(yellow, "%s", note)
	}
	p.linef(bold, "%s", f.balance())
	return p.flush(w)
}

// notes say what is assumed and what is not known.
func (f *Forecast) notes(busy []lane) []string {
	assumed, mayBe := 0, 0
	for _, l := range busy {
		for _, d := range l.byRun {
			assumed += d.assumed
			mayBe += d.mayBe
		}
	}
	var out []string
	if assumed > 0 {
		out = append(out, fmt.Sprintf("Assumed: %s only by the reading of AWS's rules that deletes most; preview and explain say which.", count(assumed, "image goes", "images go")))
	}
	if mayBe > 0 {
		out = append(out, fmt.Sprintf("Not known: %s without tags may belong to an index, and then stay; manifests would tell.", count(mayBe, "image", "images")))
	}
	return out
}

// warning names the first image in use that goes.
func (f *Forecast) warning(run lifecycle.Run, d lifecycle.Departure) string {
	return fmt.Sprintf("The first image pulled in the last week goes on %s (%s): %s, last pulled %s, by rule %d.",
		day(run.At), distance(f.At, run.At), imageText(d.Image), day(d.Image.LastPulledAt), d.Outcome.Rule)
}

// balance is what there is before and after.
func (f *Forecast) balance() string {
	before, after := f.ends()
	return fmt.Sprintf("Now %s; after %s %s.", before, count(f.Days, "day", "days"), after)
}

func (f *Forecast) ends() (before, after tally) {
	for _, m := range f.Images {
		before.add(m)
	}
	if n := len(f.Timeline.Runs); n > 0 {
		after = tally{f.Timeline.Runs[n-1].Images, f.Timeline.Runs[n-1].SizeBytes}
	}
	return before, after
}

// ForecastJSON writes a forecast as data: a day for each run.
func ForecastJSON(w io.Writer, f Forecast) error {
	type ruleForm struct {
		Priority int                  `json:"rulePriority"`
		Action   lifecycle.ActionType `json:"action"`
		Images   int                  `json:"images"`
		Bytes    int64                `json:"bytes"`
		// Arrived images were pushed after the beginning, by assumption.
		Arrived int      `json:"arrived"`
		Assumed int      `json:"assumed"`
		MayBe   int      `json:"mayBeIndexChildren"`
		Digests []string `json:"imageDigests"` // without those that arrived
	}
	type dayForm struct {
		Date       string     `json:"date"`
		At         time.Time  `json:"at"`
		Rules      []ruleForm `json:"rules"`
		ImagesLeft int        `json:"imagesLeft"`
		BytesLeft  int64      `json:"bytesLeft"`
	}
	type usedForm struct {
		Date  string    `json:"date"`
		At    time.Time `json:"at"`
		Image imageForm `json:"image"`
	}
	form := struct {
		Days  []dayForm      `json:"days"`
		First *usedForm      `json:"firstPulledLastWeek"`
		Rate  lifecycle.Rate `json:"rate"`
		Rules []ruleSummary  `json:"rules"`
		header
	}{Days: []dayForm{}, Rate: f.Rate, Rules: []ruleSummary{}, header: f.header()}
	for _, run := range f.Timeline.Runs {
		d := dayForm{Date: day(run.At), At: run.At.UTC(), Rules: []ruleForm{}, ImagesLeft: run.Images, BytesLeft: run.SizeBytes}
		for _, r := range f.day(run) {
			rf := ruleForm{Priority: r.rule, Action: r.action, Images: r.gone.Images, Bytes: r.gone.Bytes, Arrived: r.arrived, Assumed: r.assumed, MayBe: r.mayBe, Digests: []string{}}
			for _, m := range r.departed {
				if !m.Arrived {
					rf.Digests = append(rf.Digests, m.Image.Digest)
				}
			}
			d.Rules = append(d.Rules, rf)
		}
		form.Days = append(form.Days, d)
	}
	if run, d, ok := f.firstUsed(); ok {
		form.First = &usedForm{day(run.At), run.At.UTC(), f.image(d.Image, d.Outcome)}
	}
	busy, idle := f.lanes()
	for _, l := range busy {
		form.Rules = append(form.Rules, f.ruleSummary(l.rule, l.total))
	}
	for _, r := range idle {
		form.Rules = append(form.Rules, f.ruleSummary(r, tally{}))
	}
	slices.SortFunc(form.Rules, func(a, b ruleSummary) int { return a.Priority - b.Priority })
	return JSON(w, form)
}

// ruleSummary is what a rule makes go in all.
func (l *Lifecycle) ruleSummary(r lifecycle.Rule, t tally) ruleSummary {
	o := l.Origins[r.Priority]
	return ruleSummary{Priority: r.Priority, Words: rule(r), Action: r.Action.Type, Images: t.Images, Bytes: t.Bytes, Field: o.Field, Place: o.String()}
}
