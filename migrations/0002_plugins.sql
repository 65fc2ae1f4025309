-- What is installed, in which version, with which rights, and in which stores it works.

-- Every package that is or was current, by its SHA-256.
create table kernel.packages (
    digest text not null primary key,
    bytes bytea not null,
    manifest text not null,
    descriptor text not null,
    created_at timestamptz not null
);

create table kernel.plugins (
    name text not null primary key,
    digest text not null references kernel.packages (digest),
    -- What `rollback` goes back to; none once a contract step has run.
    previous_digest text references kernel.packages (digest),
    grants text not null,
    state text not null check (state in ('active', 'disabled')),
    -- The recorded schema: the only tables and columns that the rewriter knows.
    schema text not null,
    generation bigint not null,
    installed_at timestamptz not null,
    updated_at timestamptz not null
);

-- Written in the transaction that ran the file.
create table kernel.plugin_migrations (
    plugin text not null,
    file text not null,
    checksum text not null,
    applied_at timestamptz not null,
    primary key (plugin, file)
);

create table kernel.plugin_stores (
    store bigint not null references kernel.stores (number) on delete cascade,
    plugin text not null references kernel.plugins (name) on delete cascade,
    enabled boolean not null,
    settings text not null,
    primary key (store, plugin)
);
create index plugin_stores_plugin on kernel.plugin_stores (plugin);

-- In which order the providers of a service are asked.
create table kernel.service_order (
    service text not null,
    plugin text not null references kernel.plugins (name) on delete cascade,
    position bigint not null,
    primary key (service, plugin)
);
