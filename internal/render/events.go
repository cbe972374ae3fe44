package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// EventReceivers writes the receivers of events with their queues.
func EventReceivers(w io.Writer, r admin.ListEventReceiversResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Receivers) == 0 {
		p.linef(plain, "There are no receivers of events.")
	}
	for _, e := range r.Receivers {
		p.linef(bold, "%s: %s", clean(e.Name), clean(e.URL))
		of := ""
		if e.OfFile {
			of = ", by the configuration file of the server"
		}
		p.linef(plain, "    %s of %s, as %s%s", listed(e.Types, "all events"), listed(e.Repositories, "all repositories"), clean(e.Format), of)
		state := "nothing waits"
		if e.Queued > 0 {
			state = words.Count(e.Queued, "event waits", "events wait") + ", the first since " + words.Moment(e.OldestAt)
		}
		if e.Failed > 0 {
			state += ", " + words.Count(e.Failed, "was given up", "were given up")
		}
		if e.Dropped > 0 {
			state += ", " + words.Count(e.Dropped, "was dropped", "were dropped")
		}
		p.linef(plain, "    %s", state)
	}
	return p.flush(w)
}

func listed(patterns []string, all string) string {
	if len(patterns) == 0 {
		return all
	}
	return clean(strings.Join(patterns, ", "))
}

// NewEventReceiver writes a receiver that was added or changed.
func NewEventReceiver(w io.Writer, r admin.PutEventReceiverResponse, o Options) error {
	p := newPrinter(o)
	e := r.Receiver
	p.linef(plain, "%s sends %s of %s to %s, as %s", clean(e.Name), listed(e.Types, "all events"), listed(e.Repositories, "all repositories"), clean(e.URL), clean(e.Format))
	if r.Secret != "" {
		p.linef(plain, "secret: %s", clean(r.Secret))
		p.linef(faint, "It is not shown again: give it to the receiver, which checks signatures with it.")
	}
	return p.flush(w)
}

// FailedEvent writes why a receiver did not take a test event.
func FailedEvent(w io.Writer, name string, r admin.TestEventReceiverResponse, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "%s did not take the test event: %s", clean(name), clean(r.Error))
	if r.Answer != "" {
		p.linef(faint, "    %s", answerLine(r.Answer))
	}
	return p.flush(w)
}

// EventLog writes what was sent to a receiver.
func EventLog(w io.Writer, r admin.ListEventDeliveriesResponse, o Options) error {
	p := newPrinter(o)
	if len(r.Deliveries) == 0 {
		p.linef(plain, "There is no such event.")
	}
	for _, d := range r.Deliveries {
		about := ""
		if d.RepositoryName != "" {
			about = " " + clean(d.RepositoryName)
		}
		if d.ImageDigest != "" {
			about += "@" + clean(d.ImageDigest)
		}
		again := ""
		if d.Redelivered {
			again = ", sent again on request"
		}
		p.linef(plain, "%d  %s  %s%s: %s after %s%s", d.ID, words.Moment(d.At), clean(d.Type), about, clean(d.State), words.Count(d.Attempts, "attempt", "attempts"), again)
		if d.Error != "" {
			p.linef(faint, "    %s", answerLine(d.Error))
		}
		if d.State == "queued" && d.Attempts > 0 {
			p.linef(faint, "    next attempt at %s", words.Moment(d.DueAt))
		}
		if d.Error != "" && d.Answer != "" {
			p.linef(faint, "    %s", answerLine(d.Answer))
		}
	}
	return p.flush(w)
}

// answerLine is what a receiver said, on one line.
func answerLine(s string) string {
	const most = 200
	s = strings.Join(strings.Fields(s), " ")
	return clean(s[:min(len(s), most)])
}

// Redelivered writes how many events are sent again.
func Redelivered(w io.Writer, name string, r admin.RedeliverEventsResponse, o Options) error {
	p := newPrinter(o)
	if r.Queued == 0 {
		p.linef(plain, "There is no such event of %s that has ended.", clean(name))
	} else {
		p.linef(plain, "%s again to %s", words.Count(r.Queued, "event is sent", "events are sent"), clean(name))
	}
	return p.flush(w)
}
