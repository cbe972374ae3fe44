package metatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// deliveries: what is queued comes in order, waits for what came before it of the same
// key, and stays in the log until it is trimmed.
func deliveries(t *testing.T, s meta.Store) {
	queue := func(receiver, key, typ string, at time.Time) {
		d := meta.Delivery{Receiver: receiver, QueuedAt: at, DueAt: at, Event: meta.DeliveryEvent{
			ID: fmt.Sprint(receiver, key, typ), At: noon, Type: typ, Repository: "app", Digest: digest("x"), Key: key, Body: []byte(`{"a":"ü"}`),
		}}
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().QueueDelivery(ctx, d) })
	}
	list := func(q meta.DeliveryQuery, before int64, limit int) []meta.Delivery {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Delivery, error) {
			return r.Registries().Deliveries(ctx, q, before, limit)
		})
	}
	due := func(receiver string, now time.Time) (types []string) {
		for _, d := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Delivery, error) {
			return r.Registries().DueDeliveries(ctx, receiver, now, 10)
		}) {
			types = append(types, d.Event.Type)
		}
		return types
	}
	receivers := func(now time.Time) []string {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]string, error) {
			return r.Registries().DueReceivers(ctx, now)
		})
	}
	put := func(tx meta.Tx) func(context.Context, meta.Delivery) error { return tx.Registries().PutDelivery }
	diff(t, []string(nil), receivers(noon))
	for _, typ := range []string{"a", "b", "c"} {
		queue("one", map[string]string{"a": "x", "b": "y", "c": "x"}[typ], typ, noon)
	}
	queue("two", "x", "a", noon.Add(time.Minute))
	diff(t, []string{"one"}, receivers(noon))
	diff(t, []string{"one", "two"}, receivers(noon.Add(time.Minute)))
	diff(t, []string{"a", "b", "c"}, due("one", noon))
	diff(t, []string(nil), due("one", noon.Add(-time.Microsecond)))

	all := list(meta.DeliveryQuery{Receiver: "one"}, 0, 10)
	if len(all) != 3 || all[0].Event.Type != "c" {
		t.Fatalf("deliveries = %+v", all)
	}
	a := all[2]
	want := meta.Delivery{ID: a.ID, Receiver: "one", State: meta.DeliveryQueued, QueuedAt: noon, DueAt: noon, Event: meta.DeliveryEvent{
		ID: "onexa", At: noon, Type: "a", Repository: "app", Digest: digest("x"), Key: "x", Body: []byte(`{"a":"ü"}`),
	}}
	diff(t, want, a)
	// It failed: what came after it of its key waits.
	a.DueAt, a.Attempts, a.Status, a.Took, a.Error, a.Answer = noon.Add(time.Hour), 1, 500, 3*time.Millisecond, "it answered 500", "no"
	update(t, s, change(put, a))
	diff(t, []meta.Delivery{a}, list(meta.DeliveryQuery{Receiver: "one", ID: a.ID}, 0, 10))
	diff(t, []string{"b"}, due("one", noon))
	diff(t, []string{"a", "b", "c"}, due("one", noon.Add(time.Hour)))
	b := all[1]
	b.State, b.EndedAt, b.Attempts, b.Status = meta.DeliveryDelivered, noon, 1, 204
	update(t, s, change(put, b))
	diff(t, []string(nil), due("one", noon))
	diff(t, []string(nil), receivers(noon))
	a.State, a.EndedAt = meta.DeliveryFailed, noon.Add(time.Second)
	update(t, s, change(put, a))
	diff(t, []string{"c"}, due("one", noon))
	refused(t, s, meta.ErrNotFound, change(put, meta.Delivery{ID: 1 << 40}))

	queues := func() []meta.DeliveryQueue {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.DeliveryQueue, error) {
			return r.Registries().DeliveryQueues(ctx)
		})
	}
	diff(t, []meta.DeliveryQueue{{Receiver: "one", Queued: 1, OldestAt: noon, Failed: 1}, {Receiver: "two", Queued: 1, OldestAt: noon.Add(time.Minute)}}, queues())
	for name, n := range map[string]int{
		"failed": len(list(meta.DeliveryQuery{Receiver: "one", State: meta.DeliveryFailed}, 0, 10)), "type": len(list(meta.DeliveryQuery{Receiver: "one", Type: "a"}, 0, 10)),
		"repository": len(list(meta.DeliveryQuery{Receiver: "one", Repository: "app"}, 0, 10)) - 2, "limit": len(list(meta.DeliveryQuery{Receiver: "one"}, 0, 1)),
		"before": len(list(meta.DeliveryQuery{Receiver: "one"}, b.ID, 10)),
	} {
		if n != 1 {
			t.Errorf("by %s: %d", name, n)
		}
	}

	later := noon.Add(2 * time.Hour)
	requeue := func(q meta.DeliveryQuery) (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Registries().RequeueDeliveries(ctx, q, later, 10)
			return err
		})
		return n
	}
	diff(t, 1, requeue(meta.DeliveryQuery{Receiver: "one", State: meta.DeliveryFailed}))
	diff(t, 0, requeue(meta.DeliveryQuery{Receiver: "one", State: meta.DeliveryFailed}))
	again := list(meta.DeliveryQuery{Receiver: "one", ID: a.ID}, 0, 1)[0]
	if again.State != meta.DeliveryQueued || !again.Redelivered || again.Attempts != 0 || !again.QueuedAt.Equal(later) || !again.EndedAt.IsZero() {
		t.Errorf("queued again: %+v", again)
	}
}

// deliveriesAreBounded: the oldest go first.
func deliveriesAreBounded(t *testing.T, s meta.Store) {
	for i := range 10 {
		at := noon.Add(time.Duration(i) * time.Minute)
		for _, receiver := range []string{"one", "two"} {
			typ := "t"
			if i == 0 {
				typ = "spared"
			}
			d := meta.Delivery{Receiver: receiver, QueuedAt: at, DueAt: at, Event: meta.DeliveryEvent{ID: fmt.Sprint(i), At: at, Type: typ, Key: fmt.Sprint(i)}}
			update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().QueueDelivery(ctx, d) })
		}
	}
	drop := func(keep int) (n int, first, last time.Time) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, first, last, err = tx.Registries().DropDeliveries(ctx, "one", "spared", keep, noon.Add(time.Hour))
			return err
		})
		return n, first, last
	}
	n, first, last := drop(4)
	diff(t, []any{5, noon.Add(time.Minute), noon.Add(5 * time.Minute)}, []any{n, first, last})
	n, _, _ = drop(4)
	diff(t, 0, n)
	count := func(receiver string, state meta.DeliveryState) int {
		return len(read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Delivery, error) {
			return r.Registries().Deliveries(ctx, meta.DeliveryQuery{Receiver: receiver, State: state}, 0, 100)
		}))
	}
	diff(t, []int{5, 5, 10, 0}, []int{count("one", meta.DeliveryQueued), count("one", meta.DeliveryDropped), count("two", meta.DeliveryQueued), count("two", meta.DeliveryDropped)})
	trim := func(before time.Time, keep, limit int) (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Registries().TrimDeliveries(ctx, "one", before, keep, limit)
			return err
		})
		return n
	}
	diff(t, 0, trim(noon.Add(time.Hour), 5, 100))
	diff(t, 1, trim(noon.Add(time.Hour), 3, 1))
	diff(t, 1, trim(noon.Add(time.Hour), 3, 100))
	diff(t, 3, trim(noon.Add(2*time.Hour), 100, 100))
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Registries().DeleteDeliveries(ctx, "one") })
	diff(t, []int{0, 10}, []int{count("one", ""), count("two", "")})
}
