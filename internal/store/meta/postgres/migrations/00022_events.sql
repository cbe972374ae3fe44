-- Events for receivers: those that are queued, and the log of those that were sent.

-- +goose Up
CREATE TABLE event_deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    receiver TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    event_at BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    repository TEXT COLLATE "C" NOT NULL, -- '' for none
    digest TEXT COLLATE "C" NOT NULL, -- '' for none
    order_key TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    state TEXT COLLATE "C" NOT NULL, -- queued, delivered, failed or dropped
    queued_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL, -- 0 while it is queued
    attempts BIGINT NOT NULL,
    redelivered BIGINT NOT NULL, -- 0 or 1
    status BIGINT NOT NULL, -- of the last attempt; 0 for no answer
    took BIGINT NOT NULL, -- microseconds
    error TEXT COLLATE "C" NOT NULL,
    answer TEXT COLLATE "C" NOT NULL
);
CREATE INDEX event_deliveries_due ON event_deliveries (receiver, due_at) WHERE state = 'queued';
CREATE INDEX event_deliveries_in_order ON event_deliveries (receiver, order_key, id) WHERE state = 'queued';
CREATE INDEX event_deliveries_by_receiver ON event_deliveries (receiver, id);
CREATE INDEX event_deliveries_ended ON event_deliveries (receiver, ended_at, id) WHERE state <> 'queued';
