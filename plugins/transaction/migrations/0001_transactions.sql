-- A transaction is what a checkout leaves behind: a copy of everything the customer agreed to, so that no later
-- change of a product, a price or an address can alter it. Only its three states and what follows from them change.
--
-- The tables below have no foreign key to transactions: at checkout their rows are written first, so that the row of
-- the counter, which every checkout of the store needs, is locked for two statements and the commit only. Nothing ever
-- deletes a transaction.

create table transactions (
  id text primary key,
  -- Short, for people. Increasing in the order of commits, because the counter's row is locked until then.
  number bigint not null,
  status text not null,
  payment_status text not null,
  fulfilment_status text not null,
  -- What became of the stock: held at checkout, sold at payment or shipment, released at cancel or expiry.
  stock text not null,
  account text,
  email text not null,
  cart_id text not null,
  -- SHA-256 of the guest's cart token: who holds the token may read the transaction.
  guest_token_hash text,
  currency text not null,
  subtotal bigint not null,
  discount bigint not null,
  shipping bigint not null,
  tax bigint not null,
  total bigint not null,
  paid bigint not null default 0,
  refunded bigint not null default 0,
  payment_method text not null,
  shipping_address jsonb,
  shipping_rate jsonb,
  discounts jsonb not null default '[]',
  tax_lines jsonb not null default '[]',
  note text,
  extensions jsonb not null default '{}',
  expires_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint transactions_number unique (number),
  -- One checkout per cart, whatever is sent twice.
  constraint transactions_cart unique (cart_id),
  constraint transactions_status check (status in ('open', 'completed', 'cancelled', 'expired')),
  constraint transactions_payment check (payment_status in ('awaiting', 'paid', 'partially_refunded', 'refunded')),
  constraint transactions_fulfilment
    check (fulfilment_status in ('unfulfilled', 'partial', 'shipped', 'delivered', 'returned')),
  constraint transactions_stock check (stock in ('held', 'sold', 'released')),
  constraint transactions_refunded check (refunded >= 0 and refunded <= paid)
);

-- One index for each order in which a list is read: customers' own, and the staff's filters.
create index transactions_by_time on transactions (created_at, id);
create index transactions_by_account on transactions (account, created_at, id);
create index transactions_by_email on transactions (email, created_at, id);
create index transactions_by_status on transactions (status, created_at, id);
create index transactions_by_payment on transactions (payment_status, created_at, id);
create index transactions_by_fulfilment on transactions (fulfilment_status, created_at, id);

create table items (
  id text primary key,
  transaction_id text not null,
  position bigint not null,
  variant_id text not null,
  product_id text not null,
  sku text,
  title text not null,
  variant_title text,
  quantity bigint not null,
  unit_price bigint not null,
  subtotal bigint not null,
  discount bigint not null,
  tax bigint not null,
  total bigint not null,
  requires_shipping boolean not null,
  shipped bigint not null default 0,
  returned bigint not null default 0,
  extensions jsonb not null default '{}',
  constraint items_quantity check (quantity > 0),
  constraint items_shipped check (shipped >= 0 and shipped <= quantity),
  constraint items_returned check (returned >= 0 and returned <= shipped)
);
create index items_by_transaction on items (transaction_id, position);
create index items_by_variant on items (variant_id, transaction_id);

create table payments (
  id text primary key,
  transaction_id text not null,
  provider text not null,
  method text not null,
  status text not null,
  amount bigint not null,
  currency text not null,
  -- What the customer has to do, as the provider or the store's settings put it.
  instructions jsonb,
  -- The provider's or the bank's own name for the payment.
  reference text,
  expires_at timestamptz,
  created_at timestamptz not null,
  settled_at timestamptz,
  constraint payments_status check (status in ('awaiting', 'paid', 'cancelled', 'expired'))
);
create index payments_by_transaction on payments (transaction_id, created_at);

create table refunds (
  id text primary key,
  transaction_id text not null,
  amount bigint not null,
  currency text not null,
  reason text not null,
  reference text,
  actor text not null,
  created_at timestamptz not null,
  constraint refunds_amount check (amount > 0)
);
create index refunds_by_transaction on refunds (transaction_id, created_at);

create table shipments (
  id text primary key,
  transaction_id text not null,
  carrier text,
  tracking_number text,
  tracking_url text,
  -- [{"item_id": …, "quantity": …}]
  items jsonb not null,
  created_at timestamptz not null,
  delivered_at timestamptz
);
create index shipments_by_transaction on shipments (transaction_id, created_at);

-- Every step, never changed: who did what, why, and where the three states stood afterwards.
create table history (
  id text primary key,
  transaction_id text not null,
  step text not null,
  status text not null,
  payment_status text not null,
  fulfilment_status text not null,
  actor text not null,
  reason text not null,
  created_at timestamptz not null
);
create index history_by_transaction on history (transaction_id, created_at, id);

create table counters (
  name text primary key,
  value bigint not null
);
