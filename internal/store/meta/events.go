package meta

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Delivery is an event for one receiver: first in its queue, then in its log. It is
// written in the transaction of what it tells of.
type Delivery struct {
	ID       int64  // given by the store, ascending, never used again
	Receiver string // its id, which is of one registry
	Event    DeliveryEvent
	State    DeliveryState
	// QueuedAt is when it came into the queue, DueAt when it is to be sent at the
	// earliest, EndedAt when it left the queue, zero before.
	QueuedAt, DueAt, EndedAt time.Time
	Attempts                 int
	Redelivered              bool
	// Status is the HTTP status of the last attempt, 0 for none, Took how long the
	// attempt took, Error why it failed, Answer what the receiver said.
	Status int
	Took   time.Duration
	Error  string
	Answer string
}

// DeliveryEvent is what is delivered.
type DeliveryEvent struct {
	ID         string // the same for every receiver
	At         time.Time
	Type       string
	Repository ecr.RepositoryName // "" for none
	Digest     ecr.Digest         // "" for none
	// Key orders deliveries: of those with the same key, one is not sent before the
	// ones with smaller ids.
	Key  string
	Body []byte // the event; opaque to the store
}

// DeliveryState says where a delivery is.
type DeliveryState string

// States of deliveries. All but the first are ends.
const (
	DeliveryQueued    DeliveryState = "queued"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"  // it was given up
	DeliveryDropped   DeliveryState = "dropped" // the queue was too long
)

// DeliveryQuery selects deliveries that have everything that is given.
type DeliveryQuery struct {
	Receiver   string // required
	State      DeliveryState
	Type       string
	Repository ecr.RepositoryName
	ID         int64
}

// DeliveryQueue counts the deliveries of a receiver.
type DeliveryQueue struct {
	Receiver string
	Queued   int
	OldestAt time.Time // QueuedAt of the first that is queued, zero for none
	Failed   int
	Dropped  int
}

// EventReader reads what is to be delivered, and what was.
type EventReader interface {
	// DueReceivers returns the receivers that have something to be sent at now, in byte
	// order.
	DueReceivers(ctx context.Context, now time.Time) ([]string, error)
	// DueDeliveries returns at most limit queued deliveries of the receiver that are to
	// be sent at now, in order of their ids. Those with an earlier one of the same key
	// that is not due yet are left out.
	DueDeliveries(ctx context.Context, receiver string, now time.Time, limit int) ([]Delivery, error)
	// Deliveries returns at most limit deliveries that q selects, newest first, before
	// the id before, or with 0 from the newest.
	Deliveries(ctx context.Context, q DeliveryQuery, before int64, limit int) ([]Delivery, error)
	// DeliveryQueues counts the deliveries of each receiver that has any, in byte order.
	DeliveryQueues(ctx context.Context) ([]DeliveryQueue, error)
}

// EventWriter changes it.
type EventWriter interface {
	// QueueDelivery adds d, queued; its ID is ignored.
	QueueDelivery(ctx context.Context, d Delivery) error
	// PutDelivery stores how the last attempt of d.ID ended: State, DueAt, EndedAt,
	// Attempts, Status, Took, Error and Answer. ErrNotFound.
	PutDelivery(ctx context.Context, d Delivery) error
	// RequeueDeliveries queues those of q again that have ended, at most limit, the
	// oldest first, as if they had come now, and returns how many.
	RequeueDeliveries(ctx context.Context, q DeliveryQuery, now time.Time, limit int) (int, error)
	// DropDeliveries drops the oldest queued deliveries of the receiver of types other
	// than spare, so that keep are left, and returns how many and when the first and the
	// last of them was queued.
	DropDeliveries(ctx context.Context, receiver, spare string, keep int, now time.Time) (n int, first, last time.Time, err error)
	// DeleteDeliveries removes all deliveries of a receiver.
	DeleteDeliveries(ctx context.Context, receiver string) error
	// TrimDeliveries removes at most limit deliveries of the receiver that ended before
	// before, or before the keep that ended last, and returns how many.
	TrimDeliveries(ctx context.Context, receiver string, before time.Time, keep, limit int) (int, error)
}
