package admin

import (
	"encoding/json"
	"time"
)

// EventReceiver is who is told of events. Its secrets are not shown, nor are the values
// of its URL's query.
type EventReceiver struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Format string `json:"format"` // eventbridge, cloudevents or cloudevents-binary
	// Types and Repositories are patterns; [] is all.
	Types        []string  `json:"types"`
	Repositories []string  `json:"repositories"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
	// OfFile: the server's configuration file has it, and it is changed there.
	OfFile bool `json:"ofFile"`
	// Queued is how many events wait, the first since OldestAt; Failed and Dropped are
	// those of the log that were given up, or dropped because the queue was full.
	Queued   int       `json:"queued"`
	OldestAt time.Time `json:"oldestAt,omitzero"`
	Failed   int       `json:"failed"`
	Dropped  int       `json:"dropped"`
}

// PutEventReceiverRequest adds a receiver or changes one: then what is not given stays.
type PutEventReceiverRequest struct {
	RegistryID   string            `json:"registryId,omitzero"`
	Name         string            `json:"name"`
	URL          string            `json:"url,omitzero"`
	Format       string            `json:"format,omitzero"`
	Types        []string          `json:"types,omitempty"`        // ["*"] for all
	Repositories []string          `json:"repositories,omitempty"` // ["*"] for all
	Headers      map[string]string `json:"headers,omitempty"`
	Secret       string            `json:"secret,omitzero"`
	RotateSecret bool              `json:"rotateSecret,omitzero"`
}

// PutEventReceiverResponse has the secret if the server made one: it is told this once.
type PutEventReceiverResponse struct {
	Receiver EventReceiver `json:"receiver"`
	Secret   string        `json:"secret,omitzero"`
}

// ListEventReceiversRequest asks for the receivers of a registry.
type ListEventReceiversRequest struct {
	RegistryID string `json:"registryId,omitzero"`
}

// ListEventReceiversResponse is in the order of names.
type ListEventReceiversResponse struct {
	Receivers []EventReceiver `json:"receivers"`
}

// DeleteEventReceiverRequest removes a receiver with its queue and its log.
type DeleteEventReceiverRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
}

// DeleteEventReceiverResponse is empty.
type DeleteEventReceiverResponse struct{}

// TestEventReceiverRequest sends a test event at once.
type TestEventReceiverRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
}

// TestEventReceiverResponse says how that ended.
type TestEventReceiverResponse struct {
	Delivered    bool   `json:"delivered"`
	Status       int    `json:"status,omitzero"` // HTTP status; none where nothing was answered
	Milliseconds int64  `json:"milliseconds"`
	Error        string `json:"error,omitzero"`
	Answer       string `json:"answer,omitzero"` // the beginning of it
}

// ListEventDeliveriesRequest asks for what was sent to a receiver, or is to be, newest
// first.
type ListEventDeliveriesRequest struct {
	RegistryID     string `json:"registryId,omitzero"`
	Name           string `json:"name"`
	State          string `json:"state,omitzero"` // queued, delivered, failed or dropped
	Type           string `json:"type,omitzero"`
	RepositoryName string `json:"repositoryName,omitzero"`
	DeliveryID     int64  `json:"deliveryId,omitzero"`
	MaxResults     int32  `json:"maxResults,omitzero"`
	NextToken      string `json:"nextToken,omitzero"`
}

// ListEventDeliveriesResponse is a page of them.
type ListEventDeliveriesResponse struct {
	Deliveries []EventDelivery `json:"deliveries"`
	NextToken  string          `json:"nextToken,omitzero"`
}

// EventDelivery is an event for a receiver, with the last attempt to deliver it.
type EventDelivery struct {
	ID             int64           `json:"id"`
	EventID        string          `json:"eventId"`
	Type           string          `json:"type"`
	RepositoryName string          `json:"repositoryName,omitzero"`
	ImageDigest    string          `json:"imageDigest,omitzero"`
	At             time.Time       `json:"at"`
	State          string          `json:"state"`
	QueuedAt       time.Time       `json:"queuedAt"`
	DueAt          time.Time       `json:"dueAt,omitzero"` // of the next attempt
	EndedAt        time.Time       `json:"endedAt,omitzero"`
	Attempts       int             `json:"attempts"`
	Redelivered    bool            `json:"redelivered,omitzero"`
	Status         int             `json:"status,omitzero"`
	Milliseconds   int64           `json:"milliseconds,omitzero"`
	Error          string          `json:"error,omitzero"`
	Answer         string          `json:"answer,omitzero"`
	Body           json.RawMessage `json:"body,omitempty"` // the event in the receiver's format
}

// RedeliverEventsRequest queues deliveries again that have ended: the one of DeliveryID,
// or those of a State.
type RedeliverEventsRequest struct {
	RegistryID string `json:"registryId,omitzero"`
	Name       string `json:"name"`
	DeliveryID int64  `json:"deliveryId,omitzero"`
	State      string `json:"state,omitzero"` // delivered, failed or dropped
}

// RedeliverEventsResponse says how many were queued, a thousand at most.
type RedeliverEventsResponse struct {
	Queued int `json:"queued"`
}
