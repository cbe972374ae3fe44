package sending

import (
	"net/url"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	eventsURL     = parts.Root + "events"
	deliveriesURL = eventsURL + "/deliveries"
)

// events shows the receivers of events, and sends test events.
func (v *visit) events() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Events.As(v.Req.Principal)
	l := parts.Layout{Title: t("Events")}
	if v.Post() {
		name := v.R.PostFormValue("name")
		got, err := as.TestEventReceiver(ctx, in, name)
		if err != nil {
			return err
		}
		if l.Message = (&parts.Message{Kind: "good", Text: t("%s took the test event: status %d.", parts.Clean(name), got.Status)}); got.Error != "" {
			l.Message = &parts.Message{Kind: "bad", Text: t("%s did not take the test event: %s", parts.Clean(name), parts.Clean(got.Error))}
			if got.Answer != "" {
				l.Message.More = []string{parts.Clean(got.Answer)}
			}
		}
	}
	list, err := as.EventReceivers(ctx, in)
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "kontor:TestEventReceiver", "kontor:ListEventDeliveries")
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "receivers", Caption: t("Receivers"), Count: words.Count(len(list), t("receiver"), t("receivers")), Columns: []parts.Column{
		{Key: "name", Label: t("Name")}, {Key: "host", Label: t("Sent to")}, {Key: "format", Label: t("Form")}, {Key: "types", Label: t("Events")}, {Key: "repositories", Label: t("Repositories")},
		{Key: "waiting", Label: t("Waiting"), Number: true}, {Key: "failed", Label: t("Failed"), Number: true}, {Key: "dropped", Label: t("Dropped"), Number: true}, {Key: "test", Label: ""},
	}, Empty: t("There is no receiver of events."), Hint: t("A receiver is a URL that pushes, deletions, expiry and denials are sent to:"), Command: v.Kontor("", "admin events add NAME URL").Text,
		Same: v.Same("admin events list", "", "")}
	now := v.Now()
	for _, r := range list {
		name := parts.Cell{Text: parts.Clean(r.Name), Raw: r.Name}
		if may["kontor:ListEventDeliveries"] {
			name.Link = deliveriesURL + "?receiver=" + url.QueryEscape(r.Name)
		}
		if r.OfFile {
			name.Sub = t("of the server's configuration")
		}
		waiting := parts.Cell{Text: strconv.Itoa(r.Queue.Queued)}
		if r.Queue.Queued > 0 {
			waiting.Sub = words.Distance(now, r.Queue.OldestAt)
		}
		test := parts.Cell{}
		if may["kontor:TestEventReceiver"] {
			test.Action = &parts.Action{To: eventsURL, Label: t("Test"), Hidden: [][2]string{{"name", r.Name}}}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			name, {Text: parts.Clean(r.Host)}, {Text: parts.Clean(string(r.Format))}, some(r.Types), some(r.Repositories),
			waiting, {Text: strconv.Itoa(r.Queue.Failed)}, {Text: strconv.Itoa(r.Queue.Dropped)}, test,
		}})
	}
	if wrote, err := v.CSV("receivers", x); wrote || err != nil {
		return err
	}
	l.Data = map[string]any{"Table": x}
	l.Commands = []parts.Command{v.Kontor(t("The receivers"), "admin events list"), v.Kontor(t("Add one"), "admin events add NAME URL")}
	return v.show("events", l)
}

// some are patterns, none of which is all.
func some(list []string) parts.Cell {
	if len(list) == 0 {
		return parts.Cell{Text: t("all"), Soft: true}
	}
	return parts.Cell{Text: parts.Clean(words.And(list))}
}

// deliveries shows what was sent to a receiver.
func (v *visit) deliveries() error {
	ctx, in, as := v.R.Context(), v.Req.Registry, v.Config.Events.As(v.Req.Principal)
	name := v.Query("receiver")
	if v.Post() {
		name = v.R.PostFormValue("receiver")
	}
	here := deliveriesURL + "?receiver=" + url.QueryEscape(name)
	if v.Post() {
		q := meta.DeliveryQuery{State: meta.DeliveryFailed}
		if text := v.R.PostFormValue("id"); text != "" {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return parts.NoPage()
			}
			q = meta.DeliveryQuery{ID: id}
		}
		if _, err := as.RedeliverEvents(ctx, in, name, q); err != nil {
			return err
		}
		return v.Finish(here, "queued")
	}
	repo, err := v.Named()
	if err != nil {
		return err
	}
	before, err := v.After()
	if err != nil {
		return err
	}
	q := meta.DeliveryQuery{State: meta.DeliveryState(v.Query("state")), Type: v.Query("type"), Repository: repo}
	list, next, r, err := as.EventDeliveries(ctx, in, name, q, before, v.Limit(parts.KeepingPage))
	if err != nil {
		return err
	}
	may, err := v.May(in.Repo(""), "kontor:RedeliverEvents")
	if err != nil {
		return err
	}
	x := &parts.Table{ID: "deliveries", Filtered: true, Caption: t("Sent and waiting"), CSVHas: parts.FirstRows(parts.ListCSV), Columns: []parts.Column{
		{Key: "event", Label: t("Event")}, {Key: "image", Label: t("About")}, {Key: "at", Label: t("At")}, {Key: "state", Label: t("State")}, {Key: "attempts", Label: t("Attempts"), Number: true},
		{Key: "answer", Label: t("Answer")}, {Key: "again", Label: ""},
	}, Count: words.Count(len(list), t("event"), t("events")), Empty: t("No event was sent yet."), Hint: t("See whether the receiver takes them:"), Command: v.Kontor("", "admin events test "+parts.Quoted(r.Name)).Text, Same: v.Same("admin events log "+parts.Quoted(r.Name), "", "")}
	if q != (meta.DeliveryQuery{}) {
		x.Empty, x.Hint, x.Command = t("There is no such event."), t("Remove a filter."), ""
	}
	if next != 0 {
		x.Next = parts.With(v.R.URL, "after", strconv.FormatInt(next, 10))
		x.Count = t("%s on this page", x.Count)
	}
	now := v.Now()
	for _, d := range list {
		x.Rows = append(x.Rows, v.deliveryRow(now, d, r.Name, may["kontor:RedeliverEvents"]))
	}
	if wrote, err := v.CSV("deliveries", x); wrote || err != nil {
		return err
	}
	return v.show("deliveries", parts.Layout{
		Title: t("Events for %s", parts.Clean(r.Name)), Crumbs: []parts.Link{{Label: t("Events"), To: eventsURL}},
		Data: map[string]any{"Table": x, "Receiver": r.Name, "Repository": string(repo), "Type": q.Type, "State": string(q.State), "To": deliveriesURL, "MayAgain": may["kontor:RedeliverEvents"],
			"States": []meta.DeliveryState{meta.DeliveryQueued, meta.DeliveryDelivered, meta.DeliveryFailed, meta.DeliveryDropped}},
		Commands: []parts.Command{v.Kontor(t("What was sent"), "admin events log "+parts.Quoted(r.Name)), v.Kontor(t("Send again what failed"), "admin events redeliver "+parts.Quoted(r.Name)+" --state failed")},
	})
}

// deliveryRow is a row of the log.
func (v *visit) deliveryRow(now time.Time, d meta.Delivery, receiver string, again bool) parts.Row {
	about := parts.Cell{Text: string(d.Event.Repository), Raw: string(d.Event.Repository) + "@" + string(d.Event.Digest)}
	if d.Event.Digest != "" {
		about.Sub, about.Link = parts.Short(string(d.Event.Digest)), parts.RepoURL(d.Event.Repository, "images/"+string(d.Event.Digest))
	}
	state := parts.Cell{Kind: "plain", Text: t("waits")}
	switch d.State {
	case meta.DeliveryDelivered:
		state = parts.Cell{Kind: "keep", Text: t("delivered")}
	case meta.DeliveryFailed:
		state = parts.Cell{Kind: "go", Text: t("failed")}
	case meta.DeliveryDropped:
		state = parts.Cell{Kind: "go", Text: t("dropped")}
	}
	answer := parts.Cell{Text: t("none"), Soft: true}
	if d.Status != 0 {
		answer = parts.Cell{Text: t("status %d", d.Status)}
	}
	if d.Error != "" {
		answer = parts.Cell{Text: parts.Clean(d.Error), Sub: parts.Clean(d.Answer)}
	}
	action := parts.Cell{}
	if again && d.State != meta.DeliveryQueued {
		action.Action = &parts.Action{To: deliveriesURL, Label: t("Send again"), Hidden: [][2]string{{"receiver", receiver}, {"id", strconv.FormatInt(d.ID, 10)}}}
	}
	return parts.Row{Cells: []parts.Cell{
		{Text: parts.Clean(d.Event.Type), Sub: d.Event.ID}, about, parts.CellTime(now, d.Event.At), state, {Text: strconv.Itoa(d.Attempts)}, answer, action,
	}}
}
