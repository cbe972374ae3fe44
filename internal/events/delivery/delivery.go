// Package delivery sends events to their receivers: webhooks that the administrators of
// a registry add, on hosts that the operator of the server lists.
//
// It guarantees that each event which was written is sent until the receiver takes it, or
// is given up or dropped, which the log says; that of the events of a repository, one is
// not sent before the ones that came earlier; that a receiver which does not answer, or
// not well, holds up no other one; and that only hosts of the operator's list are reached,
// without following redirects. A receiver may get an event more than once, with the same
// id. Deliver is for one process at a time: package jobs has it run under a lease.
//
// Source of signatures: Standard Webhooks, https://www.standardwebhooks.com.
package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Config is what a Service is made of.
type Config struct {
	Gate   *gate.Gate     // required
	Outbox *events.Outbox // that of the gate; required
	// Key seals the secrets of receivers. Required.
	Key identity.MasterKey
	// Registries are those that are served.
	Registries []ecr.RegistryID
	// ImageNow is the clock of leases. Required.
	ImageNow func() time.Time
	// Hosts are those that receivers may be on.
	Hosts []Host
	// Queue is how many events may wait for a receiver. Default 10,000.
	Queue int
	// LogTime is how long the log keeps what was sent. Default 7 days.
	LogTime time.Duration
	// Timeout is how long one attempt may take, default 10 seconds; GiveUp how long an
	// event is tried, default 24 hours; Pause the first pause, default 5 seconds.
	Timeout, GiveUp, Pause time.Duration
	// Observer is told of attempts; may be nil.
	Observer Observer
	Log      *slog.Logger // required
}

// Observer counts. Its texts are from short lists: receivers have the names that
// administrators gave them, of which a registry has MaxReceivers at most.
type Observer interface {
	// Delivered is called for each attempt, and for what is dropped (n events): result is
	// "delivered", "retried", "failed" or "dropped".
	Delivered(receiver, result string, n int)
	// Queued is called with the events that wait for each receiver, and how long the
	// first has waited.
	Queued(receiver string, n int, oldest time.Duration)
}

// Defaults of Config.
const (
	DefaultQueue   = 10_000
	DefaultLogTime = 7 * 24 * time.Hour
	DefaultTimeout = 10 * time.Second
	DefaultGiveUp  = 24 * time.Hour
	DefaultPause   = 5 * time.Second
)

const (
	actor = "events"
	// Every is how often a process looks for what is due.
	Every = 2 * time.Second
	// boundEvery is how often the queues are bounded while events are sent, lookEvery how
	// often that is looked at while none are.
	boundEvery = 10 * time.Second
	lookEvery  = time.Minute
	// batch is how many deliveries are read at a time, width how many repositories of a
	// receiver are told of at a time.
	batch = 100
	width = 4
	// trimBatch is how many rows of the log are removed in one transaction.
	trimBatch = 500
)

// Names of what the server itself does.
var (
	opDeliver = gate.Op("DeliverEvents")
	opTrim    = gate.Op("TrimEventLog")
	opOverdue = gate.Op("FindOverdueLeases")
)

// Service sends the events of all registries of a server. It is safe for concurrent use.
type Service struct {
	cfg    Config
	client *client

	mu     sync.Mutex
	paused map[string]pause // by the receiver's id; guarded by mu
	shown  map[string]bool  // receivers that Observer knows; guarded by mu
	looked time.Time        // when Due looked for long queues; guarded by mu
}

// pause is of a receiver that could not be reached.
type pause struct {
	until time.Time
	times int
}

// New returns a Service. It starts nothing.
func New(cfg Config) *Service {
	cfg.Queue = cmp.Or(cfg.Queue, DefaultQueue)
	cfg.LogTime, cfg.Timeout = cmp.Or(cfg.LogTime, DefaultLogTime), cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.GiveUp, cfg.Pause = cmp.Or(cfg.GiveUp, DefaultGiveUp), cmp.Or(cfg.Pause, DefaultPause)
	return &Service{cfg: cfg, client: newClient(cfg.Hosts, cfg.Timeout), paused: map[string]pause{}, shown: map[string]bool{}}
}

// Written receives when there may be events to send.
func (s *Service) Written() <-chan struct{} { return s.cfg.Outbox.Written() }

// target is a receiver and its registry.
type target struct {
	events.Receiver
	in ecr.RegistryID
}

// targets are the receivers of all registries, by their ids.
func (s *Service) targets(ctx context.Context) (map[string]target, error) {
	all := map[string]target{}
	err := s.look(ctx, func(ctx context.Context, v *gate.View) error {
		clear(all)
		for _, in := range s.cfg.Registries {
			settings, err := v.Registries().RegistrySettings(ctx, in)
			if err != nil {
				return err
			}
			list, err := events.ReceiversOf(settings)
			if err != nil {
				return err
			}
			for _, r := range list {
				all[r.ID] = target{r, in}
			}
		}
		return nil
	})
	return all, err
}

// look reads, and change writes, as the server itself.
func (s *Service) look(ctx context.Context, fn func(context.Context, *gate.View) error) error {
	return s.cfg.Gate.System(actor).Read(ctx, opDeliver, fn)
}

func (s *Service) change(ctx context.Context, fn func(context.Context, *gate.Tx) error) error {
	return s.cfg.Gate.System(actor).Change(ctx, opDeliver, fn)
}

// due are the receivers that something is to be sent to now.
func (s *Service) due(ctx context.Context) (list []target, err error) {
	all, err := s.targets(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	now := s.cfg.Outbox.Now()
	var ids []string
	err = s.look(ctx, func(ctx context.Context, v *gate.View) (err error) {
		ids, err = v.Registries().DueReceivers(ctx, now)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if t, known := all[id]; known && !s.paused[id].until.After(now) {
			list = append(list, t)
		}
	}
	return list, err
}

// Due reports whether something is to be sent now, or dropped. It only reads.
func (s *Service) Due(ctx context.Context) bool {
	list, err := s.due(ctx)
	return err != nil || len(list) > 0 || s.tooLong(ctx) // who delivers finds the error again, and reports it
}

// tooLong reports now and then whether a queue is too long: where all that waits is put
// off, nothing is due for a while.
func (s *Service) tooLong(ctx context.Context) bool {
	now := s.cfg.Outbox.Now()
	s.mu.Lock()
	wait := now.Sub(s.looked).Abs() < lookEvery
	if !wait {
		s.looked = now
	}
	s.mu.Unlock()
	if wait {
		return false
	}
	all, err := s.targets(ctx)
	if err != nil || len(all) == 0 {
		return err != nil
	}
	queues, err := s.queues(ctx)
	return err != nil || slices.ContainsFunc(queues, func(q meta.DeliveryQueue) bool {
		_, known := all[q.Receiver]
		return known && q.Queued > s.cfg.Queue
	})
}

// Deliver sends what is due until nothing is, and returns how many events were taken. It
// may be killed at any point.
func (s *Service) Deliver(ctx context.Context) (int, error) {
	var (
		lanes = map[string]bool{}
		ended = make(chan laneEnd)
		sent  int
		fails error
	)
	tick := time.NewTicker(Every)
	defer tick.Stop()
	var bounded time.Time
	for {
		if now := s.cfg.Outbox.Now(); fails == nil && ctx.Err() == nil && now.Sub(bounded).Abs() >= boundEvery {
			fails, bounded = s.bound(ctx), now
		}
		if fails == nil && ctx.Err() == nil {
			list, err := s.due(ctx)
			fails = err
			for _, t := range list {
				if lanes[t.ID] {
					continue
				}
				lanes[t.ID] = true
				go func() {
					n, err := s.lane(ctx, t)
					ended <- laneEnd{t.ID, n, err}
				}()
			}
		}
		if len(lanes) == 0 {
			return sent, cmp.Or(fails, ctx.Err())
		}
		select {
		case e := <-ended:
			delete(lanes, e.id)
			sent += e.sent
			fails = cmp.Or(fails, e.err)
		case <-tick.C:
		case <-s.Written():
		}
	}
}

// laneEnd is what a lane did.
type laneEnd struct {
	id   string
	sent int
	err  error
}

// lane sends a batch of what is due to one receiver. There is no second one: the receiver
// may have another URL or secret by then.
func (s *Service) lane(ctx context.Context, t target) (sent int, err error) {
	now := s.cfg.Outbox.Now()
	var list []meta.Delivery
	err = s.look(ctx, func(ctx context.Context, v *gate.View) (err error) {
		list, err = v.Registries().DueDeliveries(ctx, t.ID, now, batch)
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.round(ctx, t, list)
}

// round sends list, whose events of one key go one after the other, until the receiver
// cannot be reached or is deleted.
func (s *Service) round(ctx context.Context, t target, list []meta.Delivery) (sent int, err error) {
	byKey := map[string][]meta.Delivery{}
	var order []string
	for _, d := range list {
		if byKey[d.Event.Key] == nil {
			order = append(order, d.Event.Key)
		}
		byKey[d.Event.Key] = append(byKey[d.Event.Key], d)
	}
	keys := make(chan string, len(order))
	for _, k := range order {
		keys <- k
	}
	close(keys)
	goes := true
	var (
		mu   sync.Mutex
		work sync.WaitGroup
	)
	stopped := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !goes || err != nil || ctx.Err() != nil
	}
	for range min(width, len(order)) {
		work.Go(func() {
			for key := range keys {
				for _, d := range byKey[key] {
					if stopped() {
						return
					}
					how, failed := s.one(ctx, t, d)
					mu.Lock()
					if how == taken {
						sent++
					}
					goes = goes && how != unreachable && how != deleted
					err = cmp.Or(err, failed)
					mu.Unlock()
					if how == refused {
						break
					}
				}
			}
		})
	}
	work.Wait()
	return sent, err
}

// outcome is how an attempt ended.
type outcome int

const (
	taken       outcome = iota
	refused             // it is tried again
	unreachable         // so are all others of the receiver
	over                // it was given up
	deleted             // the receiver was
)

// one sends a delivery once, and notes how that ended.
func (s *Service) one(ctx context.Context, t target, d meta.Delivery) (outcome, error) {
	var e events.Event
	a := attempt{}
	if err := json.Unmarshal(d.Event.Body, &e); err != nil {
		a.err, a.final = "the stored event cannot be read", true
	} else {
		a = s.send(ctx, t, e, d)
	}
	if ctx.Err() != nil {
		return refused, nil // it was cut off by this process: it counts for nothing
	}
	now := s.cfg.Outbox.Now()
	d.Attempts++
	d.Status, d.Took, d.Error, d.Answer = a.status, a.took, clean(a.err), clean(a.answer)
	how, result := taken, "delivered"
	switch {
	case a.err == "":
		d.State, d.EndedAt = meta.DeliveryDelivered, now
	case a.final || now.Sub(d.QueuedAt) >= s.cfg.GiveUp || a.status >= 400 && a.status < 500 && !a.passes && d.Attempts >= refusals:
		how, result = over, "failed"
		d.State, d.EndedAt = meta.DeliveryFailed, now
	default:
		how, result = refused, "retried"
		d.DueAt = now.Add(max(s.after(d.Attempts), a.wait))
		if a.status == 0 || a.away {
			how = unreachable
		}
	}
	s.rest(t.ID, how, now, a.wait)
	err := s.change(ctx, func(ctx context.Context, tx *gate.Tx) error {
		err := tx.Registries().PutDelivery(ctx, d)
		if gone(err) {
			how = deleted
			return nil
		}
		return err
	})
	if o := s.cfg.Observer; o != nil {
		o.Delivered(t.Name, result, 1)
	}
	if how == over {
		s.cfg.Log.WarnContext(ctx, "event given up", "receiver", t.Name, "delivery", d.ID, "type", d.Event.Type, "attempts", d.Attempts, "error", d.Error)
	}
	return how, err
}

// refusals is how often a receiver may refuse an event with a status from 400 to 499: it
// is not asked for a whole day, as those of the same repository wait meanwhile.
const refusals = 6

// steps are the pauses after the attempts of an event, in first pauses. The last one
// repeats.
var steps = []time.Duration{1, 6, 24, 120, 360, 720, 1440}

// after is how long to wait after so many attempts.
func (s *Service) after(attempts int) time.Duration {
	return s.cfg.Pause * steps[min(max(attempts, 1), len(steps))-1]
}

// rest lets a receiver alone that could not be reached, longer each time, and at least as
// long as it asked for.
func (s *Service) rest(id string, how outcome, now time.Time, least time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if how != unreachable {
		delete(s.paused, id)
		return
	}
	p := s.paused[id]
	if p.until.After(now) {
		return // another of its attempts failed just now
	}
	p.times++
	const longest = 6 // 64 first pauses
	p.until = now.Add(max(s.cfg.Pause<<min(p.times-1, longest), least))
	s.paused[id] = p
}

// bound drops what is too much for the queues, the oldest first, and has the receivers
// told how much that was.
func (s *Service) bound(ctx context.Context) error {
	queues, err := s.queues(ctx)
	if err != nil {
		return err
	}
	all, err := s.targets(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		t, known := all[q.Receiver]
		if !known || q.Queued <= s.cfg.Queue {
			continue
		}
		now := s.cfg.Outbox.Now()
		var n int
		err := s.change(ctx, func(ctx context.Context, tx *gate.Tx) error {
			var first, last time.Time
			var err error
			// A tenth more, so that one notice tells of many.
			n, first, last, err = tx.Registries().DropDeliveries(ctx, t.ID, string(events.EventsDropped), s.cfg.Queue-s.cfg.Queue/10, now)
			if err != nil || n == 0 {
				return err
			}
			e := events.Event{ID: events.NewID(), Type: events.EventsDropped, At: now, Registry: t.in, Actor: "system: " + actor, Dropped: n, Since: first, Until: last}
			body, err := json.Marshal(e)
			if err != nil {
				return err
			}
			return tx.Registries().QueueDelivery(ctx, meta.Delivery{Receiver: t.ID, QueuedAt: now, DueAt: now, Event: meta.DeliveryEvent{
				ID: e.ID, At: now, Type: string(e.Type), Key: e.Key(), Body: body,
			}})
		})
		if err != nil {
			return err
		}
		if o := s.cfg.Observer; o != nil && n > 0 {
			o.Delivered(t.Name, "dropped", n)
		}
		s.cfg.Log.ErrorContext(ctx, "events dropped: the queue is full", "receiver", t.Name, "events", n)
	}
	return nil
}

func (s *Service) queues(ctx context.Context) (list []meta.DeliveryQueue, err error) {
	err = s.look(ctx, func(ctx context.Context, v *gate.View) (err error) {
		list, err = v.Registries().DeliveryQueues(ctx)
		return err
	})
	return list, err
}

// Trim removes what the log need not keep, and returns how much that was.
func (s *Service) Trim(ctx context.Context) (removed int, err error) {
	all, err := s.targets(ctx)
	if err != nil {
		return 0, err
	}
	before := s.cfg.Outbox.Now().Add(-s.cfg.LogTime)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for n := trimBatch; n == trimBatch; removed += n {
			err := s.cfg.Gate.System(actor).Change(ctx, opTrim, func(ctx context.Context, tx *gate.Tx) (err error) {
				n, err = tx.Registries().TrimDeliveries(ctx, id, before, s.cfg.Queue, trimBatch)
				return err
			})
			if err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

// Observe tells Observer how long the queues are.
func (s *Service) Observe(ctx context.Context) error {
	o := s.cfg.Observer
	if o == nil {
		return nil
	}
	all, err := s.targets(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	shown := len(s.shown)
	s.mu.Unlock()
	if len(all) == 0 && shown == 0 {
		return nil
	}
	queues, err := s.queues(ctx)
	if err != nil {
		return err
	}
	now, by := s.cfg.Outbox.Now(), map[string]meta.DeliveryQueue{}
	for _, q := range queues {
		by[q.Receiver] = q
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for id, t := range all {
		q, age := by[id], time.Duration(0)
		if !q.OldestAt.IsZero() {
			age = max(0, now.Sub(q.OldestAt))
		}
		o.Queued(t.Name, q.Queued, age)
		seen[t.Name] = true
	}
	for name := range s.shown {
		if !seen[name] {
			o.Queued(name, 0, 0)
		}
	}
	s.shown = seen
	return nil
}
