package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

const deliveryColumns = `d.id, d.receiver, d.event_id, d.event_at, d.type, d.repository, d.digest, d.order_key, d.body, d.state,
	d.queued_at, d.due_at, d.ended_at, d.attempts, d.redelivered, d.status, d.took, d.error, d.answer`

func scanDelivery(rows *sql.Rows) (meta.Delivery, error) {
	var d meta.Delivery
	var at, queued, due, ended, redelivered, took int64
	err := rows.Scan(&d.ID, &d.Receiver, &d.Event.ID, &at, &d.Event.Type, &d.Event.Repository, &d.Event.Digest, &d.Event.Key, &d.Event.Body, &d.State,
		&queued, &due, &ended, &d.Attempts, &redelivered, &d.Status, &took, &d.Error, &d.Answer)
	d.Event.At, d.QueuedAt, d.DueAt, d.EndedAt = fromMicros(at), fromMicros(queued), fromMicros(due), timeAt(ended)
	d.Redelivered, d.Took = redelivered != 0, time.Duration(took)*time.Microsecond
	return d, err
}

// timeAt is the time of n, which is 0 for none.
func timeAt(n int64) time.Time { return timeOrZero(sql.NullInt64{Int64: n, Valid: n != 0}) }

// isDue is a condition on the delivery d: its time has come at $1, though one before it may
// hold it up. That on the state is written as in the indexes, so that they are used.
const isDue = `d.state = 'queued' AND d.due_at <= $1`

// putOff are the first deliveries of a receiver that are put off, by their keys: what was
// queued after them with the same key waits. Asking about each delivery that is due would
// take the square of the queue, which can be long; these are one for each key at most.
func (r registryReader) putOff(ctx context.Context, receiver string, now time.Time) (map[string]int64, error) {
	first := map[string]int64{}
	err := r.s.query(ctx, func(rows *sql.Rows) error {
		var key string
		var id int64
		err := rows.Scan(&key, &id)
		first[key] = id
		return err
	}, `SELECT order_key, MIN(id) FROM event_deliveries WHERE receiver = $1 AND state = 'queued' AND due_at > $2 GROUP BY order_key`, receiver, micros(now))
	return first, err
}

// ready are the ids of at most limit deliveries that can be sent, in their order.
func (r registryReader) ready(ctx context.Context, receiver string, now time.Time, limit int) ([]int64, error) {
	first, err := r.putOff(ctx, receiver, now)
	if err != nil {
		return nil, err
	}
	most := limit
	if len(first) > 0 {
		most = math.MaxInt32 // some of them wait
	}
	var ids []int64
	err = r.s.query(ctx, func(rows *sql.Rows) error {
		var id int64
		var key string
		if err := rows.Scan(&id, &key); err != nil {
			return err
		}
		if before, waits := first[key]; len(ids) < limit && (!waits || id < before) {
			ids = append(ids, id)
		}
		return nil
	}, `SELECT d.id, d.order_key FROM event_deliveries d WHERE d.receiver = $2 AND `+isDue+` ORDER BY d.id LIMIT $3`, micros(now), receiver, most)
	return ids, err
}

// DueReceivers implements meta.EventReader.
func (r registryReader) DueReceivers(ctx context.Context, now time.Time) (found []string, err error) {
	defer func() { err = wrap(err, "listing receivers with events to send") }()
	all, err := list(ctx, r.s, scanString[string], `SELECT DISTINCT d.receiver FROM event_deliveries d WHERE `+isDue+` ORDER BY d.receiver`, micros(now))
	if err != nil {
		return nil, err
	}
	for _, receiver := range all {
		ids, err := r.ready(ctx, receiver, now, 1)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			found = append(found, receiver)
		}
	}
	return found, nil
}

// DueDeliveries implements meta.EventReader.
func (r registryReader) DueDeliveries(ctx context.Context, receiver string, now time.Time, limit int) (all []meta.Delivery, err error) {
	defer func() { err = wrap(err, "listing events to send to receiver %s", receiver) }()
	ids, err := r.ready(ctx, receiver, now, limit)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	args, params := make([]any, len(ids)), make([]string, len(ids))
	for i, id := range ids {
		args[i], params[i] = id, fmt.Sprintf("$%d", i+1)
	}
	return list(ctx, r.s, scanDelivery, `SELECT `+deliveryColumns+` FROM event_deliveries d WHERE d.id IN (`+strings.Join(params, ", ")+`) ORDER BY d.id`, args...)
}

// selected is the condition of q on the delivery d, and the arguments of it and of what
// came before.
func selected(q meta.DeliveryQuery, args ...any) (string, []any) {
	args = append(args, q.Receiver)
	text := fmt.Sprintf(`d.receiver = $%d`, len(args))
	and := func(asked bool, condition string, value any) {
		if asked {
			args = append(args, value)
			text += fmt.Sprintf(" AND "+condition, len(args))
		}
	}
	and(q.State != "", `d.state = $%d`, string(q.State))
	and(q.Type != "", `d.type = $%d`, q.Type)
	and(q.Repository != "", `d.repository = $%d`, string(q.Repository))
	and(q.ID != 0, `d.id = $%d`, q.ID)
	return text, args
}

// Deliveries implements meta.EventReader.
func (r registryReader) Deliveries(ctx context.Context, q meta.DeliveryQuery, before int64, limit int) ([]meta.Delivery, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	text, args := selected(q, before, limit)
	all, err := list(ctx, r.s, scanDelivery, `SELECT `+deliveryColumns+` FROM event_deliveries d WHERE d.id < $1 AND `+text+` ORDER BY d.id DESC LIMIT $2`, args...)
	return all, wrap(err, "listing deliveries to receiver %s", q.Receiver)
}

// DeliveryQueues implements meta.EventReader.
func (r registryReader) DeliveryQueues(ctx context.Context) ([]meta.DeliveryQueue, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (q meta.DeliveryQueue, err error) {
		var oldest int64
		err = rows.Scan(&q.Receiver, &q.Queued, &oldest, &q.Failed, &q.Dropped)
		q.OldestAt = timeAt(oldest)
		return q, err
	}, `SELECT receiver, SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END), COALESCE(MIN(CASE WHEN state = 'queued' THEN queued_at END), 0),
		SUM(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'dropped' THEN 1 ELSE 0 END)
		FROM event_deliveries GROUP BY receiver ORDER BY receiver`)
	return all, wrap(err, "counting deliveries")
}

// QueueDelivery implements meta.EventWriter.
func (t registryTx) QueueDelivery(ctx context.Context, d meta.Delivery) error {
	_, err := t.s.exec(ctx, `INSERT INTO event_deliveries (receiver, event_id, event_at, type, repository, digest, order_key, body, state,
		queued_at, due_at, ended_at, attempts, redelivered, status, took, error, answer)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, 0, 0, 0, 0, 0, '', '')`,
		d.Receiver, d.Event.ID, micros(d.Event.At), d.Event.Type, string(d.Event.Repository), string(d.Event.Digest), d.Event.Key, bytes(d.Event.Body),
		micros(d.QueuedAt), micros(d.DueAt))
	return wrap(err, "queueing event %s for receiver %s", d.Event.ID, d.Receiver)
}

// PutDelivery implements meta.EventWriter.
func (t registryTx) PutDelivery(ctx context.Context, d meta.Delivery) error {
	ended := int64(0)
	if !d.EndedAt.IsZero() {
		ended = micros(d.EndedAt)
	}
	n, err := t.s.exec(ctx, `UPDATE event_deliveries SET state = $2, due_at = $3, ended_at = $4, attempts = $5, status = $6, took = $7, error = $8, answer = $9
		WHERE id = $1`, d.ID, string(d.State), micros(d.DueAt), ended, d.Attempts, d.Status, d.Took.Microseconds(), d.Error, d.Answer)
	return wrap(orElse(n, err, meta.ErrNotFound), "storing the attempt of delivery %d", d.ID)
}

// RequeueDeliveries implements meta.EventWriter.
func (t registryTx) RequeueDeliveries(ctx context.Context, q meta.DeliveryQuery, now time.Time, limit int) (int, error) {
	text, args := selected(q, micros(now), limit)
	n, err := t.s.exec(ctx, `UPDATE event_deliveries SET state = 'queued', queued_at = $1, due_at = $1, ended_at = 0, attempts = 0, redelivered = 1
		WHERE id IN (SELECT d.id FROM event_deliveries d WHERE d.state <> 'queued' AND `+text+` ORDER BY d.id LIMIT $2)`, args...)
	return int(n), wrap(err, "queueing deliveries to receiver %s again", q.Receiver)
}

// DropDeliveries implements meta.EventWriter.
func (t registryTx) DropDeliveries(ctx context.Context, receiver, spare string, keep int, now time.Time) (n int, first, last time.Time, err error) {
	type span struct {
		n           int
		first, last int64
		id          int64
	}
	const queued = ` FROM event_deliveries d WHERE d.receiver = $1 AND d.state = 'queued' AND d.type <> $2`
	s, err := one(ctx, t.s, func(rows *sql.Rows) (s span, err error) {
		return s, rows.Scan(&s.n, &s.first, &s.last, &s.id)
	}, `SELECT COUNT(*), COALESCE(MIN(queued_at), 0), COALESCE(MAX(queued_at), 0), COALESCE(MAX(id), 0) FROM (
		SELECT d.id, d.queued_at`+queued+` ORDER BY d.id LIMIT (SELECT CASE WHEN COUNT(*) > $3 THEN COUNT(*) - $3 ELSE 0 END`+queued+`)) AS o`, receiver, spare, keep)
	if err != nil || s.n == 0 {
		return 0, first, last, wrap(err, "looking for deliveries to drop")
	}
	dropped, err := t.s.exec(ctx, `UPDATE event_deliveries SET state = 'dropped', ended_at = $4 WHERE id IN (SELECT d.id`+queued+` AND d.id <= $3)`,
		receiver, spare, s.id, micros(now))
	return int(dropped), fromMicros(s.first), fromMicros(s.last), wrap(err, "dropping deliveries to receiver %s", receiver)
}

// DeleteDeliveries implements meta.EventWriter.
func (t registryTx) DeleteDeliveries(ctx context.Context, receiver string) error {
	_, err := t.s.exec(ctx, `DELETE FROM event_deliveries WHERE receiver = $1`, receiver)
	return wrap(err, "removing the deliveries to receiver %s", receiver)
}

// TrimDeliveries implements meta.EventWriter.
func (t registryTx) TrimDeliveries(ctx context.Context, receiver string, before time.Time, keep, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	const ended = `SELECT d.id FROM event_deliveries d WHERE d.receiver = $1 AND d.state <> 'queued'`
	n, err := t.s.exec(ctx, `DELETE FROM event_deliveries WHERE id IN (`+ended+` AND (d.ended_at < $2
		OR d.id NOT IN (`+ended+` ORDER BY d.ended_at DESC, d.id DESC LIMIT $3)) ORDER BY d.ended_at, d.id LIMIT $4)`, receiver, microsUp(before), keep, limit)
	return int(n), wrap(err, "trimming the log of receiver %s", receiver)
}
