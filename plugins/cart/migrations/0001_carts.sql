-- A cart holds what a customer wants, and no price: prices, taxes and shipping are computed from their sources whenever
-- it is read, so that a total can't be older than the catalogue.

create table carts (
  id text primary key,
  status text not null default 'open',
  -- Who may use it: an account, or whoever holds the token, of which only the SHA-256 is kept.
  account text,
  token_hash text,
  -- The account again while the cart is open: a customer has one open cart.
  open_account text,
  currency text not null,
  email text,
  address jsonb,
  -- `provider:rate`, as the customer chose it; asked for again at every reading.
  rate_id text,
  -- What checkout called the purchase.
  reference text,
  extensions jsonb not null default '{}',
  version bigint not null default 1,
  expires_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint carts_open_account unique (open_account),
  constraint carts_status check (status in ('open', 'ordered', 'merged', 'expired'))
);
create index carts_by_token on carts (token_hash);
create index carts_by_expiry on carts (status, expires_at);
create index carts_by_reference on carts (reference);

create table lines (
  id text primary key,
  cart_id text not null references carts (id) on delete cascade,
  variant_id text not null,
  quantity bigint not null,
  extensions jsonb not null default '{}',
  created_at timestamptz not null,
  constraint lines_variant unique (cart_id, variant_id),
  constraint lines_quantity check (quantity > 0)
);
