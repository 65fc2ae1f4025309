-- A cart for which nobody named a currency takes that of its first line: a store may sell some goods in another currency
-- than its own only.

alter table carts add column currency_chosen boolean not null default false;
