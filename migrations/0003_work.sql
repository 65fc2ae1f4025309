-- Work that outlives a request: answers to repeat, events to deliver, jobs to run.

-- `status`, `headers` and `body` are the first answer, kept for whoever sends the same key again; a row that is still
-- `running` after `lease_until` belongs to a kernel that died.
create table kernel.idempotency (
    store bigint not null references kernel.stores (number) on delete cascade,
    caller text not null,
    method text not null,
    path text not null,
    key text not null,
    fingerprint bytea not null,
    state text not null check (state in ('running', 'done')),
    lease_until timestamptz,
    status bigint,
    headers text,
    body bytea,
    created_at timestamptz not null,
    primary key (store, caller, method, path, key)
);
create index idempotency_created on kernel.idempotency (created_at);

-- The outbox: one row per event and subscriber, written in the transaction that the event tells of.
--
-- Only the oldest row of a (store, subscriber, key) that is not done may be claimed, so that order holds per key. A dead one
-- is not done: it holds its key back until an operator replays or skips it.
create table kernel.deliveries (
    sequence bigint generated always as identity primary key,
    store bigint not null references kernel.stores (number) on delete cascade,
    event text not null,
    publisher text not null,
    name text not null,
    key text not null,
    payload text not null,
    occurred_at timestamptz not null,
    subscriber text not null,
    attempts bigint not null default 0,
    next_at timestamptz not null,
    lease_until timestamptz,
    lease_by text,
    done_at timestamptz,
    dead_at timestamptz,
    last_error text,
    unique (event, subscriber)
);
-- What may be due, oldest first.
create index deliveries_due on kernel.deliveries (next_at, sequence) where done_at is null and dead_at is null;
-- Is there an older one of the same key?
create index deliveries_order on kernel.deliveries (subscriber, store, key, sequence) where done_at is null;
create index deliveries_dead on kernel.deliveries (dead_at) where done_at is null and dead_at is not null;
-- For the purge.
create index deliveries_done on kernel.deliveries (done_at) where done_at is not null;

-- At most one job waits per (plugin, name, key): scheduling again moves it, and counts `generation` up, so that a run that
-- is under way does not delete what it was moved to. `key` is unique within the store; a run deletes its row.
create table kernel.jobs (
    id text not null primary key,
    store bigint not null references kernel.stores (number) on delete cascade,
    plugin text not null,
    name text not null,
    key text not null,
    payload text not null,
    due_at timestamptz not null,
    generation bigint not null default 0,
    attempts bigint not null default 0,
    lease_until timestamptz,
    lease_by text,
    dead_at timestamptz,
    last_error text,
    created_at timestamptz not null,
    unique (store, plugin, name, key)
);
create index jobs_due on kernel.jobs (due_at) where dead_at is null;
create index jobs_dead on kernel.jobs (dead_at) where dead_at is not null;

-- When a cron line of a descriptor is due next, per store.
create table kernel.schedules (
    store bigint not null references kernel.stores (number) on delete cascade,
    plugin text not null references kernel.plugins (name) on delete cascade,
    name text not null,
    cron text not null,
    next_at timestamptz not null,
    primary key (store, plugin, name)
);
create index schedules_next on kernel.schedules (next_at);
