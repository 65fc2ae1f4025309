-- What a code takes off, and who used it.

create table coupons (
  id text primary key,
  -- Upper case: customers type it as they like.
  code text not null,
  kind text not null,
  -- A fraction of the goods' subtotal.
  numerator bigint,
  denominator bigint,
  -- A fixed amount, in minor units of its currency.
  amount bigint,
  currency text,
  -- The smallest subtotal it is good for, in the same currency.
  minimum bigint,
  starts_at timestamptz,
  ends_at timestamptz,
  limit_total bigint,
  limit_per_customer bigint,
  -- How often it was used; raised and lowered by conditional statements only.
  used bigint not null default 0,
  active boolean not null default true,
  created_at timestamptz not null,
  constraint coupons_code unique (code),
  constraint coupons_kind check (kind in ('percent', 'fixed', 'free_shipping')),
  constraint coupons_used check (used >= 0)
);

create table cart_coupons (
  cart_id text not null references carts (id) on delete cascade,
  coupon_id text not null references coupons (id) on delete cascade,
  added_at timestamptz not null,
  primary key (cart_id, coupon_id)
);
create index cart_coupons_by_coupon on cart_coupons (coupon_id, cart_id);

-- One row for each purchase that used a coupon. Released, not removed, where the purchase came to nothing.
create table coupon_uses (
  coupon_id text not null,
  reference text not null,
  -- The account, or the guest's e-mail address.
  customer text not null,
  released boolean not null default false,
  used_at timestamptz not null,
  primary key (coupon_id, reference)
);
create index coupon_uses_by_reference on coupon_uses (reference, coupon_id);
create index coupon_uses_by_customer on coupon_uses (coupon_id, customer);
