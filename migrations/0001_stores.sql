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
    signed_in_at timestamptz,
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

-- A sign-in. What happens to it locks its row, so that no refresh passes by a revocation.
create table kernel.sessions (
    store bigint not null,
    id text not null,
    account text not null,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    primary key (store, id),
    foreign key (store, account) references kernel.accounts (store, id) on delete cascade
);
create index sessions_account on kernel.sessions (store, account);
create index sessions_expires on kernel.sessions (expires_at);
-- Every node keeps those in memory whose access tokens may still be alive.
create index sessions_revoked on kernel.sessions (revoked_at) where revoked_at is not null;

-- The refresh tokens of a session, one after the other, known by their hashes only. A used one that comes back betrays a
-- thief: the session is revoked. So used ones stay as long as the session.
create table kernel.refresh_tokens (
    token_hash bytea not null primary key,
    store bigint not null,
    session text not null,
    issued_at timestamptz not null,
    used_at timestamptz,
    foreign key (store, session) references kernel.sessions (store, id) on delete cascade
);
create index refresh_tokens_session on kernel.refresh_tokens (store, session);

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
    -- Later than its creation, so that every node can verify with it before one signs.
    signs_from timestamptz not null
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

-- `subject`: digest of a client's address, or of it and an account's. How long one must wait follows from the failures.
create table kernel.login_throttles (
    store bigint not null references kernel.stores (number) on delete cascade,
    subject text not null,
    failures bigint not null,
    failed_at timestamptz not null,
    primary key (store, subject)
);
create index login_throttles_failed on kernel.login_throttles (failed_at);
