-- Stores, and who may do what in them.
--
-- One text for both engines, in PostgreSQL's dialect (kernel/src/storage/sql/translate.rs). `number` is the `store_id` of
-- every plugin's row: short, never shown, never used again. JSON that only the kernel reads is text: it comes back as it went in.

create table kernel.stores (
    number bigint generated always as identity primary key,
    id text not null unique,
    slug text not null unique,
    name text not null,
    hosts text not null,
    currency text not null,
    currencies text not null,
    timezone text not null,
    status text not null check (status in ('active', 'suspended')),
    settings text not null,
    created_at timestamptz not null
);

-- What the other nodes poll: a row per thing that is kept in memory, counted up by whoever changes it.
create table kernel.versions (
    name text not null primary key,
    generation bigint not null
);

create table kernel.accounts (
    store bigint not null references kernel.stores (number) on delete cascade,
    id text not null,
    -- Lower case, so that the constraint means what people mean.
    email text not null,
    -- None for accounts that only sign in elsewhere.
    password_hash text,
    name text,
    phone text,
    verified_at timestamptz,
    disabled_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (store, id),
    unique (store, email)
);

create table kernel.roles (
    store bigint not null references kernel.stores (number) on delete cascade,
    name text not null,
    permissions text not null,
    primary key (store, name)
);

create table kernel.account_roles (
    store bigint not null,
    account text not null,
    role text not null,
    primary key (store, account, role),
    foreign key (store, account) references kernel.accounts (store, id) on delete cascade,
    foreign key (store, role) references kernel.roles (store, name) on delete cascade
);

-- A token is known by its hash only. A used one that comes back betrays a thief: its whole family is revoked.
create table kernel.refresh_tokens (
    token_hash bytea not null primary key,
    store bigint not null,
    account text not null,
    family text not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    revoked_at timestamptz,
    foreign key (store, account) references kernel.accounts (store, id) on delete cascade
);
create index refresh_tokens_account on kernel.refresh_tokens (store, account);
create index refresh_tokens_family on kernel.refresh_tokens (family);
create index refresh_tokens_expires on kernel.refresh_tokens (expires_at);

-- Links sent by e-mail: verification, password reset.
create table kernel.account_tokens (
    token_hash bytea not null primary key,
    store bigint not null,
    account text not null,
    purpose text not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    foreign key (store, account) references kernel.accounts (store, id) on delete cascade
);
create index account_tokens_account on kernel.account_tokens (store, account);
create index account_tokens_expires on kernel.account_tokens (expires_at);

create table kernel.signing_keys (
    kid text not null primary key,
    sealed bytea not null,
    created_at timestamptz not null,
    retires_at timestamptz
);

create table kernel.api_keys (
    id text not null primary key,
    store bigint not null references kernel.stores (number) on delete cascade,
    kind text not null check (kind in ('publishable', 'secret')),
    name text not null,
    key_hash bytea not null unique,
    last4 text not null,
    permissions text not null,
    created_at timestamptz not null,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_store on kernel.api_keys (store);

-- `store` 0: the operator's, for every store.
create table kernel.secrets (
    store bigint not null,
    plugin text not null,
    name text not null,
    sealed bytea not null,
    updated_at timestamptz not null,
    primary key (store, plugin, name)
);

-- `subject`: an account's address, or a client's.
create table kernel.login_throttles (
    store bigint not null,
    subject text not null,
    failures bigint not null,
    since timestamptz not null,
    blocked_until timestamptz,
    primary key (store, subject)
);
create index login_throttles_since on kernel.login_throttles (since);
