-- Events for receivers: those that are queued, and the log of those that were sent.

-- +goose Up
CREATE TABLE event_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_at INTEGER NOT NULL,
    type TEXT NOT NULL,
    repository TEXT NOT NULL, -- '' for none
    digest TEXT NOT NULL, -- '' for none
    order_key TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL, -- queued, delivered, failed or dropped
    queued_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL, -- 0 while it is queued
    attempts INTEGER NOT NULL,
    redelivered INTEGER NOT NULL, -- 0 or 1
    status INTEGER NOT NULL, -- of the last attempt; 0 for no answer
    took INTEGER NOT NULL, -- microseconds
    error TEXT NOT NULL,
    answer TEXT NOT NULL
) STRICT;
CREATE INDEX event_deliveries_due ON event_deliveries (receiver, due_at) WHERE state = 'queued';
CREATE INDEX event_deliveries_in_order ON event_deliveries (receiver, order_key, id) WHERE state = 'queued';
CREATE INDEX event_deliveries_by_receiver ON event_deliveries (receiver, id);
CREATE INDEX event_deliveries_ended ON event_deliveries (receiver, ended_at, id) WHERE state <> 'queued';
