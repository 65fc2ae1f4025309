-- Plugins: what is installed, in which version, with which rights, and where it is enabled. Owned by kernel/src/plugins.
--
-- Every change here bumps the row `plugins` of `kernel.versions` in the same transaction; that is how other nodes learn of it.

-- Every package that was ever switched to and may be again. Never changed: the digest is the SHA-256 of `bytes`.
create table kernel.packages (
  digest text primary key,
  plugin text not null,
  version text not null,
  bytes bytea not null,
  -- JSON: what a start needs of the package, so that it reads megabytes only where nothing compiled is at hand.
  outline text not null,
  -- JSON: what `describe` answered.
  descriptor text not null,
  -- JSON: the tables as this version knows them. A later version's columns do not show in an earlier one.
  schema text not null,
  added_at timestamptz not null
);

create table kernel.plugins (
  name text primary key,
  digest text not null references kernel.packages (digest),
  -- JSON: the capabilities granted, never more than the manifest asks for.
  grants text not null,
  -- What `rollback` goes back to; null where a contract step has ended that possibility.
  previous_digest text references kernel.packages (digest),
  previous_grants text,
  -- Whether stores have it that plugin_stores says nothing about.
  everywhere boolean not null,
  changed_at timestamptz not null
);

-- One row per file that has been applied. It stays when the plugin is removed without its tables.
create table kernel.plugin_migrations (
  plugin text not null,
  file text not null,
  -- SHA-256 of the text: an applied file can't be edited afterwards.
  checksum text not null,
  applied_at timestamptz not null,
  primary key (plugin, file)
);

create table kernel.plugin_stores (
  plugin text not null,
  store bigint not null references kernel.stores (number) on delete cascade,
  -- Null: as in kernel.plugins.everywhere.
  enabled boolean,
  -- JSON: what the store's staff set; null for the defaults.
  settings text,
  primary key (plugin, store)
);

-- Which provider of a service comes first; those not named follow by name.
create table kernel.service_orders (
  service text primary key,
  -- A JSON array of plugin names.
  providers text not null
);
