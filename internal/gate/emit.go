package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Emit has those told of e who want it: it is written with what the transaction changes,
// or not at all. Its ID, its time where it has none, and who asked are filled in. Where
// the registry has no receiver, nothing is written.
func (tx *Tx) Emit(e events.Event) { tx.events = append(tx.events, e) }

// Wanted reports whether a registry has a receiver for one of types: what is costly to
// find out need not be found out without one.
func (tx *Tx) Wanted(ctx context.Context, in ecr.RegistryID, types ...events.Type) (bool, error) {
	if tx.c.g.cfg.Events == nil {
		return false, nil
	}
	settings, err := tx.r.registries.RegistrySettings(ctx, in)
	if err != nil {
		return false, err
	}
	receivers, err := events.ReceiversOf(settings)
	for _, r := range receivers {
		r.Repositories = nil
		if slices.ContainsFunc(types, func(t events.Type) bool { return r.Wants(events.Event{Type: t}) }) {
			return true, err
		}
	}
	return false, err
}

// flush writes what was emitted, and returns how many deliveries that are.
func (q *Inquiry) flush(ctx context.Context, tx meta.Tx) (n int, err error) {
	out := q.c.g.cfg.Events
	if out == nil {
		return 0, nil
	}
	for _, e := range q.events {
		settings, err := q.r.registries.RegistrySettings(ctx, e.Registry)
		if err != nil {
			return n, err
		}
		receivers, err := events.ReceiversOf(settings)
		if err != nil {
			return n, err
		}
		var d meta.Delivery
		for _, r := range receivers {
			if !r.Wants(e) {
				continue
			}
			if d.Event.ID == "" {
				if d, err = q.delivery(e); err != nil {
					return n, err
				}
			}
			d.Receiver = r.ID
			if err := tx.Registries().QueueDelivery(ctx, d); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// delivery is e for any receiver, with who asked for it.
func (q *Inquiry) delivery(e events.Event) (meta.Delivery, error) {
	now := q.c.g.cfg.Events.Now()
	e.ID = events.NewID()
	if e.At.IsZero() {
		e.At = now
	}
	e = q.c.by(e).Bounded()
	body, err := json.Marshal(e)
	if err != nil {
		return meta.Delivery{}, fmt.Errorf("encoding an event: %w", err)
	}
	return meta.Delivery{QueuedAt: now, DueAt: now, Event: meta.DeliveryEvent{
		ID: e.ID, At: e.At, Type: string(e.Type), Repository: e.Repository, Digest: e.Digest, Key: e.Key(), Body: body,
	}}, nil
}

// by is e with who asked, where it does not say so.
func (c *Caller) by(e events.Event) events.Event {
	if e.Actor == "" {
		e.Actor, e.RequestID = c.p.String(), c.p.Request.ID
	}
	if a := c.p.Request.Source; a.IsValid() && e.Source == "" {
		e.Source = a.String()
	}
	return e
}

// Tell writes events of what is no change of the store, such as something that failed, in
// a transaction of their own, if there is a receiver for them. In the check of Provided,
// that is when the transaction of the check is over.
func (c *Caller) Tell(ctx context.Context, all ...events.Event) error {
	out := c.g.cfg.Events
	if out == nil || len(all) == 0 {
		return nil
	}
	if n := nestedIn(ctx); n != nil {
		for _, e := range all {
			n.told = append(n.told, c.by(e))
		}
		return nil
	}
	if c.visit != nil {
		c.visit.End() // as in Change
	}
	wanted := false
	err := c.g.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		wanted = false
		for _, e := range all {
			settings, err := r.Registries().RegistrySettings(ctx, e.Registry)
			if err != nil {
				return err
			}
			receivers, err := events.ReceiversOf(settings)
			if err != nil {
				return err
			}
			wanted = wanted || slices.ContainsFunc(receivers, func(r events.Receiver) bool { return r.Wants(e) })
		}
		return nil
	})
	if err != nil || !wanted {
		return c.g.explained(err)
	}
	err = c.g.cfg.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		q := &Inquiry{c: c, r: sceneReader{tx, tx.Registries()}, events: all}
		_, err := q.flush(ctx, tx)
		return err
	})
	if err == nil {
		out.Wake()
	}
	return c.g.explained(err)
}

// tellDenial writes the event of a denial about a repository. That it could not be
// written keeps the denial from being answered, as the audit log's record does.
func (c *Caller) tellDenial(ctx context.Context, op Operation, d *refusal) error {
	in, name, err := ecr.ParseRepositoryARN(d.resource)
	if err != nil || name == "*" {
		return nil // it is about no repository
	}
	err = c.Tell(ctx, events.Event{
		Type: events.Denied(string(d.action)), Registry: in, Repository: name, Operation: op.Name, Action: string(d.action),
		Statement: d.decision.By, Reason: d.decision.Message,
	})
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil // nobody waits for the answer
	}
	return err
}
