package events

import "time"

// Outbox is what those who write events and those who send them share in one process.
// It is safe for concurrent use.
type Outbox struct {
	now     func() time.Time
	written chan struct{}
}

// NewOutbox returns an Outbox whose queue is by the clock now: that of the machine, not
// that of the images.
func NewOutbox(now func() time.Time) *Outbox {
	return &Outbox{now: now, written: make(chan struct{}, 1)}
}

// Now is the time of the queue.
func (o *Outbox) Now() time.Time { return o.now() }

// Wake has Written receive.
func (o *Outbox) Wake() {
	select {
	case o.written <- struct{}{}:
	default:
	}
}

// Written receives when events may have been written since it received last.
func (o *Outbox) Written() <-chan struct{} { return o.written }
