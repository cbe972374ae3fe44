package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Forecast is what successive runs of a policy do, a day apart.
type Forecast struct {
	Days []ForecastDay `json:"days"` // a run each, the first now
	// First is the first run that deletes an image pulled within the last week
	// as seen from the forecast's beginning; nil when none does.
	First *UsedImage     `json:"firstPulledLastWeek"`
	Rate  lifecycle.Rate `json:"rate"`
	Rules []ForecastRule `json:"rules"` // the highest first
	// Ahead is how many days the forecast looks ahead; Now is what there is
	// before the first run.
	Ahead int   `json:"daysAhead"`
	Now   Tally `json:"now"`
	Header
}

// ForecastDay is one run.
type ForecastDay struct {
	Date       string        `json:"date"`
	At         time.Time     `json:"at"`
	Rules      []ForecastAct `json:"rules"` // those that act, the highest first
	ImagesLeft int           `json:"imagesLeft"`
	BytesLeft  int64         `json:"bytesLeft"`
}

// ForecastAct is what one rule does in one run.
type ForecastAct struct {
	Priority int                  `json:"rulePriority"`
	Action   lifecycle.ActionType `json:"action"`
	Tally
	// Arrived images were pushed after the beginning, by assumption. Assumed
	// ones go only by what is assumed of AWS, and an index that is not known
	// may keep MayBe of them.
	Arrived int      `json:"arrived"`
	Assumed int      `json:"assumed"`
	MayBe   int      `json:"mayBeIndexChildren"`
	Digests []string `json:"imageDigests"` // without those that arrived
	// Names are the images of Digests.
	Names []NamedImage `json:"imageIds"`
}

// NamedImage is a digest with its tags.
type NamedImage struct {
	Digest string   `json:"imageDigest"`
	Tags   []string `json:"imageTags"`
}

// UsedImage is an image in use that goes.
type UsedImage struct {
	Date  string    `json:"date"`
	At    time.Time `json:"at"`
	Image Image     `json:"image"`
}

// ForecastRule is what a rule makes go in all.
type ForecastRule struct {
	Rule
	// Arrived counts the images of Rule that were pushed after the beginning.
	// First and Last are the days on which something goes; "" for none.
	Arrived int    `json:"arrived"`
	First   string `json:"firstDate,omitempty"`
	Last    string `json:"lastDate,omitempty"`
}

// NewForecast looks ahead for days.
func NewForecast(l Lifecycle, days int, rate lifecycle.Rate) Forecast {
	timeline := l.Options.Forecast(l.Policy, l.Images, l.At, lifecycle.Horizon{Days: days, Rate: rate})
	f := Forecast{Days: make([]ForecastDay, len(timeline.Runs)), Rate: rate, Rules: []ForecastRule{}, Header: l.header(), Ahead: days}
	for _, m := range l.Images {
		f.Now.add(m.SizeBytes)
	}
	at := map[int]int{}
	for _, r := range l.rules() {
		at[r.Priority] = len(f.Rules)
		f.Rules = append(f.Rules, ForecastRule{Rule: l.rule(r)})
	}
	for i, run := range timeline.Runs {
		d := l.forecastDay(run)
		f.Days[i] = d
		for _, act := range d.Rules {
			k, ok := at[act.Priority]
			if !ok {
				continue
			}
			r := &f.Rules[k]
			r.Images += act.Images
			r.Bytes += act.Bytes
			r.Arrived += act.Arrived
			if r.First == "" {
				r.First = d.Date
			}
			r.Last = d.Date
		}
	}
	if run, d, ok := timeline.FirstPulledSince(l.At.Add(-recent)); ok {
		f.First = &UsedImage{words.Day(run.At), run.At.UTC(), l.image(d.Image, d.Outcome)}
	}
	return f
}

// forecastDay groups what a run does by rule and action.
func (l *Lifecycle) forecastDay(run lifecycle.Run) ForecastDay {
	day := ForecastDay{Date: words.Day(run.At), At: run.At.UTC(), Rules: []ForecastAct{}, ImagesLeft: run.Images, BytesLeft: run.SizeBytes}
	for _, d := range run.Gone {
		i := slices.IndexFunc(day.Rules, func(r ForecastAct) bool { return r.Priority == d.Outcome.Rule && r.Action == d.Outcome.Action })
		if i < 0 {
			i = len(day.Rules)
			day.Rules = append(day.Rules, ForecastAct{Priority: d.Outcome.Rule, Action: d.Outcome.Action, Digests: []string{}, Names: []NamedImage{}})
		}
		r := &day.Rules[i]
		r.add(d.Image.SizeBytes)
		if d.Arrived {
			r.Arrived++
		} else {
			r.Digests = append(r.Digests, d.Image.Digest)
			r.Names = append(r.Names, NamedImage{d.Image.Digest, list(d.Image.Tags)})
		}
		if d.Outcome.Assumed != 0 {
			r.Assumed++
		}
		if l.mayBeChild(d.Image, d.Outcome) {
			r.MayBe++
		}
	}
	slices.SortFunc(day.Rules, func(a, b ForecastAct) int { return a.Priority - b.Priority })
	return day
}

// Busy are the rules that make something go, Idle the others.
func (f *Forecast) Busy() []ForecastRule {
	return f.rules(func(r ForecastRule) bool { return r.Images > 0 })
}

// Idle are the rules that make nothing go.
func (f *Forecast) Idle() []ForecastRule {
	return f.rules(func(r ForecastRule) bool { return r.Images == 0 })
}

func (f *Forecast) rules(want func(ForecastRule) bool) []ForecastRule {
	return slices.DeleteFunc(slices.Clone(f.Rules), func(r ForecastRule) bool { return !want(r) })
}

// After is what is left after the last run.
func (f *Forecast) After() Tally {
	if n := len(f.Days); n > 0 {
		return Tally{f.Days[n-1].ImagesLeft, f.Days[n-1].BytesLeft}
	}
	return Tally{}
}

// Premise says what the forecast takes for granted.
func (f *Forecast) Premise() string {
	if f.Rate == lifecycle.RatePresent {
		return "pushes continuing at the recent rate, and nothing pulled, tagged or deleted by hand"
	}
	return "nothing pushed, pulled, tagged or deleted by hand"
}

// Balance is what there is before and after, in a sentence.
func (f *Forecast) Balance() string {
	return fmt.Sprintf("Now %s; after %s %s.", f.Now, words.Count(f.Ahead, "day", "days"), f.After())
}

// Warning names the first image in use that goes, when First is one.
func (f *Forecast) Warning() string {
	m := f.First.Image
	return fmt.Sprintf("The first image pulled in the last week expires on %s (%s), by rule %d: %s, last pulled %s.",
		f.First.Date, words.Distance(f.At, f.First.At), *m.Rule, words.Image(m.Digest, m.Tags), words.Day(*m.PulledAt))
}

// Calm says that there is no such image, when First is nil.
func (f *Forecast) Calm() string {
	return fmt.Sprintf("No image pulled in the last week expires within %s.", words.Count(f.Ahead, "day", "days"))
}

// Notes say what is assumed and what is not known, in sentences.
func (f *Forecast) Notes() []string {
	assumed, mayBe := 0, 0
	for _, d := range f.Days {
		for _, r := range d.Rules {
			assumed += r.Assumed
			mayBe += r.MayBe
		}
	}
	var out []string
	if assumed > 0 {
		out = append(out, fmt.Sprintf("Assumed: %s only if AWS deletes as much as its documentation allows; preview and explain say which.", words.Count(assumed, "image expires", "images expire")))
	}
	if mayBe > 0 {
		out = append(out, fmt.Sprintf("Not known: %d of these images may belong to an index, which would keep %s; the manifests of the indexes would show it.", mayBe, words.Plural(mayBe, "it", "them")))
	}
	return out
}
