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

-- Events, jobs and cron lines: owned by kernel/src/events.
--
-- Rows are inserted just before COMMIT and have no foreign key to stores: each would lock the row of its store, which all
-- checkouts of that store share. Deleting a store deletes them in the same transaction.

-- One row per event and subscriber.
create table kernel.deliveries (
    -- Given out at insertion. Of two units of work that wait for each other's row locks the later one has the higher.
    sequence bigint generated always as identity primary key,
    event_id text not null,
    store bigint not null,
    subscriber text not null,
    publisher text not null,
    name text not null,
    key text not null,
    payload text not null,
    -- waiting, dead; finished: done, skipped
    state text not null default 'waiting' check (state in ('waiting', 'dead', 'done', 'skipped')),
    occurred_at timestamptz not null,
    -- When it may be tried next.
    due_at timestamptz not null,
    attempts bigint not null default 0,
    last_error text,
    -- Who tries it now, until when, and how often it has been claimed: see events/lease.rs.
    lease text,
    leased_until timestamptz,
    fence bigint not null default 0,
    finished_at timestamptz
);

-- To claim what is due; finished rows, by far the most, are in none of the first two.
create index deliveries_due on kernel.deliveries (due_at, sequence) where finished_at is null;
-- To know whether an older row of the same key holds this one back.
create index deliveries_key on kernel.deliveries (store, subscriber, publisher, key, sequence) where finished_at is null;
create index deliveries_event on kernel.deliveries (event_id);
create index deliveries_finished on kernel.deliveries (finished_at) where finished_at is not null;
-- Of the few rows under way, so that a node that stops can give its own back.
create index deliveries_lease on kernel.deliveries (lease) where lease is not null;

-- One row per (store, plugin, name, key).
create table kernel.jobs (
    sequence bigint generated always as identity primary key,
    -- Another one each time it is scheduled.
    id text not null,
    store bigint not null,
    plugin text not null,
    name text not null,
    key text not null,
    payload text not null,
    -- waiting, dead; finished: done, cancelled
    state text not null default 'waiting' check (state in ('waiting', 'dead', 'done', 'cancelled')),
    -- As it was asked for.
    due_at timestamptz not null,
    -- When it may be tried next.
    run_at timestamptz not null,
    attempts bigint not null default 0,
    last_error text,
    lease text,
    leased_until timestamptz,
    fence bigint not null default 0,
    finished_at timestamptz,
    unique (store, plugin, name, key)
);

create index jobs_due on kernel.jobs (run_at, sequence) where finished_at is null;
create index jobs_id on kernel.jobs (id);
create index jobs_finished on kernel.jobs (finished_at) where finished_at is not null;
create index jobs_lease on kernel.jobs (lease) where lease is not null;

-- When each cron line comes due next, in each store.
create table kernel.schedules (
    store bigint not null,
    plugin text not null,
    name text not null,
    cron text not null,
    next_at timestamptz not null,
    primary key (store, plugin, name)
);

create index schedules_next on kernel.schedules (next_at);
