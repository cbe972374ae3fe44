package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func receiver(s delivery.Status) admin.EventReceiver {
	return admin.EventReceiver{
		Name: s.Name, URL: s.Host, Format: string(s.Format), Types: texts(s.Types), Repositories: texts(s.Repositories),
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), OfFile: s.OfFile,
		Queued: s.Queue.Queued, OldestAt: s.Queue.OldestAt, Failed: s.Queue.Failed, Dropped: s.Queue.Dropped,
	}
}

func (c *call) putEventReceiver(ctx context.Context, in *admin.PutEventReceiverRequest) (*admin.PutEventReceiverResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	r, secret, err := c.events.PutEventReceiver(ctx, at, delivery.NewReceiver{
		Name: in.Name, URL: in.URL, Format: events.Format(in.Format), Types: in.Types, Repositories: in.Repositories,
		Headers: in.Headers, Secret: in.Secret, RotateSecret: in.RotateSecret,
	})
	if err != nil {
		return nil, err
	}
	return &admin.PutEventReceiverResponse{Receiver: receiver(delivery.Status{Receiver: r}), Secret: secret}, nil
}

func (c *call) listEventReceivers(ctx context.Context, in *admin.ListEventReceiversRequest) (*admin.ListEventReceiversResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	list, err := c.events.EventReceivers(ctx, at)
	out := &admin.ListEventReceiversResponse{Receivers: []admin.EventReceiver{}}
	for _, s := range list {
		out.Receivers = append(out.Receivers, receiver(s))
	}
	return out, err
}

func (c *call) deleteEventReceiver(ctx context.Context, in *admin.DeleteEventReceiverRequest) (*admin.DeleteEventReceiverResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	return &admin.DeleteEventReceiverResponse{}, c.events.DeleteEventReceiver(ctx, at, in.Name)
}

func (c *call) testEventReceiver(ctx context.Context, in *admin.TestEventReceiverRequest) (*admin.TestEventReceiverResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	r, err := c.events.TestEventReceiver(ctx, at, in.Name)
	return &admin.TestEventReceiverResponse{Delivered: r.Error == "", Status: r.Status, Milliseconds: r.Took.Milliseconds(), Error: r.Error, Answer: r.Answer}, err
}

// deliveryState reads a state; "" is any.
func deliveryState(s string, states ...meta.DeliveryState) (meta.DeliveryState, error) {
	if s == "" {
		return "", nil
	}
	names := ""
	for _, state := range states {
		if string(state) == s {
			return state, nil
		}
		names += ", " + string(state)
	}
	return "", ecr.InvalidParameter("state", "Member must satisfy enum value set: [%s]", names[len(", "):])
}

func (c *call) listEventDeliveries(ctx context.Context, in *admin.ListEventDeliveriesRequest) (*admin.ListEventDeliveriesResponse, error) {
	at, err := c.someRepo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	parameters := *in
	parameters.MaxResults, parameters.NextToken = 0, ""
	l, err := newListing("ListEventDeliveries", at.In, parameters, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	before, err := l.number()
	if err != nil {
		return nil, err
	}
	q := meta.DeliveryQuery{Type: in.Type, Repository: at.Name, ID: in.DeliveryID}
	if q.State, err = deliveryState(in.State, meta.DeliveryQueued, meta.DeliveryDelivered, meta.DeliveryFailed, meta.DeliveryDropped); err != nil {
		return nil, err
	}
	list, next, to, err := c.events.EventDeliveries(ctx, at.In, in.Name, q, before, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListEventDeliveriesResponse{Deliveries: make([]admin.EventDelivery, len(list)), NextToken: l.numbered(next)}
	for i, d := range list {
		body, err := delivery.Render(d, to.Format)
		if err != nil {
			return nil, err
		}
		out.Deliveries[i] = admin.EventDelivery{
			ID: d.ID, EventID: d.Event.ID, Type: d.Event.Type, RepositoryName: string(d.Event.Repository), ImageDigest: string(d.Event.Digest), At: d.Event.At,
			State: string(d.State), QueuedAt: d.QueuedAt, EndedAt: d.EndedAt, Attempts: d.Attempts, Redelivered: d.Redelivered,
			Status: d.Status, Milliseconds: d.Took.Milliseconds(), Error: d.Error, Answer: d.Answer, Body: body,
		}
		if d.State == meta.DeliveryQueued {
			out.Deliveries[i].DueAt = d.DueAt
		}
	}
	return out, nil
}

func (c *call) redeliverEvents(ctx context.Context, in *admin.RedeliverEventsRequest) (*admin.RedeliverEventsResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	q := meta.DeliveryQuery{ID: in.DeliveryID}
	if q.State, err = deliveryState(in.State, meta.DeliveryDelivered, meta.DeliveryFailed, meta.DeliveryDropped); err != nil {
		return nil, err
	}
	if q.ID == 0 && q.State == "" {
		return nil, ecr.InvalidParameter("deliveryId", "deliveryId or state must be given")
	}
	n, err := c.events.RedeliverEvents(ctx, at, in.Name, q)
	return &admin.RedeliverEventsResponse{Queued: n}, err
}
