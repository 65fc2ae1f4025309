-- Rates by place. Of the rates of one name the most exact one applies; rates of different names add up.

create table tax_rates (
  id text primary key,
  name text not null,
  -- ISO 3166-1 alpha-2.
  country text not null,
  province text,
  -- Beginning of the postal code.
  postal_prefix text,
  -- Of the variants it is for; null for all, `shipping` for the shipping rate.
  category text,
  numerator bigint not null,
  denominator bigint not null,
  -- Whether prices include it already.
  inclusive boolean not null default false,
  created_at timestamptz not null,
  constraint tax_rates_fraction check (numerator >= 0 and denominator > 0)
);
create index tax_rates_by_country on tax_rates (country, id);
